"""Number plates as countries make them, spoiled as cameras spoil them.

plate = sample(7)            # the same seed gives the same pixels
plate.image, plate.text, plate.lines, plate.quad
"""

from __future__ import annotations

import numpy as np

from training.synthesis.camera import photograph
from training.synthesis.draw import draw
from training.synthesis.fonts import FontsMissing
from training.synthesis.plate import Plate

__all__ = ["FontsMissing", "Plate", "draw", "photograph", "sample"]


def sample(seed: int, country: str | None = None, *, own_faces: bool = False) -> Plate:
    """A photographed plate, decided by the seed alone (with the same fonts and libraries).

    ``own_faces`` keeps to the faces of ``glyphs.py``, which need no font. Raises as ``draw`` does.
    """
    rng = np.random.default_rng(seed)
    return photograph(rng, draw(rng, country, own_faces=own_faces), own_faces=own_faces)
