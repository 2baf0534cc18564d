"""Makes the weights folder of an image: ``bake_weights.py check|bake WEIGHTS [TARGET]``.

``check`` ends with status 0 if the compiled detector is the one of the manifest and was made from
the ``last.pt`` beside it, with 3 if it has to be compiled first.

``bake`` fills TARGET with the detector, the reader (out of a package where one carries it) and a
``models.toml`` that names both there, each held to its SHA-256. Where ``check`` says 3 the
detector is compiled, which needs what ``requirements/training.lock`` lists, and gets a hash of its
own: whoever builds the image vouches for a ``last.pt`` of theirs. ``--checkpoint`` puts
``last.pt`` in as well. Beside the models lie their portable compiled forms, made by the very
ONNX Runtime that the image has.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from anpr.errors import ModelError
from anpr.models import manifest
from anpr.models.compiled import FOLDER, compile_form
from anpr.models.manifest import Entry
from anpr.onnx import OnnxModel

CHECKPOINT: Final = "last"
DETECTOR: Final = "plate-detector"
READER: Final = "plate-reader"
COMPILE_FIRST: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Makes the weights folder of an image.")
    parser.add_argument("command", choices=("check", "bake"))
    parser.add_argument("weights", type=Path)
    parser.add_argument("target", type=Path, nargs="?")
    parser.add_argument("--checkpoint", action="store_true")
    options = parser.parse_args(arguments)
    if options.command == "check":
        return 0 if is_compiled(options.weights) else COMPILE_FIRST
    if options.target is None:
        parser.error("bake needs a TARGET")
    for entry in bake(options.weights, options.target, checkpoint=options.checkpoint):
        sys.stdout.write(f"{entry.file.name}: {entry.source}\n")
    return 0


def is_compiled(weights: Path) -> bool:
    """Is the compiled detector whole, and made from the checkpoint that lies beside it?

    Without a checkpoint there is nothing to compile, so a whole detector will do.
    """
    entries = manifest.read(weights)
    try:
        entries[DETECTOR].file.read()
    except ModelError:
        return False
    checkpoint = entries[CHECKPOINT].path
    if not checkpoint.exists():
        return True
    source = OnnxModel(entries[DETECTOR].file).metadata.get("source_sha256")
    return source == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def bake(weights: Path, target: Path, *, checkpoint: bool = False) -> list[Entry]:
    """Fill ``target`` and return the entries of its manifest. Raises ``ModelError``."""
    entries = manifest.read(weights)
    target.mkdir(parents=True, exist_ok=True)
    (target / manifest.FILE_NAME).write_text("", "utf-8")
    detector = _moved(entries[DETECTOR], target)
    if is_compiled(weights):
        detector.path.write_bytes(entries[DETECTOR].file.read())
    else:
        from anpr.models.compile import compile_detector

        compile_detector(entries[CHECKPOINT].path, detector.path)
    reader = _moved(entries[READER], target)
    reader.path.write_bytes(entries[READER].file.read())
    baked = [detector, reader]
    if checkpoint:
        kept = _moved(entries[CHECKPOINT], target)
        shutil.copyfile(entries[CHECKPOINT].path, kept.path)
        baked.append(kept)
    for entry in baked:
        manifest.record(target, entry)
    entries = manifest.read(target)
    for entry in (detector, reader):
        compile_form(entries[entry.name].file, target / FOLDER, "extended")
    return list(entries.values())


def _moved(entry: Entry, folder: Path) -> Entry:
    return replace(entry, path=folder / entry.path.name, package=None)


if __name__ == "__main__":
    sys.exit(main())
