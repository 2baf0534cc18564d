"""The command line: ``anpr read | serve | config``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anpr import __version__
from anpr.errors import AnprError

if TYPE_CHECKING:  # each command imports what it needs when it runs
    from anpr.fetch import Fetcher
    from anpr.settings import Settings
    from anpr.sources import Source
    from anpr.types import Result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0, 1 (something could not be read) or 2 (usage)."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except AnprError as error:
        return _complain(error.sentence)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anpr", description="Reads number plates in photos.")
    parser.add_argument("--version", action="version", version=f"anpr {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    read = commands.add_parser(
        "read", help="read the plates in photos", description="Reads the plates in photos."
    )
    read.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="a file, a folder, a URL, or - for stdin"
    )
    read.add_argument("--format", choices=("text", "json", "jsonl", "csv"), default="text")
    read.add_argument(
        "--top-n", type=_whole, default=1, metavar="N", help="candidates of each plate (1)"
    )
    read.add_argument(
        "--regions",
        type=_names,
        default=(),
        metavar="R,R",
        help="regions (pl) and groups (eu) whose plates come first among candidates",
    )
    read.add_argument(
        "--min-confidence",
        type=_share,
        default=0.0,
        metavar="P",
        help="leave out plates that are read less surely (0)",
    )
    read.add_argument(
        "--annotate", type=Path, metavar="DIR", help="write pictures with the plates drawn in"
    )
    read.set_defaults(run=_read)

    serve = commands.add_parser(
        "serve", help="run the HTTP service", description="Runs the HTTP service."
    )
    serve.add_argument("--host", default="0.0.0.0")  # noqa: S104 - a container's door
    serve.add_argument("--port", type=_port, default=None, help="default: $PORT, or 8080")
    serve.set_defaults(run=_serve)

    config = commands.add_parser(
        "config", help="list every setting", description="Lists every setting."
    )
    config.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    config.set_defaults(run=_config)
    return parser


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _names(text: str) -> tuple[str, ...]:
    from anpr.formats import expand

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    try:
        expand(names)
    except AnprError as error:
        raise argparse.ArgumentTypeError(error.sentence) from error
    return names


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be between 0 and 65535")
    return number


def _complain(sentence: str, source: str | None = None) -> int:
    print(f"anpr: {source}: {sentence}" if source else f"anpr: {sentence}", file=sys.stderr)
    return 1


def _settings() -> Settings:
    from pydantic import ValidationError

    from anpr.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        faults = (
            f"ANPR_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
        raise SystemExit(f"anpr: {'; '.join(faults)}") from None


# --- read --------------------------------------------------------------------------------------


def _read(options: argparse.Namespace) -> int:
    from anpr import memory, output, record, sources
    from anpr.errors import InvalidOption
    from anpr.pipeline import Recognizer

    settings = _settings()
    if options.top_n > settings.max_candidates:
        raise InvalidOption(f"--top-n may be {settings.max_candidates} at most.")
    recognizer = Recognizer(settings)
    recognizer.load()  # a missing model is said once, not once a photo
    memory.freeze()
    draw = _annotator(options.annotate, settings)
    images = list(sources.expand(options.sources))
    fetcher = _fetcher(settings) if any(sources.is_url(image.name) for image in images) else None
    writer = output.WRITERS[options.format](sys.stdout)
    status = 0
    for image in _progress(images):
        try:
            data = sources.load(image, max_bytes=settings.max_image_bytes, fetcher=fetcher)
            result = recognizer.read(
                data,
                top_n=options.top_n,
                regions=options.regions,
                min_confidence=options.min_confidence,
            )
            answer = record.result_record(result)
            draw(data, image.name, result)
        except AnprError as error:
            answer = {"error": record.problem_record(error)}
            status = _complain(error.sentence, image.name)
        writer.write({"source": image.name, **answer})
    writer.close()
    return status


def _annotator(folder: Path | None, settings: Settings) -> Callable[[bytes, str, Result], object]:
    if folder is None:
        return lambda *_: None
    from anpr import annotate, imaging

    album = annotate.Album(folder)

    def add(data: bytes, name: str, result: Result) -> None:
        photo = imaging.decode(
            data, max_pixels=settings.max_pixels, max_side_px=settings.working_side_px
        )
        album.add(annotate.draw(photo.working, result, photo.scale), name)

    return add


def _fetcher(settings: Settings) -> Fetcher | None:
    if not settings.fetch_enabled:
        return None
    from anpr.pipeline import make_fetcher

    return make_fetcher(settings)


def _progress(images: list[Source]) -> Iterable[Source]:
    """With a bar where a person watches many images go by, and the records go elsewhere."""
    if len(images) < 2 or not sys.stderr.isatty() or sys.stdout.isatty():
        return images
    from tqdm import tqdm

    return tqdm(images, unit="image", file=sys.stderr)


# --- serve -------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    from anpr.server.run import serve

    port = options.port
    if port is None:
        try:
            port = _port(os.environ.get("PORT") or "8080")
        except (ValueError, argparse.ArgumentTypeError):
            return _complain("The variable PORT is not a port number.")
    serve(_settings(), host=options.host, port=port)
    return 0


# --- config ------------------------------------------------------------------------------------


def _config(options: argparse.Namespace) -> int:
    from anpr.settings import describe

    rows = describe(_settings())
    if options.format == "json":
        import json

        print(json.dumps([row._asdict() for row in rows], indent=2))
    elif options.format == "markdown":
        print("| setting | default | meaning |\n|---|---|---|")
        for row in rows:
            print(f"| `{row.name}` | {f'`{row.default}`' if row.default else ''} | {row.meaning} |")
    else:
        wide = max(len(row.name) for row in rows)
        for row in rows:
            note = "" if row.value == row.default else f" (default: {row.default or 'none'})"
            print(f"{row.name:{wide}}  {row.value or '-'}{note}\n{'':{wide}}  {row.meaning}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
