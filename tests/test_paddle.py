"""What can be told of the PaddleOCR reader without PaddleOCR; the rest is in tests/reference."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from anpr.errors import ModelMismatch, ModelMissing, ModelUnusable, RuntimeMissing
from anpr.models import manifest
from anpr.ocr import PLATE_ALPHABET
from anpr.paddle import PaddleReader, folder
from anpr.paddle.reader import TextLine, reading
from anpr.pipeline import make_reader
from anpr.settings import Settings
from anpr.types import Reader
from anpr.weights import ModelFile
from tests.graphs import constant_graph
from tests.scenes import plate_pixels

CHARACTERS = ["'", '"', "\\", "0", "A", "中", "\u2028", "🛅"]


@pytest.fixture
def recogniser(tmp_path: Path) -> ModelFile:
    scores = np.zeros((1, 3, len(CHARACTERS) + 2), np.float32)
    path = tmp_path / "recogniser.onnx"
    return ModelFile(constant_graph(path, scores, metadata={"character": "\n".join(CHARACTERS)}))


def line(
    text: str, *, x: float = 50, y: float = 20, size: tuple[float, float] = (90, 20), p: float = 0.9
) -> TextLine:
    return TextLine(text, p, x, y, *size)


# --- the runtime -------------------------------------------------------------------------------


def test_without_paddleocr_the_runtime_is_missing(
    recogniser: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paddleocr", None)
    monkeypatch.setenv("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "")
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path))
    reader: Reader = PaddleReader(recogniser, cache=tmp_path / "cache")
    with pytest.raises(RuntimeMissing, match="make reference"):
        reader.load()
    with pytest.raises(RuntimeMissing, match="make reference"):
        reader.read(plate_pixels())
    assert not (tmp_path / "cache").exists()


def test_making_and_unloading_a_reader_loads_nothing(recogniser: ModelFile, tmp_path: Path) -> None:
    reader = PaddleReader(recogniser, cache=tmp_path / "cache")
    reader.unload()
    assert reader.name == "recogniser"
    assert not (tmp_path / "cache").exists()


def test_its_model_folders_lie_in_the_cache_that_the_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def imported(engine: str, cache: Path) -> None:
        asked.append(cache)
        raise RuntimeMissing("no PaddleOCR")

    monkeypatch.setattr("anpr.paddle.reader._import", imported)
    with pytest.raises(RuntimeMissing):
        make_reader(Settings(reader="paddle", cache_dir=str(tmp_path))).load()
    assert asked == [tmp_path / "paddle"]


# --- from lines to a reading -------------------------------------------------------------------


def test_lines_are_joined_from_top_to_bottom() -> None:
    found = reading([line("CD345", y=60), line("AB12", y=20)])
    assert (found.text, found.lines) == ("AB12CD345", ("AB12", "CD345"))


def test_pieces_of_a_row_are_joined_from_left_to_right() -> None:
    found = reading([line("123", x=90, y=18), line("AB", x=10, y=22)])
    assert (found.text, found.lines) == ("AB123", ("AB123",))


def test_lines_much_lower_than_the_highest_are_left_out() -> None:
    found = reading([line("TEXAS", y=5, size=(40, 9)), line("BKT4321", y=40, size=(90, 30))])
    assert found.text == "BKT4321"


def test_letters_that_stand_beside_the_number_are_left_out() -> None:
    beside = line("ICT", x=8, size=(10, 40))
    assert reading([beside, line("HC926")]).text == "HC926"
    assert reading([beside]).text == "ICT"


def test_what_no_plate_has_is_dropped() -> None:
    assert reading([line("ab·12 -É中CD")], PLATE_ALPHABET).text == "AB12CD"
    assert reading([line("ab·12 -É中CD")]).text == "AB12É中CD"


@pytest.mark.parametrize("lines", [[], [line("")], [line("·-")]])
def test_nothing_readable_is_an_empty_reading(lines: list[TextLine]) -> None:
    found = reading(lines)
    assert (found.text, found.confidence, found.candidates) == ("", 0.0, ())


def test_the_confidence_of_a_line_stands_for_each_of_its_characters() -> None:
    found = reading([line("AB", y=10, p=0.9), line("CDE", y=50, p=0.6)])
    assert [c.confidence for c in found.characters] == [0.9, 0.9, 0.6, 0.6, 0.6]
    assert found.confidence == pytest.approx((0.9**2 * 0.6**3) ** (1 / 5))
    assert [c.text for c in found.candidates] == ["ABCDE"]


# --- model folders -----------------------------------------------------------------------------


def test_the_recogniser_folder_names_every_character(recogniser: ModelFile) -> None:
    files = folder.recogniser_files(recogniser)
    config = yaml.safe_load(files["inference.yml"])
    assert config["Global"]["model_name"] == folder.RECOGNISER == folder.model_name(files)
    assert config["PostProcess"] == {"name": "CTCLabelDecode", "character_dict": CHARACTERS}
    assert {"RecResizeImg": {"image_shape": [3, 48, 320]}} in config["PreProcess"]["transform_ops"]
    assert files["inference.onnx"] == recogniser.path.read_bytes()


@pytest.mark.parametrize(("model", "count"), [("plate-reader", 36), ("ppocrv6-small", 18_708)])
def test_the_characters_of_a_reader_survive_the_folder(model: str, count: int) -> None:
    file = manifest.find(Settings().weights_dir, model)
    config = json.loads(folder.recogniser_files(file)["inference.yml"])
    characters = config["PostProcess"]["character_dict"]
    assert len(characters) == count
    assert set(PLATE_ALPHABET) <= set(characters)


def test_a_recogniser_without_characters_is_unusable(tmp_path: Path) -> None:
    path = constant_graph(tmp_path / "r.onnx", np.zeros((1, 3, 4), np.float32))
    with pytest.raises(ModelUnusable, match="no characters"):
        folder.recogniser_files(ModelFile(path))


def test_a_changed_model_gets_no_folder(tmp_path: Path) -> None:
    (tmp_path / "d.onnx").write_bytes(b"changed")
    with pytest.raises(ModelMismatch):
        folder.detector_files(ModelFile(tmp_path / "d.onnx", "0" * 64))


def test_the_text_detector_is_in_fast_mode(tmp_path: Path) -> None:
    (tmp_path / "d.onnx").write_bytes(b"graph")
    files = folder.detector_files(ModelFile(tmp_path / "d.onnx"))
    config = yaml.safe_load(files["inference.yml"])
    assert config["PostProcess"]["name"] == "DBPostProcess"
    assert config["PostProcess"]["score_mode"] == "fast"
    assert config["Global"]["model_name"] == folder.TEXT_DETECTOR


def test_a_folder_that_is_given_is_copied_in_fast_mode(tmp_path: Path) -> None:
    config = {"Global": {"model_name": "given"}, "PostProcess": {"score_mode": "slow", "thresh": 1}}
    (tmp_path / "inference.yml").write_text(yaml.safe_dump(config), "utf-8")
    (tmp_path / "inference.pdmodel").write_bytes(b"graph")
    (tmp_path / "README").write_text("left behind", "utf-8")
    files = folder.detector_copy(tmp_path)
    assert sorted(files) == ["inference.pdmodel", "inference.yml"]
    assert yaml.safe_load(files["inference.yml"])["PostProcess"] == {
        "score_mode": "fast",
        "thresh": 1,
    }
    assert folder.model_name(files) == "given"


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        folder.detector_copy(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "[]", "PostProcess: {}", "{"])
def test_a_folder_without_sense_is_unusable(tmp_path: Path, content: str) -> None:
    (tmp_path / "inference.yml").write_text(content, "utf-8")
    with pytest.raises(ModelUnusable):
        folder.detector_copy(tmp_path)


def test_a_model_folder_holds_its_files_and_nothing_else(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    made = folder.model_folder(cache, {"a": b"1", "b": b"2"})
    assert {p.name: p.read_bytes() for p in made.iterdir()} == {"a": b"1", "b": b"2"}
    assert list(cache.iterdir()) == [made]
    assert made.stat().st_mode & 0o077 == cache.stat().st_mode & 0o077 == 0


def test_the_same_files_share_a_folder_and_others_do_not(tmp_path: Path) -> None:
    first = folder.model_folder(tmp_path, {"a": b"1"})
    written = (first / "a").stat().st_mtime_ns
    assert folder.model_folder(tmp_path, {"a": b"1"}) == first
    assert (first / "a").stat().st_mtime_ns == written
    assert folder.model_folder(tmp_path, {"a": b"2"}) != first
    assert folder.model_folder(tmp_path, {"a1": b""}) != first


def test_a_folder_that_was_tampered_with_is_made_anew(tmp_path: Path) -> None:
    made = folder.model_folder(tmp_path, {"a": b"1", "b": b"2"})
    (made / "a").write_bytes(b"0")
    (made / "c").write_bytes(b"3")
    assert folder.model_folder(tmp_path, {"a": b"1", "b": b"2"}) == made
    assert {p.name: p.read_bytes() for p in made.iterdir()} == {"a": b"1", "b": b"2"}
    assert list(tmp_path.iterdir()) == [made]


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(ModelUnusable, match="cannot be written"):
            folder.model_folder(tmp_path, {"a": b"1"})
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a": b"1"}
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        target.mkdir()
        (target / "a").write_bytes(b"1")
        return rename(self, target)  # the target is there and not empty: this fails

    monkeypatch.setattr(Path, "rename", late)
    made = folder.model_folder(tmp_path, files)
    assert (made / "a").read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [made]
