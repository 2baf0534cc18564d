"""Which crops the reader is trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

from anpr.types import Candidate, Reading
from tests.scenes import plate_pixels
from training.reader import crops, dev, measure

if TYPE_CHECKING:
    from anpr.types import Image

Written = Callable[..., Path]


class Reads:
    """Reads the same on every crop."""

    name = "reads"

    def __init__(self, *lines: str, confidence: float = 0.99) -> None:
        self._reading = Reading((Candidate("".join(lines), confidence, lines=lines),))

    def load(self) -> None: ...

    def unload(self) -> None: ...

    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        return self._reading


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """A folder of data with these crops, what was read of them by eye, and photos' texts."""
    monkeypatch.setenv("ANPR_SHARED", str(tmp_path))
    data = tmp_path / "data"
    data.mkdir()
    cv2.imwrite(str(data / "one.png"), plate_pixels("RK069AV"))

    def write(
        *rows: dict[str, object], eye: tuple[dict[str, object], ...] = (), world: str = "X"
    ) -> Path:
        known = {"split": "train", "source": "faisal-train", "text": None, "box": None}
        (data / "crops.jsonl").write_text(
            "".join(json.dumps({**known, "file": "one.png", **row}) + "\n" for row in rows)
        )
        (data / "photos.jsonl").write_text(json.dumps({"split": "world", "texts": [world]}) + "\n")
        by_eye = tmp_path / "by_eye.jsonl"
        by_eye.write_text("".join(json.dumps(row) + "\n" for row in eye))
        monkeypatch.setattr(crops, "BY_EYE", by_eye)
        return tmp_path / "list.jsonl"

    return write


def trained_on(target: Path, reader: Reads) -> list[tuple[str, bool]]:
    crops.prepare(target, reader)
    return [(one.text, one.two_lines) for one in crops.read_list(target)]


def test_a_crop_without_a_label_gets_what_is_read_surely(written: Written) -> None:
    assert trained_on(written({}), Reads("RK069AV")) == [("RK069AV", False)]
    assert trained_on(written({}), Reads("RK069AV", confidence=0.8)) == []


def test_what_was_read_by_eye_goes_before_label_and_reader(written: Written) -> None:
    eye = {"file": "one.png", "text": "IKS9386"}
    target = written({"text": "DKS9386", "source": "br-train-detector"}, eye=(eye,))
    assert trained_on(target, Reads("DKS9386")) == [("IKS9386", False)]


def test_the_lines_that_were_seen_go_before_the_readers(written: Written) -> None:
    eye = {"file": "one.png", "text": "LEB8095", "lines": 2}
    assert trained_on(written({}, eye=(eye,)), Reads("LEB18095")) == [("LEB8095", True)]
    eye = {"file": "one.png", "text": "LEB8095"}
    assert trained_on(written({}, eye=(eye,)), Reads("LEB", "8095")) == [("LEB8095", True)]


def test_what_stays_open_to_the_eye_is_left_out(written: Written) -> None:
    eye = {"file": "one.png", "text": None}
    assert trained_on(written({"text": "RK069AV"}, eye=(eye,)), Reads("RK069AV")) == []


def test_no_plate_that_is_measured_on_is_taught(written: Written) -> None:
    assert trained_on(written({}, world="RK069AV"), Reads("RK069AV")) == []
    dev = {"split": "dev", "file": "other.png", "text": "RK069AV"}
    assert trained_on(written({}, dev), Reads("RK069AV")) == []
    eye = {"file": "other.png", "text": "RK069AV"}
    assert trained_on(written({}, dev | {"text": "BK069AV"}, eye=(eye,)), Reads("RK069AV")) == []


def test_what_is_read_as_the_eye_reads_it_is_right_and_the_illegible_is_told(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"split": "dev", "source": dev.OCR_LABELS, "country": "VN,CZ,HR"}
    published = [("a", "59P224379"), ("b", "59X203754"), ("c", "99H61527")]
    list_ = written(*(source | {"file": file, "text": text} for file, text in published))
    checked = list_.with_name("checked.jsonl")
    seen = [
        {"file": "a", "text": "59P224979"},
        {"file": "b", "text": "59X203754", "legible": False},
    ]
    checked.write_text("".join(json.dumps(row) + "\n" for row in seen))
    monkeypatch.setattr(crops, "CHECKED", checked)
    monkeypatch.setattr(crops, "load", lambda file: plate_pixels("X"))

    read = list(dev.read(Reads("59P224979")))
    assert [one.file for one in read] == ["a", "b"]  # the others' labels were made by an OCR
    assert [one.right for one in read] == [True, False]
    assert [one.legible for one in read] == [True, False]
    assert read[0].regions == {"vn", "cz", "hr"}
    assert read[0].published == "59P224379"
    shares = measure._by_source(read)
    assert shares["of these, two lines"] == {"crops": 2, "exact": 0.5, "folded": 0.5}
    assert shares["of these, one line"]["crops"] == 0
    assert shares["of these, legible to the eye, two lines"]["exact"] == 1
    assert shares[f"{dev.CHECKED_NAME}, legible to the eye"]["crops"] == 1


def test_a_region_that_is_expected_decides_between_what_was_read() -> None:
    reading = Reading((Candidate("00H058", 0.5), Candidate("OOH058", 0.4)))
    one = dev.Read("a", "ar", "OOH058", "OOH058", reading, regions=frozenset({"ar"}))
    assert not one.right
    assert measure._ranked(one).right
