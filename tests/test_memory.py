from __future__ import annotations

import gc
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anpr import memory


def test_resident_memory_follows_what_is_held() -> None:
    before = memory.rss_mib()
    with mmap.mmap(-1, 40 * memory.MIB) as held:  # not malloc: it may have as much to spare
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        grown = memory.rss_mib() - before
        assert grown > 30
        assert memory.peak_mib() >= memory.rss_mib() - 1
    assert memory.rss_mib() - before < 15


def test_mapped_files_are_not_counted_as_anonymous() -> None:
    assert 5 < memory.anonymous_mib() < memory.rss_mib()


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("memory.max", "1073741824\n", 1024),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "536870912\n", 512),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
        ("memory.max", "nonsense", None),
    ],
)
def test_the_limit_of_either_kind_of_cgroup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, limit: float | None
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.limit_mib() == limit


def test_use_of_the_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.current").write_text("10485760")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.cgroup_mib() == 10


def test_without_proc_the_peak_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_STATM", tmp_path / "none")
    assert memory.anonymous_mib() == memory.peak_mib()
    assert memory.rss_mib() == memory.peak_mib() > 10
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    assert memory.rss_mib() == memory.peak_mib() > 10


def test_the_peak_is_this_programs_own_not_its_parents() -> None:
    held = np.ones(300 * memory.MIB, np.uint8)
    code = "from anpr import memory; print(memory.peak_mib())"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert float(output) < 100
    del held


def test_freezing_hides_objects_from_the_collector_and_unfreezing_shows_them() -> None:
    memory.freeze()
    frozen = gc.get_freeze_count()
    memory.unfreeze()
    # from Python 3.12 on, immortal objects stay frozen
    assert gc.get_freeze_count() < frozen / 10
