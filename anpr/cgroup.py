"""What the kernel counts for the container, and how much it allows: cgroups, v2 and v1.

Sizes are in MiB; ``None`` stands for what nobody counts or limits.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MIB: Final = 1024 * 1024
_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
# v1 says "no limit" by a number near 2**63; nothing real is above this
_UNLIMITED_BYTES: Final = 1 << 60


def limit_mib() -> float | None:
    """The least limit of this process's cgroup and those above it."""
    limits = [limit for group in cgroups() if (limit := group.limit_mib()) is not None]
    return min(limits, default=None)


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One folder of cgroup files, with the names of its version."""

    folder: Path
    v2: bool

    def limit_mib(self) -> float | None:
        value = self._number("memory.max" if self.v2 else "memory.limit_in_bytes")
        return None if value is None or value >= _UNLIMITED_BYTES else value / _MIB

    def use_mib(self) -> float | None:
        value = self._number("memory.current" if self.v2 else "memory.usage_in_bytes")
        return None if value is None else value / _MIB

    def held_mib(self) -> float | None:
        """What the kernel cannot take back: its use without the page cache, lately read or not.

        The kernel drops both kinds before it kills. (Kubernetes' working set keeps the active
        one, which for the reference runtime's libraries alone is some 350 MiB.)
        """
        use = self.use_mib()
        if use is None:
            return None
        names = {"active_file", "inactive_file"}
        if not self.v2:  # there the plain names leave out the cgroups below
            names = {f"total_{name}" for name in names}
        try:
            rows = [x.split() for x in (self.folder / "memory.stat").read_text().splitlines()]
            cache = sum(int(row[1]) for row in rows if row[0] in names) / _MIB
        except (OSError, ValueError, IndexError):
            return use
        return max(0.0, use - cache)

    def _number(self, name: str) -> int | None:
        try:
            return int((self.folder / name).read_text())
        except (OSError, ValueError):  # no such file, or the word "max"
            return None


def strictest() -> Cgroup | None:
    """The one whose limit is the least, or this process's own where there is none."""
    groups = [group for group in cgroups() if group.use_mib() is not None]
    return min(groups, key=lambda group: group.limit_mib() or math.inf, default=None)


def cgroups() -> list[Cgroup]:
    """This process's cgroup and those above it, as far as they can be seen from here.

    In a container the path that ``/proc/self/cgroup`` tells is often the host's, and the folder
    at the top is the container's own.
    """
    v2, v1 = _paths()
    found = [Cgroup(_ROOT / part, v2=True) for part in _upwards(v2)]
    found += [Cgroup(_ROOT / "memory" / part, v2=False) for part in _upwards(v1)]
    return [group for group in found if group.folder.is_dir()]


def _upwards(path: str) -> list[Path]:
    own = Path(path.strip("/"))
    if ".." in own.parts:  # above what this namespace shows
        own = Path()
    return [own, *own.parents] if own.parts else [own]


@functools.cache
def _paths() -> tuple[str, str]:
    """The path of this process in the hierarchies of v2 and v1 (cgroups(7))."""
    v2 = v1 = "/"
    try:
        for line in _OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                v2 = path
            elif "memory" in controllers.split(","):
                v1 = path
    except (OSError, ValueError):
        pass
    return v2, v1
