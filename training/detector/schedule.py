"""How many passes fit into the time, and the learning rate that follows from it. No Torch here.

The processors are shared, so the length of a pass is not known beforehand. Before each pass the
number of passes is estimated anew, and the learning rate is a cosine over that estimate: it ends
low when the time ends, however slow the passes were. A run that is told to wind down (a file
called ``wind-down`` in its folder) ends after ``closing_epochs`` more passes in the same way.

The time spent is kept in the run's folder, so that a resumed run goes on with what is left.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

RECENT = 3
"""The next passes are expected to take as long as the mean of this many last ones."""


def estimated_epochs(
    done: int, spent_s: float, budget_s: float | None, epoch_s: float | None, most: int
) -> int:
    """The total number of passes after ``done`` of them took ``spent_s`` seconds.

    ``epoch_s`` is the expected length of a pass, None while it is not known. At least one more
    pass is made, and never more than ``most`` in all.
    """
    if budget_s is None or epoch_s is None:
        return max(most, done + 1)
    fitting = int((budget_s - spent_s) / epoch_s) if epoch_s > 0 else most
    return max(done + 1, min(most, done + fitting))


def learning_rate_factor(epoch: float, epochs: int, final: float) -> float:
    """A half cosine from 1 at epoch 0 to ``final`` at the end (one cycle of arXiv:1608.03983)."""
    progress = min(max(epoch / epochs, 0.0), 1.0)
    return final + (1.0 - final) * (1.0 + math.cos(math.pi * progress)) / 2.0


@dataclass(slots=True)
class Budget:
    """The passes and the seconds of one run, over as many processes as it takes."""

    most: int
    budget_s: float | None
    closing: int
    folder: Path
    spent_s: float = 0.0
    recent_s: list[float] = field(default_factory=list)
    end: int | None = None
    """Set once the run was told to wind down: the number of passes after which it ends."""

    @property
    def state(self) -> Path:
        return self.folder / "budget.json"

    def restore(self) -> None:
        """Take up what an earlier process of this run left."""
        if self.state.is_file():
            kept = json.loads(self.state.read_text(encoding="utf-8"))
            self.spent_s = float(kept["spent_s"])
            self.recent_s = [float(s) for s in kept["recent_s"]]
            self.end = kept.get("end")

    def add(self, epoch_s: float) -> None:
        """Count a pass, and keep the count on disk."""
        self.spent_s += epoch_s
        self.recent_s = [*self.recent_s, epoch_s][-RECENT:]
        content = {"spent_s": self.spent_s, "recent_s": self.recent_s, "end": self.end}
        partial = self.state.with_suffix(".partial")
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(self.state)

    def epochs(self, done: int) -> int:
        """How many passes the run will have, as far as is known after ``done`` of them."""
        if self.end is None and (self.folder / "wind-down").exists():
            self.end = done + max(self.closing, 1)
        total = estimated_epochs(done, self.spent_s, self.budget_s, mean(self.recent_s), self.most)
        return total if self.end is None else max(done + 1, min(total, self.end))


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
