from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from anpr.errors import ModelUnusable
from anpr.ocr import PLATE_ALPHABET, OnnxReader, line_input
from anpr.ocr.calibration import Line
from anpr.pipeline import make_reader
from anpr.settings import Settings
from anpr.types import Reader
from anpr.weights import ModelFile
from tests.graphs import constant_graph
from tests.scenes import plate_pixels

CHARACTERS = "\n".join("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabk中-")


@pytest.fixture(scope="module", params=["plate-reader", "ppocrv6-small"])
def reader(request: pytest.FixtureRequest) -> Reader:
    """The tuned one, and PP-OCR as it comes."""
    return make_reader(Settings(reader_model=request.param, reader_alphabet=PLATE_ALPHABET))


def fake_reader(
    folder: Path, text: str, characters: str = CHARACTERS, **metadata: str
) -> OnnxReader:
    """A reader whose graph answers ``text``, each character after a blank."""
    columns = ["", *characters.split("\n"), " "]
    scores = np.full((1, 2 * len(text) + 1, len(columns)), 0.001, np.float32)
    for step in range(scores.shape[1]):
        column = columns.index(text[step // 2]) if step % 2 else 0
        scores[0, step, column] = 1 - 0.001 * (len(columns) - 1)
    path = constant_graph(
        folder / "r.onnx",
        scores,
        shape=(1, 3, 48, "width"),
        metadata={"character": characters, **metadata},
    )
    return OnnxReader(ModelFile(path), alphabet=PLATE_ALPHABET)


def test_what_the_graph_says_of_its_confidence_is_applied(tmp_path: Path) -> None:
    crop = plate_pixels("AB1")
    plain = fake_reader(tmp_path, "AB1").read(crop)
    told = fake_reader(tmp_path, "AB1", calibration="2 -1 0.5 0.25").read(crop)
    assert told.confidence == pytest.approx(Line(2, -1)(plain.confidence))
    assert [one.confidence for one in told.characters] == pytest.approx(
        [Line(0.5, 0.25)(one.confidence) for one in plain.characters]
    )


@pytest.mark.parametrize("text", ["RK069AV", "B123XYZ", "KA05MF5055", "7ABC123"])
def test_one_line(reader: Reader, text: str) -> None:
    reading = reader.read(plate_pixels(text))
    assert (reading.text, reading.lines) == (text, (text,))
    assert reading.confidence > 0.5
    assert "".join(c.text for c in reading.characters) == text


def test_two_lines_are_read_from_top_to_bottom(reader: Reader) -> None:
    reading = reader.read(plate_pixels("AB12", "CDE", height=110))
    assert (reading.text, reading.lines) == ("AB12CDE", ("AB12", "CDE"))


def test_a_place_name_is_not_read_into_the_plate(reader: Reader) -> None:
    assert reader.read(plate_pixels("LEB4321", place="ISLAMABAD", height=110)).text == "LEB4321"


@pytest.mark.parametrize("slant", [-12, 12])
def test_a_slanting_plate_is_read(reader: Reader, slant: float) -> None:
    assert reader.read(plate_pixels("RK069AV", slant_deg=slant)).text == "RK069AV"


def test_nothing_to_read(reader: Reader) -> None:
    reading = reader.read(np.full((40, 160, 3), 120, np.uint8))
    assert (reading.text, reading.confidence, reading.candidates) == ("", 0.0, ())


@pytest.mark.parametrize("shape", [(1, 1), (1, 640), (480, 1), (3, 5), (480, 640)])
def test_any_crop_is_read_without_an_error(reader: Reader, shape: tuple[int, int]) -> None:
    reader.read(np.random.default_rng(3).integers(0, 255, (*shape, 3), np.uint8))


def test_candidates_begin_with_the_text_and_are_as_many_as_asked(reader: Reader) -> None:
    reading = reader.read(plate_pixels("RK069AV", height=24), top_n=5)
    assert len(reading.candidates) == 5
    assert reading.candidates[0].text == reading.text
    assert reading.candidates[0].confidence == reading.confidence
    rest = [one.confidence for one in reading.candidates[1:]]
    assert rest == sorted(rest, reverse=True)
    assert len({one.text for one in reading.candidates}) == 5


def test_candidates_of_two_lines_combine(reader: Reader) -> None:
    reading = reader.read(plate_pixels("AB12", "CDE", height=110), top_n=3)
    assert len(reading.candidates) == 3
    assert all(one.confidence <= reading.confidence for one in reading.candidates[1:])


def test_small_letters_count_as_capitals_and_other_characters_as_blank(tmp_path: Path) -> None:
    crop = plate_pixels("X")
    assert fake_reader(tmp_path, "kA中1-b").read(crop).text == "KA1B"


def test_without_an_alphabet_all_letters_and_digits_are_read(tmp_path: Path) -> None:
    fake_reader(tmp_path, "kA中1-b")
    assert OnnxReader(ModelFile(tmp_path / "r.onnx")).read(plate_pixels("X")).text == "KA中1B"


def test_confidence_is_the_probability_of_the_text(tmp_path: Path) -> None:
    reading = fake_reader(tmp_path, "AB12").read(plate_pixels("X"))
    assert 0.5 < reading.confidence < math.prod(c.confidence for c in reading.characters) + 0.05


@pytest.mark.parametrize(
    "characters",
    ["A\nB", "\n".join("0123456789ABC中文字符一二三四五六七八九十百千万上下左右大小多")],
)
def test_a_graph_that_cannot_write_plates_is_unusable(tmp_path: Path, characters: str) -> None:
    reader = fake_reader(tmp_path, "AB", characters)
    with pytest.raises(ModelUnusable):
        reader.read(plate_pixels("X"))


def test_a_graph_without_its_characters_is_unusable(tmp_path: Path) -> None:
    path = constant_graph(tmp_path / "r.onnx", np.zeros((1, 4, 9), np.float32))
    with pytest.raises(ModelUnusable):
        OnnxReader(ModelFile(path), alphabet=PLATE_ALPHABET).read(plate_pixels("X"))


def test_the_input_is_padded_and_normalised() -> None:
    batch = line_input(np.full((24, 48, 3), 255, np.uint8))
    assert batch.shape == (1, 3, 48, 320)
    assert batch[0, :, :, :96].min() == 1
    assert batch[0, :, :, 96:].max() == 0


def test_the_input_is_never_wider_than_its_limit() -> None:
    assert line_input(np.zeros((2, 640, 3), np.uint8)).shape == (1, 3, 48, 1280)


def test_the_alphabet_is_that_of_plates() -> None:
    assert len(PLATE_ALPHABET) == 36


@pytest.mark.parametrize("lines", [("P936", "EAB"), ("GAL", "8400"), ("59X1", "23456")])
@pytest.mark.parametrize("gap", [0.0, 0.06])
def test_two_lines_that_all_but_touch_are_read_as_two(
    reader: Reader, lines: tuple[str, str], gap: float
) -> None:
    upper, lower = (plate_pixels(line, height=60)[14:-14, 20:-20] for line in lines)
    width = min(upper.shape[1], lower.shape[1])
    space = np.full((round(60 * gap), width, 3), 255, np.uint8)
    crop = np.vstack([upper[:, :width], space, lower[:, :width]])
    assert reader.read(crop).lines == lines


def test_every_candidate_has_its_own_lines_and_characters(reader: Reader) -> None:
    reading = reader.read(plate_pixels("AB12", "CDE", height=110), top_n=4)
    for one in reading.candidates:
        assert "".join(one.lines) == one.text
        assert "".join(character.text for character in one.characters) == one.text
