"""Writing so that nothing is ever half there, and one process at a time.

What is written goes into a new file beside its place, to the disk (``fsync``), and then to its
place in one step (``rename``): whoever reads sees the old content or the new, also after the power
failed. The lock is the kernel's (``flock`` on the folder itself), so that no file is left behind
and a process that dies has given it back.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from anpr.errors import StoreBusy, StoreError, StoreFull, StoreUnwritable

LOCK_TIMEOUT_S: Final = 30.0  # some gigabytes are copied and hashed in that
_POLL_S: Final = 0.02
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def told() -> Iterator[None]:
    """What the system says about writing, as a ``StoreError``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull from error
        if error.errno in _UNWRITABLE:
            raise StoreUnwritable from error
        raise StoreError from error


@contextmanager
def locked(folder: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold ``folder``, which is made if need be, against other processes and threads.

    Raises ``StoreBusy`` when another one holds it for longer than ``timeout_s``, ``StoreError``
    where it cannot be made or opened.
    """
    with told():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ends = time.monotonic() + timeout_s
        while not try_lock(handle):
            if time.monotonic() >= ends:
                raise StoreBusy
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)  # gives the lock back


def try_lock(handle: int) -> bool:
    """Lock an open file for as long as it stays open; whether nobody else has."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of what was at ``path``. Raises ``OSError``."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync(path.parent)


def sha256(path: Path) -> str:
    """Raises ``OSError``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(folder: Path) -> None:
    """Bring the names of a folder to the disk. Raises ``OSError``."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
