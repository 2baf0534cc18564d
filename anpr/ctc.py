"""Texts from the output of a CTC recogniser (Graves et al., ICML 2006).

A recogniser gives, for every time step, the probability of each character and of *blank*. A text
is read by dropping repeats, then blanks. ``probabilities`` below are float32 of shape (T, C) with
blank in column 0; each row sums to 1.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from anpr.types import Character

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEGLIGIBLE: Final = 1e-4  # a character less likely than this in a time step starts no candidate


@dataclass(frozen=True, slots=True)
class Line:
    """``confidence`` is the geometric mean of the characters', so that length does not matter."""

    characters: tuple[Character, ...] = ()

    @property
    def text(self) -> str:
        return "".join(character.text for character in self.characters)

    @property
    def confidence(self) -> float:
        if not self.characters:
            return 0.0
        logs = [math.log(max(one.confidence, 1e-9)) for one in self.characters]
        return math.exp(sum(logs) / len(logs))


def greedy(probabilities: NDArray[np.float32], alphabet: str) -> Line:
    """The best path; a character's confidence is its highest probability on it."""
    found: list[Character] = []
    previous = 0
    best = probabilities.argmax(axis=1).tolist()
    for step, column in enumerate(best):
        confidence = min(1.0, float(probabilities[step, column]))
        if column and column != previous:
            found.append(Character(alphabet[column - 1], confidence))
        elif column and confidence > found[-1].confidence:
            found[-1] = Character(alphabet[column - 1], confidence)
        previous = column
    return Line(tuple(found))


def probability(probabilities: NDArray[np.float32], alphabet: str, text: str) -> float:
    """How likely the recogniser holds exactly this text, summed over alignments.

    The forward algorithm of the CTC paper, section 4.1.
    """
    columns = [0]
    for character in text:
        columns += [alphabet.index(character) + 1, 0]
    forward = [1.0] + [0.0] * (len(columns) - 1)
    started = False
    for row in probabilities[:, columns].tolist():
        before, forward = forward, [0.0] * len(columns)
        for state, column in enumerate(columns):
            reach = before[state]
            if state:
                reach += before[state - 1] if started or state == 1 else 0.0
            if state > 1 and column and column != columns[state - 2]:
                reach += before[state - 2]
            forward[state] = reach * row[state]
        started = True
    return min(1.0, sum(forward[-2:]))


def align(probabilities: NDArray[np.float32], alphabet: str, text: str) -> tuple[Character, ...]:
    """The characters of ``text`` where they most likely stand (Viterbi), with their confidences.

    As in ``greedy``, a character's confidence is its highest probability there.
    """
    columns = [0]
    for character in text:
        columns += [alphabet.index(character) + 1, 0]
    rows = np.log(np.maximum(probabilities[:, columns], 1e-9))
    states = np.arange(len(columns))
    jumps = np.array([s > 1 and columns[s] not in (0, columns[s - 2]) for s in states])
    score = np.full(len(columns), -np.inf)
    score[:2] = rows[0, :2]
    came = np.zeros(rows.shape, np.intp)
    for step in range(1, len(rows)):
        ways = np.full((3, len(columns)), -np.inf)
        ways[0] = score
        ways[1, 1:] = score[:-1]
        ways[2, 2:] = np.where(jumps[2:], score[:-2], -np.inf)
        came[step] = ways.argmax(axis=0)
        score = ways.max(axis=0) + rows[step]
    state = len(columns) - 1 - int(len(columns) > 1 and score[-2] > score[-1])
    highest = [0.0] * len(text)
    for step in range(len(rows) - 1, -1, -1):
        if state % 2:
            here = float(probabilities[step, columns[state]])
            highest[state // 2] = max(highest[state // 2], here)
        state -= int(came[step, state])
    return tuple(
        Character(character, min(1.0, confidence))
        for character, confidence in zip(text, highest, strict=True)
    )


def beam(
    probabilities: NDArray[np.float32], alphabet: str, *, width: int
) -> list[tuple[str, float]]:
    """The likeliest texts with their probabilities, summed over alignments; at most ``width``.

    Prefix beam search (Hannun et al., 2014, algorithm 1, without a language model).
    """
    # prefix → (probability of ending in a blank, of ending in its last character)
    prefixes: dict[str, tuple[float, float]] = {"": (1.0, 0.0)}
    for row in probabilities:
        blank = float(row[0])
        columns = np.flatnonzero(row > _NEGLIGIBLE).tolist()
        likely = [(alphabet[column - 1], float(row[column])) for column in columns if column]
        after: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for prefix, (ends_blank, ends_character) in prefixes.items():
            total = ends_blank + ends_character
            after[prefix][0] += total * blank
            last = prefix[-1:]
            for character, p in likely:
                if character == last:
                    after[prefix][1] += ends_character * p
                    after[prefix + character][1] += ends_blank * p
                else:
                    after[prefix + character][1] += total * p
        kept = sorted(after.items(), key=lambda item: -sum(item[1]))[: max(width, 4)]
        prefixes = {prefix: (ends[0], ends[1]) for prefix, ends in kept}
    texts = sorted(((text, sum(ends)) for text, ends in prefixes.items()), key=lambda x: -x[1])
    return texts[:width]
