"""The options of a request: ``top_n``, ``min_confidence`` and ``regions``, judged in one place.

They come as text (query, form) or as JSON values. A body's option goes before the query's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from anpr import formats
from anpr.errors import InvalidOption

NAMES: Final = ("top_n", "min_confidence", "regions")
_INTEGER = re.compile(r"[0-9]{1,6}")
_NUMBER = re.compile(r"(?=\.?[0-9])[0-9]{0,3}(?:\.[0-9]{0,20})?(?:[eE]-?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Options:
    top_n: int = 1
    min_confidence: float = 0.0
    regions: tuple[str, ...] = ()


def parse(given: Mapping[str, Sequence[object]], *, max_candidates: int) -> Options:
    """``given`` maps a name to its values, in the order they were sent. Raises ``InvalidOption``.

    Sentences name the option and what is allowed, and never repeat the value.
    """
    return Options(
        top_n=_top_n(_single("top_n", given), max_candidates),
        min_confidence=_min_confidence(_single("min_confidence", given)),
        regions=_regions(given.get("regions", ())),
    )


def _single(name: str, given: Mapping[str, Sequence[object]]) -> object:
    values = given.get(name, ())
    if len(values) > 1:
        raise InvalidOption(f"The option '{name}' is given more than once.")
    return values[0] if values else None


def _top_n(value: object, most: int) -> int:
    if value is None:
        return 1
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():  # JSON knows one kind of number
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InvalidOption(f"The option 'top_n' is a whole number from 1 to {most}.")
    return value


def _min_confidence(value: object) -> float:
    if value is None:
        return 0.0
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InvalidOption("The option 'min_confidence' is a number from 0 to 1.")
    return float(value)


def _regions(values: Sequence[object]) -> tuple[str, ...]:
    """Names of regions and groups, separated by commas or given several times."""
    names: list[str] = []
    for value in values:
        if value is None:
            continue
        if not isinstance(value, str) or not value.isascii():
            raise InvalidOption("The option 'regions' is text: names separated by commas.")
        names += [name for name in (part.strip(" ") for part in value.split(",")) if name]
    formats.expand(names)  # says now, and not after the photo was fetched, that one is unknown
    return tuple(names)
