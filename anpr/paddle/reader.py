"""A plate reader that is PaddleOCR itself: the reference beside ``anpr.ocr``.

PaddleOCR finds the lines of text on a crop and reads each. It runs folders, which
``anpr.paddle.folder`` makes.

Recognition runs on ONNX Runtime whichever engine is chosen: there is no PP-OCRv6 recogniser in
Paddle's format here. With the engine ``paddle``, Paddle itself runs the text detector.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import math
import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from anpr import deadline, memory
from anpr.errors import ModelMissing, ModelUnusable, RuntimeMissing
from anpr.onnx import runtime
from anpr.paddle import folder
from anpr.types import Candidate, Character, Reading
from anpr.weights import ModelFile

if TYPE_CHECKING:
    from anpr.types import Image

Engine = Literal["onnxruntime", "paddle"]

_TEXT_DETECTOR_FILE: Final = Path("models", "PP-OCRv6_det_small.onnx")  # in the rapidocr wheel
_TEXT_DETECTOR_SHA256: Final = "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"
_SIDE_PX: Final = 320  # longer side of a crop for text detection; 160 to 416 read dev crops alike
# Lower lines are place names and slogans; 0.55 to 0.8 of the highest read dev crops alike
_LEAST_HEIGHT: Final = 0.7
_TURNED: Final = 1.5  # PaddleX turns a line that is so many times as high as it is wide


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text as PaddleOCR gives it: its middle and its size in pixels of the crop."""

    text: str
    confidence: float
    x: float
    y: float
    width: float
    height: float

    @property
    def turned(self) -> bool:
        """Text from top to bottom, as the letters that some countries put beside the number."""
        return self.height >= _TURNED * self.width


class PaddleReader:
    """PaddleOCR on the CPU: text detection in fast mode, then recognition, one line at a time.

    ``file`` is the recogniser, an ONNX file with its characters in the metadata.
    ``detection_model`` is a PaddleX folder with a text detector: one with ``inference.onnx`` for
    the engine ``onnxruntime`` (by default PP-OCRv6 small out of the rapidocr wheel), one in
    Paddle's format for the engine ``paddle``. ``cache`` is where the model folders are kept.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        engine: Engine = "onnxruntime",
        threads: int = 1,
        alphabet: str | None = None,
        detection_model: Path | None = None,
        cache: Path | None = None,
    ) -> None:
        self._file = file
        self._engine = engine
        self._threads = threads
        self._alphabet = alphabet
        self._detection_model = detection_model
        self._cache = cache
        self._lock = threading.Lock()
        self._ocr: Any = None

    @property
    def name(self) -> str:
        return self._file.name

    def load(self) -> None:
        """Raises ``RuntimeMissing``, ``ModelMissing``, ``ModelMismatch`` or ``ModelUnusable``."""
        with self._lock:
            self._ready()

    def unload(self) -> None:
        with self._lock:
            if self._ocr is not None:
                self._ocr.close()
            self._ocr = None
        memory.release()

    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        """The text on a BGR crop (H, W, 3) of one plate.

        PaddleOCR gives one confidence a line, which stands for each of its characters, and no
        other texts than the best: there is one candidate whatever ``top_n``. A run cannot be
        ended, so the deadline is looked at before it only.

        Raises ``ModelError`` or ``DeadlineExceeded``.
        """
        deadline.current().check()
        with self._lock:
            ocr = self._ready()
            try:
                found = ocr.predict(crop)[0]
            except Exception as error:
                raise ModelUnusable from error
        lines = [
            _line(text, float(confidence), corners.tolist())
            for text, confidence, corners in zip(
                found["rec_texts"], found["rec_scores"], found["rec_polys"], strict=True
            )
        ]
        return reading(lines, self._alphabet)

    def _ready(self) -> Any:
        if self._ocr is None:
            self._ocr = self._open()
        return self._ocr

    def _open(self) -> Any:
        cache = self._cache or _default_cache()
        paddle_ocr = _import(self._engine, cache)
        recogniser = folder.recogniser_files(self._file)
        detector = self._detector_files()
        config = {
            "pipeline_name": "OCR",
            "text_type": "general",
            "SubModules": {  # only here can each model have an engine of its own
                "TextDetection": {"module_name": "text_detection", "engine": self._engine},
                "TextRecognition": {"module_name": "text_recognition", "engine": "onnxruntime"},
            },
        }
        threads = {
            "onnxruntime": {"intra_op_num_threads": self._threads, "inter_op_num_threads": 1},
            "paddle_static": {"cpu_threads": self._threads, "run_mode": "paddle"},
        }
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return paddle_ocr(
                    paddlex_config=config,
                    device="cpu",
                    engine_config=threads,
                    text_detection_model_name=folder.model_name(detector),
                    text_detection_model_dir=str(folder.model_folder(cache, detector)),
                    text_det_limit_type="resize_long",
                    text_det_limit_side_len=_SIDE_PX,
                    **{f"text_det_{name}": value for name, value in folder.POST_PROCESS.items()},
                    text_recognition_model_name=folder.RECOGNISER,
                    text_recognition_model_dir=str(folder.model_folder(cache, recogniser)),
                    text_recognition_batch_size=1,
                    use_textline_orientation=False,
                    use_doc_orientation_classify=False,
                    use_doc_unwarping=False,
                )
        except ModelUnusable:
            raise
        except Exception as error:  # PaddleX raises whatever it trips over
            raise ModelUnusable("PaddleOCR cannot run its models.") from error

    def _detector_files(self) -> dict[str, bytes]:
        if self._detection_model is not None:
            return folder.detector_copy(self._detection_model)
        if self._engine == "paddle":
            raise ModelMissing(
                "The engine 'paddle' needs the folder of a text detector in Paddle's format."
            )
        package = importlib.util.find_spec("rapidocr")
        places = package.submodule_search_locations if package else None
        path = Path(next(iter(places or ["not-installed"]))) / _TEXT_DETECTOR_FILE
        return folder.detector_files(ModelFile(path, _TEXT_DETECTOR_SHA256))


def _import(engine: Engine, cache: Path) -> Any:
    """The class ``PaddleOCR``, kept from the network and from the home folder."""
    os.environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] = "True"  # it waits for hosts otherwise
    os.environ.setdefault("PADDLE_PDX_CACHE_HOME", str(cache / "paddlex"))
    runtime()  # before PaddleX imports it: that is where its reporting is turned off
    try:
        with warnings.catch_warnings():  # about what its dependencies do; nobody here can act on it
            warnings.simplefilter("ignore")
            from paddleocr import PaddleOCR
    except ImportError as error:
        raise RuntimeMissing(
            "The reader runtime 'paddle' is not installed: run 'make reference'."
        ) from error
    if engine == "paddle" and importlib.util.find_spec("paddle") is None:
        raise RuntimeMissing("Paddle itself is not installed: run 'make reference'.")
    logging.getLogger("paddlex").setLevel(logging.WARNING)
    return PaddleOCR


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "anpr", "paddle")


# --- from what PaddleOCR found to a reading ----------------------------------------------------


def _line(text: str, confidence: float, corners: Sequence[Sequence[float]]) -> TextLine:
    """A line in the quadrangle of ``corners``, clockwise from the top left one."""
    top_left, top_right, bottom_right, bottom_left = corners
    width = (math.dist(top_left, top_right) + math.dist(bottom_left, bottom_right)) / 2
    height = (math.dist(top_left, bottom_left) + math.dist(top_right, bottom_right)) / 2
    x, y = (sum(values) / len(corners) for values in zip(*corners, strict=True))
    return TextLine(text, confidence, x, y, width, height)


def reading(lines: Sequence[TextLine], alphabet: str | None = None) -> Reading:
    """The lines of a registration, joined from top to bottom, those of a row from left to right.

    Capitals stand for lower-case letters; what is not in ``alphabet`` (without one, what is neither
    a letter nor a digit) is dropped, and so are lines much lower than the highest one, and turned
    ones beside those that are not.
    """
    wanted = str.isalnum if alphabet is None else set(alphabet).__contains__
    kept = [replace(line, text="".join(filter(wanted, line.text.upper()))) for line in lines]
    kept = [line for line in kept if line.text]
    if not kept:
        return Reading()
    kept = [line for line in kept if not line.turned] or kept
    least = _LEAST_HEIGHT * max(line.height for line in kept)
    rows: list[list[TextLine]] = []
    for line in sorted((line for line in kept if line.height >= least), key=lambda line: line.y):
        last = rows[-1][-1] if rows else None
        if last and line.y - last.y < min(line.height, last.height) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    rows = [sorted(row, key=lambda line: line.x) for row in rows]
    characters = tuple(
        Character(character, min(1.0, line.confidence))
        for line in itertools.chain.from_iterable(rows)
        for character in line.text
    )
    logs = [math.log(max(one.confidence, 1e-9)) for one in characters]
    text, confidence = "".join(one.text for one in characters), math.exp(sum(logs) / len(logs))
    texts = tuple("".join(line.text for line in row) for row in rows)
    return Reading((Candidate(text, confidence, lines=texts, characters=characters),))
