"""The models that a user imported: a folder each, and the manifest that names them.

::

    models/                      in the cache folder
      models.toml
      mine-3f9c0d12/mine.onnx    name and first digits of the SHA-256: never written over
      .incoming-…/               what is being examined; whoever fills it holds its lock
      partial/                   downloads that go on another time
      quarantine/                what was not as the manifest says

A model is written into a folder of its own, moved to its place in one step, and only then named.
So a reader with an older manifest still finds what that one says, and a process that is killed
leaves nothing that anybody loads.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from anpr.errors import InvalidOption, ModelUnknown
from anpr.models import disk, manifest
from anpr.models.manifest import Entry

INCOMING: Final = ".incoming-"
PARTIAL: Final = "partial"


def store_folder(cache: Path | None) -> Path | None:
    """Where the store is in the cache folder, whether it exists or not."""
    return None if cache is None else cache / "models"


@dataclass(frozen=True, slots=True)
class Store:
    """``folder`` is made when something is first put into it."""

    folder: Path
    lock_timeout_s: float = disk.LOCK_TIMEOUT_S

    def entries(self) -> dict[str, Entry]:
        """Raises ``ModelUnusable`` where the manifest is broken."""
        return manifest.read_store(self.folder)

    def get(self, name: str) -> Entry:
        """Raises ``ModelUnknown``, or ``ModelUnusable`` where the manifest is broken."""
        try:
            return self.entries()[name]
        except KeyError as error:
            raise ModelUnknown from error

    def home(self, entry: Entry) -> Path | None:
        """What of the store belongs to ``entry``: its folder, or its file where it has none.

        ``None`` for a model in an installed package.
        """
        if not manifest.of_store(entry, self.folder):
            return None
        return self.folder / entry.path.relative_to(self.folder).parts[0]

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A new folder to put a model together in; it goes away if it is not ``place``d.

        Raises ``StoreError``.
        """
        with disk.told():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            room = Path(tempfile.mkdtemp(prefix=INCOMING, dir=self.folder))
            handle = os.open(room, os.O_RDONLY | os.O_DIRECTORY)
        try:
            disk.try_lock(handle)  # says that somebody is at work here
            with disk.told():
                yield room
        finally:
            os.close(handle)
            shutil.rmtree(room, ignore_errors=True)

    def place(self, room: Path, entry: Entry, *, replace_old: bool = False) -> Entry:
        """Move the filled ``room`` to its place and put ``entry``, whose files lie in it, into the
        manifest; the entry as it is there.

        The same bytes under the same name again are a repair, or change nothing. Raises
        ``InvalidOption`` where the name is taken or another has these bytes, and ``StoreError``.
        """
        with disk.locked(self.folder, self.lock_timeout_s), disk.told():
            entries = self.entries()
            old = entries.get(entry.name)
            if old is not None and old.sha256 != entry.sha256 and not replace_old:
                raise InvalidOption(
                    f"The store has another model '{entry.name}': take another name, or --replace."
                )
            twin = next((e for e in entries.values() if e.sha256 == entry.sha256), None)
            if twin is not None and twin.name != entry.name:
                raise InvalidOption(f"The store has this very file already, as '{twin.name}'.")
            target = self.folder / f"{entry.name}-{entry.sha256[:8]}"
            placed = _moved(entry, target)
            former = self.home(old) if old is not None else None
            if former == target and _whole(placed):
                manifest.write(self.folder, (entries | {entry.name: placed}).values())
                return placed
            _discard(target)
            for path in room.iterdir():
                path.chmod(0o644)
            disk.sync(room)
            room.chmod(0o755)
            room.rename(target)
            try:
                disk.sync(self.folder)
                manifest.write(self.folder, (entries | {entry.name: placed}).values())
            except OSError:
                if former != target:
                    _discard(target)
                raise
            if former is not None and former != target:
                _discard(former)
        return placed

    def forget(self, names: set[str]) -> None:
        """Take entries out of the manifest; for who holds the lock. Raises ``StoreError``."""
        with disk.told():
            kept = [entry for name, entry in self.entries().items() if name not in names]
            manifest.write(self.folder, kept)


def _moved(entry: Entry, folder: Path) -> Entry:
    """The entry with its files in ``folder``."""
    parts = tuple(replace(part, path=folder / part.path.name) for part in entry.parts)
    return replace(entry, path=folder / entry.path.name, parts=parts)


def _whole(entry: Entry) -> bool:
    """Whether the files are there and right, so that nobody who reads them need be disturbed."""
    try:
        return all(disk.sha256(part.path) == part.sha256 for part in entry.all_parts)
    except OSError:
        return False


def _discard(folder: Path) -> None:
    """Remove a folder or a file of the store, in one step as others see it."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
        return
    grave = folder.with_name(f"{INCOMING}old-{folder.name}")
    shutil.rmtree(grave, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)
