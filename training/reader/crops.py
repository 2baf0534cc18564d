"""Which crops the reader is trained on, with which texts.

Labels are cleaned, and crops without one get a pseudo-label (Lee, "Pseudo-label", 2013), by a
reader that there is already: the untuned one at first, the tuned one afterwards. What was read by
eye goes before both: a reader that learnt a wrong label repeats it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from anpr import formats
from training.paths import shared_data

if TYPE_CHECKING:
    from anpr.types import Image, Reader, Reading

# The countries of each labelled source; its texts fit one of their formats, or are doubted.
_COUNTRIES: Final = {
    "ar-ankandrew": ("ar",),
    "br-train-detector": ("br",),
    "vn-cz-vitocolerole": ("vn", "cz", "hr", "sk", "pl"),
}
BY_EYE: Final = Path(__file__).with_name("by_eye.jsonl")
"""Crops read by eye, where a label is wrong or missing.

Looked at were: every Brazilian crop of ``train`` and ``dev``; of the other labelled ones of
``train`` those that a tuned reader read otherwise; and all without a label but the smallest. A
text that is null leaves a crop out.
"""
CHECKED: Final = Path(__file__).with_name("checked.jsonl")
"""Crops of ``dev`` read by eye: 200 Vietnamese and Czech ones, drawn by seed, all of Argentina.

Twice, independently, without labels or a reader's help. What both read is the text; where one of
them could not tell a character the label stands, and the plate is not ``legible``.
"""

_SURE: Final = 0.9  # a pseudo-label's least confidence
_ALIKE: Final = {"O": "O0", "0": "O0", "I": "I1", "1": "I1"}
_TELLING: Final = 1e10  # texts of a format; one with more says nothing
_CLEARLY: Final = 5.0  # times as telling as the next
_LENGTHS: Final = range(4, 11)
_BORDER: Final = 0.12  # around the annotated box of an unlabelled crop, share of its height


@dataclass(frozen=True, slots=True)
class Labelled:
    """``box`` is the plate in the crop, x1, y1, x2, y2 in pixels; the whole crop without one."""

    file: str
    text: str
    two_lines: bool
    source: str
    box: tuple[float, float, float, float] | None = None


def rows(*splits: str) -> Iterator[dict[str, Any]]:
    """Lines of ``crops.jsonl`` of these splits."""
    with (shared_data() / "crops.jsonl").open(encoding="utf-8") as lines:
        yield from (row for row in map(json.loads, lines) if row["split"] in splits)


def load(file: str) -> Image:
    """A BGR crop (H, W, 3). Raises ``FileNotFoundError``."""
    image = cv2.imread(str(shared_data() / file), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(file)
    return np.asarray(image, np.uint8)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a person reads on a crop; ``None`` where it stays open. ``lines`` is 1 or 2.

    What is not ``legible`` has a text that the eye cannot confirm.
    """

    text: str | None
    lines: int | None = None
    legible: bool = True


def by_eye(*lists: Path) -> dict[str, Seen]:
    """What was read by eye, by file; ``BY_EYE`` and ``CHECKED`` unless told otherwise."""
    texts = [path.read_text("utf-8") for path in lists or (BY_EYE, CHECKED)]
    told = [json.loads(line) for text in texts for line in text.splitlines()]
    return {row.pop("file"): Seen(**row) for row in told}


def measured_texts() -> set[str]:
    """The plates that the reader is measured on; one that stands elsewhere too is not taught."""
    with (shared_data() / "photos.jsonl").open(encoding="utf-8") as lines:
        photos = [row for row in map(json.loads, lines) if row["split"] in ("e2e", "world")]
    dev = {row["file"]: row["text"] for row in rows("dev")}
    eye = [one.text for file, one in by_eye().items() if file in dev]
    return set(filter(None, [*dev.values(), *eye])).union(*(row["texts"] for row in photos))


def prepare(target: Path, reader: Reader) -> int:
    """Write the crops of ``train`` that can be trusted to ``target``; returns how many.

    ``reader`` judges labels and reads what has none.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = 0
    draft = target.with_suffix(".partial")
    with draft.open("w", encoding="utf-8") as out:
        for one in _trusted(rows("train"), reader):
            out.write(json.dumps(asdict(one)) + "\n")
            kept += 1
    draft.replace(target)
    return kept


def read_list(path: Path) -> list[Labelled]:
    """What ``prepare`` wrote."""
    lines = path.read_text("utf-8").splitlines()
    return [Labelled(**row) for row in map(json.loads, lines)]


def _trusted(lines: Iterable[dict[str, Any]], reader: Reader) -> Iterator[Labelled]:
    eye, measured = by_eye(), measured_texts()
    for row in lines:
        seen = eye.get(row["file"])
        if seen is not None and seen.text is None:
            continue
        box = tuple(row["box"]) if row["box"] else None
        reading = reader.read(cut(load(row["file"]), box, _BORDER), top_n=1)
        countries = _COUNTRIES.get(row["source"], ())
        text = seen.text if seen else judge(row["text"], reading, countries)
        lines_seen = (seen and seen.lines) or len(reading.lines)
        if text is not None and text not in measured:
            yield Labelled(row["file"], text, lines_seen == 2, row["source"], box)


def judge(label: str | None, reading: Reading, countries: tuple[str, ...]) -> str | None:
    """The text to train on, or ``None`` where label and reading leave it open.

    What was read counts where it is sure and, for the sources whose labels programs made, has a
    format of their countries: of 41 Brazilian labels of ``dev`` that were read otherwise, some 30
    are wrong (I as D or Q, O as Q, one digit for another). A label with such a format counts
    where the reading has none.
    """
    sure = reading.confidence >= _SURE and len(reading.text) in _LENGTHS
    if label is None:
        return settled(reading.text) if sure else None
    if reading.text == label:
        return label
    if not countries:  # nothing but the label tells; these were written by hand
        return label
    fits = formats.region_of(label, countries) is not None
    read_fits = formats.region_of(reading.text, countries) is not None
    if read_fits and sure:
        return reading.text
    return label if fits and not read_fits else None


def settled(text: str) -> str | None:
    """The text with O and 0, I and 1 as a format has them; ``None`` where they stay open.

    A reader takes one for the other, and what it is taught by itself it would never unlearn.
    Formats that fit nearly anything, as vanity plates do, say nothing.
    """
    choices = [_ALIKE.get(character, character) for character in text]
    weights: dict[str, float] = {}
    for variant in map("".join, itertools.product(*choices)):
        weights[variant] = sum(
            one.weight(variant, expected=False)
            for one in formats.all_formats()
            if one.size < _TELLING
        )
    if len(weights) == 1:
        return text
    best, second = sorted(weights, key=lambda one: -weights[one])[:2]
    return best if weights[best] > _CLEARLY * weights[second] else None


def cut(crop: Image, box: tuple[float, float, float, float] | None, border: float) -> Image:
    """The box with a border (share of its height) around it, as far as the crop reaches."""
    if box is None:
        return crop
    height, width = crop.shape[:2]
    x1, y1, x2, y2 = box
    extra = border * (y2 - y1)
    left, top = max(0, int(x1 - extra)), max(0, int(y1 - extra))
    return crop[top : min(height, int(y2 + extra) + 1), left : min(width, int(x2 + extra) + 1)]
