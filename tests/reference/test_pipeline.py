"""The reference runtime from bytes to text, chosen by the settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from anpr import Recognizer, memory
from anpr.settings import Settings
from tests.reference.photos import photos
from tests.scenes import car_photo

pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANPR_DETECTOR", "ultralytics")
    monkeypatch.setenv("ANPR_READER", "paddle")


@pytest.fixture(scope="module")
def reference() -> Iterator[Recognizer]:
    product = Recognizer(Settings(detector="ultralytics", reader="paddle"))
    product.load()
    memory.freeze()  # as the front doors do: Torch and Paddle make a collection cost half a second
    yield product
    product.unload()


@pytest.mark.usefixtures("chosen")
def test_the_environment_chooses_the_reference_runtime() -> None:
    product = Recognizer()
    result = product.read(car_photo("RK069AV"))
    assert [plate.text for plate in result] == ["RK069AV"]
    assert result.models["detector"].startswith("last@")
    assert {"torch", "ultralytics", "paddleocr"} <= set(sys.modules)
    product.unload()


@pytest.mark.parametrize("lines", [("RK069AV",), ("B123XYZ",), ("AB12", "CDE")])
def test_both_runtimes_read_drawn_photos_alike(
    recognizer: Recognizer, reference: Recognizer, lines: tuple[str, ...]
) -> None:
    photo = car_photo(*lines)
    lean, other = recognizer.read(photo), reference.read(photo)
    assert [p.text for p in lean] == [p.text for p in other] == ["".join(lines)]
    assert lean[0].box.iou(other[0].box) > 0.95


@pytest.mark.shared_data
@pytest.mark.parametrize(("split", "every"), [("e2e", 6), ("world", 10)])
def test_both_runtimes_mostly_read_real_photos_alike(
    recognizer: Recognizer, reference: Recognizer, shared_data: Path, split: str, every: int
) -> None:
    """``python -m benchmarks.agreement`` tells every difference; this is a floor."""
    pairs = [
        ([p.text for p in recognizer.read(data)], [p.text for p in reference.read(data)])
        for _, data in photos(shared_data, split, every=every)
    ]
    assert all(len(lean) == len(other) for lean, other in pairs)
    assert sum(lean == other for lean, other in pairs) / len(pairs) >= 0.6


def test_the_command_line_reads_with_the_reference_runtime(tmp_path: Path) -> None:
    (tmp_path / "car.jpg").write_bytes(car_photo("RK069AV"))
    outcome = subprocess.run(
        [sys.executable, "-m", "anpr.cli", "read", "--format", "jsonl", "car.jpg"],
        cwd=tmp_path,
        env=os.environ | {"ANPR_DETECTOR": "ultralytics", "ANPR_READER": "paddle"},
        check=True,
        capture_output=True,
        text=True,
    )
    [record] = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [plate["text"] for plate in record["plates"]] == ["RK069AV"]
    assert "Traceback" not in outcome.stderr


def test_opencv_is_the_headless_one() -> None:
    """PaddleX asks for opencv-contrib-python, whose files must not be those that are imported."""
    from importlib.metadata import version

    assert cv2.__version__ == ".".join(version("opencv-python-headless").split(".")[:3])
    assert cv2.__version__ != ".".join(version("opencv-contrib-python").split(".")[:3])
    assert "GUI:                           NONE" in cv2.getBuildInformation()
