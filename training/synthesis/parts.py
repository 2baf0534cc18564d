"""What stands on a plate beside the registration: strips, bands, names, stickers, seals, pictures.

Every function draws one ``Part`` into ``image`` (uint8 BGR), within a box of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from training.synthesis import fonts
from training.synthesis.layouts import Colour, Part, colour
from training.synthesis.plate import Pixels

PixelBox = tuple[int, int, int, int]
_MONTHS: Final = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
_VIVID: Final = ("#c8102e", "#e87722", "#f2c40f", "#2a8c3c", "#1d62b8", "#6c3fa0", "#f4f4f0")


def pick(rng: np.random.Generator, items: Sequence[str], otherwise: str = "") -> str:
    return items[int(rng.integers(len(items)))] if items else otherwise


def stamp(
    image: Pixels, mask: Pixels, box: PixelBox, ink: Colour, strength: float = 1.0
) -> tuple[int, int, int, int] | None:
    """Blend ``ink`` through a mask, scaled to fit the box and centred; the box it took, or None."""
    x1, y1, x2, y2 = box
    scale = min((x2 - x1) / mask.shape[1], (y2 - y1) / mask.shape[0])
    width, height = int(mask.shape[1] * scale), int(mask.shape[0] * scale)
    left, top = (x1 + x2 - width) // 2, (y1 + y2 - height) // 2
    if width < 2 or height < 2 or left < 0 or top < 0:
        return None
    region = image[top : top + height, left : left + width]
    if region.shape[:2] != (height, width):
        return None
    small = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    blend(region, small, ink, strength)
    return left, top, left + width, top + height


def blend(region: Pixels, mask: Pixels, ink: Colour, strength: float = 1.0) -> None:
    """Lay ``ink`` over a part of an image, in place, through a mask of 0 to 255."""
    alpha = cv2.merge([mask, mask, mask]).astype(np.float32) * (strength / 255)
    region[:] = (region + alpha * (np.array(ink, np.float32) - region)).astype(np.uint8)


def face_of(rng: np.random.Generator, name: str, own_only: bool) -> str | None:
    """A font of a group for words; None stands for the one inside Pillow."""
    if own_only:
        return None
    return pick(rng, fonts.group(name or pick(rng, fonts.WORDS))) or None


def _ink(rng: np.random.Generator, part: Part, ink: Colour) -> Colour:
    return colour(pick(rng, part.ink.split())) if part.ink else ink


def words(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    text = pick(rng, part.texts)
    if text and (text.isascii() or not own):
        stamp(image, fonts.words(text, face_of(rng, part.face, own)), box, _ink(rng, part, ink))


def band(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    """A coloured field, with a word in it where there are texts."""
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = colour(pick(rng, part.colours, "#1c3f94"))
    inset = max(1, (y2 - y1) // 6)
    words(image, (x1 + inset, y1 + inset, x2 - inset, y2 - inset), part, rng, ink, own)


def strip(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    """Europe's strip: stars or a flag above, the country's letters below."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    image[y1:y2, x1:x2] = colour(pick(rng, part.colours, "#1c3f94"))
    centre, radius = (x1 + width / 2, y1 + height * 0.33), min(width * 0.36, height * 0.22)
    if rng.random() < 0.85 or not part.texts:
        star = colour("#f5c800")
        for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
            x, y = centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)
            cv2.circle(image, (round(16 * x), round(16 * y)), round(radius * 2.6), star, -1, 16, 4)
    else:
        flag = (x1 + width // 5, round(centre[1] - radius), x2 - width // 5, round(centre[1]))
        for row, shade in enumerate(rng.choice(_VIVID, 3)):
            step = max(1, (flag[3] - flag[1]) // 2)
            top = flag[1] + row * step
            image[top : top + step, flag[0] : flag[2]] = colour(str(shade))
    lower = (x1 + width // 8, y1 + round(height * 0.6), x2 - width // 8, y2 - height // 10)
    words(image, lower, part, rng, ink, own)


def stack(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    """Small letters one below the other, which belong to no registration."""
    text = pick(rng, part.texts)
    x1, y1, x2, y2 = box
    step = (y2 - y1) / max(1, len(text))
    face, tint = face_of(rng, part.face or "condensed", own), _ink(rng, part, ink)
    for row, character in enumerate(text):
        top = round(y1 + row * step)
        inner = (x1, top, x2, top + round(step * 0.86))
        stamp(image, fonts.words(character, face), inner, tint)


def sticker(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    """A validation sticker: a month, a year or a number on a coloured field."""
    x1, y1, x2, y2 = box
    shade = colour(pick(rng, part.colours or _VIVID))
    image[y1:y2, x1:x2] = shade
    texts = part.texts or (
        pick(rng, _MONTHS),
        f"{rng.integers(100):02d}",
        f"20{rng.integers(30):02d}",
        str(rng.integers(1, 13)),
    )
    dark = sum(shade) < 330
    tint = (245, 245, 245) if dark or rng.random() < 0.2 else (20, 20, 20)
    inset = max(1, (y2 - y1) // 7)
    inner = (x1 + inset, y1 + inset, x2 - inset, y2 - inset)
    stamp(image, fonts.words(pick(rng, texts), face_of(rng, "condensed", own)), inner, tint)


def inline(
    image: Pixels,
    box: PixelBox,
    texts: Sequence[Sequence[str]],
    rng: np.random.Generator,
    ink: Colour,
    own: bool,
) -> None:
    """Words one above the other, amid the registration."""
    x1, y1, x2, y2 = box
    step = (y2 - y1) // len(texts)
    for row, among in enumerate(texts):
        part = Part("words", (0, 0, 1, 1), texts=tuple(among), face="sans")
        if not among[0].isascii():
            part = replace(part, face="arabic")
        words(image, (x1, y1 + row * step, x2, y1 + (row + 1) * step - 1), part, rng, ink, own)


def plaque(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    """A riveted strip of metal with a name on it."""
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = np.clip(image[y1:y2, x1:x2] * float(rng.uniform(0.85, 1.1)), 0, 255)
    cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), ink, 1, cv2.LINE_AA)
    inset = max(1, (y2 - y1) // 6)
    words(image, (x1 + inset, y1 + inset, x2 - inset, y2 - inset), part, rng, ink, own)


def frame(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    """A frame's bar over the plate's edge, with a dealer's name in a colour that stands out."""
    x1, y1, x2, y2 = box
    shade = colour(pick(rng, part.colours, "#141414"))
    image[y1:y2, x1:x2] = shade
    tint = (30, 30, 30) if sum(shade) > 380 else (235, 235, 235)
    inset = max(1, (y2 - y1) // 6)
    text = pick(rng, part.texts)
    if rng.random() < 0.85:
        inner = (x1 + 3 * inset, y1 + inset, x2 - 3 * inset, y2 - inset)
        stamp(image, fonts.words(text, face_of(rng, part.face or "sans", own)), inner, tint)


def seal(image: Pixels, box: PixelBox, shades: Sequence[str], rng: np.random.Generator) -> None:
    """A round seal, or two (Germany); a crest where the colour begins with ``+``."""
    x1, y1, x2, y2 = box
    radius = (x2 - x1) // 2
    centre = ((x1 + x2) // 2, (y1 + y2) // 2)
    if radius < 2:
        return
    if shades[0].startswith("+"):
        crest(image, box, rng, [shade.lstrip("+") for shade in shades])
        return
    places = [centre]
    if len(shades) > 3 and rng.random() < 0.6:  # Germany's and Czechia's, one below the other
        offset = round(radius * 1.15)
        places = [(centre[0], centre[1] - offset), (centre[0], centre[1] + offset)]
    for place in places:
        shade = colour(pick(rng, shades))
        cv2.circle(image, place, radius, shade, -1, cv2.LINE_AA)
        rim = tuple(int(c * rng.uniform(0.4, 0.9)) for c in shade)
        cv2.circle(image, place, radius, rim, max(1, radius // 5), cv2.LINE_AA)
        if rng.random() < 0.7:
            tint = colour(pick(rng, _VIVID))
            cv2.circle(image, place, max(1, radius // 2), tint, -1, cv2.LINE_AA)


def crest(image: Pixels, box: PixelBox, rng: np.random.Generator, shades: Sequence[str]) -> None:
    """A shield in two colours, checked or halved."""
    x1, y1, x2, y2 = box
    height = y2 - y1
    outline = [(x1, y1), (x2, y1), (x2, y1 + height * 2 // 3)]
    outline += [((x1 + x2) // 2, y2), (x1, y1 + height * 2 // 3)]
    points = np.array(outline, np.int32)
    cv2.fillPoly(image, [points], colour(pick(rng, shades)), cv2.LINE_AA)
    inner = points.copy()
    inner[1:3, 0] = (x1 + x2) // 2
    cv2.fillPoly(image, [inner], colour(pick(rng, shades)), cv2.LINE_AA)


def emblem(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    """A small picture of nothing in particular: blots in a few colours."""
    x1, y1, x2, y2 = box
    shades = part.colours or _VIVID
    for _ in range(int(rng.integers(2, 6))):
        count = int(rng.integers(3, 8))
        xs, ys = rng.integers(x1, x2 + 1, count), rng.integers(y1, y2 + 1, count)
        hull = cv2.convexHull(np.stack([xs, ys], 1).astype(np.int32))
        shade = ink if rng.random() < 0.3 else colour(pick(rng, shades))
        cv2.fillPoly(image, [hull], shade, cv2.LINE_AA)


def picture(
    image: Pixels, box: PixelBox, part: Part, rng: np.random.Generator, ink: Colour, own: bool
) -> None:
    """A pale landscape or a run of colour behind the characters."""
    x1, y1, x2, y2 = box
    region = image[y1:y2, x1:x2].astype(np.float32)
    height, width = region.shape[:2]
    shade = np.array(colour(pick(rng, part.colours or _VIVID)), np.float32)
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    if rng.random() < 0.5:
        ramp = ramp[::-1]
    alpha = np.repeat(ramp ** rng.uniform(0.7, 2.5), width, 1) * rng.uniform(0.2, 0.7)
    if rng.random() < 0.5:
        steps = int(rng.integers(4, 10))
        ridge = np.interp(np.arange(width), np.linspace(0, width, steps), rng.random(steps))
        land = np.arange(height)[:, None] > (0.35 + 0.5 * ridge) * height
        alpha = np.where(land, alpha * 0.4 + rng.uniform(0.1, 0.35), alpha)
    image[y1:y2, x1:x2] = (region + alpha[:, :, None] * (shade - region)).astype(np.uint8)


DRAW: Final[
    dict[str, Callable[[Pixels, PixelBox, Part, np.random.Generator, Colour, bool], None]]
] = {
    "words": words,
    "band": band,
    "strip": strip,
    "stack": stack,
    "sticker": sticker,
    "emblem": emblem,
    "picture": picture,
    "plaque": plaque,
    "frame": frame,
}
BEHIND: Final = frozenset({"picture", "band", "strip", "emblem"})
"""Drawn before the characters; all else after."""
