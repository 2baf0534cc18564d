"""Small real detectors and readers, for tests of what lies above them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from anpr import deadline
from anpr.types import Box, Candidate, Character, Detection, Reading

if TYPE_CHECKING:
    from anpr.types import Image


class FixedDetector:
    """Finds the same plates in every image; remembers the sizes it was shown."""

    name = "fixed@00000000"

    def __init__(self, *boxes: Box, seconds: float = 0.0) -> None:
        self._boxes = boxes
        self._seconds = seconds
        self.shapes: list[tuple[int, ...]] = []
        self.loads = 0

    def load(self) -> None:
        self.loads += 1

    def unload(self) -> None:
        self.loads = 0

    def detect(self, image: Image) -> list[Detection]:
        self.shapes.append(image.shape)
        ends = time.monotonic() + self._seconds
        while time.monotonic() < ends:  # as a model's run: slow, but ended by the deadline
            deadline.current().check()
            time.sleep(0.005)
        return [Detection(box, 0.9 - 0.1 * i) for i, box in enumerate(self._boxes)]


class FixedReader:
    """Reads the same text on every crop; remembers the sizes it was shown."""

    name = "fixed@11111111"

    def __init__(self, text: str = "RK069AV", confidence: float = 0.95) -> None:
        self._text = text
        self._confidence = confidence
        self.shapes: list[tuple[int, ...]] = []

    def load(self) -> None: ...

    def unload(self) -> None: ...

    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        self.shapes.append(crop.shape)
        if not self._text:
            return Reading()
        return Reading(
            tuple(
                self._candidate(self._text + "X" * i, self._confidence / (i + 1))
                for i in range(top_n)
            )
        )

    @staticmethod
    def _candidate(text: str, confidence: float) -> Candidate:
        characters = tuple(Character(one, confidence) for one in text)
        return Candidate(text, confidence, lines=(text,), characters=characters)
