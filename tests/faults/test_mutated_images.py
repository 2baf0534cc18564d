"""Damaged images: never a crash, never a server error, never more memory than whole ones need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COUNT = 2000
# Measured: 262 MiB at most with these images; a 25-megapixel image may take 100 more
PEAK_MIB = 400


def outcome(count: int, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.mutations", str(count), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check(result: dict[str, Any], count: int) -> None:
    statuses = {int(status): number for status, number in result["statuses"].items()}
    assert sum(statuses.values()) == count
    assert statuses.keys() <= {200, 400, 413, 415, 422}
    assert {200, 415, 422} <= statuses.keys(), "the mutations are too mild or too wild"
    assert result["peak_mib"] < PEAK_MIB
    before, after = result["rss_mib"]
    assert after - before < 40
    assert result["slowest_s"] < 5


def test_a_few_drawn_ones() -> None:
    check(outcome(60), 60)


@pytest.mark.slow
def test_drawn_ones() -> None:
    check(outcome(COUNT), COUNT)


@pytest.mark.slow
@pytest.mark.shared_data
def test_real_ones(shared_data: Path) -> None:
    check(outcome(COUNT, str(shared_data / "photos")), COUNT)
