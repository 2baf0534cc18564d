"""What plates of a region look like: to rank what was read and to name the region.

A format never raises a confidence and never makes a text that the reader did not offer: plates
that break their country's rules are common enough, and a text that was bent to fit looks right
and is wrong. The formats are data (``formats.toml``).
"""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Final

from anpr.errors import InvalidOption
from anpr.types import Candidate, Region

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS: Final = "0123456789"
_CLASSES: Final = {"L": _LETTERS, "D": _DIGITS, "X": _LETTERS + _DIGITS}
_ITEM: Final = re.compile(
    r"(?P<class>[LDX])|\[(?P<set>\^?[A-Z0-9]+)\]|<(?P<list>\w+)>|\((?P<literal>[A-Z0-9]+)\)"
    r"|(?P<plain>[A-Z])"
)
_REPEAT: Final = re.compile(r"\{(\d+),(\d+)\}")
# A candidate this much less likely than the surest does not pass it for fitting a format
_PLAUSIBLE: Final = 0.05
_LOOK_ALIKES: Final = str.maketrans("OIZSB", "01258")
SOUGHT: Final = 10
"""Candidates to ask a reader for where regions are given: what fits may stand further down."""
_TELLING: Final = 0.9  # share from which a format tells a region, where none is expected


@dataclass(frozen=True, slots=True)
class Series:
    """What a pattern matches, and how many texts that are."""

    pattern: re.Pattern[str]
    size: float

    def __contains__(self, text: str) -> bool:
        return self.pattern.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Format:
    """``series`` are what a region gives out. The fewer texts one has, the more a match says.

    ``personal`` plates bear what their owners chose, which may be nearly anything: they fit where
    their region is expected, but name none where it is not.
    """

    code: str
    name: str
    groups: tuple[str, ...]
    series: tuple[Series, ...]
    personal: tuple[Series, ...]

    @property
    def size(self) -> float:
        """How many texts the series have together."""
        return sum(one.size for one in self.series)

    def weight(self, text: str, *, expected: bool) -> float:
        """How likely this region gives ``text`` to a plate: 0 where it does not fit.

        All series count alike, and so do the texts of each.
        """
        weight = sum(1 / one.size for one in self.series if text in one) / len(self.series)
        if not weight and expected:
            weight = sum(1 / one.size for one in self.personal if text in one)
        return weight


def parse_pattern(pattern: str, lists: dict[str, Any]) -> tuple[str, float]:
    """A regular expression and how many texts it matches. Raises ``ValueError``."""
    text, position, expression, size = pattern.replace(" ", ""), 0, "", 1.0
    while position < len(text):
        item = _ITEM.match(text, position)
        if item is None:
            raise ValueError(f"{pattern!r} cannot be read at {text[position:]!r}")
        position = item.end()
        choices = _choices(item, lists)
        least = most = 1
        repeat = _REPEAT.match(text, position)
        if repeat is not None:
            position = repeat.end()
            least, most = int(repeat[1]), int(repeat[2])
        expression += f"(?:{'|'.join(choices)}){{{least},{most}}}"
        size *= sum(float(len(choices)) ** count for count in range(least, most + 1))
    return expression, size


def _choices(item: re.Match[str], lists: dict[str, Any]) -> Collection[str]:
    if item["class"]:
        return _CLASSES[item["class"]]
    if item["list"]:
        if item["list"] not in lists:
            raise ValueError(f"there is no list {item['list']!r}")
        return [str(one) for one in lists[item["list"]]]
    if item["set"]:
        without = item["set"].removeprefix("^")
        return without if without == item["set"] else [c for c in _LETTERS if c not in without]
    return [item["literal"] or item["plain"]]


@functools.cache
def all_formats() -> tuple[Format, ...]:
    text = resources.files("anpr").joinpath("formats.toml").read_text("utf-8")
    return tuple(_format(code, table) for code, table in tomllib.loads(text).items())


def _format(code: str, table: dict[str, Any]) -> Format:
    return Format(
        code=code,
        name=table["name"],
        groups=tuple(table.get("groups", ())),
        series=_series(table["patterns"], table),
        personal=_series(table.get("personal", ()), table),
    )


def _series(patterns: Iterable[str], lists: dict[str, Any]) -> tuple[Series, ...]:
    parsed = (parse_pattern(pattern, lists) for pattern in patterns)
    return tuple(Series(re.compile(expression), size) for expression, size in parsed)


def expand(regions: Iterable[str]) -> frozenset[str]:
    """Codes of regions, groups (``eu``) replaced by theirs. Raises ``InvalidOption``."""
    codes: set[str] = set()
    for region in regions:
        name = region.lower()
        found = {one.code for one in all_formats() if name == one.code or name in one.groups}
        if not found:
            known = sorted({code for one in all_formats() for code in (one.code, *one.groups)})
            raise InvalidOption(f"A region is not known; there are {', '.join(known)}.")
        codes |= found
    return frozenset(codes)


def region_of(text: str, among: Collection[str] = ()) -> Region | None:
    """The region whose format the text has, the narrowest if there are several, or ``None``.

    The confidence is that region's share of all that fit: Bayes' rule with regions equally likely,
    which they are not, so that with no regions given a share below nine tenths names none. It says
    nothing about whether the text was read rightly.
    """
    return _region_of(text, frozenset(among))


@functools.lru_cache(maxsize=64)  # a plate asks for its text twice: among candidates, and alone
def _region_of(text: str, among: frozenset[str]) -> Region | None:
    weights = {
        one.code: one.weight(text, expected=bool(among))
        for one in all_formats()
        if not among or one.code in among
    }
    best = max(weights, key=weights.__getitem__, default="")
    if not weights.get(best):
        return None
    share = weights[best] / sum(weights.values())
    return Region(best, share) if among or share >= _TELLING else None


def rank(candidates: Sequence[Candidate], among: Collection[str] = ()) -> list[Candidate]:
    """The candidates, each with the region it fits; confidences stay as they are.

    With regions given, those that fit come first, unless they are out of all proportion less
    likely than the surest. Among them the format decides between 0 and O, 1 and I, 2 and Z, 5 and
    S, 8 and B, which often look the same: what was seen of texts that differ in nothing else
    counts for the one that fits. Without regions, the order stays.
    """
    named = []
    for one in candidates:
        region = region_of(one.text, among)
        named.append(replace(one, region=region.code if region else None))
    if not among or not named:
        return named
    floor = _PLAUSIBLE * max(one.confidence for one in named)
    seen: dict[str, float] = defaultdict(float)
    for one in named:
        seen[one.text.translate(_LOOK_ALIKES)] += one.confidence

    def place(one: Candidate) -> float:
        fits = one.region is not None and one.confidence >= floor
        return -seen[one.text.translate(_LOOK_ALIKES)] if fits else math.inf

    return sorted(named, key=place)
