"""Glyphs and words from the system's fonts, as masks.

Fonts are looked for by file name below the usual folders and those that the environment variable
``ANPR_FONTS`` names (parted by ``:``). Own faces (``glyphs.py``) need none.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.synthesis import glyphs
from training.synthesis.glyphs import ABOVE_PX, BELOW_PX, CAP_PX, Mask

FOLDERS: Final = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
PACKAGES: Final = (
    "fonts-bebas-neue fonts-cabin fonts-cantarell fonts-comic-neue "
    "fonts-crosextra-carlito fonts-dejavu-core fonts-dejavu-extra fonts-dosis fonts-freefont-ttf "
    "fonts-hack fonts-inter fonts-lato fonts-league-spartan fonts-liberation fonts-national-park "
    "fonts-open-sans fonts-opendin fonts-play fonts-roboto-unhinted fonts-tuffy "
    "fonts-urw-base35"
)
_OVERSHOOT_PX: Final = 6
FEWEST: Final = 20
"""Fewer font files than this make plates too much alike to train on."""

GROUPS: Final[dict[str, str]] = {
    "condensed": (
        "BebasNeue-Regular BebasNeue-Bold RobotoCondensed-Bold RobotoCondensed-Medium "
        "OpenSans-CondBold LiberationSansNarrow-Bold NimbusSansNarrow-Bold "
        "DejaVuSansCondensed-Bold Dosis-ExtraBold"
    ),
    "narrow": (
        "BebasNeue-Regular BebasNeue-Bold RobotoCondensed-Regular RobotoCondensed-Medium "
        "Dosis-Bold LiberationSansNarrow-Regular OSP-DIN"
    ),
    "sans": (
        "LiberationSans-Bold FreeSansBold NimbusSans-Bold Roboto-Bold Roboto-Medium "
        "Inter-Bold Inter-SemiBold OpenSans-Bold Lato-Bold Lato-Black Cabin-Bold "
        "Cantarell-Bold Carlito-Bold DejaVuSans-Bold NationalPark-Heavy Tuffy_Bold Play-Bold "
        "LeagueSpartan-Bold"
    ),
    "light": (
        "LiberationSans-Regular Roboto-Regular Inter-Medium OpenSans-Regular Lato-Medium "
        "DejaVuSans Play-Regular Carlito-Regular OSP-DIN Cabin-Medium NationalPark-Regular"
    ),
    "dins": "OSP-DIN RobotoCondensed-Medium RobotoCondensed-Bold Roboto-Medium Dosis-Bold",
    "wide": (
        "DejaVuSans-Bold Inter-Black Inter-ExtraBold Roboto-Black Lato-Black "
        "LeagueSpartan-Bold Cantarell-ExtraBold Play-Bold"
    ),
    "monos": "DejaVuSansMono-Bold LiberationMono-Bold Hack-Bold FreeMonoBold",
    "serif": (
        "DejaVuSerif-Bold DejaVuSerifCondensed-Bold LiberationSerif-Bold C059-Bold "
        "FreeSerifBold NimbusRoman-Bold URWBookman-Demi P052-Bold"
    ),
    "script": (
        "Z003-MediumItalic ComicNeue-Bold LiberationSerif-BoldItalic C059-BdIta "
        "P052-BoldItalic URWBookman-DemiItalic LiberationSans-BoldItalic"
    ),
    "italic": (
        "LiberationSans-BoldItalic LiberationSerif-BoldItalic C059-BdIta URWBookman-DemiItalic"
    ),
    "hands": "ComicNeue-Bold Dosis-Bold Tuffy_Bold",
    "arabic": "DejaVuSans-Bold DejaVuSansCondensed-Bold DejaVuSans",
}
WORDS: Final = ("sans", "serif", "script", "condensed", "light")


class FontsMissing(RuntimeError):
    """Too few fonts are installed to draw plates as different as real ones."""


@functools.cache
def _files() -> dict[str, Path]:
    folders = [*FOLDERS, *filter(None, os.environ.get("ANPR_FONTS", "").split(":"))]
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).expanduser().rglob("*.[ot]tf")):
            found.setdefault(path.stem, path)
    return found


@functools.cache
def group(name: str) -> tuple[str, ...]:
    """The installed fonts of a group, by file stem. Raises ``KeyError`` for an unknown group."""
    return tuple(stem for stem in GROUPS[name].split() if stem in _files())


def require() -> None:
    """Raise ``FontsMissing`` unless enough of the fonts are installed."""
    wanted = {stem for stems in GROUPS.values() for stem in stems.split()}
    found = wanted & set(_files())
    if len(found) < FEWEST:
        raise FontsMissing(
            f"{len(found)} of {len(wanted)} fonts are installed; "
            f"on Debian: apt-get install {PACKAGES}"
        )


@functools.lru_cache(maxsize=8192)
def glyph(face: str, character: str) -> Mask:
    """Mask of a character in a font (file stem) or an own face, as ``stroke_glyph`` gives it."""
    if face in glyphs.FACES:
        return glyphs.stroke_glyph(face, character)
    font = _scaled(face)
    width = max(1, round(font.getlength(character)) + 60)
    image = Image.new("L", (width, ABOVE_PX + CAP_PX + BELOW_PX))
    ImageDraw.Draw(image).text((30, ABOVE_PX + CAP_PX), character, 255, font, anchor="ls")
    mask = np.asarray(image)
    if character == "J" and mask[ABOVE_PX + CAP_PX + _OVERSHOOT_PX :].max() > 24:
        # no plate's J reaches below the line
        bold = any(weight in face for weight in ("Bold", "Black", "Heavy", "Demi"))
        return glyphs.stroke_glyph("charles" if bold else "din", character)
    inked = np.flatnonzero(mask.max(axis=0) > 24)
    return np.ascontiguousarray(mask[:, inked[0] : inked[-1] + 1])


@functools.cache
def _scaled(stem: str) -> ImageFont.FreeTypeFont:
    """The font at the size at which an H is ``CAP_PX`` high."""
    font = ImageFont.truetype(_files()[stem], 200)
    _, top, _, bottom = font.getbbox("H")
    return ImageFont.truetype(_files()[stem], round(200 * CAP_PX / (bottom - top)))


@functools.lru_cache(maxsize=4096)
def words(text: str, face: str | None) -> Mask:
    """Mask of a text, its capitals 32 px high, cut to its ink; ``face`` None is Pillow's own."""
    size = 32
    if face is None:
        font: ImageFont.FreeTypeFont | ImageFont.ImageFont = ImageFont.load_default(44)
    else:
        font = ImageFont.truetype(_files()[face], round(_scaled(face).size * size / CAP_PX))
    width = round(font.getlength(text)) + 40
    image = Image.new("L", (width, 3 * size))
    ImageDraw.Draw(image).text((20, 2 * size), text, 255, font, anchor="ls")
    box = image.getbbox()
    return np.ascontiguousarray(np.asarray(image.crop(box) if box else image))
