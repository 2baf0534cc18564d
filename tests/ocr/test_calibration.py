from __future__ import annotations

import pytest

from anpr.errors import ModelUnusable
from anpr.ocr.calibration import Calibration, Line


def test_none_changes_nothing() -> None:
    assert Calibration.parse("").plate(0.3) == 0.3


def test_a_line_goes_through_the_logit() -> None:
    assert Line(1.0, 0.0)(0.7) == pytest.approx(0.7)
    assert Line(2.0, 0.0)(0.5) == pytest.approx(0.5)
    assert Line(1.0, 1.0)(0.5) == pytest.approx(0.7310586)


@pytest.mark.parametrize("probability", [0.0, 1e-30, 1.0])
def test_the_ends_stay_within_bounds(probability: float) -> None:
    assert 0 <= Line(3.0, 2.0)(probability) <= 1
    assert 0 <= Line(5000.0, -2.0)(probability) <= 1


def test_what_is_written_is_read_again() -> None:
    calibration = Calibration(Line(0.5, -0.25), Line(1.25, 2.0))
    assert Calibration.parse(str(calibration)) == calibration


@pytest.mark.parametrize(
    "text", ["1 0 1", "a b c d", "-1 0 1 0", "1 0 0 0", "nan 0 1 0", "1 inf 1 0"]
)
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ModelUnusable):
        Calibration.parse(text)
