"""``python -m training.reader.measure``: what the reader reads, how fast, and how sure it may be.

Needs the base installation and the photos. Of the Vietnamese and Czech crops, whose labels an OCR
made, the 200 that were read by eye are counted; ``python -m training.evaluate`` has the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anpr import formats
from anpr.pipeline import Recognizer, make_reader
from anpr.settings import Settings
from anpr.types import Candidate, Reading
from training import metrics, report
from training.data import read_photos
from training.paths import shared_data
from training.reader import calibrate, dev
from training.reader.calibrate import Judged

if TYPE_CHECKING:
    from anpr.types import Image, Reader

_PRECISION = 0.99
_FOUND_IOU = 0.5
_BRAZIL = "br-train-detector"
_LEGIBLE = "legible to the eye"
_PUBLISHED = f"{_BRAZIL}, labels as published"


@dataclass
class Timed:
    """A reader with a clock: ``ms`` has the lines that were read and the time for each crop."""

    reader: Reader
    ms: list[tuple[int, float]]

    @property
    def name(self) -> str:
        return self.reader.name

    def load(self) -> None:
        self.reader.load()

    def unload(self) -> None:
        self.reader.unload()

    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        began = time.perf_counter()
        reading = self.reader.read(crop, top_n=top_n)
        self.ms.append((len(reading.lines), (time.perf_counter() - began) * 1000))
        return reading


def measure(settings: Settings) -> dict[str, Any]:
    timed = Timed(make_reader(settings), [])
    timed.load()
    read = list(dev.read(timed))
    expected = [_ranked(one) for one in dev.read(timed.reader, top_n=formats.SOUGHT)]
    second = [one for one in read if one.second_half]
    first = [one for one in read if not one.second_half]
    world = list(on_photos(settings, "world"))
    least = calibrate.threshold([_judged(one) for one in first], _PRECISION)
    return {
        "model": timed.name,
        "sources": _by_source(read),
        "regions": _by_source(expected),
        "ms": {
            name: statistics.median([ms for lines, ms in timed.ms if lines == count] or [0.0])
            for name, count in (("one line", 1), ("two lines", 2))
        },
        "threshold": least,
        "plates": {
            "dev, second half": _reliability([_judged(one) for one in second], least),
            "world": _reliability([(r.confidence, r.text == label) for r, label in world], least),
        },
        "characters": {
            "dev, second half": _reliability(
                [pair for one in second for pair in calibrate.characters(one.reading, one.label)]
            ),
            "world": _reliability(
                [pair for r, label in world for pair in calibrate.characters(r, label)]
            ),
        },
    }


def _ranked(one: dev.Read) -> dev.Read:
    """As it is read where the caller expects the regions that the crop is from."""
    return replace(one, reading=Reading(tuple(formats.rank(one.reading.candidates, one.regions))))


def _by_source(read: Sequence[dev.Read]) -> dict[str, dict[str, float]]:
    blurred = {one.source for one in read if not one.legible}
    rows: dict[str, list[dev.Read]] = {}
    for one in read:
        rows.setdefault(one.source, []).append(one)
        if one.legible and one.source in blurred:
            rows.setdefault(f"{one.source}, {_LEGIBLE}", []).append(one)
        if one.source == _BRAZIL:
            rows.setdefault(_PUBLISHED, []).append(replace(one, label=one.published))
    checked = [one for one in read if one.source == dev.CHECKED_NAME]
    return (
        {name: _shares(of) for name, of in sorted(rows.items())}
        | _by_lines(checked, "of these")
        | _by_lines([one for one in checked if one.legible], f"of these, {_LEGIBLE}")
    )


def _judged(one: dev.Read) -> Judged:
    return one.reading.confidence, one.right


def _by_lines(read: Sequence[dev.Read], name: str) -> dict[str, dict[str, float]]:
    two = [one for one in read if dev.two_lines(one.label)]
    single = [one for one in read if one not in two]
    return {f"{name}, one line": _shares(single), f"{name}, two lines": _shares(two)}


def _shares(read: Sequence[dev.Read]) -> dict[str, float]:
    folded = [metrics.folded(one.reading.text) == metrics.folded(one.label) for one in read]
    return {
        "crops": len(read),
        "exact": sum(one.right for one in read) / max(1, len(read)),
        "folded": sum(folded) / max(1, len(read)),
    }


def on_photos(settings: Settings, split: str) -> Iterable[tuple[Reading, str]]:
    """What is read on the box of each plate of a split that is found, and its text."""
    recognizer = Recognizer(settings)
    for photo in read_photos(shared_data() / "photos.jsonl", [split]):
        plates = list(recognizer.read(photo.path.read_bytes()))
        boxes = np.array([[p.box.x1, p.box.y1, p.box.x2, p.box.y2] for p in plates], dtype=float)
        ious = metrics.iou_matrix(boxes.reshape(-1, 4), np.array(photo.boxes, dtype=float))
        matched = metrics.match(ious, _FOUND_IOU).tolist()
        for index, plate in zip(matched, plates, strict=True):
            if index >= 0:
                read = Candidate(plate.text, plate.confidence, characters=plate.characters)
                yield Reading((read,) if plate.text else ()), photo.texts[index]


def _reliability(judged: Sequence[Judged], least: float | None = None) -> dict[str, Any]:
    bins = calibrate.reliability(judged)
    told: dict[str, Any] = {
        "count": len(judged),
        "error": calibrate.expected_calibration_error(bins),
        "bins": [asdict(one) for one in bins],
    }
    if least is not None:
        told["precision"], told["kept"] = calibrate.kept(judged, least)
    return told


def markdown(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    shares = [
        [
            name,
            str(of["crops"]),
            *(report.percent(of[share]) for share in ("exact", "folded")),
            report.percent(figures["regions"][name]["exact"]),
        ]
        for name, of in figures["sources"].items()
    ]
    ms = ", ".join(f"{name} {value:.1f} ms" for name, value in figures["ms"].items())
    blocks = [
        f"Reader `{figures['model']}`, median time on one thread: {ms}.",
        report.table(
            ["`dev` crops", "crops", "exact", "exact with O=0, I=1", "exact with `regions`"], shares
        ),
        f"Of the first half of `dev`, {100 * _PRECISION:g} % of what is read with confidence "
        f"{figures['threshold']:.3f} or more is right.",
    ]
    for unit in ("plates", "characters"):
        for name, of in figures[unit].items():
            blocks += _reliable(unit, name, of)
    return "\n\n".join(blocks) + "\n"


def _reliable(unit: str, name: str, of: dict[str, Any]) -> list[str]:
    told = f"{of['count']} {unit} of {name}: expected calibration error {of['error']:.3f}."
    if "kept" in of:
        told += (
            f" From that confidence on {report.percent(of['precision'])} are right, and "
            f"{report.percent(of['kept'])} of all are kept and right."
        )
    rows = [
        [
            f"{one['low']:.1f} to {one['low'] + 1 / calibrate.BINS:.1f}",
            str(one["count"]),
            f"{one['confidence']:.3f}",
            f"{one['right']:.3f}",
        ]
        for one in of["bins"]
    ]
    return [told, report.table(["confidence", unit, "mean confidence", "right"], rows)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.reader.measure", description=__doc__)
    parser.add_argument("--model", help="an ONNX file, or a name of the manifest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    settings = Settings(**({"reader_model": options.model} if options.model else {}))
    figures = measure(settings)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(markdown(figures), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
