"""``models.toml``: which models there are, whence they come, and what their bytes must be.

::

    [plate-detector]
    kind = "detector"             # or "reader", or "text-detector" (PaddleOCR's)
    file = "plate-detector.onnx"  # beside models.toml, or inside ``package``
    package = "rapidocr"          # optional: an installed package that carries the file
    bytes = 10803930
    sha256 = "…"
    licence = "AGPL-3.0"
    source = "…"
    made_from = "…"               # optional: SHA-256 of the model that it was compiled from
    input_size = [320, 320]       # optional: height and width in pixels that it is meant for
    alphabet = "0123…XYZ"         # optional: the characters that a reader knows
    metrics = { mAP50 = 0.98 }    # optional
    files = [                     # optional: further files that belong to it, each with its hash
      { file = "inference.yml", bytes = 912, sha256 = "…" },
    ]

There is one manifest beside the weights that come with the package, and one in the store of the
user's cache folder. A key that this version does not know is kept when the manifest is written.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from anpr.errors import ModelMissing, ModelUnsafe, ModelUnusable
from anpr.models import disk, toml
from anpr.models.quarantine import StoredFile
from anpr.weights import ModelFile

FILE_NAME: Final = "models.toml"
_HEADER: Final = (
    "# The models that this package loads; anpr/models/manifest.py explains the keys.\n\n"
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Part:
    """One further file of a model that has several."""

    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One model. ``path`` is where its file should lie; whether it does is seen when it loads."""

    name: str
    kind: str
    path: Path
    bytes: int
    sha256: str
    licence: str
    source: str

    package: str | None = None
    made_from: str | None = None
    input_size: tuple[int, int] | None = None
    """Height and width."""
    alphabet: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    """Keys that this version does not know."""

    @property
    def file(self) -> ModelFile:
        return ModelFile(self.path, self.sha256)

    @property
    def all_parts(self) -> tuple[Part, ...]:
        """Every file of the model, the main one first."""
        return (Part(self.path, self.bytes, self.sha256), *self.parts)

    @property
    def total_bytes(self) -> int:
        return sum(part.bytes for part in self.all_parts)


def good_name(name: str) -> bool:
    """Whether a model may be called so: letters, digits, ``-`` and ``_``, 64 at most."""
    return _NAME.fullmatch(name) is not None


def is_path(model: str) -> bool:
    """Whether a setting names a file and not an entry of a manifest."""
    return "/" in model or model.endswith((".onnx", ".pt"))


def read(folder: Path) -> dict[str, Entry]:
    """The entries of ``folder/models.toml`` by name.

    Raises ``ModelMissing`` where there is no manifest, ``ModelUnusable`` where it is broken.
    """
    try:
        tables = tomllib.loads((folder / FILE_NAME).read_text("utf-8"))
        return {name: _entry(folder, name, table) for name, table in tables.items()}
    except OSError as error:
        raise ModelMissing("The manifest 'models.toml' is missing.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnusable("The manifest 'models.toml' is broken.") from error


def read_store(store: Path | None) -> dict[str, Entry]:
    """The entries of a user's store; none where there is none. Raises ``ModelUnusable``."""
    try:
        there = store is not None and (store / FILE_NAME).exists()
    except OSError as error:
        raise ModelUnusable("The store of models cannot be read.") from error
    return read(store) if store is not None and there else {}


def _entry(folder: Path, name: str, table: dict[str, Any]) -> Entry:
    rest = dict(table)
    package = rest.pop("package", None)
    root = folder if package is None else _package_folder(str(package))
    main = _part(root, name, rest)
    size = rest.pop("input_size", None)
    made_from = rest.pop("made_from", None)
    alphabet = rest.pop("alphabet", None)
    return Entry(
        name=name,
        kind=str(rest.pop("kind")),
        path=main.path,
        bytes=main.bytes,
        sha256=main.sha256,
        licence=str(rest.pop("licence")),
        source=str(rest.pop("source")),
        package=None if package is None else str(package),
        made_from=None if made_from is None else str(made_from),
        input_size=None if size is None else _size(size),
        alphabet=None if alphabet is None else str(alphabet),
        metrics={str(key): float(value) for key, value in rest.pop("metrics", {}).items()},
        parts=tuple(_part(root, name, dict(part)) for part in rest.pop("files", [])),
        more=rest,
    )


def _part(root: Path, name: str, table: dict[str, Any]) -> Part:
    file = Path(str(table.pop("file")))
    if file.is_absolute() or ".." in file.parts:
        raise ValueError(f"{name}: the file lies outside its folder")
    sha256 = str(table.pop("sha256"))
    if len(bytes.fromhex(sha256)) != 32:
        raise ValueError(f"{name}: not a SHA-256")
    return Part(root / file, int(str(table.pop("bytes"))), sha256.lower())


def _size(value: Any) -> tuple[int, int]:
    height, width = value
    return int(height), int(width)


def _package_folder(package: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return Path(locations[0]) if locations else Path("not-installed") / package


def record(folder: Path, entry: Entry) -> None:
    """Put ``entry`` into the manifest with the size and the hash that its file has now.

    What the manifest says of this model beyond that stays, where ``entry`` does not say it anew;
    figures that were measured with other bytes do not.
    """
    data = entry.path.read_bytes()
    entry = replace(entry, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    entries = read(folder)
    old = entries.get(entry.name)
    if old is not None:
        same = old.sha256 == entry.sha256
        entry = replace(
            entry,
            input_size=entry.input_size or old.input_size,
            alphabet=entry.alphabet or old.alphabet,
            metrics=entry.metrics or (old.metrics if same else {}),
            more={**old.more, **entry.more},
        )
    write(folder, (entries | {entry.name: entry}).values())


def write(folder: Path, entries: Iterable[Entry]) -> None:
    """Write the manifest anew, in one step. Raises ``OSError``."""
    tables = [_table(folder, entry) for entry in sorted(entries, key=lambda entry: entry.name)]
    disk.write_whole(folder / FILE_NAME, (_HEADER + "\n".join(tables)).encode())


def _table(folder: Path, entry: Entry) -> str:
    root = folder if entry.package is None else _package_folder(entry.package)
    values: dict[str, Any] = {
        "kind": entry.kind,
        "file": entry.path.relative_to(root).as_posix(),
        "package": entry.package,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "source": entry.source,
        "made_from": entry.made_from,
        "input_size": entry.input_size,
        "alphabet": entry.alphabet,
        "metrics": dict(entry.metrics) or None,
        "files": [
            {
                "file": part.path.relative_to(root).as_posix(),
                "bytes": part.bytes,
                "sha256": part.sha256,
            }
            for part in entry.parts
        ]
        or None,
        **entry.more,
    }
    return toml.table(entry.name, values)


def find(folder: Path, model: str, *, store: Path | None = None) -> ModelFile:
    """The file of a model that a manifest names, or that is given as a path.

    ``folder`` has the manifest of the package, ``store`` that of the user; the first one wins. A
    path is taken on the caller's word: it has no hash to be held against.
    Raises ``ModelMissing``, ``ModelUnusable`` or ``ModelUnsafe``.
    """
    if is_path(model):
        return ModelFile(Path(model))
    entry = find_entry(folder, model, store=store)
    for part in entry.all_parts:
        check_inside(store if of_store(entry, store) else folder, entry, part.path)
    if of_store(entry, store):
        return StoredFile(entry.path, entry.sha256, store)
    return entry.file


def find_entry(folder: Path, model: str, *, store: Path | None = None) -> Entry:
    """The entry of this name. Raises ``ModelMissing`` or ``ModelUnusable``."""
    entries = read(folder)
    if model not in entries:  # only then: a broken store is no concern of the package's own models
        entries |= read_store(store)
    if model not in entries:
        raise ModelMissing(f"The manifest has no model '{model}'; it has {', '.join(entries)}.")
    return entries[model]


def of_store(entry: Entry, store: Path | None) -> bool:
    return store is not None and entry.package is None and entry.path.is_relative_to(store)


def check_inside(folder: Path | None, entry: Entry, path: Path) -> None:
    """Raise ``ModelUnsafe`` if ``path`` is a link out of the folder that the manifest is in."""
    if entry.package is not None or folder is None:
        return
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelUnsafe(f"The model file '{path.name}' is a link out of its folder.")
