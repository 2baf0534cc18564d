from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from anpr.detect import OnnxDetector, UltralyticsDetector, _TwoLooks, decode_head, letterbox, nms
from anpr.errors import ModelMismatch, ModelUnusable
from anpr.models import manifest
from anpr.pipeline import make_detector
from anpr.settings import Settings
from anpr.types import Box, Detection
from anpr.weights import ModelFile
from tests.graphs import constant_graph
from tests.scenes import draw_car, draw_plate, to_bgr

if TYPE_CHECKING:
    from anpr.types import Image


def raw_head(*boxes: tuple[float, float, float, float, float]) -> np.ndarray:
    """(1, 5, N) from (centre x, centre y, width, height, score)."""
    return np.array(boxes, np.float32).T[None]


def test_letterbox_of_a_wide_image_is_padded_to_the_stride() -> None:
    boxed = letterbox(np.zeros((720, 1280, 3), np.uint8), 320)
    assert boxed.pixels.shape == (192, 320, 3)
    assert (boxed.scale_x, boxed.scale_y, boxed.left, boxed.top) == (0.25, 0.25, 0, 6)
    assert boxed.pixels[0, 0].tolist() == [114] * 3


def test_the_scales_of_both_axes_follow_the_rounding_to_whole_pixels() -> None:
    boxed = letterbox(np.zeros((101, 1000, 3), np.uint8), 320)
    assert (boxed.scale_x, boxed.scale_y) == (0.32, 32 / 101)


def test_letterbox_to_a_square() -> None:
    boxed = letterbox(np.zeros((720, 1280, 3), np.uint8), 320, square=True)
    assert (boxed.pixels.shape, boxed.left, boxed.top) == ((320, 320, 3), 0, 70)


def test_letterbox_enlarges_small_images_and_keeps_slivers() -> None:
    assert letterbox(np.zeros((100, 160, 3), np.uint8), 320).pixels.shape == (224, 320, 3)
    assert letterbox(np.zeros((8, 4000, 3), np.uint8), 320).pixels.shape == (32, 320, 3)


def test_nms_keeps_the_best_of_what_overlaps() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]], np.float32)
    assert nms(boxes, np.array([0.6, 0.9, 0.7], np.float32), 0.7) == [1, 2]


def test_a_raw_head_is_suppressed_and_sorted() -> None:
    output = raw_head(
        (50, 50, 20, 10, 0.5), (51, 50, 20, 10, 0.9), (90, 20, 10, 10, 0.7), (5, 5, 2, 2, 0.1)
    )
    boxes, scores = decode_head(output, 0.25)
    assert scores.tolist() == pytest.approx([0.9, 0.7])
    assert boxes[0].tolist() == [41, 45, 61, 55]


def test_an_end_to_end_head_is_taken_as_it_is() -> None:
    output = np.array(
        [[[1, 2, 30, 40, 0.4, 0], [5, 6, 70, 80, 0.8, 0], [0, 0, 1, 1, 0.1, 0]]], np.float32
    )
    boxes, scores = decode_head(output, 0.25)
    assert scores.tolist() == pytest.approx([0.8, 0.4])
    assert boxes[0].tolist() == [5, 6, 70, 80]


def test_a_head_of_many_classes_takes_the_surest() -> None:
    output = np.array([[[50.0], [50], [20], [10], [0.1], [0.6]]], np.float32)
    assert decode_head(output, 0.25)[1].tolist() == pytest.approx([0.6])


@pytest.mark.parametrize("shape", [(1, 4, 100), (2, 5, 100), (1, 5)])
def test_a_head_of_another_shape_is_unusable(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelUnusable):
        decode_head(np.zeros(shape, np.float32), 0.25)


def test_boxes_come_back_in_pixels_of_the_image_and_inside_it(tmp_path: Path) -> None:
    head = raw_head((160, 96, 80, 20, 0.9), (318, 96, 40, 20, 0.8), (-90, 96, 10, 10, 0.7))
    detector = OnnxDetector(ModelFile(constant_graph(tmp_path / "d.onnx", head)))
    first, second = detector.detect(np.zeros((720, 1280, 3), np.uint8))
    assert first.box == Box(480, 320, 800, 400)
    assert second.box == Box(1192, 320, 1280, 400)


def test_a_fixed_graph_gets_the_square_it_was_made_for(tmp_path: Path) -> None:
    head = raw_head((160, 160, 80, 20, 0.9))
    path = constant_graph(tmp_path / "d.onnx", head, shape=(1, 3, 320, 320))
    detector = OnnxDetector(ModelFile(path), second_side=640)
    assert detector.detect(np.zeros((720, 1280, 3), np.uint8))[0].box == Box(480, 320, 800, 400)


def test_a_fixed_graph_has_no_second_look(tmp_path: Path) -> None:
    path = constant_graph(tmp_path / "d.onnx", raw_head((9, 9, 9, 9, 0)), shape=(1, 3, 320, 320))
    detector = OnnxDetector(ModelFile(path), second_side=640)
    assert detector.detect(np.zeros((720, 1280, 3), np.uint8)) == []


def test_values_that_are_no_numbers_are_dropped(tmp_path: Path) -> None:
    head = raw_head((float("nan"), 96, 80, 20, 0.9), (160, 96, 80, 20, float("nan")))
    detector = OnnxDetector(ModelFile(constant_graph(tmp_path / "d.onnx", head)))
    assert detector.detect(np.zeros((720, 1280, 3), np.uint8)) == []


@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (720, 1280)])
def test_the_plate_of_a_drawn_car_is_found(size: tuple[int, int]) -> None:
    scene, box = draw_car(draw_plate(), size)
    found = make_detector(Settings()).detect(to_bgr(scene))
    assert len(found) == 1
    assert found[0].box.iou(box) > 0.6


class Looks(_TwoLooks):
    """Sees a plate at 640 px and nothing below; remembers how it looked."""

    def __init__(self, side: int, second_side: int) -> None:
        super().__init__(side, second_side)
        self.sides: list[int] = []

    def _look(self, image: Image, side: int) -> list[Detection]:
        self.sides.append(side)
        return [Detection(Box(0, 0, 9, 9), 0.5)] if side >= 640 else []


@pytest.mark.parametrize(
    ("side", "second_side", "width", "sides"),
    [
        (320, 640, 1280, [320, 640]),  # nothing found: looked at again
        (640, 960, 1280, [640]),  # found
        (320, 0, 1280, [320]),  # turned off
        (320, 640, 300, [320]),  # no more pixels to see
    ],
)
def test_a_second_look_follows_where_the_first_finds_nothing(
    side: int, second_side: int, width: int, sides: list[int]
) -> None:
    detector = Looks(side, second_side)
    found = detector.detect(np.zeros((200, width, 3), np.uint8))
    assert detector.sides == sides
    assert bool(found) == (sides[-1] >= 640)


def test_an_empty_road_has_no_plates() -> None:
    assert make_detector(Settings()).detect(np.full((720, 1280, 3), 90, np.uint8)) == []


def test_a_pickle_that_no_manifest_vouches_for_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ModelMismatch):
        UltralyticsDetector(ModelFile(path)).load()


def test_the_checkpoint_in_the_manifest_is_the_one_on_disk() -> None:
    folder = Settings().weights_dir
    assert manifest.find(folder, "last").read()
