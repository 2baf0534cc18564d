"""The ``dev`` crops as the reader is measured on them, and the halves that calibration uses."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from training.reader import crops

if TYPE_CHECKING:
    from anpr.types import Reader, Reading

CHECKED: Final = Path(__file__).with_name("checked.jsonl")
"""200 of the Vietnamese and Czech crops of ``dev``, drawn by seed, their texts read by eye."""
CORRECTED: Final = Path(__file__).with_name("corrected.jsonl")
"""Brazilian crops of ``dev`` whose label is wrong as the eye sees it; only such were looked at that
a tuned reader read otherwise."""
OCR_LABELS: Final = "vn-cz-vitocolerole"
CHECKED_NAME: Final = "vn-cz checked by eye"


@dataclass(frozen=True, slots=True)
class Read:
    file: str
    source: str
    label: str
    reading: Reading

    @property
    def right(self) -> bool:
        return self.reading.text == self.label

    @property
    def second_half(self) -> bool:
        """By the hash of the text, so that no plate is in both halves."""
        return bool(hashlib.sha256(self.label.encode()).digest()[0] & 1)


def by_eye(path: Path) -> dict[str, str]:
    """Texts by file, read by eye."""
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {row["file"]: row["text"] for row in rows}


def read(reader: Reader) -> Iterator[Read]:
    """What ``reader`` makes of the ``dev`` crops.

    Of the source whose labels an OCR made, only what was checked by eye.
    """
    checked = by_eye(CHECKED)
    for row in crops.rows("dev"):
        if not row["text"]:
            continue
        if row["source"] != OCR_LABELS:
            yield _read(reader, row["file"], row["source"], row["text"])
        elif row["file"] in checked:
            yield _read(reader, row["file"], CHECKED_NAME, checked[row["file"]])


def _read(reader: Reader, file: str, source: str, label: str) -> Read:
    return Read(file, source, label, reader.read(crops.load(file), top_n=1))


def two_lines(label: str) -> bool:
    """Is it the plate of a Vietnamese motorcycle: 59 T1 289.66, 54 Z8 7524, 29 MD 103.024?"""
    return re.fullmatch(r"\d\d([A-Z]\d|[A-Z]{2})\d{4,6}", label) is not None


def exact(reader: Reader) -> dict[str, float]:
    """The share read exactly by source, and their ``mean``; of OCR's labels, those checked."""
    right: dict[str, list[bool]] = {}
    for one in read(reader):
        right.setdefault(one.source, []).append(one.right)
    shares = {source: sum(of) / len(of) for source, of in sorted(right.items())}
    return shares | {"mean": sum(shares.values()) / max(1, len(shares))}
