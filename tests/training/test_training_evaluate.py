"""The evaluation on photos that the test makes, with a detector and a reader that see colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from anpr.pipeline import Recognizer
from anpr.settings import Settings
from anpr.types import Box, Candidate, Detection, Reading
from training import detection, evaluate, report
from training.data import Photo, read_photos
from training.evaluate import Crop

if TYPE_CHECKING:
    from anpr.types import Image

WHITE = 200


class WhiteBlocks:
    """Finds the white blocks of an image; a real detector's protocol, no model."""

    name = "white-blocks"

    def load(self) -> None: ...

    def unload(self) -> None: ...

    def detect(self, image: Image) -> list[Detection]:
        mask = (image.min(axis=2) > WHITE).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        blocks = [stats[i].tolist() for i in range(1, count) if stats[i][4] > 20]
        return [Detection(Box(x, y, x + w, y + h), 0.9) for x, y, w, h, _ in blocks]


class Constant:
    """Reads the same text on every crop."""

    name = "constant"

    def load(self) -> None: ...

    def unload(self) -> None: ...

    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        assert crop.ndim == 3
        return Reading((Candidate("AB10", 0.9),))


def write(path: Path, blocks: list[tuple[int, int, int, int]], size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x1, y1, x2, y2 in blocks:
        image[y1:y2, x1:x2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Two ``val`` photos (three plates, one of them not to be seen, and a false block), an ``e2e``
    photo and two ``dev`` crops."""
    write(tmp_path / "1.png", [(10, 10, 60, 30), (200, 100, 240, 110)], (320, 160))
    write(tmp_path / "2.png", [(100, 100, 110, 105)], (640, 320))
    write(tmp_path / "3.png", [(30, 30, 90, 50)], (320, 200))
    photos = [
        ("1.png", "val", "one", 320, 160, [[10, 10, 60, 30], [80, 80, 100, 90]], None),
        ("2.png", "val", "two", 640, 320, [[100, 100, 110, 105]], None),
        ("3.png", "e2e", "three", 320, 200, [[30, 30, 90, 50]], ["AB-1O"]),
    ]
    with (tmp_path / "photos.jsonl").open("w", encoding="utf-8") as listing:
        for file, split, source, width, height, boxes, texts in photos:
            row = {"file": file, "split": split, "source": source, "width": width}
            row |= {"height": height, "boxes": boxes, "texts": texts}
            listing.write(f"{json.dumps(row)}\n")
    crops = [
        ("3.png", "AB10", "dev", "s1", [30, 30, 90, 50]),
        ("3.png", "ABIO", "dev", "s2", None),
        ("3.png", None, "dev", "s2", None),
        ("3.png", "ZZ", "train", "s2", None),
    ]
    with (tmp_path / "crops.jsonl").open("w", encoding="utf-8") as listing:
        for file, text, split, source, box in crops:
            row = {"file": file, "text": text, "split": split, "source": source, "box": box}
            listing.write(f"{json.dumps(row)}\n")
    return tmp_path


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "make_detector", lambda _settings: WhiteBlocks())
    monkeypatch.setattr(evaluate, "make_reader", lambda _settings: Constant())
    monkeypatch.setattr(
        evaluate,
        "Recognizer",
        lambda settings: Recognizer(settings, detector=WhiteBlocks(), reader=Constant()),
    )


def photos(shared: Path, split: str) -> list[Photo]:
    return list(read_photos(shared / "photos.jsonl", [split]))


def test_detection_is_counted_over_all_photos_and_by_source(
    shared: Path, settings: Settings
) -> None:
    figures = evaluate.detection(photos(shared, "val"), settings)
    everything = figures["sources"]["all"]
    assert list(figures["sources"]) == ["all", "one", "two"]
    assert (everything["photos"], everything["plates"]) == (2, 3)
    assert everything["precision"] == pytest.approx(2 / 3)
    assert everything["recall"] == pytest.approx(2 / 3)
    assert everything["false_per_photo"] == 0.5
    assert figures["sources"]["two"]["map50"] == pytest.approx(1.0)
    assert figures["sources"]["two"]["map50_95"] == pytest.approx(1.0)
    assert figures["served"] == everything


def test_unlabelled_plate_is_neither_right_nor_false(shared: Path, settings: Settings) -> None:
    unlabelled = {f"{shared.name}/1.png": ((190.0, 90.0, 250.0, 120.0),)}
    figures = evaluate.detection(photos(shared, "val"), settings, unlabelled)
    assert (figures["sources"]["all"]["precision"], figures["served"]["precision"]) == (1.0, 1.0)
    assert figures["raw"]["precision"] == pytest.approx(2 / 3)
    assert figures["raw"]["recall"] == figures["sources"]["all"]["recall"]


def test_box_on_an_annotated_plate_counts_even_where_an_unlabelled_one_lies(
    shared: Path, settings: Settings
) -> None:
    unlabelled = {f"{shared.name}/1.png": ((0.0, 0.0, 70.0, 40.0),)}
    figures = evaluate.detection(photos(shared, "val"), settings, unlabelled)
    assert figures["sources"]["all"]["recall"] == pytest.approx(2 / 3)


def test_recall_by_width_counts_pixels_of_the_photo_at_320(
    shared: Path, settings: Settings
) -> None:
    widths = evaluate.detection(photos(shared, "val"), settings)["by_width"]
    assert widths["under 12"] == {"plates": 1, "recall": 1.0}
    assert widths["16 to 24"] == {"plates": 1, "recall": 0.0}
    assert widths["48 or more"] == {"plates": 1, "recall": 1.0}
    assert widths["24 to 48"] == {"plates": 0, "recall": None}


@pytest.mark.parametrize(
    ("width", "name"),
    [
        (11.9, "under 12"),
        (12, "12 to 16"),
        (23.9, "16 to 24"),
        (24, "24 to 48"),
        (48, "48 or more"),
    ],
)
def test_width_class_begins_at_its_lower_border(width: float, name: str) -> None:
    assert detection.width_class(width) == name


def test_only_read_crops_of_the_split_are_measured(shared: Path) -> None:
    crops = list(evaluate.read_crops(shared / "crops.jsonl"))
    assert [(crop.source, crop.text) for crop in crops] == [("s1", "AB10"), ("s2", "ABIO")]
    assert [crop.box for crop in crops] == [Box(30, 30, 90, 50), None]


def test_crop_is_cut_with_the_padding_of_the_service(shared: Path, settings: Settings) -> None:
    class Sizes(Constant):
        seen: tuple[int, ...] = ()

        def read(self, crop: Image, *, top_n: int = 1) -> Reading:
            self.seen = crop.shape
            return super().read(crop)

    reader = Sizes()
    evaluate.crops([Crop(shared / "3.png", "s", "A", Box(30, 30, 90, 50))], reader, settings)
    assert reader.seen == (20 + 2 * settings.padding_px, 60 + 2 * settings.padding_px, 3)


def test_reading_is_counted_by_source(shared: Path, settings: Settings) -> None:
    figures = evaluate.crops(evaluate.read_crops(shared / "crops.jsonl"), Constant(), settings)
    assert [*figures["sources"]] == ["s1", "s2", "all"]
    assert figures["sources"]["s2"] == {"count": 1, "exact": 0.0, "folded": 1.0, "characters": 0.5}
    assert figures["sources"]["all"]["exact"] == 0.5


def test_end_to_end_counts_found_read_and_false(shared: Path, settings: Settings) -> None:
    recognizer = Recognizer(settings, detector=WhiteBlocks(), reader=Constant())
    figures = evaluate.end_to_end(photos(shared, "e2e"), recognizer)
    assert (figures["photos"], figures["plates"], figures["found"]) == (1, 1, 1.0)
    assert figures["text"]["exact"] == 0.0
    assert figures["text"]["folded"] == 1.0
    assert figures["false_per_photo"] == 0.0
    assert {"decode", "detect", "crop", "read", "total"} <= set(figures["stages_ms"])


def test_end_to_end_does_not_count_an_unlabelled_plate_as_false(
    shared: Path, settings: Settings
) -> None:
    write(shared / "3.png", [(30, 30, 90, 50), (200, 100, 240, 120)], (320, 200))
    recognizer = Recognizer(settings, detector=WhiteBlocks(), reader=Constant())
    unlabelled = {f"{shared.name}/3.png": ((195.0, 95.0, 245.0, 125.0),)}
    counted = evaluate.end_to_end(photos(shared, "e2e"), recognizer)
    ignored = evaluate.end_to_end(photos(shared, "e2e"), recognizer, unlabelled=unlabelled)
    assert (counted["false_per_photo"], ignored["false_per_photo"]) == (1.0, 0.0)


def test_command_prints_tables_and_writes_files(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--json", str(tmp_path / "f.json"), "--markdown", str(tmp_path / "f.md")]
    parts = ["--only", "detection", "--only", "crops", "--only", "e2e"]
    assert evaluate.main(["--data", str(shared), *parts, *files]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "f.md").read_text(encoding="utf-8")
    assert "| two | 1 | 1 | 1.000 | 1.000 |" in printed
    assert "| s1 | 1 | 100.0 % |" in printed
    assert "| `e2e` | 1 | 100.0 % | 0.0 % | 100.0 % |" in printed
    assert set(json.loads((tmp_path / "f.json").read_text("utf-8"))) == {
        "detection",
        "crops",
        "e2e",
    }


def test_command_without_photos_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["--data", str(tmp_path / "none")]) == 1
    assert "none is missing" in capsys.readouterr().err


def test_table_is_aligned_to_the_right_but_for_its_names() -> None:
    assert report.table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_unknown_share_is_a_dash() -> None:
    assert (report.percent(None), report.percent(0.5)) == ("–", "50.0 %")
