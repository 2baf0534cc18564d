"""One run of a CTC recogniser: an image in, the probabilities of characters out."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np

from anpr import layout
from anpr.errors import ModelUnusable
from anpr.ocr.calibration import Calibration
from anpr.onnx import OnnxModel, Opener
from anpr.weights import ModelFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anpr.types import Image

    Probabilities = NDArray[np.float32]

PLATE_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

INPUT_HEIGHT: Final = 48  # PP-OCR recognition, image_shape [3, 48, 320]
INPUT_WIDTH: Final = 320  # narrower lines are padded to this with grey, as in its training
PLATE_WIDTH: Final = 160  # what a tuned model sees a whole plate at
PAIR_WIDTH: Final = 208  # two lines side by side: 13 steps of CTC for each
GLANCE_WIDTH: Final = 32  # too narrow to read, enough to tell two lines from one
TWO_LINES: Final = " "
"""The last character of every model of PaddleOCR; a tuned one's sign for "two lines"."""
_MAX_INPUT_WIDTH: Final = 1280


class Seen(NamedTuple):
    """``probabilities`` (T, 1 + characters), blank first, rows that sum to 1; ``two_lines`` is how
    surely the image shows two lines of text, where the recogniser can tell."""

    probabilities: Probabilities
    two_lines: float


class Recogniser:
    """A graph from (1, 3, 48, W) to (1, T, characters), and what its metadata tell.

    ``character`` are its characters, one a line; blank comes before them and a space after.
    ``plate_width``, where it is told, is the width that a plate is shown at whole; the space is
    then the sign for "two lines". ``pair_width`` is that of two lines laid side by side, and
    ``glance_width`` one that only the sign is asked at. ``calibration`` is explained in
    ``anpr.ocr.calibration``.
    """

    def __init__(
        self, file: ModelFile, *, alphabet: str | None, threads: int, opener: Opener
    ) -> None:
        self.model = OnnxModel(file, threads=threads, opener=opener)
        self._asked = alphabet
        self._columns: _Columns | None = None

    @property
    def alphabet(self) -> str:
        """What may be read: column i + 1 of the probabilities is its character i."""
        return self._known().alphabet

    @property
    def sees_plates(self) -> bool:
        return self._known().plate_width > 0

    @property
    def calibration(self) -> Calibration:
        return self._known().calibration

    def plate(self, image: Image) -> Seen:
        """A BGR image of a whole plate, stretched to the model's width."""
        return self._run(plate_input(image, self._known().plate_width))

    def glance(self, image: Image) -> float:
        """How surely a BGR image shows a plate of two lines, in a quarter of a whole look's time.

        0 where the model was not trained to tell.
        """
        width = self._known().glance_width
        return self._run(plate_input(image, width)).two_lines if width else 0.0

    def lines_side_by_side(self, image: Image, bands: layout.Bands) -> list[Probabilities]:
        """The probabilities of the upper and the lower line, from one run."""
        size = self._known().pair_width, INPUT_HEIGHT
        seen = self._run(plate_input(layout.side_by_side(image, bands, size), size[0]))
        upper, lower = np.array_split(seen.probabilities, 2)
        return [upper, lower]

    def line(self, image: Image) -> Probabilities:
        """A BGR image of a line of text, of any width."""
        return self._run(line_input(image)).probabilities

    def _run(self, batch: NDArray[np.float32]) -> Seen:
        scores = self.model.run(batch)[0]
        known = self._known()
        if scores.shape[1] != known.outputs:
            raise ModelUnusable("The reader's characters do not fit its output.")
        mine = np.zeros((len(scores), 1 + len(known.alphabet)), np.float32)
        mine[:, 1:] = scores[:, known.capitals]
        mine[:, known.theirs] += scores[:, known.lower]
        mine[:, 0] = np.maximum(0, 1 - mine[:, 1:].sum(axis=1))
        two_lines = float(scores[:, -1].max()) if known.plate_width else 0.0
        return Seen(mine, two_lines)

    def _known(self) -> _Columns:
        if self._columns is None:
            self._columns = _columns(self.model.metadata, self._asked)
        return self._columns


class _Columns(NamedTuple):
    """Columns of the graph: of each character, of lower-case letters, and where these go."""

    alphabet: str
    outputs: int
    capitals: list[int]
    lower: list[int]
    theirs: list[int]
    plate_width: int
    pair_width: int
    glance_width: int
    calibration: Calibration


def _columns(metadata: dict[str, str], asked: str | None) -> _Columns:
    characters = ["", *metadata.get("character", "").split("\n"), TWO_LINES]
    column = {character: index for index, character in enumerate(characters)}
    alphabet = asked or "".join(sorted({c for c in characters if len(c) == 1 and _writes(c)}))
    missing = [character for character in alphabet if character not in column]
    if missing or not alphabet:
        raise ModelUnusable(f"The reader does not know the characters {''.join(missing)}.")
    pairs = [
        (column[character.lower()], index)
        for index, character in enumerate(alphabet, start=1)
        if character.lower() != character and character.lower() in column
    ]
    width = _width(metadata, "plate_width")
    return _Columns(
        alphabet=alphabet,
        outputs=len(characters),
        capitals=[column[character] for character in alphabet],
        lower=[theirs for theirs, _ in pairs],
        theirs=[mine for _, mine in pairs],
        plate_width=width,
        pair_width=_width(metadata, "pair_width") or width,
        glance_width=_width(metadata, "glance_width"),
        calibration=Calibration.parse(metadata.get("calibration", "")),
    )


def _width(metadata: dict[str, str], name: str) -> int:
    """A width in pixels that a graph tells; 0 where it tells none.

    Raises ``ModelUnusable`` where it asks for a wider input than any line of text gets.
    """
    told = metadata.get(name, "")
    if not told.isdecimal():
        return 0
    if len(told) > len(str(_MAX_INPUT_WIDTH)) or int(told) > _MAX_INPUT_WIDTH:
        raise ModelUnusable(f"The reader's {name} is more than {_MAX_INPUT_WIDTH} pixels.")
    return int(told)


def _writes(character: str) -> bool:
    """Letters and digits of any script, but no variants: small, full-width, superscript …"""
    plain = unicodedata.normalize("NFKC", character.upper())
    return plain == character and (character.isalpha() or character.isdecimal())


def plate_input(image: Image, width: int) -> NDArray[np.float32]:
    """The tensor (1, 3, 48, width), BGR, −1 to 1, of a plate that is stretched to fill it."""
    return input_tensor([layout.scaled(image, (width, INPUT_HEIGHT))], width)


def line_input(image: Image) -> NDArray[np.float32]:
    """The tensor (1, 3, 48, W ≥ 320) that PP-OCR's recogniser expects for a BGR line of text.

    Scaled to height 48 with its aspect kept, to −1…1, padded right with zeros: PaddleOCR's
    ``OCRReisizeNormImg``.
    """
    height, width = image.shape[:2]
    scaled = min(_MAX_INPUT_WIDTH, max(8, -(-INPUT_HEIGHT * width // height)))
    line = cv2.resize(image, (scaled, INPUT_HEIGHT), interpolation=cv2.INTER_LINEAR)
    return input_tensor([np.asarray(line, np.uint8)], max(scaled, INPUT_WIDTH))


def input_tensor(images: Sequence[Image], width: int) -> NDArray[np.float32]:
    """BGR images 48 px high and up to ``width`` wide as (N, 3, 48, width), −1 to 1.

    Padded right with zeros.
    """
    batch = np.zeros((len(images), 3, INPUT_HEIGHT, width), np.float32)
    for place, image in zip(batch, images, strict=True):
        place[:, :, : image.shape[1]] = (image.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
    return batch
