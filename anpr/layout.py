"""How the text lies on a plate crop: its slant, and the rows that hold characters.

A recogniser for single lines loses plates whose registration stands in two lines, hangs at an
angle, or has a place name above or below it. What is seen decides, not the crop's proportions:
characters are rich in vertical strokes, so the horizontal gradient, summed along each row, is
high on text and low between lines. It is sharpest when the rows run along the text, which gives
the slant. (Projection profiles are the classical method; see Postl, "Detection of linear oblique
structures and skew scan in digitized documents", ICPR 1986, for the slant by largest variance.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from typing import TypeVar

    from numpy.typing import NDArray

    from anpr.types import Image

    Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.float32])

# Chosen on dev crops and world photos; the readings change little for values nearby.
_HEIGHT: Final = 64  # rows of the image that is analysed; wide plates come out below 320 columns
_MAX_WIDTH: Final = 320
SLANTS_DEG: Final = tuple(range(-20, 21, 2))
_TOGETHER: Final = 4  # columns that are taken as one while the slant is looked for
_MARGIN: Final = 0.06  # share of the width at each side that is left out: frames, bolts, background
_LEVEL: Final = 0.45  # of the way from the emptiest row to the fullest: above it, a row has text
_MIN_ROWS: Final = 4
_MIDDLE: Final = 0.3  # lines that touch part between this share of their band and 1 minus it
_SECOND_LINE: Final = 0.55  # a line of the registration is at least this high, the other being 1


Bands = tuple[tuple[float, float], tuple[float, float]]
"""Two rows of text, upper first: (top, bottom) as shares of the crop's height."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``slant_deg`` is how far the text falls (positive) or rises from left to right.

    ``bands`` are the rows with text as (top, bottom), shares of the height of the crop once its
    slant is taken out, from top to bottom; ``rows`` is the profile that they were found in.
    """

    slant_deg: float
    bands: tuple[tuple[float, float], ...]
    rows: tuple[float, ...] = ()

    @property
    def main(self) -> tuple[float, float] | None:
        """The highest band: the registration, where place names and slogans are smaller."""
        return max(self.bands, key=_height, default=None)

    @property
    def pair(self) -> Bands | None:
        """The two highest bands, upper first, if they are of like height."""
        if len(self.bands) < 2:
            return None
        first, second = sorted(self.bands, key=_height, reverse=True)[:2]
        if _height(second) < _SECOND_LINE * _height(first):
            return None
        upper, lower = sorted((first, second))
        return upper, lower

    @property
    def halves(self) -> Bands | None:
        """The highest band, cut at its emptiest row near the middle: lines that touch."""
        if self.main is None:
            return None
        top, bottom = self.main
        third = (bottom - top) * _MIDDLE
        first, last = (round(y * len(self.rows)) for y in (top + third, bottom - third))
        if last <= first:
            return None
        cut = min(range(first, last), key=self.rows.__getitem__) / len(self.rows)
        return (top, cut), (cut, bottom)


def _height(band: tuple[float, float]) -> float:
    return band[1] - band[0]


def analyse(crop: Image, slants_deg: Sequence[int] = SLANTS_DEG) -> Layout:
    """The layout of the text on a BGR crop (H, W, 3), at one of these slants; takes half a ms."""
    height, width = crop.shape[:2]
    columns = min(_MAX_WIDTH, max(16, round(width * _HEIGHT / height)))
    grey = cv2.resize(
        cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY),
        (columns, _HEIGHT),
        interpolation=cv2.INTER_AREA if height > _HEIGHT else cv2.INTER_LINEAR,
    )
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (3, 3), 0)
    strokes = np.abs(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3))
    strokes = np.minimum(strokes, _nearly_highest(strokes))  # no edge outweighs the text
    # the analysed image may be squeezed sideways: its slants are steeper than the crop's
    squeeze = (columns / width) / (_HEIGHT / height)
    slant = _slant(strokes, squeeze, slants_deg)
    profile = _profile(strokes, _slope(slant) / squeeze).reshape(-1, 1)
    rows = np.asarray(cv2.GaussianBlur(profile, (1, 5), 0), np.float32).ravel()
    return Layout(float(slant), tuple(_bands(rows)), tuple(rows.tolist()))


def _slant(strokes: NDArray[np.float32], squeeze: float, slants_deg: Sequence[int]) -> int:
    """The slant whose rows differ most: the best of every other one, or a neighbour of that.

    Columns are taken together: half the time, and hardly a slant is chosen otherwise.
    """
    height, width = strokes.shape
    columns = max(1, width // _TOGETHER)
    few: NDArray[np.float32] = np.asarray(
        cv2.resize(strokes, (columns, height), interpolation=cv2.INTER_AREA), np.float32
    )
    squeeze *= columns / width

    @functools.cache
    def contrast(index: int) -> float:
        return float(_profile(few, _slope(slants_deg[index]) / squeeze).var())

    best = max(range(0, len(slants_deg), 2), key=contrast)
    near = range(max(0, best - 1), min(len(slants_deg), best + 2))
    return slants_deg[max(near, key=contrast)]


def _slope(slant_deg: float) -> float:
    return math.tan(math.radians(slant_deg))


def _profile(strokes: NDArray[np.float32], slope: float) -> NDArray[np.float32]:
    width = strokes.shape[1]
    inner = slice(int(width * _MARGIN), max(1, int(width * (1 - _MARGIN))))
    means: NDArray[np.float32] = _shear(strokes, slope)[:, inner].mean(axis=1)
    return means


def _shear(image: Pixels, slope: float) -> Pixels:
    """Move each column up or down, so that lines of this slope (dy/dx) become level."""
    height, width = image.shape[:2]
    matrix = np.array([[1, 0, 0], [-slope, 1, slope * width / 2]], np.float32)
    sheared = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(sheared, image.dtype)


def _nearly_highest(values: NDArray[np.float32]) -> float:
    """The value that 95 of 100 do not pass; ``np.percentile`` takes several times as long."""
    place = 95 * (values.size - 1) // 100
    return float(np.partition(values, place, axis=None)[place])


def _bands(rows: NDArray[np.float32]) -> list[tuple[float, float]]:
    low = float(rows.min())
    text = rows > low + _LEVEL * (_nearly_highest(rows) - low)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], text, [False]]).astype(np.int8)))
    return [
        (int(top) / _HEIGHT, int(bottom) / _HEIGHT)
        for top, bottom in zip(edges[::2], edges[1::2], strict=True)
        if bottom - top >= _MIN_ROWS
    ]


def level(crop: Image, slant_deg: float) -> Image:
    """The crop with its slant taken out; the crop itself where there is none."""
    if slant_deg == 0:
        return crop
    return _shear(crop, _slope(slant_deg))


def strip(crop: Image, band: tuple[float, float], margin: float) -> Image:
    """The rows of a band with ``margin`` (a share of its height) above and below; a view."""
    height = crop.shape[0]
    extra = margin * _height(band)
    top = max(0, math.floor((band[0] - extra) * height))
    bottom = min(height, math.ceil((band[1] + extra) * height))
    return crop[top : max(bottom, top + 2)]


def side_by_side(crop: Image, bands: Bands, size: tuple[int, int], margin: float = 0.12) -> Image:
    """The upper line on the left half and the lower one on the right, (height, width, 3).

    ``size`` is the result's (width, height); ``margin`` is a share of a band's height.
    """
    width, height = size
    halves = [scaled(strip(crop, band, margin), (width // 2, height)) for band in bands]
    return np.hstack(halves)


def scaled(image: Image, size: tuple[int, int]) -> Image:
    """The image at (width, height), averaged where pixels are taken away."""
    shrinks = image.shape[1] > size[0] and image.shape[0] > size[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
