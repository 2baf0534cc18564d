"""The figures of ``training.metrics`` against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.metrics import (
    IOUS,
    Curve,
    Reading,
    covered,
    edits,
    folded,
    iou_matrix,
    match,
    normalised,
)


def boxes(
    *rows: tuple[float, float, float, float],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def test_iou_of_equal_half_and_distant_boxes() -> None:
    whole, half, far = (0, 0, 10, 10), (5, 0, 15, 10), (50, 50, 60, 60)
    ious = iou_matrix(boxes(whole), boxes(whole, half, far))
    assert ious.tolist() == [[1.0, pytest.approx(50 / 150), 0.0]]


def test_iou_of_boxes_without_area_is_zero() -> None:
    assert iou_matrix(boxes((3, 3, 3, 3)), boxes((3, 3, 3, 3))).tolist() == [[0.0]]


def test_iou_of_no_boxes_is_empty() -> None:
    assert iou_matrix(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)


def test_covered_is_the_largest_share_of_a_box_on_any_other() -> None:
    a = boxes((0, 0, 10, 10), (0, 0, 20, 10), (3, 3, 3, 3))
    b = boxes((5, 0, 100, 10), (8, 0, 100, 10))
    assert covered(a, b).tolist() == [0.5, 0.75, 0.0]
    assert covered(a, boxes()).tolist() == [0.0, 0.0, 0.0]
    assert covered(boxes(), b).shape == (0,)


def test_each_plate_is_found_once() -> None:
    assert match(np.array([[0.9], [0.8]]), 0.5).tolist() == [0, -1]


def test_surer_detection_takes_the_plate_it_overlaps_most() -> None:
    ious = np.array([[0.6, 0.7], [0.55, 0.9]])
    assert match(ious, 0.5).tolist() == [1, 0]


def test_too_little_overlap_finds_nothing() -> None:
    assert match(np.array([[0.49]]), 0.5).tolist() == [-1]


def test_photo_without_plates_has_only_false_detections() -> None:
    assert match(np.zeros((2, 0)), 0.5).tolist() == [-1, -1]


def test_perfect_detector_has_average_precision_one() -> None:
    assert Curve.of([0.9, 0.8], [True, True], 2).average_precision() == pytest.approx(1.0)


def test_average_precision_counts_the_recalls_that_are_never_reached() -> None:
    # precision 1 up to recall 0.5: 51 of the 101 samples
    assert Curve.of([0.9], [True], 2).average_precision() == pytest.approx(51 / 101)


def test_average_precision_with_a_false_detection_between() -> None:
    # hit, miss, hit of 2 plates: precision 1 up to recall 0.5 (51 samples), then 2/3 (50 samples)
    curve = Curve.of([0.9, 0.8, 0.7], [True, False, True], 2)
    assert curve.average_precision() == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_order_of_the_input_does_not_matter() -> None:
    curve = Curve.of([0.7, 0.9, 0.8], [True, True, False], 2)
    assert curve.average_precision() == pytest.approx((51 + 50 * 2 / 3) / 101)


@pytest.mark.parametrize("curve", [Curve.of([], [], 3), Curve.of([0.5], [False], 0)])
def test_average_precision_is_zero_without_detections_or_plates(curve: Curve) -> None:
    assert curve.average_precision() == 0.0


def test_point_at_a_threshold_counts_what_is_at_least_so_sure() -> None:
    point = Curve.of([0.9, 0.5, 0.3], [True, False, True], 4).at(0.5)
    assert (point.precision, point.recall, point.false) == (0.5, 0.25, 1)


def test_nothing_said_is_nothing_false() -> None:
    point = Curve.of([0.2], [True], 1).at(0.5)
    assert (point.precision, point.recall, point.false) == (1.0, 0.0, 0)


def test_recall_at_a_precision_is_the_highest_one() -> None:
    # precision by count: 1, 1/2, 2/3, 3/4, 3/5
    curve = Curve.of([0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, True, False], 4)
    point = curve.at_precision(0.75)
    assert point is not None
    assert (point.threshold, point.recall) == (0.6, 0.75)


def test_equally_sure_detections_cannot_be_parted() -> None:
    curve = Curve.of([0.9, 0.5, 0.5], [True, True, False], 2)
    point = curve.at_precision(0.95)
    assert point is not None
    assert point.recall == 0.5


def test_precision_that_is_never_reached() -> None:
    assert Curve.of([0.9], [False], 1).at_precision(0.95) is None
    assert Curve.of([], [], 1).at_precision(0.95) is None


def test_overlaps_are_those_of_coco() -> None:
    assert IOUS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_texts_are_compared_without_separators() -> None:
    assert normalised("wx-12 34·a") == "WX1234A"


def test_folding_makes_letters_of_equal_shape_equal() -> None:
    assert folded("OI-01") == "0101"


@pytest.mark.parametrize(
    ("a", "b", "count"),
    [("", "", 0), ("ABC", "", 3), ("", "AB", 2), ("ABC", "ABD", 1), ("KITTEN", "SITTING", 3)],
)
def test_edits(a: str, b: str, count: int) -> None:
    assert edits(a, b) == count
    assert edits(b, a) == count


def test_reading_counts_exact_folded_and_characters() -> None:
    reading = Reading.of(["AB0", "X1", "WXYZ"], ["AB0", "XI", "WXY"])
    assert reading.count == 3
    assert reading.exact == pytest.approx(1 / 3)
    assert reading.folded == pytest.approx(2 / 3)
    assert reading.characters == pytest.approx(1 - 2 / 9)


def test_text_much_too_long_costs_no_more_than_its_plate() -> None:
    assert Reading.of(["AB"], ["XXXXXXXX"]).characters == 0.0


def test_reading_of_nothing() -> None:
    assert Reading.of([], []) == Reading(0, 0.0, 0.0, 0.0)
