"""How sure the reader may say that it is: fitted on one half of ``dev``, shown on the other.

Platt's logistic fit (see ``anpr.ocr.calibration``); the expected calibration error is that of
Guo et al., "On calibration of modern neural networks", ICML 2017, with ten bins of equal width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

import numpy as np

from anpr.ocr.calibration import Calibration, Line
from training.reader import dev

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anpr.types import Reader, Reading

BINS: Final = 10
_EDGE: Final = 1e-6
_NEAR: Final = 1e-9
_PULL: Final = 0.05  # towards changing nothing, in units of one plate: few errors, few numbers

Judged = tuple[float, bool]
"""A confidence, and whether what it was said of was right."""


def fit(reader: Reader) -> Calibration:
    """The calibration of a reader that has none yet, from the first half of ``dev``."""
    read = [one for one in dev.read(reader) if not one.second_half]
    return Calibration(
        plate=fit_line([(one.reading.confidence, one.right) for one in read]),
        character=fit_line([pair for one in read for pair in characters(one.reading, one.label)]),
    )


def fit_line(judged: Sequence[Judged]) -> Line:
    """The likeliest slope and offset, by Newton's method, with Platt's softened targets.

    A step that goes too far is halved: far from the optimum the curve is nearly flat.
    """
    p = np.clip(np.array([confidence for confidence, _ in judged]), _EDGE, 1 - _EDGE)
    right = np.array([one for _, one in judged], dtype=float)
    logits = np.column_stack([np.log(p / (1 - p)), np.ones(len(p))])
    hits, misses = right.sum(), len(right) - right.sum()
    target = np.where(right > 0, (hits + 1) / (hits + 2), 1 / (misses + 2))
    found, start = np.array([1.0, 0.0]), np.array([1.0, 0.0])

    def loss(line: NDArray[np.float64]) -> float:
        scores = logits @ line
        return float(
            (np.logaddexp(0, scores) - target * scores).sum()
            + _PULL / 2 * ((line - start) ** 2).sum()
        )

    for _ in range(100):
        guess = 1 / (1 + np.exp(-np.clip(logits @ found, -40, 40)))
        gradient = logits.T @ (guess - target) + _PULL * (found - start)
        curve = (logits * (guess * (1 - guess))[:, None]).T @ logits + _PULL * np.eye(2)
        step = np.linalg.solve(curve, gradient)
        while np.abs(step).max() >= _NEAR and loss(found - step) > loss(found):
            step /= 2
        found = found - step
        if np.abs(step).max() < _NEAR:
            break
    return Line(max(0.05, float(found[0])), float(found[1]))


def characters(reading: Reading, label: str) -> Iterator[Judged]:
    """Each character that was read, and whether the label has it there."""
    blocks = SequenceMatcher(None, reading.text, label, autojunk=False).get_matching_blocks()
    right = {block.a + i for block in blocks for i in range(block.size)}
    for index, character in enumerate(reading.characters):
        yield character.confidence, index in right


@dataclass(frozen=True, slots=True)
class Bin:
    """``confidence`` is the mean of those in the bin, ``right`` the share that is."""

    low: float
    count: int
    confidence: float
    right: float


def reliability(judged: Iterable[Judged]) -> list[Bin]:
    """Ten bins of equal width; empty ones are left out."""
    pairs = np.array(list(judged), dtype=float).reshape(-1, 2)
    numbers = np.minimum((pairs[:, 0] * BINS).astype(int), BINS - 1)
    return [
        Bin(number / BINS, len(some), float(some[:, 0].mean()), float(some[:, 1].mean()))
        for number in range(BINS)
        if len(some := pairs[numbers == number])
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean distance of confidence and share, weighted by how many are in a bin."""
    count = sum(one.count for one in bins)
    return sum(abs(one.confidence - one.right) * one.count for one in bins) / max(1, count)


def threshold(judged: Sequence[Judged], precision: float = 0.99) -> float:
    """The least confidence from which on that share is right; 1 where there is none."""
    ranked = sorted(judged, reverse=True)
    shares = np.cumsum([right for _, right in ranked]) / np.arange(1, len(ranked) + 1)
    enough: NDArray[np.intp] = np.flatnonzero(shares >= precision)
    return ranked[int(enough[-1])][0] if len(enough) else 1.0


def kept(judged: Sequence[Judged], least: float) -> tuple[float, float]:
    """Precision of what is read with at least this confidence, and its share of all plates."""
    above = [right for confidence, right in judged if confidence >= least]
    return sum(above) / max(1, len(above)), sum(above) / max(1, len(judged))
