"""``python -m benchmarks.agreement``: where the two runtimes read other texts in the same photos.

Reads the ``e2e`` and ``world`` photos beside the checkout with each runtime, in a process of its
own, and prints how often the texts are the same, how often each is right, and every difference.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anpr import memory
from anpr.types import Box
from benchmarks import output
from benchmarks.runtimes import LEAN, PADDLE, REFERENCE, RUNTIMES, SHARED, ask, available

SPLITS = ("e2e", "world")
SAME_PLATE_IOU = 0.5

Plates = list[dict[str, Any]]


def photos(data: Path, split: str, limit: int | None) -> list[dict[str, Any]]:
    """Lines of ``photos.jsonl``: ``file`` and ``texts`` are what is used of them."""
    rows = map(json.loads, (data / "photos.jsonl").read_text("utf-8").splitlines())
    return [row for row in rows if row["split"] == split][:limit]


def read_all(name: str, data: Path, split: str, limit: int | None) -> dict[str, Plates]:
    """The plates of each photo by file name, as the runtime of this process reads them."""
    recognizer = RUNTIMES[name].recognizer()
    recognizer.load()
    memory.freeze()
    found = {}
    for row in photos(data, split, limit):
        result = recognizer.read((data / row["file"]).read_bytes())
        found[row["file"]] = [
            {
                "text": plate.text,
                "confidence": plate.confidence,
                "box": [plate.box.x1, plate.box.y1, plate.box.x2, plate.box.y2],
            }
            for plate in result
        ]
    memory.unfreeze()  # what is frozen at exit counts as leaked for some of Torch's bindings
    return found


def compare(
    rows: Sequence[Mapping[str, Any]], lean: dict[str, Plates], other: dict[str, Plates]
) -> dict[str, Any]:
    """Counts over photos and plates, and the plates that differ."""
    differ: list[dict[str, Any]] = []
    plates = alone = same_photos = 0
    right = {"lean": 0, "other": 0, "texts": 0}
    for row in rows:
        mine, theirs = lean[row["file"]], list(other[row["file"]])
        same_photos += [p["text"] for p in mine] == [p["text"] for p in theirs]
        right["texts"] += len(row["texts"])
        for text in row["texts"]:
            right["lean"] += text in {p["text"] for p in mine}
            right["other"] += text in {p["text"] for p in theirs}
        for plate in mine:
            partner = max(theirs, key=lambda p: _iou(plate, p), default=None)
            if partner is None or _iou(plate, partner) < SAME_PLATE_IOU:
                alone += 1
                continue
            theirs.remove(partner)
            plates += 1
            if plate["text"] != partner["text"]:
                differ.append(
                    {
                        "file": row["file"],
                        "truth": row["texts"],
                        "lean": [plate["text"], plate["confidence"]],
                        "other": [partner["text"], partner["confidence"]],
                    }
                )
        alone += len(theirs)
    return {
        "photos": len(rows),
        "photos_alike": same_photos,
        "plates_in_both": plates,
        "plates_in_one": alone,
        "plates_alike": plates - len(differ),
        "right": right,
        "differ": differ,
    }


def _iou(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    return Box(*one["box"]).iou(Box(*other["box"]))


def markdown(figures: dict[str, Any]) -> str:
    lines = [
        "| photos | against | same texts | plates in both (in one) | same text"
        " | lean right | other right |",
        "|---|---|---|---|---|---|---|",
    ]
    details = []
    for split, parts in figures.items():
        for name, part in parts.items():
            right = part["right"]
            lines.append(
                f"| {split} | {name} | {part['photos_alike']} of {part['photos']}"
                f" | {part['plates_in_both']} ({part['plates_in_one']}) | {part['plates_alike']}"
                f" | {right['lean']} of {right['texts']} | {right['other']} of {right['texts']} |"
            )
            details += [f"\n{split}, lean against {name}:\n", "| photo | truth | lean | other |"]
            details.append("|---|---|---|---|")
            details += [
                f"| {Path(d['file']).stem} | {' '.join(d['truth'])} | {_cell(d['lean'])}"
                f" | {_cell(d['other'])} |"
                for d in part["differ"]
            ]
    return "\n".join(lines + details) + "\n"


def _cell(reading: tuple[str, float]) -> str:
    return f"{reading[0] or '(nothing)'} {reading[1]:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("runtime", nargs="?", choices=RUNTIMES, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, default=SHARED / "data")
    parser.add_argument("--only", choices=SPLITS, action="append", help="may be given twice")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N photos")
    output.add_options(parser)
    options = parser.parse_args(arguments)
    splits = options.only or SPLITS
    if options.runtime:  # the process that benchmarks.runtimes.ask started
        read = {s: read_all(options.runtime, options.data, s, options.limit) for s in splits}
        print(json.dumps(read))
        return 0
    if not (options.data / "photos.jsonl").is_file():
        print(f"There are no photos to read: {options.data} is missing.", file=sys.stderr)
        return 1
    passed = ["--data", str(options.data)]
    passed += [word for split in splits for word in ("--only", split)]
    passed += ["--limit", str(options.limit)] if options.limit else []
    texts = {
        runtime.name: ask(runtime, python, "benchmarks.agreement", *passed)
        for runtime, python in available()
    }
    others = [r.name for r in (REFERENCE, PADDLE) if r.name in texts]
    if not others:
        print("The reference runtime is not installed: run 'make reference'.", file=sys.stderr)
        return 1
    figures = {
        split: {
            name: compare(
                photos(options.data, split, options.limit),
                texts[LEAN.name][split],
                texts[name][split],
            )
            for name in others
        }
        for split in splits
    }
    output.tell(options, figures, markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
