"""How plates are laid out, read from ``layouts.toml``."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

import numpy as np

from training.synthesis import patterns

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]
"""Blue, green, red."""
_WHOLE: Final[Box] = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Part:
    """Something on a plate that is not read. ``box`` is in shares of the plate's width and height.

    ``what`` names the function in ``parts.py`` that draws it; ``often`` is how likely it is there.
    """

    what: str
    box: Box
    often: float = 1.0
    colours: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    face: str = ""
    ink: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of plate. ``box`` is where the characters stand, ``caps`` their height a line.

    Texts by ``patterns`` have the format of ``region``; those by ``free`` have any.
    """

    country: str
    kind: str
    weight: float
    aspect: float
    faces: tuple[str, ...]
    colours: tuple[tuple[str, str], ...]
    patterns: tuple[str, ...]
    free: tuple[str, ...]
    caps: tuple[float, ...]
    box: Box
    lefts: tuple[float, ...]
    border: float
    tracking: tuple[float, float]
    stretch: tuple[float, float]
    seals: tuple[str, ...]
    parts: tuple[Part, ...]
    unsteady: float
    inline: tuple[tuple[str, ...], ...]
    lists: dict[str, tuple[str, ...]] = field(hash=False)
    region: str

    @property
    def lines(self) -> int:
        return self.patterns[0].count("/") + 1


def colour(text: str) -> Colour:
    """``#rrggbb`` as blue, green, red."""
    value = int(text.removeprefix("#"), 16)
    return value & 255, value >> 8 & 255, value >> 16


@functools.cache
def words(name: str) -> tuple[str, ...]:
    """A list of ``layouts.toml``'s table ``words``. Raises ``KeyError``."""
    return tuple(_data()["words"][name])


@functools.cache
def _data() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("layouts.toml").read_text("utf-8")
    return tomllib.loads(text)


@functools.cache
def all_layouts() -> tuple[Layout, ...]:
    """Every layout. Raises ``KeyError`` or ``ValueError`` where the file is wrong."""
    data = _data()
    tables = [*data["layout"], *_states(data)]
    return tuple(_layout(_inherit(table, data["like"])) for table in tables)


def _states(data: dict[str, Any]) -> list[dict[str, Any]]:
    """A layout for each row of ``states``: name, slogan, ground, ink, pattern, words' face."""
    states = data["states"]
    below = [text for name in states["bottoms"] for text in data["words"][name]]
    made = []
    for name, slogan, ground, ink, pattern, face in states["rows"]:
        table = {
            "kind": name.lower(),
            "colours": [[ground, ink]],
            "patterns": pattern.split("|"),
            "free": states["vanity"],
            "top": [name],
            "bottom": [slogan] * len(below) + below,
            "face": face,
        }
        made += [{"like": like, **table} for like in states["likes"]]
    return made


def _inherit(table: dict[str, Any], likes: dict[str, Any]) -> dict[str, Any]:
    if "like" not in table:
        return table
    parent = _inherit(likes[table["like"]], likes)
    merged = {**parent, **{key: value for key, value in table.items() if key != "like"}}
    merged["parts"] = [*parent.get("parts", ()), *table.get("parts", ())]
    return merged


def _layout(table: dict[str, Any]) -> Layout:
    texts, free = tuple(table["patterns"]), tuple(table.get("free", ()))
    lines = {text.count("/") + 1 for text in texts + free}
    if len(lines) != 1:
        raise ValueError(f"{table['country']}, {table['kind']}: patterns of unlike lines")
    caps = table["cap"]
    region = table.get("region", table["country"])
    lists = {
        **patterns.region_lists(table["country"]),
        **{k: tuple(v) for k, v in _data()["lists"].items()},
    }
    for text in texts + free:
        patterns.parse(text, lists)
    return Layout(
        country=table["country"],
        kind=table["kind"],
        weight=float(table.get("weight", 1.0)),
        aspect=table["size"][0] / table["size"][1],
        faces=tuple(table["faces"]),
        colours=tuple((ground, ink) for ground, ink in table["colours"]),
        patterns=texts,
        free=free,
        caps=tuple(caps) if isinstance(caps, list) else (caps,) * lines.pop(),
        box=_box(table.get("box", _WHOLE)),
        lefts=tuple(table.get("lefts", ())),
        border=float(table.get("border", 0.5)),
        tracking=_range(table.get("tracking", (0.1, 0.22))),
        stretch=_range(table.get("stretch", (0.88, 1.12))),
        seals=tuple(table.get("seals", ())),
        parts=tuple(_part(part, table) for part in table.get("parts", ())),
        unsteady=float(table.get("unsteady", 0.02)),
        inline=tuple(words(name.removeprefix("#")) for name in table.get("inline", ())),
        lists=lists,
        region=region,
    )


def _range(values: Any) -> tuple[float, float]:
    least, most = (float(value) for value in values)
    return least, most


def _box(values: Any) -> Box:
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2


def _part(part: dict[str, Any], table: dict[str, Any]) -> Part:
    """A part; ``texts = "@top"`` takes the layout's own ``top``, ``"#name"`` a list of words."""
    texts = part.get("texts", ())
    if isinstance(texts, str):
        texts = table.get(texts[1:], ()) if texts.startswith("@") else words(texts[1:])
    face = part.get("face", "")
    return Part(
        what=part["what"],
        box=_box(part["box"]),
        often=float(part.get("often", 1.0)),
        colours=tuple(part.get("colours", ())),
        texts=tuple(texts),
        face=table.get("face", "") if face == "@face" else face,
        ink=part.get("ink", ""),
    )


@functools.cache
def _shares(country: str | None) -> tuple[tuple[Layout, ...], np.ndarray[Any, Any]]:
    layouts = [one for one in all_layouts() if country is None or one.country == country]
    if not layouts:
        known = sorted({one.country for one in all_layouts()})
        raise ValueError(f"no layout of {country!r}; there are {', '.join(known)}")
    weights = _data()["countries"]
    of_country: dict[str, float] = {}
    for one in layouts:
        of_country[one.country] = of_country.get(one.country, 0.0) + one.weight
    shares = [weights.get(o.country, 1.0) * o.weight / of_country[o.country] for o in layouts]
    return tuple(layouts), np.cumsum(shares) / sum(shares)


def choose(rng: np.random.Generator, country: str | None = None) -> Layout:
    """A layout by the weights of countries and kinds. Raises ``ValueError`` if there is none."""
    layouts, shares = _shares(country)
    return layouts[min(int(np.searchsorted(shares, rng.random())), len(layouts) - 1)]
