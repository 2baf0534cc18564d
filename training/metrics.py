"""The figures that detectors and readers are judged by, in NumPy.

Average precision is COCO's: precision made monotone, sampled at the 101 recalls 0, 0.01 … 1, and
averaged (Lin et al., arXiv:1405.0312; Ultralytics takes the trapezoid over the same points).
Detections meet plates as in COCO: surest first, each takes the free plate that it overlaps most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Boxes = Sequence[tuple[float, float, float, float]]

RECALLS = np.linspace(0.0, 1.0, 101)
IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""COCO's thresholds for mAP50-95."""

_NOT_ON_PLATES = re.compile(r"[^A-Z0-9]")
_FOLD = str.maketrans("OI", "01")


def iou_matrix(a: Floats, b: Floats) -> Floats:
    """Intersection over union of the boxes ``a`` (N, 4) with the boxes ``b`` (M, 4): (N, M)."""
    a, b = np.reshape(a, (-1, 4)), np.reshape(b, (-1, 4))
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom_right - top_left, 0.0, None).prod(axis=2)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0.0, None).prod(axis=1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0.0, None).prod(axis=1)
    union = area_a[:, None] + area_b[None, :] - overlap
    ious: Floats = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return ious


def covered(a: Floats, b: Floats) -> Floats:
    """The largest share of each box of ``a`` (N, 4) that lies on one of ``b`` (M, 4): (N,)."""
    a, b = np.reshape(a, (-1, 4)), np.reshape(b, (-1, 4))
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom_right - top_left, 0.0, None).prod(axis=2).max(axis=1, initial=0.0)
    area = np.clip(a[:, 2:] - a[:, :2], 0.0, None).prod(axis=1)
    shares: Floats = np.divide(overlap, area, out=np.zeros_like(overlap), where=area > 0)
    return shares


def match(ious: Floats, threshold: float) -> NDArray[np.int64]:
    """For each detection (rows, surest first) the index of the plate it found, or -1."""
    taken = np.zeros(ious.shape[1], dtype=bool)
    found = np.full(ious.shape[0], -1, dtype=np.int64)
    for row in range(ious.shape[0]):
        free = np.where(taken, -1.0, ious[row])
        if free.size and free.max() >= threshold:
            found[row] = int(free.argmax())
            taken[found[row]] = True
    return found


@dataclass(frozen=True, slots=True)
class Point:
    """A detector at one threshold of confidence, over all photos."""

    threshold: float
    precision: float
    recall: float
    false: int


@dataclass(frozen=True, slots=True)
class Curve:
    """All detections of a set of photos, surest first, at one threshold of overlap.

    ``hits`` says which of them found a plate; ``plates`` is the number of plates there are.
    """

    confidences: Floats
    hits: NDArray[np.bool_]
    plates: int

    @classmethod
    def of(cls, confidences: Iterable[float], hits: Iterable[bool], plates: int) -> Curve:
        sure = np.fromiter(confidences, dtype=np.float64)
        good = np.fromiter(hits, dtype=bool)
        order = np.argsort(-sure, kind="stable")
        return cls(sure[order], good[order], plates)

    @property
    def precisions(self) -> Floats:
        """Precision when everything down to each detection counts."""
        return np.cumsum(self.hits) / np.arange(1, self.hits.size + 1)

    @property
    def recalls(self) -> Floats:
        return np.cumsum(self.hits) / max(self.plates, 1)

    def average_precision(self) -> float:
        """COCO's, see the top of this module; 0 where there are no plates."""
        if not self.hits.size or not self.plates:
            return 0.0
        monotone = np.maximum.accumulate(self.precisions[::-1])[::-1]
        # the small step back keeps recalls such as 3/10 on the sample that they stand for
        at = np.searchsorted(self.recalls, RECALLS - 1e-9, side="left")
        sampled = np.append(monotone, 0.0)[np.minimum(at, monotone.size)]
        return float(sampled.mean())

    def at(self, threshold: float) -> Point:
        """Precision and recall of the detections that are at least so sure.

        Precision is 1 where nothing is that sure: nothing false was said.
        """
        count = int(np.searchsorted(-self.confidences, -threshold, side="right"))
        good = int(self.hits[:count].sum())
        return Point(
            threshold=threshold,
            precision=good / count if count else 1.0,
            recall=good / self.plates if self.plates else 0.0,
            false=count - good,
        )

    def at_precision(self, precision: float) -> Point | None:
        """The highest recall that is to be had at this precision or better, if any is.

        Only real thresholds count: detections of equal confidence are taken together.
        """
        last = np.append(np.diff(self.confidences) != 0, True)[: self.hits.size]
        enough = np.flatnonzero((self.precisions >= precision) & last)
        return self.at(float(self.confidences[enough[-1]])) if enough.size else None


def normalised(text: str) -> str:
    """Upper case, A to Z and 0 to 9 only: what is compared."""
    return _NOT_ON_PLATES.sub("", text.upper())


def folded(text: str) -> str:
    """O as 0 and I as 1: many countries print them alike."""
    return normalised(text).translate(_FOLD)


def edits(a: str, b: str) -> int:
    """Insertions, deletions and replacements from ``a`` to ``b`` (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


@dataclass(frozen=True, slots=True)
class Reading:
    """How well texts were read. ``characters`` is 1 - edits / characters, at least 0."""

    count: int
    exact: float
    folded: float
    characters: float

    @classmethod
    def of(cls, truths: Sequence[str], texts: Sequence[str]) -> Reading:
        pairs = [(normalised(a), normalised(b)) for a, b in zip(truths, texts, strict=True)]
        if not pairs:
            return cls(0, 0.0, 0.0, 0.0)
        length = sum(len(truth) for truth, _ in pairs)
        wrong = sum(min(edits(truth, text), len(truth)) for truth, text in pairs)
        return cls(
            count=len(pairs),
            exact=sum(truth == text for truth, text in pairs) / len(pairs),
            folded=sum(folded(truth) == folded(text) for truth, text in pairs) / len(pairs),
            characters=1.0 - wrong / length if length else 0.0,
        )
