"""What can go from the store: ``prune`` takes what is of no use, ``clear`` takes everything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from anpr.models import disk, manifest
from anpr.models.quarantine import FOLDER as QUARANTINE
from anpr.models.store import INCOMING, PARTIAL, Store
from anpr.models.survey import state, tree_bytes

Reason = Literal["corrupt", "stale", "partial", "double"]

_KEPT: Final = frozenset({manifest.FILE_NAME, PARTIAL, QUARANTINE})


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that can go. ``bytes`` is what that frees."""

    reason: Reason
    path: Path
    bytes: int
    entry: str | None = None
    """The manifest's entry that goes with it."""
    same_as: Path | None = None
    """For a double: the file that it becomes another name of."""

    def record(self) -> dict[str, Any]:
        return {"reason": self.reason, "file": self.path.name, "bytes": self.bytes}


def leftovers(
    store: Store, known: frozenset[str] = frozenset(), *, hashed: bool = True
) -> list[Leftover]:
    """What ``prune`` would take; without ``hashed``, as far as sizes tell.

    - corrupt: models whose files are missing or not what the manifest says, and the quarantine;
    - stale: folders that no entry names, and models that were compiled from one which neither the
      store has nor ``known`` (SHA-256 of the package's models);
    - partial: downloads that broke off, and imports that were killed;
    - double: files with the bytes of another.

    What another process is at work on is left alone. Raises ``ModelUnusable`` for a broken
    manifest and ``StoreError``.
    """
    if not store.folder.is_dir():
        return []
    with disk.told():
        return [
            *_models(store, known, hashed),
            *_strays(store),
            *_downloads(store),
            *_quarantine(store),
        ]


def prune(store: Store, known: frozenset[str] = frozenset(), *, dry_run: bool) -> list[Leftover]:
    """Take what can go, and say what it was. Raises as ``leftovers`` does."""
    if dry_run or not store.folder.is_dir():
        return leftovers(store, known)
    with disk.locked(store.folder, store.lock_timeout_s), disk.told():
        found = leftovers(store, known)
        gone = {one.entry for one in found if one.entry is not None}
        if gone:
            store.forget(gone)
        for one in found:
            if one.same_as is not None:
                _link(one.same_as, one.path)
            else:
                _remove(one.path)
        return found


def clear(store: Store) -> int:
    """Remove every model of the store; the bytes that were freed. Raises ``StoreError``."""
    if not store.folder.is_dir():
        return 0
    with disk.locked(store.folder, store.lock_timeout_s), disk.told():
        size = tree_bytes(store.folder)
        manifest_file = store.folder / manifest.FILE_NAME
        manifest_file.unlink(missing_ok=True)  # first: what is not named is not loaded
        for one in _downloads(store):
            _remove(one.path)
        for path in store.folder.iterdir():
            if path.name != PARTIAL and not _busy(path):
                _remove(path)
        return size - tree_bytes(store.folder)


# --- finding -----------------------------------------------------------------------------------


def _models(store: Store, known: frozenset[str], hashed: bool) -> Iterator[Leftover]:
    entries = store.entries()
    hashes = known | {entry.sha256 for entry in entries.values()}
    first: dict[str, Path] = {}
    for name, entry in entries.items():
        home = store.home(entry)
        if home is None:
            continue
        if state(store.folder, entry, hashed) not in ("ok", "present"):
            yield Leftover("corrupt", home, tree_bytes(home), entry=name)
        elif entry.made_from is not None and entry.made_from not in hashes:
            yield Leftover("stale", home, tree_bytes(home), entry=name)
        else:
            for part in entry.all_parts:
                twin = first.setdefault(part.sha256, part.path)
                if twin != part.path and not twin.samefile(part.path):
                    yield Leftover("double", part.path, part.bytes, same_as=twin)


def _strays(store: Store) -> Iterator[Leftover]:
    named = {store.home(entry) for entry in store.entries().values()}
    for path in sorted(store.folder.iterdir()):
        if path in named or path.name in _KEPT or _busy(path):
            continue
        unfinished = path.name.startswith(INCOMING)
        yield Leftover("partial" if unfinished else "stale", path, tree_bytes(path))


def _downloads(store: Store) -> Iterator[Leftover]:
    folder = store.folder / PARTIAL
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not _busy(path if path.suffix == ".part" else path.with_suffix(".part")):
            yield Leftover("partial", path, path.lstat().st_size)


def _quarantine(store: Store) -> Iterator[Leftover]:
    folder = store.folder / QUARANTINE
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield Leftover("corrupt", path, path.lstat().st_size)


def _busy(path: Path) -> bool:
    """Whether another process holds the lock of a folder or file that it is filling."""
    if path.is_symlink() or not (path.name.startswith(INCOMING) or path.suffix == ".part"):
        return False
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not disk.try_lock(handle)
    finally:
        os.close(handle)


# --- removing ----------------------------------------------------------------------------------


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(kept: Path, path: Path) -> None:
    """Make ``path`` another name of ``kept``, in one step."""
    draft = path.with_name(f".{path.name}.link")
    draft.unlink(missing_ok=True)
    os.link(kept, draft)
    draft.replace(path)
