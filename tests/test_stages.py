"""What each stage took and left behind."""

from __future__ import annotations

import mmap
import time

import pytest

from anpr import memory
from anpr.deadline import Deadline
from anpr.errors import DeadlineExceeded
from anpr.stages import Stages


def test_time_and_growth_are_the_stages_own() -> None:
    stages = Stages()
    with mmap.mmap(-1, 40 * memory.MIB) as held:  # not malloc: it may have as much to spare
        with stages.measure("slow"):
            time.sleep(0.02)
        with stages.measure("large"):
            for page in range(0, len(held), mmap.PAGESIZE):
                held[page] = 1
        use, timings = stages.memory_mib(), stages.timings_ms()
    assert timings["slow"] > 19
    assert timings["total"] >= timings["slow"] + timings["large"]
    assert use.stages["large"] > 30
    assert use.stages["slow"] < 15
    assert use.peak >= use.rss - 1 > 40


def test_a_stage_does_not_begin_after_the_deadline() -> None:
    deadline = Deadline()
    deadline.cancel()
    stages = Stages()
    with deadline, pytest.raises(DeadlineExceeded), stages.measure("late"):
        pytest.fail("it began")
    assert list(stages.timings_ms()) == ["total"]
