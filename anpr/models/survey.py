"""How the models are: which are whole, how much they take, and whether it is time to tidy up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from anpr.errors import AnprError, ModelUnknown
from anpr.models import disk, manifest
from anpr.models.manifest import Entry
from anpr.models.quarantine import aside
from anpr.models.store import Store

State = Literal["ok", "present", "not installed", "missing", "damaged", "unsafe"]
"""``present``: of the right size, not hashed. ``not installed``: in a package that is not there.
``unsafe``: a link out of its folder."""
Origin = Literal["package", "store"]

LARGE_BYTES: Final = 2_000_000_000  # some forty models of the size that a plate needs


@dataclass(frozen=True, slots=True)
class Status:
    """One model as it is found."""

    entry: Entry
    origin: Origin
    state: State

    @property
    def whole(self) -> bool:
        """Nothing is wrong with it, as far as was looked."""
        return self.state in ("ok", "present", "not installed")

    def record(self, *, detailed: bool = False) -> dict[str, Any]:
        """As JSON. ``detailed`` adds where the files lie and what the manifest says beyond."""
        entry = self.entry
        told: dict[str, Any] = {
            "name": entry.name,
            "kind": entry.kind,
            "file": entry.path.name,
            "bytes": entry.total_bytes,
            "sha256": entry.sha256,
            "licence": entry.licence,
            "source": entry.source,
            "origin": self.origin,
            "state": self.state,
            "input_size": list(entry.input_size) if entry.input_size else None,
            "alphabet": entry.alphabet,
            "metrics": dict(entry.metrics),
        }
        if detailed:
            told |= {
                "path": str(entry.path),
                "files": [
                    {"file": part.path.name, "bytes": part.bytes, "sha256": part.sha256}
                    for part in entry.all_parts
                ],
                "made_from": entry.made_from,
            }
        return told


def survey(weights: Path, store: Store | None, *, hashed: bool = True) -> list[Status]:
    """Every model of the package and of the store; without ``hashed`` only sizes are looked at.

    A model of the store that the package has under the same name is left out: the package's is the
    one that is loaded. Raises ``ModelMissing`` or ``ModelUnusable`` for a manifest.
    """
    ours = manifest.read(weights)
    theirs = store.entries() if store else {}
    found = [Status(entry, "package", state(weights, entry, hashed)) for entry in ours.values()]
    for name, entry in theirs.items():
        if store is not None and name not in ours:
            found.append(Status(entry, "store", state(store.folder, entry, hashed)))
    return found


def one(weights: Path, store: Store | None, name: str, *, hashed: bool = True) -> Status:
    """The model ``name``. Raises ``ModelUnknown``, ``ModelMissing`` or ``ModelUnusable``."""
    entry = manifest.read(weights).get(name)
    if entry is not None:
        return Status(entry, "package", state(weights, entry, hashed))
    if store is None:
        raise ModelUnknown
    entry = store.get(name)
    return Status(entry, "store", state(store.folder, entry, hashed))


def state(folder: Path, entry: Entry, hashed: bool) -> State:
    try:
        for part in entry.all_parts:
            manifest.check_inside(folder, entry, part.path)
            if part.path.stat().st_size != part.bytes:
                return "damaged"
            if hashed and disk.sha256(part.path) != part.sha256:
                return "damaged"
    except FileNotFoundError:
        # an optional package that brings a model need not be there
        return "missing" if entry.package is None else "not installed"
    except AnprError:
        return "unsafe"
    except OSError:
        return "damaged"
    return "ok" if hashed else "present"


def verify(weights: Path, store: Store | None, name: str | None = None) -> list[Status]:
    """Hash every model, or the one of this name; what is damaged in the store is put aside.

    Raises ``ModelUnknown``, ``ModelMissing``, ``ModelUnusable`` or ``StoreError``.
    """
    found = survey(weights, store) if name is None else [one(weights, store, name)]
    bad = [status for status in found if status.origin == "store" and not status.whole]
    if store is not None and bad:
        with disk.locked(store.folder, store.lock_timeout_s):
            for status in bad:
                for part in status.entry.all_parts:
                    aside(store.folder, part.path, part.sha256)
    return found


# --- statistics --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """``cluttered``: there is something to prune; ``large``: the store takes 2 GB or more."""

    verdict: Literal["good", "large", "cluttered"]
    store_bytes: int
    reclaimable_bytes: int
    reclaimable_files: int

    def record(self) -> dict[str, Any]:
        return {
            "health": self.verdict,
            "store_bytes": self.store_bytes,
            "reclaimable_bytes": self.reclaimable_bytes,
            "reclaimable_files": self.reclaimable_files,
        }


def health(store_bytes: int, reclaimable: Iterable[int]) -> Health:
    sizes = list(reclaimable)
    verdict: Literal["good", "large", "cluttered"] = "good"
    if sizes:
        verdict = "cluttered"
    elif store_bytes >= LARGE_BYTES:
        verdict = "large"
    return Health(verdict, store_bytes, sum(sizes), len(sizes))


def statistics(found: Iterable[Status]) -> dict[str, Any]:
    """Counts and sums, as JSON."""
    found = list(found)
    sizes = [status.entry.total_bytes for status in found]
    return {
        "models": len(found),
        "bytes": sum(sizes),
        "largest_bytes": max(sizes, default=0),
        "kinds": dict(Counter(status.entry.kind for status in found)),
        "formats": dict(Counter(status.entry.path.suffix.lstrip(".") for status in found)),
        "origins": dict(Counter(status.origin for status in found)),
        "states": dict(Counter(status.state for status in found)),
    }


def tree_bytes(folder: Path) -> int:
    """What a file or the files below a folder take; hard links count once, links not at all."""
    sizes: dict[tuple[int, int], int] = {}
    for path in (folder, *folder.rglob("*")):
        try:
            facts = path.lstat()
        except FileNotFoundError:
            continue
        if path.is_file() and not path.is_symlink():
            sizes[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(sizes.values())
