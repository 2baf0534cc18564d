"""The ``dev`` crops as the reader is measured on them, and the halves that calibration uses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from anpr import formats
from training.reader import crops

if TYPE_CHECKING:
    from anpr.types import Reader, Reading

OCR_LABELS: Final = "vn-cz-vitocolerole"
CHECKED_NAME: Final = "vn-cz checked by eye"


@dataclass(frozen=True, slots=True)
class Read:
    """``label`` is what stands there to the eye, ``published`` what the source says.

    Not ``legible`` is a plate with a character that the eye cannot tell. ``regions`` are those
    that the source says the plate is from.
    """

    file: str
    source: str
    label: str
    published: str
    reading: Reading
    legible: bool = True
    regions: frozenset[str] = frozenset()

    @property
    def right(self) -> bool:
        return self.reading.text == self.label

    @property
    def second_half(self) -> bool:
        """By the hash of the text, so that no plate is in both halves."""
        return bool(hashlib.sha256(self.label.encode()).digest()[0] & 1)


def read(reader: Reader, *, top_n: int = 1) -> Iterator[Read]:
    """What ``reader`` makes of the ``dev`` crops, with at most ``top_n`` candidates.

    Of the source whose labels an OCR made, only what was checked by eye.
    """
    eye, checked = crops.by_eye(), crops.by_eye(crops.CHECKED)
    for row in crops.rows("dev"):
        file, source, label = row["file"], row["source"], row["text"]
        if not label or (source == OCR_LABELS and file not in checked):
            continue
        name = CHECKED_NAME if source == OCR_LABELS else source
        seen = eye.get(file)
        reading = reader.read(crops.load(file), top_n=top_n)
        legible = seen is None or seen.legible
        regions = formats.expand(code[:2] for code in row["country"].split(","))
        yield Read(file, name, (seen and seen.text) or label, label, reading, legible, regions)


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
