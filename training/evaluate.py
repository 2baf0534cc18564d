"""``python -m training.evaluate``: how well plates are found and read, on photos nobody trained on.

Four parts, each with the code that the service runs (``anpr``), on one thread:

- ``detection``: the detector alone on the ``val`` photos;
- ``crops``: the reader alone on the labelled ``dev`` crops, cut as the service cuts them;
- ``e2e`` and ``world``: bytes to texts, on photos whose plate was read by eye.

A plate counts as found where a box overlaps it with an IoU of at least 0.5, and as read where the
text on that box is exactly the plate's (A to Z and 0 to 9 compared). A box on a second plate that
nobody annotated (``detector/unlabelled-val.jsonl``, told by eye) is neither right nor false; the
figures that count it as false stand beside.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from anpr import imaging
from anpr.pipeline import Recognizer, make_detector, make_reader
from anpr.settings import Settings
from anpr.types import Box, Reader
from training import metrics, paths, report
from training.data import UNLABELLED, Photo, read_missed, read_photos
from training.detection import (
    COVERED,
    CURVE_CONFIDENCE,
    FOUND_IOU,
    Score,
    key,
    look,
    recall_by_width,
    rows,
    without_unlabelled,
)
from training.metrics import Boxes, Reading

PARTS = ("detection", "crops", "e2e", "world")


def detection(
    photos: Sequence[Photo],
    settings: Settings,
    unlabelled: Mapping[str, Boxes] | None = None,
) -> dict[str, Any]:
    """The detector's figures over ``photos``.

    ``sources`` is a look at ``detector_side_px``, with the closer look at small plates, whose curve
    is drawn from ``CURVE_CONFIDENCE`` on; ``served`` is what the service does: its threshold, and
    a second look where it has one. ``raw`` and ``served_raw`` count ``unlabelled`` plates, by
    ``SPLIT/NAME``, as false.
    """
    told = {"detection_confidence": CURVE_CONFIDENCE, "second_look_px": 0}
    detector = make_detector(settings.model_copy(update=told))
    raw = look(photos, detector, settings.working_side_px)
    served_raw = look(photos, make_detector(settings), settings.working_side_px)
    seen = without_unlabelled(raw, unlabelled or {})
    served = without_unlabelled(served_raw, unlabelled or {})
    sources = sorted({each.photo.source for each in seen})
    groups = {"all": seen} | {s: [e for e in seen if e.photo.source == s] for s in sources}
    threshold = settings.detection_confidence
    return {
        "model": detector.name,
        "threshold": threshold,
        "sources": {name: asdict(Score.of(group, threshold)) for name, group in groups.items()},
        "raw": asdict(Score.of(raw, threshold)),
        "served": asdict(Score.of(served, threshold)),
        "served_raw": asdict(Score.of(served_raw, threshold)),
        "by_width": recall_by_width(seen, threshold),
        "served_by_width": recall_by_width(served, threshold),
        "detect_ms": statistics.median(each.ms for each in seen),
    }


@dataclass(frozen=True, slots=True)
class Crop:
    """A line of ``crops.jsonl``. ``box`` is None where the whole crop is the plate."""

    path: Path
    source: str
    text: str
    box: Box | None


def read_crops(listing: Path, split: str = "dev") -> Iterator[Crop]:
    """The crops of a split that have a text."""
    with listing.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["split"] == split and row["text"]:
                box = Box(*row["box"]) if row["box"] else None
                yield Crop(listing.parent / row["file"], row["source"], row["text"], box)


def crops(labelled: Iterable[Crop], reader: Reader, settings: Settings) -> dict[str, Any]:
    """The reader's figures, by source."""
    texts: dict[str, list[tuple[str, str]]] = {}
    times: list[float] = []
    for each in labelled:
        photo = imaging.decode(each.path.read_bytes(), max_side_px=settings.working_side_px)
        height, width = photo.working.shape[:2]
        pixels = photo.crop(
            each.box or Box(0, 0, width, height),
            padding_px=settings.padding_px,
            max_width=settings.crop_width_px,
            max_height=settings.crop_height_px,
        )
        began = time.perf_counter()
        text = reader.read(pixels).text
        times.append((time.perf_counter() - began) * 1000)
        texts.setdefault(each.source, []).append((each.text, text))
    everything = [pair for pairs in texts.values() for pair in pairs]
    return {
        "model": reader.name,
        "sources": {
            name: asdict(Reading.of([a for a, _ in pairs], [b for _, b in pairs]))
            for name, pairs in [*sorted(texts.items()), ("all", everything)]
        },
        "read_ms": statistics.median(times),
    }


def end_to_end(
    photos: Iterable[Photo],
    recognizer: Recognizer,
    regions: Sequence[str] = (),
    unlabelled: Mapping[str, Boxes] | None = None,
) -> dict[str, Any]:
    """Found and read, over photos with one text a box; ``regions`` as a user would give them.

    A plate among ``unlabelled``, by ``SPLIT/NAME``, is not counted as false.
    """
    pairs: list[tuple[str, str]] = []
    found = false = count = anywhere = 0
    stages: dict[str, list[float]] = {}
    models: Mapping[str, str] = {}
    for photo in photos:
        result = recognizer.read(photo.path.read_bytes(), regions=regions)
        count += 1
        models = result.models
        for stage, ms in result.timings_ms.items():
            stages.setdefault(stage, []).append(ms)
        boxes = rows(plate.box for plate in result)
        ious = metrics.iou_matrix(boxes, np.array(photo.boxes, dtype=np.float64))
        matched = metrics.match(ious, FOUND_IOU)
        others = np.array((unlabelled or {}).get(key(photo), ()), dtype=np.float64)
        whose = matched.tolist()
        found += sum(index >= 0 for index in whose)
        false += int(((matched < 0) & (metrics.covered(boxes, others) < COVERED)).sum())
        read = {index: plate.text for index, plate in zip(whose, result, strict=True)}
        everywhere = {metrics.normalised(plate.text) for plate in result}
        for index, text in enumerate(photo.texts):
            pairs.append((text, read.get(index, "")))
            anywhere += metrics.normalised(text) in everywhere
    return {
        "models": dict(models),
        "photos": count,
        "plates": len(pairs),
        "found": found / max(len(pairs), 1),
        "text": asdict(Reading.of([a for a, _ in pairs], [b for _, b in pairs])),
        "exact_anywhere": anywhere / max(len(pairs), 1),
        "false_per_photo": false / max(count, 1),
        "stages_ms": {stage: statistics.median(times) for stage, times in stages.items()},
    }


def evaluate(
    settings: Settings,
    data: Path,
    parts: Sequence[str],
    limit: int | None,
    regions: Sequence[str] = (),
) -> dict[str, Any]:
    """The figures of each of ``parts``, from the photos and crops in ``data``."""
    listing = data / "photos.jsonl"
    unlabelled = {name: of.plates for name, of in read_missed(UNLABELLED["val"]).items()}

    def photos(split: str) -> Iterator[Photo]:
        return islice(read_photos(listing, [split]), limit)

    todo: dict[str, Callable[[], dict[str, Any]]] = {
        "detection": lambda: detection(list(photos("val")), settings, unlabelled),
        "crops": lambda: crops(
            islice(read_crops(data / "crops.jsonl"), limit), make_reader(settings), settings
        ),
        "e2e": lambda: end_to_end(photos("e2e"), Recognizer(settings), regions, unlabelled),
        "world": lambda: end_to_end(photos("world"), Recognizer(settings), regions, unlabelled),
    }
    return {part: todo[part]() for part in parts}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given several times")
    parser.add_argument("--detector", choices=("onnx", "ultralytics"))
    parser.add_argument("--reader", choices=("onnx", "paddle"))
    parser.add_argument("--model", metavar="NAME", help="a detector: its name, or a file")
    parser.add_argument("--regions", default="", metavar="R,R", help="what whole photos are from")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N of each part")
    parser.add_argument("--data", type=Path, default=paths.shared_data())
    options = parser.parse_args(arguments)
    if not (options.data / "photos.jsonl").is_file():
        sys.stderr.write(f"There are no photos to measure on: {options.data} is missing.\n")
        return 1
    chosen = {
        "detector": options.detector,
        "reader": options.reader,
        "detector_model": options.model,
    }
    settings = Settings(**{name: value for name, value in chosen.items() if value})
    regions = [name for name in options.regions.split(",") if name]
    figures = evaluate(settings, options.data, options.only or PARTS, options.limit, regions)
    tables = report.markdown(figures)
    sys.stdout.write(tables)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(tables, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
