"""A clean, flat plate from a layout."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from training.synthesis import fonts, glyphs, parts, patterns
from training.synthesis.glyphs import Mask
from training.synthesis.layouts import Colour, Layout, Part, choose, colour
from training.synthesis.plate import Pixels, Plate, Points
from training.synthesis.setting import least, mark, place, set_line

ANY_TEXT: Final = 0.1
"""Share of plates whose text follows no pattern, so that nothing leans on grammar."""
FREE_TEXT: Final = 0.3
"""Share of personal plates where a layout has such."""
ANY_FACE: Final = 0.15
"""Share of plates in a face that is not their country's: repairs, copies, fun plates."""
_CAP_PX: Final = 58
"""Height of the characters as drawn, before anything is spoiled."""
_HEIGHTS: Final = (72, 150)
_PICTURE: Final = Part("emblem", (0, 0, 1, 1))
_FACES: Final = sorted(set(fonts.GROUPS) - {"script", "arabic"})
_HIDDEN: Final = 0.06
_THINNEST: Final = 0.62
"""No plate's letters are squeezed further: smaller ones are taken instead."""


def draw(rng: np.random.Generator, country: str | None = None, *, own_faces: bool = False) -> Plate:
    """A flat plate of a country, or of any. Raises ``ValueError`` for a country without a layout,
    ``FontsMissing`` where too few fonts are installed and ``own_faces`` is not asked for."""
    if not own_faces:
        fonts.require()
    return draw_layout(rng, choose(rng, country), own_faces=own_faces)


def draw_layout(
    rng: np.random.Generator,
    layout: Layout,
    lines: tuple[str, ...] | None = None,
    *,
    own_faces: bool = False,
) -> Plate:
    """A plate of this layout, with these lines (marks included) or lines by its patterns."""
    face = _face(rng, layout, own_faces)
    if lines is None:
        if rng.random() < ANY_TEXT:
            lines = patterns.write_any(rng, layout.lines, _told(face))
        else:
            free = bool(layout.free) and rng.random() < FREE_TEXT
            pattern = parts.pick(rng, layout.free if free else layout.patterns)
            lines = patterns.write(rng, pattern, layout.lists)
    aspect = layout.aspect * float(rng.uniform(0.96, 1.04))
    height = int(np.clip(_CAP_PX / max(layout.caps), *_HEIGHTS))
    width = round(height * aspect)
    ground, ink = (colour(one) for one in layout.colours[int(rng.integers(len(layout.colours)))])
    image = np.empty((height, width, 3), np.uint8)
    image[:] = ground
    for part in layout.parts:
        if part.what in parts.BEHIND and rng.random() < part.often:
            parts.DRAW[part.what](image, _pixels(part.box, image), part, rng, ink, own_faces)
    mask, rows, seals = _characters(rng, layout, lines, face, height, width)
    printed = mask.copy()
    if rng.random() < layout.border:
        _border(printed, rng)
    _print(image, printed, ink, rng)
    for sign, box in seals:
        if sign == "@" and layout.seals:
            parts.seal(image, box, layout.seals, rng)
        elif layout.inline:
            parts.inline(image, box, layout.inline, rng, ink, own_faces)
        else:
            parts.emblem(image, box, _PICTURE, rng, ink, own_faces)
    for part in layout.parts:
        if part.what not in parts.BEHIND and rng.random() < part.often:
            box = _pixels(part.box, image)
            if not _covers(box, mask):
                parts.DRAW[part.what](image, box, part, rng, ink, own_faces)
    read = tuple(patterns.read(line) for line in lines)
    quad = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    return Plate(image, "".join(read), read, quad, layout.country, layout.kind, rows, least(lines))


def _covers(box: parts.PixelBox, mask: Mask) -> bool:
    """Whether a box would hide more than an edge of the characters."""
    x1, y1, x2, y2 = box
    return float(mask[y1:y2, x1:x2].mean()) > _HIDDEN * 255


def _pixels(box: tuple[float, float, float, float], image: Pixels) -> parts.PixelBox:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    return (
        max(0, round(x1 * width)),
        max(0, round(y1 * height)),
        min(width, round(x2 * width)),
        min(height, round(y2 * height)),
    )


def _face(rng: np.random.Generator, layout: Layout, own: bool) -> str:
    """An own face or a font's stem."""
    names = list(layout.faces)
    if rng.random() < ANY_FACE:
        names = [*glyphs.FACES, *_FACES]
    if own:
        names = [name for name in names if name in glyphs.FACES] or list(glyphs.FACES)
    name = parts.pick(rng, names)
    return name if name in glyphs.FACES else parts.pick(rng, fonts.group(name), "din")


def _told(face: str) -> str:
    if face in glyphs.FACES:
        return glyphs.FACES[face].tells
    return "OI" if face in fonts.GROUPS["monos"].split() else ""


def _characters(
    rng: np.random.Generator,
    layout: Layout,
    lines: tuple[str, ...],
    face: str,
    height: int,
    width: int,
) -> tuple[Mask, Points, list[tuple[str, parts.PixelBox]]]:
    """The characters' mask of the plate's size, each line's corners, and where seals go."""
    stretch = float(rng.uniform(*layout.stretch))
    tracking = float(rng.uniform(*layout.tracking))
    x1, y1, x2, y2 = layout.box
    caps = [cap * height for cap in layout.caps]
    gap = ((y2 - y1) * height - sum(caps)) / (len(caps) + 1)
    mask = np.zeros((height, width), np.uint8)
    rows, seals = [], []
    top = y1 * height + gap
    unsteady = rng.random() < layout.unsteady
    jitter = float(rng.uniform(-0.3, 0.3)) * max(0.0, gap)
    align = float(rng.choice([0.5, 0.5, 0.5, 0.0, 1.0])) if len(lines) > 1 else 0.5
    for text, cap, first in zip(lines, caps, layout.lefts or (x1,) * len(caps), strict=True):
        left, room = first * width, (x2 - first) * width
        line = set_line(text, face, tracking, stretch, rng)
        across, cap = _fit(rng, line.width, room, cap)
        used = line.width * across
        left += max(0.0, room - used) * (align if used < room * 0.97 else 0.5)
        y = top + jitter
        for item in line.items:
            at, wide = left + item.left * across, item.width * across
            if item.character in "@*":
                tall = min(wide, cap * (0.46 if item.character == "@" else 0.8)) / 2
                low, high = round(y + cap / 2 - tall), round(y + cap / 2 + tall)
                half = max(tall, cap * 0.45) if layout.inline else tall
                left_px, right_px = round(at + wide / 2 - half), round(at + wide / 2 + half)
                seals.append((item.character, (left_px, low, right_px, high)))
            elif item.character in "-.":
                mark(mask, item.character, at, y, wide, cap)
            else:
                glyph = fonts.glyph(face, patterns.plain_of(item.character))
                down = item.top + (float(rng.normal(0, 0.025)) if unsteady else 0.0)
                place(mask, glyph, at, y + down * cap, wide, cap * item.height)
        right, bottom = left + used, y + cap
        rows.append([(left, y), (right, y), (right, bottom), (left, bottom)])
        top += cap + gap
    return mask, np.array(rows, np.float32), seals


def _fit(rng: np.random.Generator, width: float, room: float, cap: float) -> tuple[float, float]:
    """Pixels across for a capital's height, and that height: squeezed, or drawn out, to fit."""
    squeeze = min(1.0, room / (width * cap))
    if squeeze < _THINNEST:
        return room / width, cap * squeeze / _THINNEST
    used = width * cap * squeeze
    if 0.55 < used / room < 0.9 and rng.random() < 0.5:
        squeeze *= min(1.15, room / used)
    return cap * squeeze, cap


def _border(mask: Mask, rng: np.random.Generator) -> None:
    height, width = mask.shape
    inset = int(rng.integers(1, max(2, height // 25)))
    thick = max(1, round(height * float(rng.uniform(0.01, 0.03))))
    corners = (inset, inset), (width - 1 - inset, height - 1 - inset)
    cv2.rectangle(mask, *corners, 255, thick, cv2.LINE_AA)


def _print(image: Pixels, mask: Mask, ink: Colour, rng: np.random.Generator) -> None:
    """Lay the characters on, with a little more or less weight, and often embossed."""
    weight = float(rng.random())
    if weight < 0.2:
        mask = np.asarray(cv2.dilate(mask, np.ones((2, 2), np.uint8)), np.uint8)
    elif weight > 0.88:
        mask = np.asarray(cv2.erode(mask, np.ones((2, 2), np.uint8)), np.uint8)
    parts.blend(image, mask, ink, float(rng.uniform(0.85, 1.0)))
    if rng.random() < 0.6:
        reach = int(rng.integers(1, 3))
        shifted = np.roll(mask, (reach, reach), (0, 1)).astype(np.int16)
        relief = (shifted - np.roll(mask, (-reach, -reach), (0, 1))) * float(
            rng.uniform(-0.25, 0.25)
        )
        cv2.add(image, cv2.merge([relief] * 3).astype(np.float32), image, dtype=cv2.CV_8U)
