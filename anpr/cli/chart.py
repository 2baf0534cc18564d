"""The picture of ``anpr memory --plot``: bars for each state, and lines over what repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from anpr.cli.memory import STATES

SIZE: Final = (1400, 640)
_INK, _FAINT, _PAPER = "#222222", "#dddddd", "#ffffff"
_COLOURS: Final = {"lean": "#0072b2", "reference": "#d55e00"}  # Okabe and Ito's, for all eyes
_TOP, _BOTTOM = 110, 560

Pen = ImageDraw.ImageDraw


def draw(figures: Mapping[str, Any]) -> Image.Image:
    """Of what ``anpr.cli.memory.measure`` gives; RGB."""
    runtimes = figures["runtimes"]
    canvas = Image.new("RGB", SIZE, _PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((40, 24), "Resident memory of the process, MiB", _INK, _font(26))
    for index, name in enumerate(runtimes):
        x = SIZE[0] - 190 * (len(runtimes) - index)
        pen.rectangle((x, 30, x + 22, 52), fill=_COLOURS[name])
        pen.text((x + 32, 41), name, _INK, _font(20), anchor="lm")
    most = _round_up(max(_all_values(runtimes)))
    _grid(pen, (90, 640), most, "by state")
    lean = runtimes["lean"]
    _grid(pen, (740, 960), most, "requests", len(lean["requests_mib"]))
    _grid(pen, (1030, 1370), most, "after each load and unload", len(lean["cycles_mib"]))
    _bars(pen, runtimes, most)
    for name, runtime in runtimes.items():
        _line(pen, runtime["requests_mib"], (740, 960), most, _COLOURS[name])
        _line(pen, runtime["cycles_mib"], (1030, 1370), most, _COLOURS[name])
    return canvas


def _all_values(runtimes: Mapping[str, Any]) -> list[float]:
    found = []
    for runtime in runtimes.values():
        found += [*runtime["rss_mib"].values(), *runtime["requests_mib"], *runtime["cycles_mib"]]
    return found


def _round_up(value: float) -> float:
    """To one, two or five of a power of ten, times five steps."""
    step = value / 5
    power = math.pow(10, math.floor(math.log10(step)))
    return 5 * power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= step)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _height(value: float, most: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value / most


def _grid(pen: Pen, span: tuple[int, int], most: float, title: str, count: int = 0) -> None:
    left, right = span
    for number in {1, count} if count else ():
        x = left + (number - 0.5) * (right - left) / count
        pen.text((x, _BOTTOM + 18), str(number), _INK, _font(15), anchor="mm")
    for step in range(6):
        value = most * step / 5
        y = _height(value, most)
        pen.line((left, y, right, y), fill=_INK if step == 0 else _FAINT, width=1)
        pen.text((left - 8, y), f"{value:.0f}", _INK, _font(15), anchor="rm")
    pen.text(((left + right) / 2, _TOP - 26), title, _INK, _font(18), anchor="mm")


def _bars(pen: Pen, runtimes: Mapping[str, Any], most: float) -> None:
    left, right = 90, 640
    room = (right - left) / len(STATES)
    width = room * 0.8 / len(runtimes)
    for number, state in enumerate(STATES):
        for index, (name, runtime) in enumerate(runtimes.items()):
            value = runtime["rss_mib"][state]
            x = left + number * room + room * 0.1 + index * width
            y = _height(value, most)
            pen.rectangle((x + 2, y, x + width - 2, _BOTTOM - 1), fill=_COLOURS[name])
            pen.text((x + width / 2, y - 4), f"{value:.0f}", _INK, _font(15), anchor="mb")
        middle = left + (number + 0.5) * room
        for row, word in enumerate(state.split()):
            pen.text((middle, _BOTTOM + 18 + 20 * row), word, _INK, _font(16), anchor="mm")


def _line(
    pen: Pen, values: Sequence[float], span: tuple[int, int], most: float, colour: str
) -> None:
    left, right = span
    room = (right - left) / len(values)
    points = [(left + (i + 0.5) * room, _height(value, most)) for i, value in enumerate(values)]
    pen.line(points, fill=colour, width=3, joint="curve")
    for x, y in points:
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
    pen.text((points[-1][0], points[-1][1] - 10), f"{values[-1]:.0f}", colour, _font(16), "rb")
