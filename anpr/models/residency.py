"""Which models are in memory: loaded when they are needed, dropped when they are not.

A model comes with its first lease and stays afterwards, until it has been idle for a while or
another one needs its room. Whoever uses a model holds a lease on it meanwhile; what is leased never
goes. How large a model is, is seen when it loads: the growth of the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from anpr import memory
from anpr.types import Model


@dataclass(slots=True)
class _Place:
    """What is known of a model. ``mib`` stays known when the model has gone."""

    resident: bool = False
    leases: int = 0
    used_at: float = 0.0
    mib: float = 0.0


class Residency:
    """Models that share a budget.

    ``budget_mib``: what they may take together (0: as much as they do); where one more would not
    fit, those that were not used for the longest time go first, and if all others are leased, it
    comes in spite of the budget. ``idle_s``: how long an unused one stays (0: for good).

    May be used from many threads: one loads and the others wait.
    """

    def __init__(
        self,
        *,
        budget_mib: float = 0.0,
        idle_s: float = 0.0,
        held_mib: Callable[[], float] = memory.anonymous_mib,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget_mib = budget_mib
        self._idle_s = idle_s
        self._held_mib = held_mib
        self._clock = clock
        self._lock = threading.Lock()
        self._places: dict[Model, _Place] = {}

    def holds(self, model: Model) -> bool:
        """Is it in memory? Never waits."""
        place = self._places.get(model)
        return place is not None and place.resident

    def fits(self, models: Iterable[Model]) -> bool:
        """May all of these be in memory together, as far as is known?"""
        sizes = [place.mib for model in models if (place := self._places.get(model))]
        return not self._budget_mib or sum(sizes) <= self._budget_mib

    @property
    def resident_models(self) -> int:
        return sum(place.resident for place in list(self._places.values()))

    @property
    def resident_mib(self) -> float:
        """What the models in memory took when they came."""
        return sum(place.mib for place in list(self._places.values()) if place.resident)

    def load(self, model: Model) -> None:
        """Raises ``ModelError``."""
        with self.lease(model):
            pass

    @contextmanager
    def lease(self, *models: Model) -> Iterator[None]:
        """The models are in memory for as long as this lasts. Raises ``ModelError``."""
        taken: list[_Place] = []
        try:
            for model in models:
                with self._lock:
                    place = self._bring(model)
                    place.leases += 1
                    taken.append(place)
            yield
        finally:
            with self._lock:
                for place in taken:
                    place.leases -= 1
                    place.used_at = self._clock()

    def unload(self, *, idle: bool = False) -> int:
        """Drop what is not leased, or of that only what was idle for too long; how many went."""
        latest = self._clock() - self._idle_s
        with self._lock:
            gone = [
                model
                for model, place in self._places.items()
                if place.resident
                and not place.leases
                and not (idle and (not self._idle_s or place.used_at > latest))
            ]
            for model in gone:
                self._drop(model)
        return len(gone)

    def forget(self, *models: Model) -> None:
        """Let go of what is known of models that are not in memory; they will not come again."""
        with self._lock:
            for model in models:
                if not self.holds(model):
                    self._places.pop(model, None)

    def next_idle_s(self) -> float | None:
        """In how many seconds something may be idle for too long; ``None``: nothing will be."""
        with self._lock:
            places = [one for one in self._places.values() if one.resident and not one.leases]
            used = [place.used_at for place in places]
        if not used or not self._idle_s:
            return None
        return max(0.0, min(used) + self._idle_s - self._clock())

    def _bring(self, model: Model) -> _Place:
        place = self._places.setdefault(model, _Place())
        if not place.resident:
            self._make_room(place.mib, model)
            before = self._held_mib()
            model.load()
            place.mib = max(0.0, self._held_mib() - before)
            place.resident, place.used_at = True, self._clock()
            self._make_room(0.0, model)
        return place

    def _make_room(self, mib: float, keep: Model) -> None:
        """Drop the longest unused until this much fits, or all that is left is leased."""
        if not self._budget_mib:
            return
        for model, place in sorted(self._places.items(), key=lambda item: item[1].used_at):
            if self.resident_mib + mib <= self._budget_mib:
                return
            if place.resident and not place.leases and model is not keep:
                self._drop(model)

    def _drop(self, model: Model) -> None:
        self._places[model].resident = False
        model.unload()
