from __future__ import annotations

import numpy as np
import pytest

from anpr import layout
from tests.scenes import plate_pixels


def test_one_line_is_one_band_and_no_pair() -> None:
    seen = layout.analyse(plate_pixels("RK069AV"))
    assert seen.pair is None
    assert seen.main is not None
    assert seen.main[1] - seen.main[0] > 0.3


def test_two_lines_are_a_pair_from_top_to_bottom() -> None:
    pair = layout.analyse(plate_pixels("AB12", "CDE", height=110)).pair
    assert pair is not None
    assert pair[0][1] <= pair[1][0]


def test_a_small_place_name_is_no_second_line() -> None:
    seen = layout.analyse(plate_pixels("LEB4321", place="ISLAMABAD", height=110))
    assert seen.pair is None


@pytest.mark.parametrize("slant", [-14, -8, 0, 8, 14])
def test_the_slant_is_found(slant: float) -> None:
    seen = layout.analyse(plate_pixels("RK069AV", height=80, slant_deg=slant))
    assert seen.slant_deg == pytest.approx(slant, abs=3)


def test_levelling_takes_the_slant_out() -> None:
    crop = plate_pixels("RK069AV", height=80, slant_deg=10)
    again = layout.analyse(layout.level(crop, layout.analyse(crop).slant_deg))
    assert abs(again.slant_deg) <= 2


def test_level_text_is_left_alone() -> None:
    crop = plate_pixels("RK069AV")
    assert layout.level(crop, 0) is crop


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (480, 640)])
def test_any_crop_has_a_layout(shape: tuple[int, int]) -> None:
    assert layout.analyse(np.full((*shape, 3), 80, np.uint8)).pair is None


def test_a_strip_holds_its_band_and_a_margin() -> None:
    crop = np.arange(100, dtype=np.uint8).reshape(100, 1, 1).repeat(20, 1).repeat(3, 2)
    part = layout.strip(crop, (0.4, 0.6), 0.25)
    assert (part[0, 0, 0], part[-1, 0, 0]) == (35, 64)
    assert layout.strip(crop, (0.0, 1.0), 0.5).shape[0] == 100
    assert layout.strip(crop[:3], (0.5, 0.5), 0).shape[0] >= 1


def test_a_band_is_cut_in_the_middle_where_it_is_emptiest() -> None:
    rows = [0.0, 9, 9, 9, 9, 9, 2, 9, 9, 9, 9, 0]
    halves = layout.Layout(0, ((1 / 12, 11 / 12),), tuple(rows)).halves
    assert halves == ((1 / 12, 6 / 12), (6 / 12, 11 / 12))


def test_without_bands_there_are_no_halves() -> None:
    assert layout.Layout(0, ()).halves is None
    assert layout.Layout(0, ((0.0, 0.1),), (0.0, 1.0)).halves is None


def test_lines_that_touch_are_one_band_with_halves() -> None:
    crop = plate_pixels("AB12", "CDE", height=110)
    squeezed = layout.analyse(np.ascontiguousarray(crop[::2]))
    assert squeezed.halves is not None
