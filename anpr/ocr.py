"""Plate readers: PP-OCR recognition on ONNX Runtime, and PaddleOCR itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from anpr import ctc, layout
from anpr.errors import ModelUnusable
from anpr.onnx import OnnxModel
from anpr.types import Candidate, Reading
from anpr.weights import ModelFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anpr.types import Image

PLATE_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

INPUT_HEIGHT: Final = 48  # PP-OCR recognition, image_shape [3, 48, 320]
INPUT_WIDTH: Final = 320  # narrower lines are padded to this with grey, as in its training
MAX_INPUT_WIDTH: Final = 1280

# Chosen on dev crops, e2e and world photos, where the choice moves one or two in a hundred.
_STRIP_MARGINS: Final = (0.15, 0.3)  # around a line of text, shares of its height
_SIDE: Final = 0.04  # of the width at each side: padding and frame, which read as 1 or I
_SURE: Final = 0.97  # a view read this surely is not looked at again
_DOUBTFUL: Final = 0.9  # read less surely as one line, it is tried as two that touch
_SURE_LINE: Final = 0.7  # each line of a two-line plate must be read at least this surely


def recognition_input(crop: Image) -> NDArray[np.float32]:
    """The tensor (1, 3, 48, W ≥ 320) that PP-OCR's recogniser expects for a BGR line of text.

    Scaled to height 48 with its aspect kept, to −1…1, padded right with zeros: PaddleOCR's
    ``OCRReisizeNormImg``.
    """
    height, width = crop.shape[:2]
    scaled = min(MAX_INPUT_WIDTH, max(8, -(-INPUT_HEIGHT * width // height)))
    line = cv2.resize(crop, (scaled, INPUT_HEIGHT), interpolation=cv2.INTER_LINEAR)
    batch = np.zeros((1, 3, INPUT_HEIGHT, max(scaled, INPUT_WIDTH)), np.float32)
    batch[0, :, :, :scaled] = (line.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
    return batch


def _without_sides(crop: Image) -> Image:
    width = crop.shape[1]
    side = int(width * _SIDE)
    return crop[:, side : width - side]


class OnnxReader:
    """PP-OCR recognition on ONNX Runtime, held to the characters of a plate.

    The graph's characters stand in its metadata (key ``character``, one a line; blank before
    them, space after). Lower-case letters count as their capitals; whatever is not in
    ``alphabet`` counts as blank.
    """

    def __init__(
        self, file: ModelFile, *, alphabet: str = PLATE_ALPHABET, threads: int = 1
    ) -> None:
        self._model = OnnxModel(file, threads=threads)
        self._alphabet = alphabet
        self._columns: tuple[list[int], list[int], list[int]] | None = None

    @property
    def name(self) -> str:
        return self._model.name

    def load(self) -> None:
        self._model.load()

    def unload(self) -> None:
        self._model.unload()

    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        """The text on a BGR crop (H, W, 3) of one plate.

        Two lines of like height are read one after the other, if both can be read; otherwise
        the highest line of text, closely and less closely cropped, and the whole crop compete.
        Raises ``ModelError`` or ``DeadlineExceeded``.
        """
        seen = layout.analyse(crop)
        straight = _without_sides(layout.level(crop, seen.slant_deg))
        if seen.pair is not None:
            views = self._two_lines(straight, seen.pair)
            if self._least(views) >= _SURE_LINE:
                return self._reading(views, top_n)
        best, best_confidence = self._one_line(straight, seen)
        if best_confidence < _DOUBTFUL:
            views = self._touching_lines(crop, seen)
            if self._least(views) >= max(_SURE_LINE, best_confidence):
                return self._reading(views, top_n)
        return self._reading([best], top_n)

    def _one_line(self, crop: Image, seen: layout.Layout) -> tuple[NDArray[np.float32], float]:
        """The surest view of a levelled crop as one line, and how sure it is."""
        best, best_confidence = np.zeros((0, 1 + len(self._alphabet)), np.float32), -1.0
        for view in self._views(crop, seen):
            probabilities = self._probabilities(view)
            confidence = self._least([probabilities])
            if confidence > best_confidence:
                best, best_confidence = probabilities, confidence
            if confidence >= _SURE:
                break
        return best, best_confidence

    def _touching_lines(self, crop: Image, seen: layout.Layout) -> list[NDArray[np.float32]]:
        """Two lines without a gap between them; on a square plate their slant may mislead."""
        layouts = [seen] if seen.slant_deg == 0 else [seen, layout.analyse(crop, (0,))]
        found = [
            self._two_lines(_without_sides(layout.level(crop, one.slant_deg)), one.halves)
            for one in layouts
            if one.halves is not None
        ]
        return max(found, key=self._least, default=[])

    def _two_lines(
        self, crop: Image, bands: tuple[tuple[float, float], tuple[float, float]]
    ) -> list[NDArray[np.float32]]:
        return [self._probabilities(layout.strip(crop, band, _STRIP_MARGINS[0])) for band in bands]

    def _least(self, views: list[NDArray[np.float32]]) -> float:
        """The confidence of the line that is read least surely; 0 without lines."""
        return min((ctc.greedy(view, self._alphabet).confidence for view in views), default=0.0)

    def _views(self, crop: Image, seen: layout.Layout) -> Iterator[Image]:
        if seen.main is not None:
            for margin in _STRIP_MARGINS:
                yield layout.strip(crop, seen.main, margin)
        yield crop

    def _probabilities(self, line: Image) -> NDArray[np.float32]:
        """Shape (T, 1 + len(alphabet)), blank first; each row sums to 1."""
        scores = self._model.run(recognition_input(line))[0]
        if self._columns is None:
            self._columns = self._find_columns(scores.shape[1])
        capitals, lower, theirs = self._columns
        mine = np.zeros((len(scores), 1 + len(self._alphabet)), np.float32)
        mine[:, 1:] = scores[:, capitals]
        mine[:, theirs] += scores[:, lower]
        mine[:, 0] = np.maximum(0, 1 - mine[:, 1:].sum(axis=1))
        return mine

    def _find_columns(self, outputs: int) -> tuple[list[int], list[int], list[int]]:
        """Columns of the graph: of each character, of lower-case letters, and where these go."""
        characters = ["", *self._model.metadata.get("character", "").split("\n"), " "]
        if len(characters) != outputs:
            raise ModelUnusable("The reader's characters do not fit its output.")
        column = {character: index for index, character in enumerate(characters)}
        missing = [character for character in self._alphabet if character not in column]
        if missing:
            raise ModelUnusable(f"The reader does not know the characters {''.join(missing)}.")
        pairs = [
            (column[character.lower()], index)
            for index, character in enumerate(self._alphabet, start=1)
            if character.lower() != character and character.lower() in column
        ]
        lower, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        return [column[character] for character in self._alphabet], lower, theirs

    def _reading(self, views: list[NDArray[np.float32]], top_n: int) -> Reading:
        """One reading from the lines of a plate, top to bottom."""
        lines = [ctc.greedy(view, self._alphabet) for view in views]
        text = "".join(line.text for line in lines)
        if not text:
            return Reading()
        confidence = math.prod(
            ctc.probability(view, self._alphabet, line.text)
            for view, line in zip(views, lines, strict=True)
        )
        texts = tuple(line.text for line in lines)
        characters = tuple(character for line in lines for character in line.characters)
        first = Candidate(text, confidence, lines=texts, characters=characters)
        others = self._others(views, text, top_n - 1) if top_n > 1 else []
        return Reading((first, *others))

    def _others(self, views: list[NDArray[np.float32]], text: str, most: int) -> list[Candidate]:
        """The likeliest texts but ``text``, lines combined."""
        beams = [ctc.beam(view, self._alphabet, width=most + 1) for view in views]
        found: dict[str, tuple[float, tuple[str, ...]]] = {}
        for parts in itertools.product(*beams):
            lines = tuple(part for part, _ in parts)
            probability, likeliest = found.get("".join(lines), (0.0, lines))
            total = probability + math.prod(p for _, p in parts)
            found["".join(lines)] = (total, likeliest)
        found.pop(text, None)
        found.pop("", None)
        ranked = sorted(found.items(), key=lambda item: -item[1][0])[:most]
        return [
            Candidate(
                other,
                probability,
                lines=lines,
                characters=tuple(
                    character
                    for view, line in zip(views, lines, strict=True)
                    for character in ctc.align(view, self._alphabet, line)
                ),
            )
            for other, (probability, lines) in ranked
        ]
