"""Taking a model into the store: copied, examined, run once, and only then named.

What may come in: a YOLO checkpoint (``.pt``), an ONNX file, a PP-OCR folder with
``inference.onnx`` and ``inference.yml``, whose characters are put into the model, or the folder of
a PP-OCR text detector in Paddle's own format. What is examined and run is the copy, so that
nothing can change between the look and the use.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anpr import pickles
from anpr.errors import (
    InvalidOption,
    ModelMismatch,
    ModelMissing,
    ModelUnsafe,
    ModelUnusable,
)
from anpr.models import characters, disk, manifest, onnxfile, trial
from anpr.models.manifest import Entry, Part
from anpr.models.store import Store
from anpr.weights import ModelFile

UNKNOWN_LICENCE: Final = "not stated"
_MODEL: Final = "inference.onnx"
_CONFIG: Final = "inference.yml"
PARAMETERS: Final = "inference.pdiparams"  # of a model in Paddle's format
_PROGRAMS: Final = ("inference.json", "inference.pdmodel")  # either; Paddle 3 writes the first
_MAX_CONFIG_BYTES: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Intake:
    """What comes in, and on whose word.

    ``vouched`` are the SHA-256 of checkpoints that may be loaded: those of the manifests, and the
    one that the operator gave. ``trust`` stands for every other one. Neither lets code run: a
    checkpoint that wants to is refused whatever is said.
    """

    store: Store
    weights: Path
    max_bytes: int
    vouched: frozenset[str] = frozenset()
    trust: bool = False

    def take(
        self,
        path: Path,
        name: str,
        *,
        shown: str | None = None,
        source: str | None = None,
        licence: str = UNKNOWN_LICENCE,
        sha256: str | None = None,
        replace_old: bool = False,
        made_from: str | None = None,
    ) -> Entry:
        """Copy the file or folder ``path`` into the store as ``name``; its entry.

        ``sha256`` is what the file must have (of a folder, its ``inference.onnx`` or
        ``inference.pdiparams``); ``shown`` is what sentences call it. Raises ``InvalidOption`` for
        the name, ``ModelMissing``, ``ModelMismatch``, ``ModelUnsafe``, ``ModelUnusable``,
        ``RuntimeMissing`` or ``StoreError``.
        """
        self.check_name(name)
        shown = shown or path.name
        if path.is_dir() and (path / PARAMETERS).exists() and not (path / _MODEL).exists():
            return self._take_paddle(path, name, source, licence, sha256, replace_old)
        content, told, beside = _read(path, self.max_bytes)
        found = hashlib.sha256(content).hexdigest()
        if sha256 is not None and found != sha256:
            raise ModelMismatch(f"The file '{shown}' has another SHA-256: {found}.")
        checkpoint = pickles.is_checkpoint(content)
        if checkpoint:
            pickles.examine(content, shown)
            if not (self.trust or found in self.vouched | {sha256}):
                raise ModelUnsafe(
                    f"No manifest has the SHA-256 of the checkpoint '{shown}' ({found}): say "
                    "--trust if you know where it is from. It would not run code of its own."
                )
        else:
            content = onnxfile.self_contained(content, beside, self.max_bytes)
            content = onnxfile.with_metadata(content, told)
        with self.store.incoming() as room:
            file = ModelFile(
                room / f"{name}{'.pt' if checkpoint else '.onnx'}",
                hashlib.sha256(content).hexdigest(),
            )
            disk.write_whole(file.path, content)
            facts = trial.run_once(file)
            entry = Entry(
                name=name,
                kind=facts.kind,
                path=file.path,
                bytes=len(content),
                sha256=str(file.sha256),
                licence=licence,
                source=source or f"imported from {shown}",
                made_from=made_from,
                input_size=facts.input_size,
                alphabet=facts.alphabet,
                metrics=facts.metrics,
                more={"original_sha256": found} if found != file.sha256 else {},
            )
            return self.store.place(room, entry, replace_old=replace_old)

    def _take_paddle(
        self,
        path: Path,
        name: str,
        source: str | None,
        licence: str,
        sha256: str | None,
        replace_old: bool,
    ) -> Entry:
        """A text detector in Paddle's format: the folder as it is, each file with its hash."""
        programs = [file for file in _PROGRAMS if (path / file).exists()]
        with self.store.incoming() as room:
            parts = []
            for file in (PARAMETERS, *programs, _CONFIG):
                _check_link(path, file)
                content = _content(path / file, self.max_bytes)
                disk.write_whole(room / file, content)
                digest = hashlib.sha256(content).hexdigest()
                parts.append(Part(room / file, len(content), digest))
            main, *others = parts
            if sha256 is not None and main.sha256 != sha256:
                raise ModelMismatch(f"The file '{PARAMETERS}' has another SHA-256: {main.sha256}.")
            trial.run_text_detector(room, self.weights)
            entry = Entry(
                name=name,
                kind="text-detector",
                path=main.path,
                bytes=main.bytes,
                sha256=main.sha256,
                licence=licence,
                source=source or f"imported from {path.name}",
                parts=tuple(others),
            )
            return self.store.place(room, entry, replace_old=replace_old)

    def check_name(self, name: str) -> None:
        """Raises ``InvalidOption``."""
        if not manifest.good_name(name):
            raise InvalidOption(
                "A model's name is of letters, digits, '-' and '_', 64 at most, and begins with a "
                "letter or digit."
            )
        if name in manifest.read(self.weights):
            raise InvalidOption(f"The package has a model '{name}': take another name.")


def vouched(weights: Path, store: Store | None) -> frozenset[str]:
    """The SHA-256 of every model of the manifests."""
    entries = [*manifest.read(weights).values(), *(store.entries().values() if store else ())]
    return frozenset(part.sha256 for entry in entries for part in entry.all_parts)


def _read(path: Path, max_bytes: int) -> tuple[bytes, dict[str, str], Path]:
    """The model's bytes, the metadata it should get, and the folder that it may have weights in."""
    if not path.is_dir():
        return _content(path, max_bytes), {}, path.parent
    for name in (_MODEL, _CONFIG):
        _check_link(path, name)
    if not (path / _MODEL).exists():
        raise ModelMissing(f"The folder '{path.name}' has neither '{_MODEL}' nor '{PARAMETERS}'.")
    content = _content(path / _MODEL, max_bytes)
    if "character" in onnxfile.describe(content).metadata or not (path / _CONFIG).exists():
        return content, {}, path
    try:
        config = _content(path / _CONFIG, _MAX_CONFIG_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelUnusable(f"The file '{_CONFIG}' is broken.") from error
    known = characters.of_config(config)
    return content, {"character": "\n".join(known)} if known else {}, path


def _check_link(folder: Path, name: str) -> None:
    """Raise ``ModelUnsafe`` if the file is a link out of its folder."""
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise ModelUnsafe(f"The file '{name}' is a link out of its folder.")


def _content(path: Path, max_bytes: int) -> bytes:
    if not path.is_file():
        raise ModelMissing(f"There is no model file '{path.name}'.")
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ModelMissing(f"The model file '{path.name}' cannot be read.") from error
    if len(content) > max_bytes:
        raise ModelUnusable(f"The file '{path.name}' is larger than a model may be.")
    return content
