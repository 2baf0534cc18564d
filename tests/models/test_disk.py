from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from anpr.errors import StoreBusy, StoreError, StoreFull, StoreUnwritable
from anpr.models import disk


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("old")
    disk.write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_moved_to_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inner").touch()
    with pytest.raises(OSError, match="directory"):
        disk.write_whole(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EROFS, StoreUnwritable),
        (errno.EACCES, StoreUnwritable),
        (errno.EIO, StoreError),
    ],
)
def test_what_the_system_says_is_told(number: int, kind: type[StoreError]) -> None:
    with pytest.raises(StoreError) as caught, disk.told():
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is kind


def test_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "store"
    with disk.locked(folder), pytest.raises(StoreBusy), disk.locked(folder, 0.05):
        pytest.fail("two at once")
    with disk.locked(folder, 0):
        assert list(folder.iterdir()) == []  # no file is left for it


def test_who_waits_comes_in_when_the_other_has_gone(tmp_path: Path) -> None:
    entered = threading.Event()

    def wait() -> None:
        with disk.locked(tmp_path, 5):
            entered.set()

    thread = threading.Thread(target=wait)
    with disk.locked(tmp_path):
        thread.start()
        assert not entered.wait(0.1)
    thread.join(5)
    assert entered.is_set()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable), disk.locked(tmp_path / "file" / "store"):
        pytest.fail("there is no such folder")
