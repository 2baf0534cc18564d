"""How a plate is shown to a recogniser of text lines, as PP-OCR's are.

Such a recogniser knows nothing of plates: whatever text is in the picture, it reads. So the rows
that hold the registration are sought first, and shown alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from anpr import layout
from anpr.ocr.reading import sureness

if TYPE_CHECKING:
    from anpr.ocr.recogniser import Probabilities, Recogniser
    from anpr.types import Image

# Chosen on dev crops, e2e and world photos, where the choice moves one or two in a hundred.
_STRIP_MARGINS: Final = (0.15, 0.3)  # around a line of text, shares of its height
_SIDE: Final = 0.04  # of the width at each side: padding and frame, which read as 1 or I
_SURE: Final = 0.97  # a view read this surely is not looked at again
_DOUBTFUL: Final = 0.9  # read less surely as one line, it is tried as two that touch
_SURE_LINE: Final = 0.7  # each line of a two-line plate must be read at least this surely


def views(recogniser: Recogniser, crop: Image) -> list[Probabilities]:
    """What was seen of each line of a plate on a BGR crop, top to bottom.

    Two lines of like height are read one after the other, if both can be read; otherwise
    the highest line of text, closely and less closely cropped, and the whole crop compete.
    """
    seen = layout.analyse(crop)
    straight = without_sides(layout.level(crop, seen.slant_deg), _SIDE)
    if seen.pair is not None:
        two = _two_lines(recogniser, straight, seen.pair)
        if sureness(two, recogniser.alphabet) >= _SURE_LINE:
            return two
    best, confidence = _one_line(recogniser, straight, seen)
    if confidence < _DOUBTFUL:
        two = _touching_lines(recogniser, crop, seen)
        if sureness(two, recogniser.alphabet) >= max(_SURE_LINE, confidence):
            return two
    return [best]


def without_sides(crop: Image, share: float) -> Image:
    """The crop without that share of its width at each side."""
    width = crop.shape[1]
    side = int(width * share)
    return crop[:, side : width - side]


def _one_line(
    recogniser: Recogniser, crop: Image, seen: layout.Layout
) -> tuple[Probabilities, float]:
    """The surest view of a levelled crop as one line, and how sure it is."""
    alphabet = recogniser.alphabet
    best, best_confidence = np.zeros((0, 1 + len(alphabet)), np.float32), -1.0
    for image in _images(crop, seen):
        probabilities = recogniser.line(image)
        confidence = sureness([probabilities], alphabet)
        if confidence > best_confidence:
            best, best_confidence = probabilities, confidence
        if confidence >= _SURE:
            break
    return best, best_confidence


def _touching_lines(
    recogniser: Recogniser, crop: Image, seen: layout.Layout
) -> list[Probabilities]:
    """Two lines without a gap between them; on a square plate their slant may mislead."""
    layouts = [seen] if seen.slant_deg == 0 else [seen, layout.analyse(crop, (0,))]
    found = [
        _two_lines(recogniser, without_sides(layout.level(crop, one.slant_deg), _SIDE), one.halves)
        for one in layouts
        if one.halves is not None
    ]
    return max(found, key=lambda two: sureness(two, recogniser.alphabet), default=[])


def _two_lines(recogniser: Recogniser, crop: Image, bands: layout.Bands) -> list[Probabilities]:
    return [recogniser.line(layout.strip(crop, band, _STRIP_MARGINS[0])) for band in bands]


def _images(crop: Image, seen: layout.Layout) -> Iterator[Image]:
    if seen.main is not None:
        for margin in _STRIP_MARGINS:
            yield layout.strip(crop, seen.main, margin)
    yield crop
