"""Plate readers on ONNX Runtime: a recogniser tuned to plates, and PP-OCR's as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anpr.ocr import plates, text_lines
from anpr.ocr.reading import make_reading
from anpr.ocr.recogniser import (
    GLANCE_WIDTH,
    INPUT_HEIGHT,
    INPUT_WIDTH,
    PAIR_WIDTH,
    PLATE_ALPHABET,
    PLATE_WIDTH,
    TWO_LINES,
    Recogniser,
    input_tensor,
    line_input,
)
from anpr.onnx import Opener, RunsGraph, open_session
from anpr.types import Reading
from anpr.weights import ModelFile

if TYPE_CHECKING:
    from anpr.types import Image

__all__ = [
    "GLANCE_WIDTH",
    "INPUT_HEIGHT",
    "INPUT_WIDTH",
    "PAIR_WIDTH",
    "PLATE_ALPHABET",
    "PLATE_WIDTH",
    "TWO_LINES",
    "OnnxReader",
    "Recogniser",
    "input_tensor",
    "line_input",
]


class OnnxReader(RunsGraph):
    """A CTC recogniser on ONNX Runtime, held to the characters of a plate.

    What its graph says of itself decides how a plate is shown to it: a tuned one sees plates
    whole (``anpr.ocr.plates``), PP-OCR's sees lines of text (``anpr.ocr.text_lines``).
    ``alphabet`` is what may be read; without one, all letters and digits that the graph knows.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        alphabet: str | None = None,
        threads: int = 1,
        opener: Opener = open_session,
    ) -> None:
        self._recogniser = Recogniser(file, alphabet=alphabet, threads=threads, opener=opener)
        self._model = self._recogniser.model

    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        """The text on a BGR crop (H, W, 3) of one plate, in one line or two.

        Raises ``ModelError`` or ``DeadlineExceeded``.
        """
        recogniser = self._recogniser
        views = (plates if recogniser.sees_plates else text_lines).views(recogniser, crop)
        return make_reading(views, recogniser.alphabet, top_n, recogniser.calibration)
