"""What synthesis gives: a picture of a plate, and what is written on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Plate:
    """``image`` is uint8 BGR (H, W, 3); points are float32 pixels, origin top left.

    ``quad`` (4, 2) are the plate's corners, clockwise from the top left one; ``rows`` (n, 4, 2)
    those of every line of characters, tight around them. A corner may lie outside the image where
    a bad box cut the plate. ``text`` is 0-9A-Z, the ``lines`` joined. ``least``
    is the height of the lowest character that is read, a share of its line's.
    """

    image: Pixels
    text: str
    lines: tuple[str, ...]
    quad: Points
    country: str
    kind: str
    rows: Points
    least: float = 1.0
