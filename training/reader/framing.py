"""``python -m training.reader.framing``: what reading gains from a tight box, and from corners.

The plates of ``e2e`` and ``world`` are read from the boxes that people drew, grown or shrunk by a
share of the plate's height on every side, and from those of the detector. No photo here has its
plates' corners, so rectifying is measured on drawn ones: each is read from its upright box, and
from its own corners pulled straight, both with the same margin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from anpr import imaging
from anpr.pipeline import make_reader
from anpr.settings import Settings
from anpr.types import Box, Reader
from training import metrics, report
from training.data import read_photos
from training.paths import shared_data
from training.reader.measure import on_photos
from training.synthesis import Plate, sample

if TYPE_CHECKING:
    from anpr.types import Image

_MARGINS = (-0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
_DRAWN = 1500
_STEEP_DEG = 6.0  # a slant that a person sees at once


def boxes_of_people(reader: Reader, split: str, margin: float) -> list[bool]:
    """Whether each plate of a split is read exactly from its box with that margin."""
    right = []
    for photo in read_photos(shared_data() / "photos.jsonl", [split]):
        pixels = imaging.decode(photo.path.read_bytes(), max_side_px=4096).finest
        for (x1, y1, x2, y2), text in zip(photo.boxes, photo.texts, strict=True):
            grow = margin * (y2 - y1)
            box = Box(x1 - grow, y1 - grow, x2 + grow, y2 + grow)
            crop = _cut(pixels, box)
            right.append(metrics.normalised(reader.read(crop).text) == metrics.normalised(text))
    return right


def _cut(pixels: Image, box: Box) -> Image:
    inside = box.clipped(pixels.shape[1], pixels.shape[0])
    return pixels[int(inside.y1) : round(inside.y2), int(inside.x1) : round(inside.x2)]


def drawn(reader: Reader) -> Iterator[tuple[float, bool, bool]]:
    """For each drawn plate its slant in degrees, and whether box and corners are read exactly."""
    for seed in range(_DRAWN):
        plate = sample(10_000_000 + seed)
        slope = plate.quad[1] - plate.quad[0]
        slant = abs(float(np.degrees(np.arctan2(slope[1], slope[0]))))
        upright, straight = reader.read(_upright(plate)), reader.read(_rectified(plate))
        yield slant, upright.text == plate.text, straight.text == plate.text


def _upright(plate: Plate, margin: float = 0.06) -> Image:
    (x1, y1), (x2, y2) = plate.quad.min(axis=0), plate.quad.max(axis=0)
    grow = margin * float(y2 - y1)
    return _cut(
        plate.image, Box(float(x1) - grow, float(y1) - grow, float(x2) + grow, float(y2) + grow)
    )


def _rectified(plate: Plate, margin: float = 0.06) -> Image:
    corners = plate.quad.mean(axis=0) + (plate.quad - plate.quad.mean(axis=0)) * (1 + 2 * margin)
    width = max(8, round(float(np.hypot(*(corners[1] - corners[0])))))
    height = max(8, round(float(np.hypot(*(corners[3] - corners[0])))))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    flat = cv2.warpPerspective(
        plate.image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(flat, np.uint8)


def main() -> int:
    reader = make_reader(Settings())
    rows = []
    for margin in _MARGINS:
        shares = [
            float(np.mean(boxes_of_people(reader, split, margin))) for split in ("e2e", "world")
        ]
        rows.append([f"box of people, {margin:+.0%} of its height", *map(report.percent, shares)])
    found = [
        [
            metrics.normalised(read.text) == metrics.normalised(text)
            for read, text in on_photos(Settings(), split)
        ]
        for split in ("e2e", "world")
    ]
    rows.append(
        [
            "box of the detector, where it found the plate",
            *(report.percent(float(np.mean(f))) for f in found),
        ]
    )
    print(report.table(["crop", "`e2e`", "`world`"], rows), end="\n\n")
    read = list(drawn(reader))
    groups = {
        "all": read,
        f"slant under {_STEEP_DEG:g}°": [one for one in read if one[0] < _STEEP_DEG],
        f"slant of {_STEEP_DEG:g}° or more": [one for one in read if one[0] >= _STEEP_DEG],
    }
    print(
        report.table(
            ["drawn plates", "plates", "upright box", "own corners, rectified"],
            [
                [
                    name,
                    str(len(of)),
                    report.percent(float(np.mean([one[1] for one in of]))),
                    report.percent(float(np.mean([one[2] for one in of]))),
                ]
                for name, of in groups.items()
            ],
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
