"""``anpr read``: photos in, a record each out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from anpr.cli import console
from anpr.errors import AnprError

if TYPE_CHECKING:  # a command imports what it needs when it runs
    from anpr.cli.console import Commands
    from anpr.fetch import Fetcher
    from anpr.settings import Settings
    from anpr.sources import Source
    from anpr.types import Result


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "read", help="read the plates in photos", description="Reads the plates in photos."
    )
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="a file, a folder, a URL, or - for stdin"
    )
    parser.add_argument("--format", choices=("text", "json", "jsonl", "csv"), default="text")
    parser.add_argument(
        "--top-n", type=console.whole, default=1, metavar="N", help="candidates of each plate (1)"
    )
    parser.add_argument(
        "--regions",
        type=console.regions,
        default=(),
        metavar="R,R",
        help="regions (pl) and groups (eu) whose plates come first among candidates",
    )
    parser.add_argument(
        "--min-confidence",
        type=console.share,
        default=0.0,
        metavar="P",
        help="leave out plates that are read less surely (0)",
    )
    parser.add_argument(
        "--annotate", type=Path, metavar="DIR", help="write pictures with the plates drawn in"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from anpr import memory

    with memory.uncollected():
        from anpr import output, record, sources
        from anpr.errors import InvalidOption
        from anpr.pipeline import Recognizer

        settings = console.settings()
        if options.top_n > settings.max_candidates:
            raise InvalidOption(f"--top-n may be {settings.max_candidates} at most.")
        images = list(sources.expand(options.sources))
        recognizer = Recognizer(settings)
        recognizer.load()  # a missing model is said once, not once a photo
    if len(images) > 1:
        memory.freeze()  # takes as long as it saves in one photo
    draw = _annotator(options.annotate, settings)
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
            status = console.complain(error.sentence, image.name)
        writer.write({"source": image.name, **answer})
    writer.close()
    sys.stdout.flush()
    recognizer.compile()  # for the next start, now that the answer is out
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
