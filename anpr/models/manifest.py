"""``models.toml``: which models there are, whence they come, and what their bytes must be.

::

    [plate-detector]
    kind = "detector"             # or "reader"
    file = "plate-detector.onnx"  # beside models.toml, or inside ``package``
    package = "rapidocr"          # optional: an installed package that carries the file
    bytes = 10803930
    sha256 = "…"
    licence = "AGPL-3.0"
    source = "…"
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from anpr.errors import ModelMissing, ModelUnusable
from anpr.weights import ModelFile

FILE_NAME: Final = "models.toml"
_HEADER: Final = (
    "# The models that this package loads; anpr/models/manifest.py explains the keys.\n\n"
)


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

    @property
    def file(self) -> ModelFile:
        return ModelFile(self.path, self.sha256)


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


def _entry(folder: Path, name: str, table: dict[str, object]) -> Entry:
    package = table.get("package")
    root = folder if package is None else _package_folder(str(package))
    file = Path(str(table["file"]))
    if file.is_absolute() or ".." in file.parts:
        raise ValueError(f"{name}: the file lies outside its folder")
    sha256 = str(table["sha256"])
    if len(bytes.fromhex(sha256)) != 32:
        raise ValueError(f"{name}: not a SHA-256")
    return Entry(
        name=name,
        kind=str(table["kind"]),
        path=root / file,
        bytes=int(str(table["bytes"])),
        sha256=sha256.lower(),
        licence=str(table["licence"]),
        source=str(table["source"]),
        package=None if package is None else str(package),
    )


def _package_folder(package: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return Path(locations[0]) if locations else Path("not-installed") / package


def record(folder: Path, entry: Entry) -> None:
    """Put ``entry`` into the manifest with the size and the hash that its file has now."""
    data = entry.path.read_bytes()
    entry = replace(entry, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    entries = read(folder) | {entry.name: entry}
    text = "\n".join(_table(folder, entries[name]) for name in sorted(entries))
    draft = folder / f".{FILE_NAME}.{os.getpid()}"
    draft.write_text(_HEADER + text, "utf-8")
    draft.replace(folder / FILE_NAME)


def _table(folder: Path, entry: Entry) -> str:
    root = folder if entry.package is None else _package_folder(entry.package)
    values: dict[str, str | int | None] = {
        "kind": entry.kind,
        "file": entry.path.relative_to(root).as_posix(),
        "package": entry.package,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "source": entry.source,
    }
    # a JSON string or integer is also a TOML one
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
        if value is not None
    ]
    return f"[{entry.name}]\n" + "\n".join(lines) + "\n"


def find(folder: Path, model: str) -> ModelFile:
    """The file of a model that is named in the manifest, or given as a path.

    A path is taken on the caller's word: it has no hash to be held against.
    Raises ``ModelMissing`` or ``ModelUnusable``.
    """
    if "/" in model or model.endswith((".onnx", ".pt")):
        return ModelFile(Path(model))
    entries = read(folder)
    if model not in entries:
        raise ModelMissing(f"The manifest has no model '{model}'; it has {', '.join(entries)}.")
    return entries[model].file
