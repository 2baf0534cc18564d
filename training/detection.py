"""How well a detector finds the plates of a set of photos."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from anpr import imaging
from anpr.types import Box, Detector
from training import metrics
from training.data import Photo
from training.metrics import Curve

FOUND_IOU = 0.5
CURVE_CONFIDENCE = 0.001
"""Detections under it would not change a curve: Ultralytics validates down to the same."""
PRECISIONS = (0.92, 0.95, 0.97)
"""Those at which the recall is told."""
COVERED = 0.5
"""A detection of which so much lies on an unlabelled plate has seen that one (COCO's crowds)."""
SIDE_PX = 320
WIDTHS_PX = (12, 16, 24, 48)
"""Borders of the classes of plate width, in pixels of a photo whose longer side is 320."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A photo and what the detector found in it, boxes as rows x1, y1, x2, y2, surest first."""

    photo: Photo
    boxes: metrics.Floats
    confidences: metrics.Floats
    ms: float

    @property
    def ious(self) -> metrics.Floats:
        """Each found box (rows) against each plate (columns)."""
        return metrics.iou_matrix(self.boxes, np.array(self.photo.boxes, dtype=np.float64))


def look(photos: Iterable[Photo], detector: Detector, working_side_px: int = 1024) -> list[Seen]:
    """Run the detector over the photos, decoded as the service does it."""
    detector.load()
    return [_look(photo, detector, working_side_px) for photo in photos]


def _look(photo: Photo, detector: Detector, working_side_px: int) -> Seen:
    image = imaging.decode(photo.path.read_bytes(), max_side_px=working_side_px)
    began = time.perf_counter()
    found = detector.detect(image.working)
    ms = (time.perf_counter() - began) * 1000
    x, y = image.scale
    confidences = np.array([d.confidence for d in found], dtype=np.float64)
    return Seen(photo, rows(d.box.scaled(x, y) for d in found), confidences, ms)


def rows(boxes: Iterable[Box]) -> metrics.Floats:
    """Boxes as an array (N, 4)."""
    return np.array([(b.x1, b.y1, b.x2, b.y2) for b in boxes], dtype=np.float64).reshape(-1, 4)


def without_unlabelled(seen: Sequence[Seen], unlabelled: Mapping[str, metrics.Boxes]) -> list[Seen]:
    """The same photos without the detections of plates that nobody annotated.

    ``unlabelled`` has them by the photo's ``SPLIT/NAME``. A detection on such a plate is neither
    right nor false; one that finds an annotated plate stays, whatever else lies under it.
    """
    return [_without(each, unlabelled.get(key(each.photo), ())) for each in seen]


def key(photo: Photo) -> str:
    """What a list of unlabelled plates calls a photo."""
    return f"{photo.path.parent.name}/{photo.path.name}"


def _without(seen: Seen, plates: metrics.Boxes) -> Seen:
    if not plates:
        return seen
    on_them = metrics.covered(seen.boxes, np.array(plates, dtype=np.float64)) >= COVERED
    kept = (metrics.match(seen.ious, FOUND_IOU) >= 0) | ~on_them
    return replace(seen, boxes=seen.boxes[kept], confidences=seen.confidences[kept])


def _curve(seen: Sequence[Seen], iou: float) -> Curve:
    confidences: list[float] = []
    hits: list[bool] = []
    for each in seen:
        confidences += each.confidences.tolist()
        hits += (metrics.match(each.ious, iou) >= 0).tolist()
    return Curve.of(confidences, hits, sum(len(each.photo.boxes) for each in seen))


@dataclass(frozen=True, slots=True)
class Score:
    """A detector over a set of photos.

    ``precision``, ``recall`` and ``false_per_photo`` are those at a threshold of confidence;
    ``recall_at_p95`` is the best that is to be had at precision 0.95, at ``threshold_at_p95``;
    those at 0.92 and 0.97 likewise.
    """

    photos: int
    plates: int
    precision: float
    recall: float
    false_per_photo: float
    recall_at_p92: float
    recall_at_p95: float
    recall_at_p97: float
    threshold_at_p95: float | None
    threshold_at_p97: float | None
    map50: float
    map50_95: float

    @classmethod
    def of(cls, seen: Sequence[Seen], threshold: float) -> Score:
        curve = _curve(seen, FOUND_IOU)
        here = curve.at(threshold)
        p92, p95, p97 = (curve.at_precision(precision) for precision in PRECISIONS)
        return cls(
            photos=len(seen),
            plates=curve.plates,
            precision=here.precision,
            recall=here.recall,
            false_per_photo=here.false / max(len(seen), 1),
            recall_at_p92=p92.recall if p92 else 0.0,
            recall_at_p95=p95.recall if p95 else 0.0,
            recall_at_p97=p97.recall if p97 else 0.0,
            threshold_at_p95=p95.threshold if p95 else None,
            threshold_at_p97=p97.threshold if p97 else None,
            map50=curve.average_precision(),
            map50_95=statistics.fmean(_curve(seen, u).average_precision() for u in metrics.IOUS),
        )


def recall_by_width(seen: Sequence[Seen], threshold: float) -> dict[str, dict[str, Any]]:
    """Plates and recall for each class of width; the recall is None where there are no plates."""
    totals: dict[str, list[bool]] = {name: [] for name in _width_names()}
    for each in seen:
        sure = each.confidences >= threshold
        found = set(metrics.match(each.ious[sure], FOUND_IOU).tolist())
        scale = SIDE_PX / max(each.photo.width, each.photo.height)
        for index, (x1, _, x2, _) in enumerate(each.photo.boxes):
            totals[width_class((x2 - x1) * scale)].append(index in found)
    return {
        name: {"plates": len(hits), "recall": sum(hits) / len(hits) if hits else None}
        for name, hits in totals.items()
    }


def _width_names() -> list[str]:
    between = [f"{low} to {high}" for low, high in pairwise(WIDTHS_PX)]
    return [f"under {WIDTHS_PX[0]}", *between, f"{WIDTHS_PX[-1]} or more"]


def width_class(width_px: float) -> str:
    """The name of the class of a plate so wide at 320 px."""
    return _width_names()[sum(width_px >= border for border in WIDTHS_PX)]
