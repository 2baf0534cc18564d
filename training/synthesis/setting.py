"""Setting a line: where each character and mark stands, and drawing it into a mask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from training.synthesis import fonts, glyphs, patterns
from training.synthesis.glyphs import ABOVE_PX, BELOW_PX, CAP_PX, Mask

SMALL_CAP: Final = 0.66
"""Height of small characters, a share of the others'."""
STACKED_CAP: Final = 0.44
"""Height of two small characters, one above the other."""
_ROWS: Final = ABOVE_PX + CAP_PX + BELOW_PX


@dataclass(frozen=True, slots=True)
class Item:
    """A character or mark: its left edge, top, width and height in heights of a capital."""

    character: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    items: tuple[Item, ...]
    width: float


def set_line(
    line: str, face: str, tracking: float, stretch: float, rng: np.random.Generator
) -> Line:
    """A line (marks included) in a face, ``tracking`` between the characters."""
    mono = face in glyphs.FACES and glyphs.FACES[face].mono
    cell = _width(face, "H") * stretch if mono else 0.0
    gap, dash = float(rng.uniform(0.25, 0.5)), float(rng.uniform(0.16, 0.34))
    small = SMALL_CAP * float(rng.uniform(0.9, 1.15))
    down = (1 - small) * float(rng.choice([0.0, 0.0, 0.5, 1.0]))
    items: list[Item] = []
    at = start = end = 0.0  # ``start`` and ``end`` are those of the upper row of a stack
    for before, one in zip(" " + line, line, strict=False):
        kind = patterns.kind_of(one)
        if kind is patterns.Kind.UPPER and patterns.kind_of(before) is not kind:
            start = at
        elif kind is patterns.Kind.LOWER and patterns.kind_of(before) is patterns.Kind.UPPER:
            end, at = at, start
        elif kind is patterns.Kind.PLAIN and patterns.kind_of(before) is patterns.Kind.LOWER:
            at = max(at, end) + gap / 2
        if one in " _":
            at += gap if one == " " else gap * 2.2
            continue
        height, top, room = 1.0, 0.0, 0.0
        if one in "@*":
            width = 0.44 if one == "@" else float(rng.uniform(0.4, 0.9))
        elif one in "-.":
            width = dash if one == "-" else 0.14
        else:
            width = _width(face, patterns.plain_of(one)) * stretch
            if kind is patterns.Kind.PLAIN:
                room = cell
            elif kind in (patterns.Kind.SMALL, patterns.Kind.UNREAD):
                height, top = small, down if kind is patterns.Kind.UNREAD else 0.0
            else:
                height = STACKED_CAP
                top = 0.0 if kind is patterns.Kind.UPPER else 1 - STACKED_CAP
            width *= height
        room = max(width, room)
        items.append(Item(one, at + (room - width) / 2, top, width, height))
        at += room + tracking * height
    return Line(tuple(items), max(0.1, at - tracking, end - tracking))


def least(lines: Iterable[str]) -> float:
    """The height of the lowest character that is read, a share of its line's."""
    kinds = {patterns.kind_of(character) for line in lines for character in line}
    if kinds & {patterns.Kind.UPPER, patterns.Kind.LOWER}:
        return STACKED_CAP
    return SMALL_CAP if patterns.Kind.SMALL in kinds else 1.0


def _width(face: str, character: str) -> float:
    return float(fonts.glyph(face, character).shape[1] / CAP_PX)


def place(mask: Mask, glyph: Mask, left: float, top: float, wide: float, cap: float) -> None:
    """Draw a glyph into the mask, where both overlap; lengths are pixels."""
    scale = cap / CAP_PX
    size = (max(1, round(wide)), max(1, round(_ROWS * scale)))
    small = np.asarray(cv2.resize(glyph, size, interpolation=cv2.INTER_AREA), np.uint8)
    x, y = round(left), round(top - ABOVE_PX * scale)
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = min(mask.shape[1], x + size[0]), min(mask.shape[0], y + size[1])
    if x2 > x1 and y2 > y1:
        target = mask[y1:y2, x1:x2]
        np.maximum(target, small[y1 - y : y2 - y, x1 - x : x2 - x], out=target)


def mark(mask: Mask, sign: str, left: float, top: float, wide: float, cap: float) -> None:
    """Draw a hyphen or a dot at half the height."""
    middle, half = top + cap * 0.5, cap * 0.07
    if sign == "-":
        start, end = (round(left), round(middle - half)), (round(left + wide), round(middle + half))
        cv2.rectangle(mask, start, end, 255, -1)
    else:
        centre = (round(left + wide / 2), round(middle))
        cv2.circle(mask, centre, max(1, round(wide / 2)), 255, -1, cv2.LINE_AA)
