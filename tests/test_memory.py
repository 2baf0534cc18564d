from __future__ import annotations

import gc
import mmap
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from anpr import cgroup, memory


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


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cgroup that uses 10 of 40 MiB, 2 of them page cache."""
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "_paths", lambda: ("/", "/"))
    (tmp_path / "memory.current").write_text("10485760")
    (tmp_path / "memory.max").write_text("41943040")
    (tmp_path / "memory.stat").write_text("inactive_file 1048576\nactive_file 1048576\n")
    return tmp_path


def test_the_container_in_figures(container: Path) -> None:
    assert memory.limit_mib() == 40
    assert memory.cgroup_mib() == 10
    assert memory.held_mib() == 8
    usage = memory.MemoryMonitor().usage()
    assert (usage.cgroup, usage.held, usage.limit, usage.percent) == (10, 8, 40, 20)
    assert 5 < usage.rss <= usage.peak + 1


def test_without_a_container_the_process_stands_for_it(container: Path) -> None:
    (container / "memory.current").unlink()
    assert memory.cgroup_mib() is None
    assert memory.held_mib() == pytest.approx(memory.anonymous_mib(), abs=5)
    usage = memory.MemoryMonitor().usage()
    assert usage.percent == pytest.approx(100 * usage.rss / 40)
    (container / "memory.max").write_text("max")
    assert memory.MemoryMonitor().usage().percent is None


def test_checkpoints_are_remembered_with_their_labels_and_times() -> None:
    now = [100.0]
    monitor = memory.MemoryMonitor(clock=lambda: now[0])
    monitor.checkpoint("start")
    now[0] = 101.5
    monitor.usage("not kept")
    monitor.checkpoint("loaded")
    assert [(one.label, one.at_s) for one in monitor.checkpoints] == [
        ("start", 0.0),
        ("loaded", 1.5),
    ]


SMAPS = """\
00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/clean
Rss:                 328 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00500000-00510000 r-xp 00000000 08:02 173521 /usr/bin/pat ched
Anonymous:             4 kB
7f0000000000-7f0000010000 r--p 00000000 08:02 173521 /usr/lib/relocated.so
Anonymous:             0 kB
7f0000020000-7f0000030000 rw-p 00000000 00:00 0 [heap]
Anonymous:             0 kB
7f0000040000-7f0000050000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
7f0000060000-7f0000070000 rw-p 00000000 00:00 0
Anonymous:             0 kB
"""


def test_only_code_that_is_as_in_its_file_is_let_go() -> None:
    assert list(memory._clean_code(SMAPS.splitlines())) == [(0x400000, 0x52000)]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/smaps")
def test_letting_go_of_code_leaves_it_running() -> None:
    memory.unmap_code()
    assert float(np.linalg.norm(np.eye(8) @ np.ones(8))) == pytest.approx(8**0.5)
    memory.unmap_code()
    assert memory.rss_mib() > 5


def test_without_proc_no_code_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SMAPS", tmp_path / "none")
    memory.unmap_code()


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


def test_while_things_load_no_garbage_is_looked_for() -> None:
    with memory.uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    with suppress(KeyError), memory.uncollected():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with memory.uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
