"""How much memory this process holds, how much it may hold, and how to give it back.

Readings come from ``/proc`` and the cgroup files of Linux. Elsewhere they fall back to
``getrusage``, or say ``None``. All sizes are in MiB unless a name says bytes.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anpr import cgroup

MIB: Final = 1024 * 1024
_DONTNEED: Final = 4  # MADV_DONTNEED of madvise(2)

_STATUS = Path("/proc/self/status")
_STATM = Path("/proc/self/statm")
_SMAPS = Path("/proc/self/smaps")
# As process-wide as what it tells of; gc.get_freeze_count() walks every frozen object, 8 ms
_frozen = threading.Event()


def rss_mib() -> float:
    """Resident memory of this process now."""
    try:
        # statm, not status: one short line, in pages (proc(5))
        pages = int(_STATM.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB
    except (OSError, IndexError, ValueError):
        return peak_mib()


def anonymous_mib() -> float:
    """Resident memory that the kernel cannot take back: without the pages of mapped files.

    The libraries of the reference runtime alone are some 350 MiB of such pages.
    """
    try:
        _, resident, shared = map(int, _STATM.read_text().split()[:3])
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / MIB
    except (OSError, ValueError):
        return peak_mib()


def peak_mib() -> float:
    """The largest resident memory this program had so far."""
    try:
        # not getrusage: its peak is inherited from the parent through fork and exec
        line = next(x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # kilobytes on Linux, bytes on macOS (getrusage(2))
        return peak / MIB if sys.platform == "darwin" else peak / 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory at one moment, in MiB; ``at_s`` is counted from the monitor's beginning.

    ``rss`` and ``peak`` are this process's; ``cgroup`` is what the kernel counts for the whole
    container, page cache included, ``held`` the part of that which it cannot take back, and
    ``limit`` what the container may use. Each of the latter is ``None`` where nobody counts.
    """

    label: str
    at_s: float
    rss: float
    peak: float
    cgroup: float | None
    held: float | None
    limit: float | None

    @property
    def percent(self) -> float | None:
        """What is held, of the limit. Outside of a cgroup the process stands for the container."""
        if self.limit is None:
            return None
        return 100 * (self.rss if self.held is None else self.held) / self.limit


class MemoryMonitor:
    """Readings of this process and its container, and a list of those that were given a label."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self.checkpoints: list[Usage] = []

    def usage(self, label: str = "") -> Usage:
        """As it is now; some 0.1 ms."""
        group = cgroup.strictest()
        return Usage(
            label=label,
            at_s=self._clock() - self._began,
            rss=rss_mib(),
            peak=peak_mib(),
            cgroup=group.use_mib() if group else None,
            held=group.held_mib() if group else None,
            limit=limit_mib(),
        )

    def checkpoint(self, label: str) -> Usage:
        """As it is now, and remembered."""
        usage = self.usage(label)
        self.checkpoints.append(usage)
        return usage


def limit_mib() -> float | None:
    """What the container may use: the least limit of the cgroup and those above it, or ``None``."""
    return cgroup.limit_mib()


def cgroup_mib() -> float | None:
    """What the container uses as the kernel counts it, page cache included, or ``None``."""
    group = cgroup.strictest()
    return group.use_mib() if group else None


def held_mib() -> float:
    """What counts against the limit: all of the container that the kernel cannot take back.

    Without a cgroup it is this process.
    """
    group = cgroup.strictest()
    held = group.held_mib() if group else None
    return anonymous_mib() if held is None else held


@functools.cache
def _libc(function: str) -> ctypes._NamedFuncPointer | None:
    try:
        found: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None), function)
    except (OSError, AttributeError):  # musl and macOS have no malloc_trim
        return None
    return found


def collect() -> None:
    """Collect what a stage has made and left in cycles; a tenth of a millisecond.

    After ``freeze()`` that is everything. In a program that has not frozen, the young generations
    do: what a stage made is young, and a look at all that the program holds costs some 8 ms.
    """
    gc.collect(2 if _frozen.is_set() else 1)


@contextmanager
def uncollected() -> Iterator[None]:
    """No look for garbage while programs and models load: nearly all that they make stays.

    It is a tenth of the processor's time from process start to loaded models.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def freeze() -> None:
    """Give back what loading left, and move what is alive now out of the collector's sight.

    It holds for the whole process, so only front doors do it, once the models are loaded.
    """
    release()
    gc.freeze()
    _frozen.set()


def unfreeze() -> None:
    """Let the collector see everything again, so that what is dropped can be collected."""
    _frozen.clear()
    gc.unfreeze()


def release() -> None:
    """Collect garbage and hand freed memory back to the operating system.

    glibc keeps what was freed until ``malloc_trim`` is called: dropping a model alone gives
    almost nothing back.
    """
    gc.collect()
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(0)


def unmap_code() -> None:
    """Let go of pages of program files that only lie about in this process; no others.

    Running a model pulls some 15 MiB of its runtime's code in, which count as ours until somebody
    else is short of memory. They stay in the page cache, and what is needed again comes back from
    there by itself: 14 MiB cost a millisecond.

    Only mappings without a page of their own (``Anonymous: 0 kB``, proc(5)) are touched, so that
    nothing is lost: what was relocated or patched is in pages of its own.
    """
    madvise = _libc("madvise")
    if madvise is None:
        return
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    try:
        with _SMAPS.open(encoding="utf-8", errors="replace") as lines:
            for start, size in _clean_code(lines):
                madvise(start, size, _DONTNEED)
    except OSError:
        return


def _clean_code(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Address and size in bytes of mappings of code that have no page of their own."""
    start = size = 0
    for line in lines:
        name, *fields = line.split()
        if name == "Anonymous:":
            if size and fields[0] == "0":
                yield start, size
            size = 0
        elif not name.endswith(":"):  # the head of a mapping: addresses, rights, …, file
            first, _, last = name.partition("-")
            is_code = fields[0] == "r-xp" and len(fields) > 4 and fields[4].startswith("/")
            start = int(first, 16)
            size = int(last, 16) - start if is_code else 0
