"""Texts of number plates by pattern, with the marks that stand between the characters.

The language is that of ``anpr/formats.toml`` (L a letter, D a digit, X either, ``[ABC]``,
``[^IO]``, ``<list>``, ``(…)`` as it is, ``{m,n}``), and here what stands between counts as well:

    space  a gap               _  a wide gap        /    the next line
    -  .   drawn as they are   @  a seal            ~    any separator, or none
    *      a small picture     `DD`  small, read    'DD' small and not read (a year)
    ^DD^,LL,  small, the first above the second, both read before what follows

A character of another kind than plain is written as itself moved up by its kind's value.
"""

from __future__ import annotations

import enum
import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final

import numpy as np

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS: Final = "0123456789"
ALPHABET: Final = DIGITS + LETTERS
# X leaves out what only neighbours could tell: O and 0, I and 1 come where the pattern says which
_CLASSES: Final = {"L": LETTERS, "D": DIGITS, "X": "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"}
_ITEM: Final = re.compile(
    r"(?P<class>[LDX])|\[(?P<set>\^?[A-Z0-9]+)\]|<(?P<list>\w+)>|\((?P<literal>[A-Z0-9]+)\)"
    r"|(?P<plain>[A-Z0-9])|(?P<mark>[ _\-.@~/*`'^,])"
)
_REPEAT: Final = re.compile(r"\{(\d+),(\d+)\}")
_SEPARATORS: Final = (" ", "-", ".", "", " ")


class Kind(enum.IntEnum):
    """How a character stands in its line; the values are where Unicode leaves room."""

    PLAIN = 0
    SMALL = 0xE000
    UPPER = 0xE100
    LOWER = 0xE200
    UNREAD = 0xE300


_KINDS: Final = {"`": Kind.SMALL, "^": Kind.UPPER, ",": Kind.LOWER, "'": Kind.UNREAD}
Choices = tuple[str, ...]


@functools.cache
def region_lists(region: str) -> dict[str, Choices]:
    """The lists of a region of ``anpr/formats.toml``; empty where the region is not there."""
    text = resources.files("anpr").joinpath("formats.toml").read_text("utf-8")
    table = tomllib.loads(text).get(region, {})
    return {name: tuple(value) for name, value in table.items() if isinstance(value, list)}


def parse(pattern: str, lists: Mapping[str, Sequence[str]]) -> list[tuple[Choices, int, int]]:
    """Choices of every item and how often it comes. Raises ``ValueError``."""
    items, position = [], 0
    while position < len(pattern):
        item = _ITEM.match(pattern, position)
        if item is None:
            raise ValueError(f"{pattern!r} cannot be read at {pattern[position:]!r}")
        position = item.end()
        least = most = 1
        repeat = _REPEAT.match(pattern, position)
        if repeat is not None:
            position = repeat.end()
            least, most = int(repeat[1]), int(repeat[2])
        items.append((_choices(item, lists), least, most))
    return items


def _choices(item: re.Match[str], lists: Mapping[str, Sequence[str]]) -> Choices:
    if item["class"]:
        return tuple(_CLASSES[item["class"]])
    if item["list"]:
        if item["list"] not in lists:
            raise ValueError(f"there is no list {item['list']!r}")
        return tuple(str(one) for one in lists[item["list"]])
    if item["set"]:
        without = item["set"].removeprefix("^")
        return tuple(
            without if without == item["set"] else (c for c in LETTERS if c not in without)
        )
    return (item["literal"] or item["plain"] or item["mark"],)


def write(
    rng: np.random.Generator, pattern: str, lists: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Lines of a text with its marks, every choice equally likely.

    But in one text of five, where half of the characters repeat the one before: 5000 and 1117 are
    commoner on real plates than by chance, and what a reader with CTC drops first.
    """
    text, shift, before = "", 0, ""
    repeats = 0.5 if rng.random() < 0.2 else 0.0
    for choices, least, most in parse(pattern, lists):
        if len(choices) == 1 and choices[0] in _KINDS:
            shift = 0 if shift else _KINDS[choices[0]]
            continue
        for _ in range(int(rng.integers(least, most + 1))):
            one = choices[int(rng.integers(len(choices)))]
            if len(choices) > 1 and before in choices and rng.random() < repeats:
                one = before
            before = one
            if one == "~":
                one = _SEPARATORS[int(rng.integers(len(_SEPARATORS)))]
            marked = shift and one not in _SEPARATORS
            text += "".join(chr(ord(character) + shift) for character in one) if marked else one
    return tuple(text.split("/"))


def write_any(rng: np.random.Generator, lines: int, told: str = "") -> tuple[str, ...]:
    """Any 4 to 8 characters in one line or two, now and then with a separator in between.

    ``told`` are the characters that the face tells from their doubles (``O`` from 0, ``I`` from
    1); the others are written as their neighbours are, since nothing else can tell.
    """
    count = int(rng.integers(4, 9))
    characters = [ALPHABET[int(i)] for i in rng.integers(len(ALPHABET), size=count)]
    characters = [_as_beside(characters, at, told) for at in range(count)]
    cuts = [int(rng.integers(2, count - 1))] if lines == 2 else []
    rows = []
    for start, end in zip([0, *cuts], [*cuts, count], strict=True):
        row = "".join(characters[start:end])
        if len(row) > 3 and rng.random() < 0.5:
            cut = int(rng.integers(1, len(row)))
            row = row[:cut] + " -."[int(rng.integers(3))] + row[cut:]
        rows.append(row)
    return tuple(rows)


def _as_beside(characters: list[str], at: int, told: str) -> str:
    for letter, digit in ("O0", "I1"):
        if characters[at] in (letter, digit) and letter not in told:
            beside = characters[max(0, at - 1) : at] + characters[at + 1 : at + 2]
            if not set(beside) & set("O0I1"):
                if all(one in DIGITS for one in beside):
                    return digit
                if all(one in LETTERS for one in beside):
                    return letter
            return "7" if characters[at] == digit else "T"
    return characters[at]


def read(line: str) -> str:
    """A line's characters without its marks: what a reader should read."""
    plain = (plain_of(one) for one in line if kind_of(one) is not Kind.UNREAD)
    return "".join(character for character in plain if character in ALPHABET)


def kind_of(character: str) -> Kind:
    return Kind(ord(character) & ~0xFF)


def plain_of(character: str) -> str:
    """The character itself, whatever its kind."""
    return chr(ord(character) & 0xFF)
