"""From a recogniser's probability to a confidence that holds.

A network is surer than it is right, or less sure. Platt's method (1999) takes the probability's
logit through a straight line that was fitted on plates whose text is known, so that of all plates
read with confidence 0.9 nine in ten are right. One line serves whole plates and one characters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from anpr.errors import ModelUnusable

_EDGE: Final = 1e-6  # a probability of 0 or 1 has no logit
_FURTHEST: Final = 700.0  # exp() of more is no float


@dataclass(frozen=True, slots=True)
class Line:
    """sigmoid(slope · logit(p) + offset)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, probability: float) -> float:
        if self == _SAME:
            return probability
        p = min(max(probability, _EDGE), 1 - _EDGE)
        logit = self.slope * math.log(p / (1 - p)) + self.offset
        return 1 / (1 + math.exp(min(-logit, _FURTHEST)))


_SAME: Final = Line()


@dataclass(frozen=True, slots=True)
class Calibration:
    """Both lines rise, so that the order of candidates stays."""

    plate: Line = _SAME
    character: Line = _SAME

    @classmethod
    def parse(cls, text: str) -> Calibration:
        """Four numbers, slope and offset of plates, then of characters; "" changes nothing.

        Raises ``ModelUnusable``.
        """
        if not text:
            return cls()
        try:
            slope, offset, character_slope, character_offset = map(float, text.split())
        except ValueError as error:
            raise ModelUnusable("The reader's calibration cannot be read.") from error
        numbers = (slope, offset, character_slope, character_offset)
        if not (slope > 0 and character_slope > 0 and all(map(math.isfinite, numbers))):
            raise ModelUnusable("The reader's calibration cannot be used.")
        return cls(Line(slope, offset), Line(character_slope, character_offset))

    def __str__(self) -> str:
        numbers = (self.plate.slope, self.plate.offset)
        return " ".join(f"{x:.4f}" for x in (*numbers, self.character.slope, self.character.offset))
