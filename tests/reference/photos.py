"""A sample of the real photos and crops beside the checkout, the same at every run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from anpr import imaging
from anpr.types import Box

if TYPE_CHECKING:
    from anpr.types import Image


def photos(data: Path, split: str, *, every: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every so-manieth photo of a split."""
    for row in _rows(data / "photos.jsonl", split)[::every]:
        yield row["file"], (data / row["file"]).read_bytes()


def crops(data: Path, *, every: int) -> Iterator[tuple[str, Image]]:
    """Name and pixels of every so-manieth labelled dev crop, the plate with 5 px around it."""
    labelled = [row for row in _rows(data / "crops.jsonl", "dev") if row["text"]]
    for row in labelled[::every]:
        pixels = imaging.decode((data / row["file"]).read_bytes()).finest
        height, width = pixels.shape[:2]
        box = Box(*row["box"]) if row["box"] else Box(0, 0, width, height)
        yield row["file"], imaging.crop(pixels, box)


def _rows(listing: Path, split: str) -> list[dict[str, str]]:
    rows = (json.loads(line) for line in listing.read_text("utf-8").splitlines())
    return [row for row in rows if row["split"] == split]
