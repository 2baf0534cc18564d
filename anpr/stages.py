"""The stages of reading one photo: how long each took, and how much memory it left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from anpr import memory
from anpr.deadline import current
from anpr.types import MemoryUse


class Stages:
    """The time and the growth in resident memory of each stage of one photo."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._seconds: dict[str, float] = {}
        self._growth: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Ends with a collection: what the stage held is gone before the next one asks for more."""
        current().check()
        rss, started = memory.rss_mib(), time.perf_counter()
        yield
        memory.collect()
        self._seconds[stage] = time.perf_counter() - started
        self._growth[stage] = memory.rss_mib() - rss

    def timings_ms(self) -> dict[str, float]:
        timings = {stage: seconds * 1000 for stage, seconds in self._seconds.items()}
        return timings | {"total": (time.perf_counter() - self._started) * 1000}

    def memory_mib(self) -> MemoryUse:
        usage = memory.MemoryMonitor().usage()
        return MemoryUse(
            rss=usage.rss,
            peak=usage.peak,
            limit=usage.limit,
            stages=dict(self._growth),
            cgroup=usage.cgroup,
            percent=usage.percent,
        )
