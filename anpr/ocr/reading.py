"""One reading from the probabilities of a plate's lines."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from anpr import ctc
from anpr.ocr.calibration import Calibration
from anpr.types import Candidate, Character, Reading

if TYPE_CHECKING:
    from anpr.ocr.recogniser import Probabilities


def sureness(views: list[Probabilities], alphabet: str) -> float:
    """The confidence of the line that is read least surely; 0 without lines."""
    return min((ctc.greedy(view, alphabet).confidence for view in views), default=0.0)


def make_reading(
    views: list[Probabilities], alphabet: str, top_n: int, calibration: Calibration
) -> Reading:
    """The text of the lines from top to bottom, and the likeliest others, ``top_n`` in all."""
    lines = [ctc.greedy(view, alphabet) for view in views]
    text = "".join(line.text for line in lines)
    if not text:
        return Reading()
    confidence = math.prod(
        ctc.probability(view, alphabet, line.text) for view, line in zip(views, lines, strict=True)
    )
    texts = tuple(line.text for line in lines)
    characters = tuple(character for line in lines for character in line.characters)
    first = Candidate(text, confidence, lines=texts, characters=characters)
    others = _others(views, alphabet, text, top_n - 1) if top_n > 1 else []
    return Reading(tuple(_calibrated(one, calibration) for one in (first, *others)))


def _others(views: list[Probabilities], alphabet: str, text: str, most: int) -> list[Candidate]:
    """The likeliest texts but ``text``, lines combined."""
    beams = [ctc.beam(view, alphabet, width=most + 1) for view in views]
    found: dict[str, tuple[float, tuple[str, ...]]] = {}
    for parts in itertools.product(*beams):
        lines = tuple(part for part, _ in parts)
        probability, likeliest = found.get("".join(lines), (0.0, lines))
        total = probability + math.prod(p for _, p in parts)
        found["".join(lines)] = (total, likeliest)
    found.pop(text, None)
    found.pop("", None)
    ranked = sorted(found.items(), key=lambda item: -item[1][0])[:most]
    return [
        Candidate(
            other,
            probability,
            lines=lines,
            characters=tuple(
                character
                for view, line in zip(views, lines, strict=True)
                for character in ctc.align(view, alphabet, line)
            ),
        )
        for other, (probability, lines) in ranked
    ]


def _calibrated(candidate: Candidate, calibration: Calibration) -> Candidate:
    return replace(
        candidate,
        confidence=calibration.plate(candidate.confidence),
        characters=tuple(
            Character(one.text, calibration.character(one.confidence))
            for one in candidate.characters
        ),
    )
