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
from pathlib import Path

MIB = 1024 * 1024

_STATUS = Path("/proc/self/status")
_STATM = Path("/proc/self/statm")
_CGROUP = Path("/sys/fs/cgroup")
# v1 says "no limit" by a number near 2**63; nothing real is above this
_UNLIMITED_BYTES = 1 << 60


def rss_mib() -> float:
    """Resident memory of this process now."""
    try:
        # statm, not status: one short line, in pages (proc(5))
        pages = int(_STATM.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB
    except (OSError, IndexError, ValueError):
        return peak_mib()


def peak_mib() -> float:
    """The largest resident memory this process had so far."""
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
    """Collect garbage, the cyclic kind too; under a millisecond after ``freeze()``."""
    gc.collect()


def freeze() -> None:
    """Move what is alive now, modules and models, out of the collector's sight.

    It holds for the whole process, so only front doors do it, once the models are loaded.
    """
    gc.collect()
    gc.freeze()


def unfreeze() -> None:
    """Let the collector see everything again, so that what is dropped can be collected."""
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
