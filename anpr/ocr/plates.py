"""How a plate is shown to a recogniser that was tuned to plates: whole.

It reads past frames, slogans and place names, and says where it sees two lines; these are laid
side by side then, and read in one run. A crop that is high enough for two lines is first shown
narrow, which tells just that, or taken for two lines at once where it is higher still. Only what
is doubtful is looked at in other ways.
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
_SURE: Final = 0.9  # what is read this surely is not looked at again
_TWO: Final = 0.5  # as surely as this there are two lines
_PERHAPS_TWO: Final = 0.05
_SQUARE: Final = 2.0  # wide for its height: a crop below may well hold two lines
_GLANCE: Final = 0.1
_HIGH: Final = 1.4  # a crop below is read as two lines first, without a glance
_STRIP_MARGIN: Final = 0.3
_MIDDLE: Final = ((0.06, 0.48), (0.52, 0.94))  # where the layout shows nothing

View = tuple[list["Probabilities"], float]
"""What was seen of each line, and how much its sureness counts."""


def views(recogniser: Recogniser, crop: Image) -> list[Probabilities]:
    """What was seen of each line of a plate on a BGR crop, top to bottom."""
    best: list[Probabilities] = []
    confidence = -1.0
    for seen, weight in _looks(recogniser, crop):
        found = weight * sureness(seen, recogniser.alphabet)
        if found > confidence:
            best, confidence = seen, found
        if confidence >= _SURE:
            break
    return best


def _looks(recogniser: Recogniser, crop: Image) -> Iterator[View]:
    """The ways to look at a plate, each made when the one before it was read with doubt."""
    inner = without_sides(crop, _SIDE)
    tried = _may_hold_two(recogniser, inner, crop.shape[1] / crop.shape[0])
    straight = _straight(crop) if tried else None
    if straight is not None:
        yield from _in_two(recogniser, *straight)
    whole, two_lines = recogniser.plate(inner)
    yield [whole], 1 - two_lines
    seen, level = straight or _straight(crop)
    if two_lines >= _PERHAPS_TWO and not tried:
        yield from _in_two(recogniser, seen, level)
    if two_lines < _TWO:
        if seen.slant_deg:
            yield [recogniser.plate(level).probabilities], 1
        if seen.main is not None:
            strip = layout.strip(level, seen.main, _STRIP_MARGIN)
            yield [recogniser.plate(strip).probabilities], 1


def _may_hold_two(recogniser: Recogniser, inner: Image, wide: float) -> bool:
    """Are two lines to be tried first? They count where they are read surely, or more so."""
    return wide < _HIGH or (wide < _SQUARE and recogniser.glance(inner) >= _GLANCE)


def _straight(crop: Image) -> tuple[layout.Layout, Image]:
    """How the text lies, and the crop with its slant taken out."""
    seen = layout.analyse(crop)
    return seen, without_sides(layout.level(crop, seen.slant_deg), _SIDE)


def _in_two(recogniser: Recogniser, seen: layout.Layout, level: Image) -> Iterator[View]:
    for bands in (seen.pair, seen.halves, _MIDDLE):
        if bands is not None:
            yield recogniser.lines_side_by_side(level, bands), 1
