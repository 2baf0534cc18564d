"""PaddleOCR, and the lean reader on the same recognition model."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from anpr.deadline import Deadline
from anpr.errors import DeadlineExceeded, ModelMissing
from anpr.models import manifest
from anpr.ocr import line_input
from anpr.onnx import OnnxModel
from anpr.paddle import PaddleReader, folder
from anpr.pipeline import make_reader
from anpr.settings import Settings
from anpr.types import Reader
from anpr.weights import ModelFile
from tests.conftest import ROOT
from tests.reference.photos import crops
from tests.scenes import plate_pixels

if TYPE_CHECKING:
    from anpr.types import Image

pytestmark = pytest.mark.reference

PADDLE_FORMAT = ROOT.parent / "shared" / "models" / "en_PP-OCRv3_det_infer"
TEXTS = ["RK069AV", "B123XYZ", "KA05MF5055", "7ABC123", "AB-123-CD", "WX 99"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("paddle")


@pytest.fixture(scope="module", params=["plate-reader", "ppocrv6-small"])
def file(request: pytest.FixtureRequest) -> ModelFile:
    """The tuned recogniser, and the one that it came from."""
    return manifest.find(Settings().weights_dir, request.param)


@pytest.fixture(scope="module")
def stock() -> ModelFile:
    """Reads lines however they are cut out; the tuned one is used to plates."""
    return manifest.find(Settings().weights_dir, "ppocrv6-small")


@pytest.fixture(scope="module")
def reader(cache: Path, file: ModelFile) -> Iterator[PaddleReader]:
    reader = PaddleReader(file, cache=cache)
    reader.load()
    yield reader
    reader.unload()


@pytest.fixture(scope="module")
def lean() -> Reader:
    return make_reader(Settings())


# --- the recogniser: the same sums --------------------------------------------------------------


class Recognisers:
    """One model file: on ONNX Runtime as the lean reader runs it, and through PaddleOCR.

    Both read greedily over all characters that the model knows, without a layout.
    """

    def __init__(self, file: ModelFile, cache: Path) -> None:
        from paddleocr import TextRecognition

        self._model = OnnxModel(file)
        self._characters = ["", *self._model.metadata["character"].split("\n"), " "]
        self._paddle = TextRecognition(
            model_name=folder.RECOGNISER,
            model_dir=str(folder.model_folder(cache, folder.recogniser_files(file))),
            device="cpu",
            engine="onnxruntime",
            engine_config={"intra_op_num_threads": 1},
        )

    def lean(self, crop: Image) -> tuple[str, float]:
        scores = self._model.run(line_input(crop))[0]
        best = scores.argmax(axis=1)
        starts = (best != np.concatenate([[-1], best[:-1]])) & (best != 0)
        text = "".join(self._characters[column] for column in best[starts])
        return text, float(scores.max(axis=1)[starts].mean()) if text else 0.0

    def paddle(self, crop: Image) -> tuple[str, float]:
        found = self._paddle.predict(crop, batch_size=1)[0]
        return found["rec_text"], float(found["rec_score"])

    def paddle_input(self, crop: Image) -> Any:
        return self._paddle.paddlex_predictor.pre_tfs["ReisizeNorm"](imgs=[crop])[0]


@pytest.fixture(scope="module")
def recognisers(reader: PaddleReader, file: ModelFile, cache: Path) -> Recognisers:
    return Recognisers(file, cache)


@pytest.mark.parametrize("text", TEXTS)
def test_one_recogniser_reads_alike_in_both_runtimes(recognisers: Recognisers, text: str) -> None:
    crop = plate_pixels(text)
    (lean, sure), (paddle, confidence) = recognisers.lean(crop), recognisers.paddle(crop)
    assert lean == paddle != ""
    assert sure == pytest.approx(confidence, abs=0.001)


@pytest.mark.parametrize("height", [20, 48, 61, 200])
def test_narrow_lines_reach_the_model_as_the_same_tensor(
    recognisers: Recognisers, height: int
) -> None:
    crop = plate_pixels("RK069AV", height=height)
    mine, theirs = line_input(crop)[0], recognisers.paddle_input(crop)
    assert mine.shape == theirs.shape == (3, 48, 320)
    assert np.abs(mine - theirs).max() < 1e-6


@pytest.mark.shared_data
def test_one_recogniser_reads_real_crops_alike(recognisers: Recognisers, shared_data: Path) -> None:
    count = 0
    for name, crop in crops(shared_data, every=12):
        (lean, sure), (paddle, confidence) = recognisers.lean(crop), recognisers.paddle(crop)
        assert lean == paddle, name
        assert sure == pytest.approx(confidence, abs=0.01), name
        count += 1
    assert count > 100


# --- the reader --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["RK069AV", "B123XYZ", "KA05MF5055", "7ABC123"])
def test_one_line(reader: PaddleReader, text: str) -> None:
    reading = reader.read(plate_pixels(text), top_n=5)
    assert (reading.text, reading.lines) == (text, (text,))
    assert reading.confidence > 0.8
    assert [c.text for c in reading.candidates] == [text]


def test_two_lines_are_read_from_top_to_bottom(reader: PaddleReader) -> None:
    reading = reader.read(plate_pixels("AB12", "CDE", height=110))
    assert (reading.text, reading.lines) == ("AB12CDE", ("AB12", "CDE"))


def test_a_place_name_is_not_read_into_the_plate(reader: PaddleReader) -> None:
    assert reader.read(plate_pixels("LEB4321", place="ISLAMABAD", height=110)).text == "LEB4321"


@pytest.mark.parametrize("slant", [-12, 12])
def test_a_slanting_plate_is_read(reader: PaddleReader, slant: float) -> None:
    assert reader.read(plate_pixels("RK569AV", slant_deg=slant)).text == "RK569AV"


@pytest.mark.parametrize("size", [(1, 1), (1, 600), (480, 2), (8, 8), (480, 640)])
def test_nothing_is_read_where_nothing_is(reader: PaddleReader, size: tuple[int, int]) -> None:
    assert reader.read(np.full((*size, 3), 127, np.uint8)).text == ""


def test_text_detection_is_fast_and_recognition_takes_one_line_at_a_time(
    reader: PaddleReader,
) -> None:
    """Read off the running models, not off what was asked for."""
    pipeline = reader._ocr.paddlex_pipeline._pipeline
    assert pipeline.text_det_model.post_op.score_mode == "fast"
    assert pipeline.text_det_model.config["PostProcess"]["score_mode"] == "fast"
    assert pipeline.text_rec_model.batch_sampler.batch_size == 1
    assert not pipeline.use_doc_preprocessor
    assert not pipeline.use_textline_orientation
    for model in (pipeline.text_det_model, pipeline.text_rec_model):
        session = model.runner.session
        assert session.get_providers() == ["CPUExecutionProvider"]
        assert session.get_session_options().intra_op_num_threads == 1


def test_many_threads_may_read(reader: PaddleReader) -> None:
    texts: list[str] = []
    crop = plate_pixels("RK069AV")
    threads = [
        threading.Thread(target=lambda: texts.append(reader.read(crop).text)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["RK069AV"] * 4


def test_no_reading_after_the_deadline(reader: PaddleReader) -> None:
    with Deadline(0), pytest.raises(DeadlineExceeded):
        reader.read(plate_pixels())


def test_loading_and_reading_need_no_network(
    file: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(*arguments: object, **options: object) -> None:
        asked.append(arguments)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    reader = PaddleReader(file, cache=tmp_path / "fresh")
    assert reader.read(plate_pixels("RK069AV")).text == "RK069AV"
    reader.unload()
    assert asked == []


def test_an_unloaded_reader_loads_again(file: ModelFile, cache: Path) -> None:
    reader = PaddleReader(file, cache=cache)
    reader.load()
    reader.unload()
    assert reader.read(plate_pixels("RK069AV")).text == "RK069AV"


def test_the_paddle_engine_says_what_it_lacks(file: ModelFile, cache: Path) -> None:
    with pytest.raises(ModelMissing, match="Paddle's format"):
        PaddleReader(file, engine="paddle", cache=cache).load()


@pytest.mark.skipif(not PADDLE_FORMAT.is_dir(), reason="no model in Paddle's format is here")
def test_paddle_itself_finds_the_lines(stock: ModelFile, cache: Path) -> None:
    """Text detection runs on Paddle; recognition does not: no such model is at hand."""
    reader = PaddleReader(stock, engine="paddle", detection_model=PADDLE_FORMAT, cache=cache)
    assert reader.read(plate_pixels("RK069AV")).text == "RK069AV"
    assert reader.read(plate_pixels("AB12", "CDE", height=110)).lines == ("AB12", "CDE")
    pipeline = reader._ocr.paddlex_pipeline._pipeline
    assert type(pipeline.text_det_model.runner).__name__ == "PaddleStaticRunner"
    assert type(pipeline.text_rec_model.runner).__name__ == "ONNXRuntimeRunner"
    assert pipeline.text_det_model.post_op.score_mode == "fast"
    reader.unload()


@pytest.mark.shared_data
def test_both_readers_mostly_read_real_crops_alike(
    reader: PaddleReader, lean: Reader, shared_data: Path
) -> None:
    """They find their lines differently, so this is a floor and no equality."""
    pairs = [
        (lean.read(crop).text, reader.read(crop).text) for _, crop in crops(shared_data, every=12)
    ]
    assert sum(a == b for a, b in pairs) / len(pairs) >= 0.8
