"""``anpr models``: the model store. What puts models into it is in ``anpr.cli.intake``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anpr.cli import console, intake

if TYPE_CHECKING:
    from anpr.cli.console import Commands
    from anpr.models.catalogue import Catalogue
    from anpr.models.survey import Status
    from anpr.models.tidy import Leftover


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "models",
        help="list, check, import, export and compile models",
        description="The models: those of the package, and those that you imported.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    every = actions.add_parser("list", help="every model, and how the store is")
    every.add_argument("--detailed", action="store_true", help="hashes, places, figures")
    every.add_argument("--json", action="store_true")
    every.set_defaults(run=_list)

    info = actions.add_parser("info", help="one model, or a file that is not imported yet")
    info.add_argument("model", metavar="NAME", help="of a manifest, or the path of a file")
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=_info)

    verify = actions.add_parser("verify", help="hash the models; what is damaged is put aside")
    verify.add_argument("model", metavar="NAME", nargs="?")
    verify.add_argument("--json", action="store_true")
    verify.set_defaults(run=_verify)

    intake.add(actions)

    prune = actions.add_parser("prune", help="remove what is corrupt, stale, partial or double")
    prune.add_argument("--dry-run", action="store_true", help="say it, and do nothing")
    prune.add_argument("--json", action="store_true")
    prune.set_defaults(run=_prune)

    clear = actions.add_parser("clear", help="remove every imported and compiled model")
    clear.add_argument("--yes", action="store_true", help="do not ask")
    clear.set_defaults(run=_clear)


def _list(options: argparse.Namespace) -> int:
    catalogue = intake.catalogue(console.settings())
    found = catalogue.models(hashed=True)
    overview = catalogue.overview(found, hashed=True)
    if options.json:
        records = [status.record(detailed=options.detailed) for status in found]
        _print_json({"models": records, "statistics": overview})
        return 0
    _table(found)
    print(
        f"{overview['models']} models, {_size(overview['bytes'])}; "
        f"store {_size(overview['store_bytes'])}, health {overview['health']}"
        + _reclaimable(overview)
    )
    if options.detailed:
        for status in found:
            print()
            _fields(status.record(detailed=True))
        print()
        _fields(overview)
    return 0


def _table(found: Sequence[Status]) -> None:
    rows = [("NAME", "KIND", "SIZE", "STATE", "FROM", "SHA-256")]
    for status in found:
        entry = status.entry
        size = _size(entry.total_bytes)
        rows.append((entry.name, entry.kind, size, status.state, status.origin, entry.sha256[:12]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip())


def _reclaimable(overview: dict[str, Any]) -> str:
    count = overview["reclaimable_files"]
    if not count:
        return ""
    return f": prune would free {_size(overview['reclaimable_bytes'])} ({count} items)"


def _info(options: argparse.Namespace) -> int:
    from anpr.models import manifest

    told: dict[str, Any]
    if manifest.is_path(options.model):
        told = _content(Path(options.model).read_bytes, Path(options.model))
    else:
        status = intake.catalogue(console.settings()).one(options.model)
        told = status.record(detailed=True)
        known = status.entry.path.suffix in (".pt", ".onnx")
        if known and status.state == "ok":  # what is damaged is not even looked into
            told |= _content(status.entry.file.read, status.entry.path)
    if options.json:
        _print_json(told)
    else:
        _fields(told)
    return 0


def _content(read: Callable[[], bytes], path: Path) -> dict[str, Any]:
    """What a file says of itself; nothing of it is run."""
    import hashlib

    from anpr import pickles
    from anpr.errors import ModelMissing
    from anpr.models import onnxfile

    try:
        data = read()
    except OSError as error:
        raise ModelMissing(f"The file '{path.name}' cannot be read.") from error
    told: dict[str, Any] = {
        "file": path.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    if pickles.is_checkpoint(data):
        return told | {"format": "checkpoint", "imports": list(pickles.examine(data, path.name))}
    graph = onnxfile.describe(data)
    return told | {
        "format": "onnx",
        "producer": graph.producer,
        "opset": graph.opset,
        "inputs": {value.name: list(value.shape) for value in graph.inputs},
        "outputs": {value.name: list(value.shape) for value in graph.outputs},
        "metadata": {key: _shortened(value) for key, value in graph.metadata.items()},
    }


def _verify(options: argparse.Namespace) -> int:
    found = intake.catalogue(console.settings()).verify(options.model)
    if options.json:
        _print_json([{"name": s.entry.name, "state": s.state} for s in found])
    else:
        for status in found:
            print(f"{status.entry.name}: {status.state}")
    bad = [status for status in found if not status.whole]
    aside = [status for status in bad if status.origin == "store" and status.state == "damaged"]
    if aside:
        console.complain("What was damaged in the store is in its quarantine: import it again.")
    return 1 if bad else 0


def _prune(options: argparse.Namespace) -> int:
    found = intake.catalogue(console.settings()).prune(dry_run=options.dry_run)
    freed = sum(one.bytes for one in found)
    if options.json:
        _print_json({"freed_bytes": freed, "removed": [one.record() for one in found]})
        return 0
    for one in found:
        print(_told(one))
    print(f"{'would free' if options.dry_run else 'freed'} {_size(freed)}")
    return 0


def _told(one: Leftover) -> str:
    name = one.entry or one.path.name
    return f"{one.reason}: {name} ({_size(one.bytes)})"


def _clear(options: argparse.Namespace) -> int:
    catalogue = intake.catalogue(console.settings())
    catalogue.need_store()
    if not options.yes and not _sure(catalogue):
        return console.complain("Nothing was removed.")
    print(f"freed {_size(catalogue.clear())}")
    return 0


def _sure(catalogue: Catalogue) -> bool:
    if not sys.stdin.isatty():
        return False
    print(f"Remove every imported and compiled model in {catalogue.cache}? [y/N] ", end="")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# --- how it is printed -------------------------------------------------------------------------


def _fields(told: dict[str, Any]) -> None:
    wide = max(map(len, told))
    for key, value in told.items():
        if isinstance(value, dict | list):
            value = json.dumps(value, ensure_ascii=False) if value else "-"
        print(f"{key:{wide}}  {'-' if value is None or value == '' else value}")


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}… ({len(text):,} characters)"


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
