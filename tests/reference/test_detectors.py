"""``last.pt`` through Ultralytics, and the ONNX compiled from it, see the same plates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anpr import imaging
from anpr.errors import ModelMismatch
from anpr.pipeline import make_detector
from anpr.settings import Settings
from anpr.types import Detection, Detector
from anpr.weights import ModelFile
from tests.reference.photos import photos
from tests.scenes import draw_car, draw_plate, to_bgr

if TYPE_CHECKING:
    from anpr.types import Image

pytestmark = [
    pytest.mark.reference,
    # of Ultralytics and what it imports; ours stay errors
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

# Where both runtimes see a plate, the same one. Ultralytics takes the scale of a box from the
# padded input, which for some sizes is a pixel in 320 off (203×122 becomes 320×192, and is scaled
# back as 319×192); that costs a small plate IoU. Confidences agree to 1e-5 where measured.
LEAST_IOU = 0.95
CONFIDENCE = 0.005


@pytest.fixture(scope="module")
def lean() -> Detector:
    return make_detector(Settings())


@pytest.fixture(scope="module")
def reference() -> Iterator[Detector]:
    detector = make_detector(Settings(detector="ultralytics"))
    yield detector
    detector.unload()


def assert_alike(lean: list[Detection], reference: list[Detection], name: str = "") -> None:
    assert len(lean) == len(reference), f"{name}: {lean} {reference}"
    for one in lean:
        other = max(reference, key=lambda detection: one.box.iou(detection.box))
        assert one.box.iou(other.box) >= LEAST_IOU, f"{name}: {one} {other}"
        assert one.confidence == pytest.approx(other.confidence, abs=CONFIDENCE), name


def scene(*lines: str, size: tuple[int, int] = (1280, 720)) -> Image:
    return to_bgr(draw_car(draw_plate(*lines), size)[0])


@pytest.mark.parametrize(
    "size", [(1280, 720), (720, 1280), (640, 640), (1024, 683), (1920, 1080), (321, 243)]
)
def test_drawn_plates_are_found_alike(
    lean: Detector, reference: Detector, size: tuple[int, int]
) -> None:
    image = scene("RK069AV", size=size)
    found = reference.detect(image)
    assert_alike(lean.detect(image), found)
    assert found or size == (321, 243)


def test_two_cars_are_found_alike(lean: Detector, reference: Detector) -> None:
    image = scene("RK069AV")
    image[:, :640] = scene("B123XYZ")[:, 320:960]
    image[:, 640:] = scene("AB12", "CDE")[:, 320:960]
    found = reference.detect(image)
    assert len(found) == 2
    assert_alike(lean.detect(image), found)


def test_an_empty_road_is_empty_to_both(lean: Detector, reference: Detector) -> None:
    image = scene()
    image[:] = 90
    assert lean.detect(image) == reference.detect(image) == []


def test_the_reference_is_what_predict_gives_by_default(reference: Detector) -> None:
    """Ultralytics' own call, nothing set but the side."""
    from ultralytics import YOLO

    image = scene("RK069AV")
    path = Settings().weights_dir / "last.pt"
    boxes = YOLO(path, task="detect").predict(image, imgsz=320, device="cpu", verbose=False)[0]
    mine = reference.detect(image)
    theirs = boxes.boxes.xyxy.tolist()
    assert [(d.box.x1, d.box.y1, d.box.x2, d.box.y2) for d in mine] == [tuple(b) for b in theirs]
    assert [d.confidence for d in mine] == boxes.boxes.conf.tolist()


def test_a_changed_pickle_is_not_loaded(tmp_path: Path) -> None:
    from anpr.detect import UltralyticsDetector

    path = tmp_path / "last.pt"
    path.write_bytes((Settings().weights_dir / "last.pt").read_bytes() + b"\0")
    with pytest.raises(ModelMismatch):
        UltralyticsDetector(ModelFile(path, "0" * 64)).load()


def test_ultralytics_installs_nothing_by_itself(reference: Detector) -> None:
    reference.load()
    from ultralytics.utils import AUTOINSTALL

    assert os.environ["YOLO_AUTOINSTALL"] == "false"
    assert not AUTOINSTALL


@pytest.mark.shared_data
@pytest.mark.parametrize(("split", "every"), [("val", 6), ("e2e", 6), ("world", 10)])
def test_real_plates_are_found_alike(
    lean: Detector, reference: Detector, shared_data: Path, split: str, every: int
) -> None:
    count = 0
    for name, data in photos(shared_data, split, every=every):
        image = imaging.decode(data).working
        found = reference.detect(image)
        assert_alike(lean.detect(image), found, name)
        count += len(found)
    assert count >= 8
