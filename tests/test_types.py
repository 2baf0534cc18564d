from __future__ import annotations

import pytest

from anpr.types import Box, ImageInfo, MemoryUse, Plate, Result


def test_iou_of_two_boxes() -> None:
    assert Box(0, 0, 10, 10).iou(Box(5, 0, 15, 10)) == pytest.approx(50 / 150)


def test_iou_of_boxes_apart_and_of_empty_boxes_is_zero() -> None:
    assert Box(0, 0, 1, 1).iou(Box(2, 2, 3, 3)) == 0
    assert Box(1, 1, 1, 1).iou(Box(1, 1, 1, 1)) == 0


def test_clipping_keeps_the_inside() -> None:
    assert Box(-5, 2, 20, 30).clipped(10, 10) == Box(0, 2, 10, 10)


def test_clipping_a_box_outside_leaves_no_area() -> None:
    assert Box(20, 20, 30, 30).clipped(10, 10).area == 0


def test_padding_and_scaling() -> None:
    assert Box(1, 2, 3, 4).padded(1).scaled(2, 10) == Box(0, 10, 8, 50)
    assert Box(1, 2, 3, 4).moved(10, 20) == Box(11, 22, 13, 24)


def test_a_result_is_a_sequence_of_plates() -> None:
    plate = Plate("A1", 0.9, 0.8, Box(0, 0, 1, 1))
    result = Result((plate,), ImageInfo(1, 1, "png"), {}, MemoryUse(1, 1, None), {})
    assert (len(result), result[0], list(result), result[0:1]) == (1, plate, [plate], (plate,))
