from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from anpr.detect import OnnxDetector, UltralyticsDetector, _Looks
from anpr.errors import ModelMismatch, ModelUnusable
from anpr.models import manifest
from anpr.pipeline import make_detector
from anpr.settings import Settings
from anpr.types import Box, Detection
from anpr.weights import ModelFile
from anpr.yolo import decode_head, letterbox, nms
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


class Looks(_Looks):
    """Sees one plate, if it is at least 10 px wide in its input; remembers what it looked at.

    The box it gives is as exact as its input's pixels.
    """

    def __init__(self, plate: Box, **options: int) -> None:
        super().__init__(**({"side": 320, "second_side": 0, "closer_width": 0} | options))
        self._plate = plate
        self.confidence = 0.5
        self.looks: list[tuple[int, int]] = []

    def _look(self, image: Image, side: int) -> list[Detection]:
        self.looks.append((image.shape[1], side))
        # the plate is painted white; a part of the image shows a part of it
        rows, columns = np.nonzero(image[:, :, 0])
        scale = side / max(image.shape[:2])
        if not len(columns) or (columns.max() + 1 - columns.min()) * scale < 10:
            return []
        corners = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        step = 1 / scale
        x1, y1, x2, y2 = (round(float(v) / step) * step for v in corners)
        return [Detection(Box(x1, y1, x2, y2), self.confidence)]

    def find(self, width: int, height: int) -> list[Detection]:
        image = np.zeros((height, width, 3), np.uint8)
        box = self._plate
        image[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)] = 255
        return self.detect(image)


@pytest.mark.parametrize(
    ("plate_width", "options", "width", "looks"),
    [
        (20, {"second_side": 640}, 1280, [(1280, 320), (1280, 640)]),  # nothing found at first
        (60, {"second_side": 640}, 1280, [(1280, 320)]),  # found
        (20, {"second_side": 0}, 1280, [(1280, 320)]),  # turned off
        (5, {"second_side": 640}, 300, [(300, 320)]),  # no more pixels to see
    ],
)
def test_a_second_look_follows_where_the_first_finds_nothing(
    plate_width: int, options: dict[str, int], width: int, looks: list[tuple[int, int]]
) -> None:
    detector = Looks(Box(100, 100, 100 + plate_width, 106), **options)
    detector.find(width, 200)
    assert detector.looks == looks


def test_a_doubtful_plate_gets_a_second_look_and_its_finer_box() -> None:
    plate = Box(502, 302, 562, 318)
    (rough,) = Looks(plate).find(1280, 720)
    detector = Looks(plate, second_side=640)
    detector.confidence = 0.49
    (fine,) = detector.find(1280, 720)
    assert detector.looks == [(1280, 320), (1280, 640), (1280, 256)]  # doubtful to the end
    assert fine.box.iou(plate) > rough.box.iou(plate)


def test_what_only_the_first_look_saw_is_kept_after_the_second() -> None:
    first = [Detection(Box(10, 10, 60, 30), 0.4), Detection(Box(300, 10, 350, 30), 0.3)]
    second = [Detection(Box(12, 10, 62, 30), 0.35), Detection(Box(500, 10, 520, 20), 0.9)]

    class Two(_Looks):
        def _look(self, image: Image, side: int) -> list[Detection]:
            return list(first if side == 320 else second)

    found = Two(320, 640, 0).detect(np.zeros((400, 640, 3), np.uint8))
    assert found == [second[1], second[0], first[1]]


def test_a_plate_too_large_for_two_looks_is_seen_in_a_third_and_smaller_one() -> None:
    plate = Detection(Box(10, 10, 600, 200), 0.6)

    class Far(_Looks):
        def _look(self, image: Image, side: int) -> list[Detection]:
            return [plate] if side < 320 else []

    assert Far(320, 640, 0).detect(np.zeros((400, 640, 3), np.uint8)) == [plate]
    assert Far(320, 0, 0).detect(np.zeros((400, 640, 3), np.uint8)) == []  # turned off


def test_a_small_plate_is_looked_at_more_closely_and_its_box_is_the_better_one() -> None:
    plate = Box(501, 301, 563, 317)
    rough = Looks(plate).find(1280, 720)[0]
    detector = Looks(plate, closer_width=48)
    (close,) = detector.find(1280, 720)
    assert detector.looks[0] == (1280, 320)
    assert 300 < detector.looks[1][0] < 450
    assert close.box.iou(plate) > 0.9 > rough.box.iou(plate)
    assert close.confidence == rough.confidence


def test_a_large_plate_is_looked_at_once() -> None:
    detector = Looks(Box(200, 200, 500, 280), closer_width=48)
    detector.find(1280, 720)
    assert len(detector.looks) == 1


def test_a_closer_look_enlarges_no_pixels() -> None:
    detector = Looks(Box(300, 200, 320, 206), closer_width=48)
    detector.find(512, 384)
    assert detector.looks[1] == (320, 320)  # and not six widths of 20 px


def test_a_closer_look_needs_finer_pixels_than_the_first() -> None:
    detector = Looks(Box(150, 100, 170, 106), closer_width=48)
    detector.find(320, 240)
    assert len(detector.looks) == 1


def test_both_boxes_count_by_the_pixels_they_were_seen_with() -> None:
    class Two(Looks):
        def _look(self, image: Image, side: int) -> list[Detection]:
            first = not self.looks
            self.looks.append((image.shape[1], side))
            box = Box(600, 300, 640, 310) if first else Box(140, 89, 180, 101)
            return [Detection(box, 0.9)]

    (found,) = Two(Box(0, 0, 1, 1), closer_width=48).find(1280, 720)
    # the closer look sees 320 px from x 460 and 192 px from y 209: a quarter of the pixels, so its
    # box counts four times
    assert found.box.x1 == pytest.approx((4 * 600 + 600) / 5)
    assert found.box.y1 == pytest.approx((4 * 298 + 300) / 5)
    assert found.box.y2 == pytest.approx((4 * 310 + 310) / 5)


@pytest.mark.parametrize("plate", [Box(0, 0, 60, 16), Box(1220, 704, 1280, 720)])
def test_a_closer_look_stays_inside_the_image(plate: Box) -> None:
    (close,) = Looks(plate, closer_width=48).find(1280, 720)
    assert close.box.iou(plate) > 0.9


def test_a_plate_that_the_closer_look_does_not_see_keeps_its_box() -> None:
    class Once(Looks):
        def _look(self, image: Image, side: int) -> list[Detection]:
            return super()._look(image, side) if not self.looks else []

    plate = Box(480, 320, 560, 340)
    detector = Once(plate, closer_width=48)
    assert len(detector.find(1280, 720)) == 1


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
