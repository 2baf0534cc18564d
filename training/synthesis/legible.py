"""Can what is drawn be read? What no eye reads must not be taught."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from training.synthesis.plate import Pixels, Plate, Points
from training.synthesis.sensor import Floats

_PITCH: Final = 1.75
"""Characters closer than their height over this are as hard to read as lower ones."""
_SMALL_ONES: Final = 1.3
"""Small characters among large ones may be this much lower."""
_FLAT: Final = 12.0
"""Deviation of a cell in which no stroke stands, in grey levels."""


def size(plate: Plate, corners: Points) -> float:
    """The height that matters of the least legible character, in the unit of the corners."""
    height, width = plate.image.shape[:2]
    sides = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
    tall, wide = min(sides[1], sides[3]), min(sides[0], sides[2]) / (width / height)
    heights = (plate.rows[:, 3, 1] - plate.rows[:, 0, 1]) / height * tall
    lengths = (plate.rows[:, 1, 0] - plate.rows[:, 0, 0]) / height * wide
    counts = np.array([max(1, len(line)) for line in plate.lines])
    heights *= min(1.0, plate.least * _SMALL_ONES)
    return float(np.minimum(heights, _PITCH * lengths / counts).min())


def likeness(clean: Pixels, scene: Floats, rows: Points, lines: tuple[str, ...]) -> float:
    """How far the picture still shows the strokes, at the character where it shows them least.

    The correlation of grey levels between the plate as drawn (``clean``, grey, in the scene's
    geometry) and the scene, in as many cells of every line as it has characters: 1 is untouched.
    """
    shape = scene.shape[:2]
    grey = cv2.transform(np.clip(scene, 0, 255), np.full((1, 3), 1 / 3, np.float32)).reshape(shape)
    least = 1.0
    for row, line in zip(rows, lines, strict=True):
        count = max(1, len(line))
        for cell in range(count):
            near, far = cell / count, (cell + 1) / count
            top, bottom = row[1] - row[0], row[2] - row[3]
            corners = np.stack(
                [
                    row[0] + top * near,
                    row[0] + top * far,
                    row[3] + bottom * near,
                    row[3] + bottom * far,
                ]
            )
            x1, y1 = np.maximum(np.floor(corners.min(0)), 0).astype(int)
            x2, y2 = np.ceil(corners.max(0)).astype(int)
            drawn = clean[y1:y2, x1:x2].astype(np.float32)
            if drawn.size < 9 or float(drawn.std()) < _FLAT:
                continue
            seen = grey[y1:y2, x1:x2]
            drawn -= drawn.mean()
            seen = seen - seen.mean()
            norm = float(np.sqrt((drawn**2).sum() * (seen**2).sum()))
            least = min(least, float((drawn * seen).sum()) / norm if norm > 0 else 0.0)
    return least
