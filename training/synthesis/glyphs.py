"""Faces of number plates, drawn from strokes, so that no font file is needed.

A glyph is a few polylines in a unit box (x to the right, y down), one text a glyph: points
``x,y`` parted by spaces, strokes by ``;``, a corner to be rounded marked ``~``, a closed stroke
ended by ``z``. A face gives widths, the weight of the stroke, the radius of round corners and its
own shape for the characters that it tells apart (a zero from an O, a one from an I).
The shapes are own approximations of what is seen on plates, not copies of the faces' drawings.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Mask = npt.NDArray[np.uint8]

CAP_PX: Final = 96
"""Height of a capital in a mask."""
ABOVE_PX: Final = 10
BELOW_PX: Final = 26
"""Rows of a mask above the capitals and below the baseline (for a Q's tail)."""
_SUPERSAMPLE: Final = 3

_BLOCK: Final = {
    "0": "0,0~ 1,0~ 1,1~ 0,1~ z",
    "1": "0,.3 1,.02 1,0 1,1",
    "2": "0,.24 0,0~ 1,0~ 1,.42~ 0,1 1,1",
    "3": "0,.2 0,0~ 1,0~ 1,.46~ .4,.46; .4,.46 1,.46~ 1,1~ 0,1~ 0,.8",
    "4": ".56,0 0,.74 1,.74; .72,.46 .72,1",
    "5": ".95,0 .08,0 .03,.42 1,.38~ 1,1~ 0,1~ 0,.8",
    "6": "1,.2 1,0~ 0,0~ 0,1~ 1,1~ 1,.42~ 0,.42",
    "7": "0,0 1,0 .34,1",
    "8": ".05,0~ .95,0~ .95,.46~ .05,.46~ z; 0,.46~ 1,.46~ 1,1~ 0,1~ z",
    "9": "0,.8 0,1~ 1,1~ 1,0~ 0,0~ 0,.58~ 1,.58",
    "A": "0,1 .5,0 1,1; .14,.72 .86,.72",
    "B": "0,.47 0,0 .94,0~ .94,.47~ 0,.47 0,1 1,1~ 1,.47~ 0,.47",
    "C": "1,.26 1,0~ 0,0~ 0,1~ 1,1~ 1,.74",
    "D": "0,0 1,0~ 1,1~ 0,1 z",
    "E": "1,0 0,0 0,1 1,1; 0,.48 .85,.48",
    "F": "1,0 0,0 0,1; 0,.5 .85,.5",
    "G": "1,.24 1,0~ 0,0~ 0,1~ 1,1~ 1,.54 .52,.54",
    "H": "0,0 0,1; 1,0 1,1; 0,.48 1,.48",
    "I": ".5,0 .5,1",
    "J": "1,0 1,1~ 0,1~ 0,.72",
    "K": "0,0 0,1; 1,0 0,.64; .34,.42 1,1",
    "L": "0,0 0,1 1,1",
    "M": "0,1 0,0 .5,.64 1,0 1,1",
    "N": "0,1 0,0 1,1 1,0",
    "O": "0,0~ 1,0~ 1,1~ 0,1~ z",
    "P": "0,1 0,0 1,0~ 1,.54~ 0,.54",
    "Q": "0,0~ 1,0~ 1,1~ 0,1~ z; .56,.7 1.02,1.06",
    "R": "0,1 0,0 1,0~ 1,.52~ 0,.52; .5,.52 1,1",
    "S": "1,.22 1,0~ 0,0~ 0,.47~ 1,.47~ 1,1~ 0,1~ 0,.78",
    "T": "0,0 1,0; .5,0 .5,1",
    "U": "0,0 0,1~ 1,1~ 1,0",
    "V": "0,0 .5,1 1,0",
    "W": "0,0 .25,1 .5,.3 .75,1 1,0",
    "X": "0,0 1,1; 1,0 0,1",
    "Y": "0,0 .5,.5 1,0; .5,.5 .5,1",
    "Z": "0,0 1,0 0,1 1,1",
}
_WIDE: Final = {"M": 1.12, "W": 1.25, "A": 1.08, "V": 1.08, "Q": 1.02, "I": 0.0, "1": 0.7}
_SERIF_I: Final = "0,0 1,0; 0,1 1,1; .5,0 .5,1"
_CLOSED_4: Final = ".76,1 .76,0 0,.72 1,.72"
_FLAT_3: Final = "0,0 1,0 .42,.38 1,.38~ 1,1~ 0,1~ 0,.8"
_STEM_6: Final = ".78,0 .04,.5; 0,.38~ 1,.38~ 1,1~ 0,1~ z"
_STEM_9: Final = ".22,1 .96,.5; 0,0~ 1,0~ 1,.62~ 0,.62~ z"
_STRAIGHT_A: Final = "0,1 0,.3 .36,0 .64,0 1,.3 1,1; 0,.62 1,.62"
_SLIT_0: Final = ".62,.0 .5,0 0,0~ 0,1~ 1,1~ 1,.26"


@dataclass(frozen=True, slots=True)
class Face:
    """``width`` and ``stroke`` are shares of a capital's height, ``radius`` one of the width."""

    width: float
    stroke: float
    radius: float
    round_ends: bool = False
    shapes: dict[str, str] = field(default_factory=dict)
    widths: dict[str, float] = field(default_factory=dict)
    mono: bool = False
    """Whether every character takes the same room."""
    tells: str = ""
    """Which of O and I differ from 0 and 1 clearly enough to be told without their neighbours."""


FACES: Final[dict[str, Face]] = {
    "din": Face(0.56, 0.145, 0.5, shapes={"6": _STEM_6, "9": _STEM_9}, widths={"O": 1.12}),
    "din-narrow": Face(0.45, 0.13, 0.5, shapes={"6": _STEM_6, "9": _STEM_9, "3": _FLAT_3}),
    "fe": Face(
        0.6,
        0.14,
        0.36,
        shapes={
            "0": "0,0~ 1,0~ 1,1~ 0,1~ z",
            "O": ".0,.12 .12,0 .88,0 1,.12 1,.88 .88,1 .12,1 0,.88 z",
            "1": "0,.3 .55,0 .55,1",
            "3": _FLAT_3,
            "4": ".5,0 0,.72 1,.72; .74,.42 .74,1",
            "I": _SERIF_I,
            "J": ".2,0 1,0 1,1~ 0,1~ 0,.74",
            "M": "0,1 0,0 .5,.5 1,0 1,1",
            "W": "0,0 .1,1 .5,.4 .9,1 1,0",
        },
        widths={"0": 0.93, "I": 0.6, "1": 0.7, "M": 1.04, "W": 1.04},
        mono=True,
        tells="I",
    ),
    "fe-slit": Face(
        0.6,
        0.14,
        0.4,
        shapes={"0": _SLIT_0, "3": _FLAT_3, "I": _SERIF_I, "1": "0,.3 .55,0 .55,1"},
        widths={"I": 0.6, "O": 1.05, "M": 1.04, "W": 1.04},
        mono=True,
        tells="OI",
    ),
    "charles": Face(
        0.6,
        0.175,
        0.42,
        shapes={"4": _CLOSED_4, "6": _BLOCK["6"], "Y": "0,0 .5,.46 1,0; .5,.46 .5,1"},
        widths={"M": 1.15, "W": 1.25, "1": 0.3},
    ),
    "charles-1": Face(
        0.6,
        0.17,
        0.42,
        shapes={"4": _CLOSED_4, "1": ".5,0 .5,1", "3": _FLAT_3},
        widths={"1": 0.0},
    ),
    "us": Face(
        0.47,
        0.12,
        0.5,
        round_ends=True,
        shapes={
            "1": ".1,.2 .55,0 .55,1; 0.1,1 1,1",
            "4": _CLOSED_4,
            "I": _SERIF_I,
            "A": "0,1 .4,0 .6,0 1,1; .14,.68 .86,.68",
        },
        widths={"I": 0.62, "1": 0.62, "M": 1.15, "W": 1.2},
    ),
    "us-square": Face(
        0.5,
        0.115,
        0.34,
        round_ends=True,
        shapes={"1": "0,.22 .6,0 .6,1", "4": _CLOSED_4, "I": _SERIF_I, "A": _STRAIGHT_A},
        widths={"I": 0.55, "1": 0.5},
    ),
    "us-slash": Face(
        0.47,
        0.12,
        0.5,
        round_ends=True,
        shapes={"0": "0,0~ 1,0~ 1,1~ 0,1~ z; .1,.82 .9,.18", "I": _SERIF_I, "4": _CLOSED_4},
        widths={"I": 0.62, "1": 0.45},
        tells="OI",
    ),
    "brazil": Face(
        0.6,
        0.15,
        0.4,
        shapes={"1": ".0,.28 .8,.02 .8,0 .8,1", "I": ".5,0 .5,1", "4": _CLOSED_4, "W": _BLOCK["W"]},
        widths={"W": 1.2, "M": 1.15, "1": 0.66},
    ),
    "hand": Face(0.58, 0.12, 0.5, round_ends=True, shapes={"4": _CLOSED_4, "7": "0,0 1,0 .2,1"}),
    "square": Face(0.62, 0.14, 0.16, shapes={"A": _STRAIGHT_A, "4": _CLOSED_4}),
    "mono": Face(
        0.58,
        0.15,
        0.45,
        shapes={"I": _SERIF_I, "1": ".15,.24 .55,0 .55,1", "4": _CLOSED_4},
        widths={"I": 0.6, "1": 0.6, "M": 1.0, "W": 1.05},
        mono=True,
    ),
}


def _points(stroke: str, width: float, height: float, radius: float) -> list[tuple[float, float]]:
    """A stroke's polyline in pixels; a round corner is replaced by an arc of ``radius``."""
    items = stroke.split()
    closed = items[-1] == "z"
    items = items[:-1] if closed else items
    corners = []
    for item in items:
        right, down = item.rstrip("~").split(",")
        corners.append((float(right) * width, float(down) * height, item.endswith("~")))
    points: list[tuple[float, float]] = []
    count = len(corners)
    for index, (x, y, is_round) in enumerate(corners):
        if not is_round:
            points.append((x, y))
            continue
        before, after = corners[index - 1], corners[(index + 1) % count]
        points += _arc(before, (x, y), after, radius)
    if closed:
        points.append(points[0])
    return points


def _arc(
    before: tuple[float, float, bool],
    corner: tuple[float, float],
    after: tuple[float, float, bool],
    radius: float,
) -> list[tuple[float, float]]:
    """Points of a quadratic curve that cuts the corner; a neighbour that is round gives half."""
    ends = []
    for x, y, is_round in (before, after):
        dx, dy = x - corner[0], y - corner[1]
        length = math.hypot(dx, dy) or 1.0
        reach = min(radius, length * (0.5 if is_round else 0.95)) / length
        ends.append((corner[0] + dx * reach, corner[1] + dy * reach))
    (x0, y0), (x2, y2) = ends
    steps = np.linspace(0, 1, 9)
    # between a quadratic curve and a quarter of a circle: the weight of the corner is 1.25
    weight = 1.25
    curve = []
    for t in steps:
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t) * weight, t**2
        total = a + b + c
        curve.append(
            ((a * x0 + b * corner[0] + c * x2) / total, (a * y0 + b * corner[1] + c * y2) / total)
        )
    return curve


@functools.lru_cache(maxsize=4096)
def stroke_glyph(face_name: str, character: str) -> Mask:
    """Mask of a character: uint8, ``ABOVE_PX + CAP_PX + BELOW_PX`` rows, as wide as its ink.

    Raises ``KeyError`` for an unknown face or a character outside 0-9A-Z.
    """
    face = FACES[face_name]
    shape = face.shapes.get(character, _BLOCK[character])
    scale = CAP_PX * _SUPERSAMPLE
    stroke = face.stroke * scale
    share = face.widths.get(character, _WIDE.get(character, 1.0))
    width = max(stroke, face.width * scale * share)
    margin = stroke
    size = (round(width + 2 * margin), round((ABOVE_PX + CAP_PX + BELOW_PX) * _SUPERSAMPLE))
    image = Image.new("L", size)
    pen = ImageDraw.Draw(image)
    left, top = margin + stroke / 2, ABOVE_PX * _SUPERSAMPLE + stroke / 2
    radius = face.radius * face.width * scale
    for one in shape.split(";"):
        path = _points(one.strip(), width - stroke, scale - stroke, radius)
        path = [(x + left, y + top) for x, y in path]
        pen.line(path, fill=255, width=round(stroke), joint="curve")
        half = stroke / 2
        if face.round_ends:
            for x, y in (path[0], path[-1]):
                pen.ellipse((x - half, y - half, x + half, y + half), fill=255)
        else:
            for x, y in _square_corners(path):
                pen.rectangle((x - half, y - half, x + half - 1, y + half - 1), fill=255)
    image = image.resize((size[0] // _SUPERSAMPLE, size[1] // _SUPERSAMPLE), Image.Resampling.BOX)
    mask = np.asarray(image)
    inked = np.flatnonzero(mask.max(axis=0) > 24)
    return np.ascontiguousarray(mask[:, inked[0] : inked[-1] + 1])


def _square_corners(path: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Ends and corners whose edges run along an axis: there the stroke ends square."""
    found = []
    for index, point in enumerate(path):
        edges = [path[i] for i in (index - 1, index + 1) if 0 <= i < len(path)]
        if all(min(abs(x - point[0]), abs(y - point[1])) < 0.5 for x, y in edges):
            lengths = [math.dist(edge, point) for edge in edges]
            if min(lengths) > CAP_PX * _SUPERSAMPLE * 0.12:
                found.append(point)
    return found
