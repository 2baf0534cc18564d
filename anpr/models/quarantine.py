"""A file of the store that is not what the manifest says is put aside, and never loaded."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anpr.errors import ModelMismatch, StoreError
from anpr.models import disk
from anpr.weights import ModelFile

FOLDER: Final = "quarantine"
_WAIT_S: Final = 1.0  # for a lock, while somebody waits for a model

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredFile(ModelFile):
    """A file of the user's store: when its hash is wrong it goes into quarantine."""

    store: Path | None = None

    def check(self, data: bytes) -> None:
        """Raises ``ModelMismatch``."""
        try:
            ModelFile.check(self, data)
        except ModelMismatch as mismatch:
            if self.store is not None and self.sha256 is not None:
                # a folder that cannot be written keeps it, but it is not loaded either
                with suppress(StoreError), disk.locked(self.store, _WAIT_S):
                    aside(self.store, self.path, self.sha256)
            raise mismatch


def aside(store: Path, path: Path, sha256: str) -> Path | None:
    """Move ``path`` to the quarantine, unless its hash is right after all; where it went.

    For who holds the lock: the file may have been replaced by a good one meanwhile. Raises
    ``StoreError``.
    """
    with disk.told():
        if not path.parent.resolve().is_relative_to(store.resolve()):
            return None  # behind a link: not ours to move
        if not path.is_symlink() and (not path.is_file() or disk.sha256(path) == sha256):
            return None
        folder = store / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / f"{time.time_ns()}-{path.name}"
        path.rename(target)
    logger.info("the model file '%s' is damaged: moved to %s/", path.name, FOLDER)
    return target
