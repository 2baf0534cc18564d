"""How a plate is shown to a recogniser that was tuned to plates: whole.

It reads past frames, slogans and place names, and says where it sees two lines; these are laid
side by side then, and read in one run. Only what is doubtful is looked at in other ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from anpr import layout
from anpr.ocr.reading import sureness
from anpr.ocr.text_lines import without_sides

if TYPE_CHECKING:
    from anpr.ocr.recogniser import Probabilities, Recogniser
    from anpr.types import Image

_SIDE: Final = 0.02  # of the width at each side: the padding around the detector's box
_TWO: Final = 0.5  # as surely as this there are two lines
_PERHAPS_TWO: Final = 0.05
_SURE: Final = 0.9  # a view read this surely is not looked at again
_STRIP_MARGIN: Final = 0.3
_MIDDLE: Final = ((0.06, 0.48), (0.52, 0.94))  # where the layout shows nothing


def views(recogniser: Recogniser, crop: Image) -> list[Probabilities]:
    """What was seen of each line of a plate on a BGR crop, top to bottom."""
    alphabet = recogniser.alphabet
    whole, two_lines = recogniser.plate(without_sides(crop, _SIDE))
    best = [whole]
    confidence = sureness(best, alphabet) * (1 - two_lines)
    if two_lines < _TWO and confidence >= _SURE:
        return best
    for other in _others(recogniser, crop, two_lines):
        found = sureness(other, alphabet)
        if found > confidence:
            best, confidence = other, found
        if confidence >= _SURE:
            break
    return best


def _others(recogniser: Recogniser, crop: Image, two_lines: float) -> Iterator[list[Probabilities]]:
    seen = layout.analyse(crop)
    level = without_sides(layout.level(crop, seen.slant_deg), _SIDE)
    if two_lines >= _PERHAPS_TWO:
        for bands in (seen.pair, seen.halves, _MIDDLE):
            if bands is not None:
                yield recogniser.lines_side_by_side(level, bands)
    if two_lines < _TWO:
        if seen.slant_deg:
            yield [recogniser.plate(level).probabilities]
        if seen.main is not None:
            strip = layout.strip(level, seen.main, _STRIP_MARGIN)
            yield [recogniser.plate(strip).probabilities]
