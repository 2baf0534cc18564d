"""Pictures with the plates drawn into them, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from anpr.errors import SourceUnreadable
from anpr.types import Plate

if TYPE_CHECKING:
    from anpr.types import Image

_COLOUR: Final = (60, 200, 20)  # BGR
_INK: Final = (255, 255, 255)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


def draw(image: Image, plates: Sequence[Plate], scale: tuple[float, float]) -> Image:
    """A copy of a BGR image with boxes and texts; ``scale`` leads from it to the plates' pixels."""
    canvas = image.copy()
    height, width = canvas.shape[:2]
    line = max(1, round(max(height, width) / 500))
    size = max(0.5, max(height, width) / 1400)
    for plate in plates:
        box = plate.box.scaled(1 / scale[0], 1 / scale[1])
        x1, y1, x2, y2 = (round(v) for v in (box.x1, box.y1, box.x2, box.y2))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), _COLOUR, line)
        label = f"{plate.text or '?'}  {plate.confidence:.0%}"
        (wide, high), base = cv2.getTextSize(label, _FONT, size, line)
        left = min(max(0, x1), max(0, width - wide))
        bottom = y1 - line if y1 - line - high - base > 0 else min(height, y2 + high + 2 * base)
        cv2.rectangle(
            canvas, (left, bottom - high - base), (left + wide, bottom), _COLOUR, cv2.FILLED
        )
        cv2.putText(canvas, label, (left, bottom - base // 2), _FONT, size, _INK, line, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)


class Album:
    """A folder of annotated JPEGs, named after their sources; a later run writes over them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def add(self, image: Image, source: str) -> Path:
        """Raises ``SourceUnreadable`` where the folder cannot be written to."""
        coded, data = cv2.imencode(".jpg", image)
        path = self._folder / f"{self._name(source)}.jpg"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.tobytes() if coded else b"")
        except OSError as error:
            raise SourceUnreadable(f"The folder '{self._folder}' cannot be written to.") from error
        return path

    def _name(self, source: str) -> str:
        """Sources of one name in several folders keep apart: car, car-2, car-3 …"""
        stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(source).stem)[-100:]
        stem = stem.strip(".") or "image"
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        return name
