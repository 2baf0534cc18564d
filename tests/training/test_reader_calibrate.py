from __future__ import annotations

import math

import numpy as np
import pytest

from anpr.types import Candidate, Character, Reading
from training.reader import calibrate


def drawn(slope: float, offset: float, count: int = 20_000) -> list[tuple[float, bool]]:
    """Confidences, and outcomes of which sigmoid(slope · logit + offset) are right."""
    rng = np.random.default_rng(0)
    logits = rng.normal(1.5, 2, count)
    right = rng.random(count) < 1 / (1 + np.exp(-(slope * logits + offset)))
    return [(1 / (1 + math.exp(-x)), bool(r)) for x, r in zip(logits, right, strict=True)]


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.5, 0.3), (1.8, -1.0)])
def test_the_line_that_made_them_is_found(slope: float, offset: float) -> None:
    line = calibrate.fit_line(drawn(slope, offset))
    assert line.slope == pytest.approx(slope, abs=0.06)
    assert line.offset == pytest.approx(offset, abs=0.1)


def test_a_reader_that_is_nearly_always_right_has_a_line_too() -> None:
    sure = [(1 - 1e-6, True)] * 900 + [(0.97, True)] * 20 + [(0.6, False)] * 5 + [(1e-6, False)] * 9
    line = calibrate.fit_line(sure)
    assert 0.05 < line.slope < 3
    assert abs(line.offset) < 5


def test_fitting_lowers_the_calibration_error() -> None:
    judged = drawn(0.4, -0.2)
    line = calibrate.fit_line(judged)
    before = calibrate.expected_calibration_error(calibrate.reliability(judged))
    after = calibrate.expected_calibration_error(
        calibrate.reliability((line(p), right) for p, right in judged)
    )
    assert before > 0.1
    assert after < 0.02


def test_the_error_is_weighted_by_how_many_there_are() -> None:
    judged = [(0.95, True)] * 90 + [(0.55, False)] * 10
    bins = calibrate.reliability(judged)
    assert [one.count for one in bins] == [10, 90]
    assert calibrate.expected_calibration_error(bins) == pytest.approx(0.9 * 0.05 + 0.1 * 0.55)


def test_the_threshold_keeps_the_precision() -> None:
    judged = [(0.9, True)] * 99 + [(0.8, False)] + [(0.7, False)] * 50
    assert calibrate.threshold(judged, 0.99) == 0.8
    assert calibrate.kept(judged, 0.8) == (0.99, 0.66)
    assert calibrate.threshold([(0.9, False)], 0.99) == 1.0


def test_characters_are_right_where_the_label_has_them() -> None:
    characters = tuple(Character(c, 0.5) for c in "RK069")
    reading = Reading((Candidate("RK069", 0.5, characters=characters),))
    assert [right for _, right in calibrate.characters(reading, "RKO69")] == [
        True,
        True,
        False,
        True,
        True,
    ]
