"""``anpr models import | pull | export | compile``: models out of files and of other models."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anpr.cli import console

if TYPE_CHECKING:
    from anpr.cli.console import Commands
    from anpr.models.catalogue import Catalogue
    from anpr.models.intake import Intake
    from anpr.models.pull import Progress
    from anpr.models.survey import Status
    from anpr.settings import Settings

_FORMATS = ("onnx", "openvino", "torchscript", "safetensors", "h5")


def add(actions: Commands) -> None:
    take = actions.add_parser(
        "import", help="take in a YOLO checkpoint, an ONNX file or a PP-OCR folder"
    )
    take.add_argument("file", type=Path, metavar="FILE")
    _origin(take)
    take.set_defaults(run=_import)

    pull = actions.add_parser("pull", help="take in a model from the net")
    pull.add_argument(
        "address",
        metavar="URL",
        help="https://…, hf://owner/repo/path[@revision], gs://bucket/object, s3://bucket/key",
    )
    _origin(pull)
    pull.add_argument(
        "--allow-private",
        action="store_true",
        help="reach hosts that are not public too, by http and on any port",
    )
    pull.set_defaults(run=_pull)

    export = actions.add_parser("export", help="write a model for other programs")
    export.add_argument("model", metavar="NAME")
    export.add_argument("--format", choices=_FORMATS, required=True)
    export.add_argument("--output", type=Path, required=True, metavar="PATH")
    export.set_defaults(run=_export)

    compile_ = actions.add_parser(
        "compile",
        help="make what is run out of what is stored",
        description="A checkpoint becomes an ONNX model in the store, and an ONNX model its form "
        "for this CPU. Without NAME: the two models that the settings name.",
    )
    compile_.add_argument("model", metavar="NAME", nargs="?")
    compile_.set_defaults(run=_compile)


def _origin(parser: argparse.ArgumentParser) -> None:
    """What is said of a model that comes in."""
    parser.add_argument("--name", required=True)
    parser.add_argument(
        "--sha256", type=_sha256, metavar="HEX", help="what the file must have; else it is recorded"
    )
    parser.add_argument("--licence", default="not stated", metavar="ID", help="such as Apache-2.0")
    parser.add_argument(
        "--trust", action="store_true", help="load a checkpoint that no manifest vouches for"
    )
    parser.add_argument(
        "--replace", action="store_true", help="in place of another model of this name"
    )


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError("must be 64 hexadecimal digits")
    return text.lower()


def catalogue(settings: Settings) -> Catalogue:
    from anpr.models.catalogue import Catalogue

    return Catalogue(settings.weights_dir, settings.cache_folder)


def _intake(settings: Settings, *, trust: bool) -> Intake:
    from anpr.models.intake import Intake, vouched

    store = catalogue(settings).need_store()
    return Intake(
        store,
        settings.weights_dir,
        settings.max_model_bytes,
        vouched=vouched(settings.weights_dir, store),
        trust=trust,
    )


def _import(options: argparse.Namespace) -> int:
    entry = _intake(console.settings(), trust=options.trust).take(
        options.file,
        options.name,
        licence=options.licence,
        sha256=options.sha256,
        replace_old=options.replace,
    )
    print(f"{entry.name}: {entry.kind}, {entry.bytes:,} bytes, SHA-256 {entry.sha256}")
    _say_how(entry.name, entry.kind, entry.path.suffix)
    return 0


def _pull(options: argparse.Namespace) -> int:
    from anpr.fetch.download import Downloader
    from anpr.models.pull import Puller

    settings = console.settings()
    puller = Puller(
        _intake(settings, trust=options.trust),
        Downloader(
            max_bytes=settings.max_model_bytes,
            timeout_s=settings.pull_timeout_s,
            private=options.allow_private,
        ),
    )
    with _bar(options.name) as progress:
        pulled = puller.pull(
            options.address,
            options.name,
            sha256=options.sha256,
            licence=options.licence,
            replace_old=options.replace,
            progress=progress,
        )
    entry = pulled.entry
    print(f"{entry.name}: {entry.kind}, {entry.bytes:,} bytes, SHA-256 {entry.sha256}")
    if not pulled.fetched_bytes:
        print("It was there already; nothing was fetched.")
    if pulled.first_use:
        told = entry.more.get("original_sha256", entry.sha256)
        print(f"No SHA-256 was given: {told} was recorded, and later pulls are held to it.")
    _say_how(entry.name, entry.kind, entry.path.suffix)
    return 0


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    """A bar where somebody watches."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from tqdm import tqdm

    with tqdm(desc=name, unit="B", unit_scale=True, file=sys.stderr) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _say_how(name: str, kind: str, suffix: str) -> None:
    if suffix == ".pt":
        print(f"Use it with: anpr models compile {name}")
    else:
        role = {"text-detector": "PADDLE_DETECTION"}.get(kind, kind.upper())
        print(f"Use it with: ANPR_{role}_MODEL={name}")


def _export(options: argparse.Namespace) -> int:
    from anpr.models.export import export

    status = _runnable(options.model)
    for path in export(status.entry.file, options.format, options.output):
        print(path)
    return 0


def _whole(name: str) -> Status:
    """The model, if it is what the manifest says."""
    from anpr.errors import ModelMismatch, ModelMissing, ModelUnsafe

    status = catalogue(console.settings()).one(name)
    if status.state == "missing":
        raise ModelMissing(f"The file of the model '{name}' is missing.")
    if status.state == "unsafe":
        raise ModelUnsafe(f"The file of the model '{name}' is a link out of its folder.")
    if status.state == "damaged":
        raise ModelMismatch(f"The model '{name}' is damaged.")
    return status


def _runnable(name: str) -> Status:
    """The same, if it is a checkpoint or a graph."""
    from anpr.errors import InvalidOption

    status = _whole(name)
    if status.entry.path.suffix not in (".pt", ".onnx"):
        raise InvalidOption(f"The model '{name}' is in Paddle's own format and stays so.")
    return status


def _compile(options: argparse.Namespace) -> int:
    settings = console.settings()
    if options.model is not None:
        status = _runnable(options.model)
        if status.entry.path.suffix == ".pt":
            return _compile_checkpoint(settings, status)
        models = [options.model]
    else:
        models = [settings.detector_model or "plate-detector", settings.reader_model]
    from anpr.errors import StoreDisabled
    from anpr.models import compiled, disk, manifest
    from anpr.models.store import store_folder

    forms = catalogue(settings).forms
    if forms is None:
        raise StoreDisabled
    for model in models:
        store = store_folder(settings.cache_folder)
        file = manifest.find(settings.weights_dir, model, store=store)
        with disk.told():
            path = compiled.compile_form(file, forms, "all")
        print(f"{file.name}: compiled for this CPU, {path.stat().st_size:,} bytes")
    return 0


def _compile_checkpoint(settings: Settings, status: Status) -> int:
    from anpr.models.export import export

    entry = status.entry
    intake = _intake(settings, trust=False)
    with tempfile.TemporaryDirectory(prefix="anpr-compile-") as scratch:
        (made,) = export(entry.file, "onnx", Path(scratch) / f"{entry.name}.onnx")
        compiled = intake.take(
            made,
            f"{entry.name}-onnx",
            source=f"compiled from {entry.name}",
            licence=entry.licence,
            made_from=entry.sha256,
            replace_old=True,
        )
    print(f"{compiled.name}: {compiled.bytes:,} bytes, SHA-256 {compiled.sha256}")
    _say_how(compiled.name, compiled.kind, ".onnx")
    return 0
