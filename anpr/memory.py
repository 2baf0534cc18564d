"""How much memory this process holds, how much it may hold, and how to give it back.

Readings come from ``/proc`` and the cgroup files of Linux (v2 and v1). Elsewhere they fall back
to ``getrusage``, or say ``None``. All sizes are in MiB unless a name says bytes.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import resource
import sys
import threading
from pathlib import Path

MIB = 1024 * 1024

_STATUS = Path("/proc/self/status")
_STATM = Path("/proc/self/statm")
_CGROUP = Path("/sys/fs/cgroup")
# v1 says "no limit" by a number near 2**63; nothing real is above this
_UNLIMITED_BYTES = 1 << 60
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


def limit_mib() -> float | None:
    """What the container may use (cgroup v2 ``memory.max``, v1 ``limit_in_bytes``), or None."""
    return _read_cgroup("memory.max", "memory/memory.limit_in_bytes")


def cgroup_mib() -> float | None:
    """What the container uses as the kernel counts it, page cache included, or None."""
    return _read_cgroup("memory.current", "memory/memory.usage_in_bytes")


def _read_cgroup(v2: str, v1: str) -> float | None:
    for name in (v2, v1):
        try:
            value = int((_CGROUP / name).read_text())
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
        return None if value >= _UNLIMITED_BYTES else value / MIB
    return None


@functools.cache
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl and macOS have none
        return None


def collect() -> None:
    """Collect what a stage has made and left in cycles; a tenth of a millisecond.

    After ``freeze()`` that is everything. In a program that has not frozen, the young generations
    do: what a stage made is young, and a look at all that the program holds costs some 8 ms.
    """
    gc.collect(2 if _frozen.is_set() else 1)


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
    trim = _malloc_trim()
    if trim is not None:
        trim(0)
