"""What the command line names as images: files, folders, URLs and standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anpr.errors import AnprError, PayloadTooLarge, SourceNotFound, SourceUnreadable

if TYPE_CHECKING:
    from anpr.fetch import Fetcher

SUFFIXES: Final = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
)
STANDARD_INPUT: Final = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One image by name, or the error that stands in its place."""

    name: str
    error: AnprError | None = None


def is_url(name: str) -> bool:
    return name.lower().startswith(("http://", "https://", "data:"))


def expand(names: list[str]) -> Iterator[Source]:
    """The images behind the arguments: a folder stands for those in it and below, by name."""
    for name in names:
        if name == STANDARD_INPUT or is_url(name) or not Path(name).is_dir():
            yield Source(name)
            continue
        found = False
        for folder, folders, files in os.walk(name):
            folders.sort()
            for file in sorted(files):
                if Path(file).suffix.lower() in SUFFIXES:
                    found = True
                    yield Source(str(Path(folder) / file))
        if not found:
            yield Source(name, SourceUnreadable("The folder has no images."))


def load(source: Source, *, max_bytes: int, fetcher: Fetcher | None) -> bytes:
    """The bytes of a source, no more than ``max_bytes``.

    Raises ``SourceError``, ``PayloadTooLarge``, or what stands in the source's place.
    """
    if source.error is not None:
        raise source.error
    if is_url(source.name):
        if fetcher is None:
            raise SourceUnreadable("Images by URL are turned off (ANPR_FETCH_ENABLED).")
        return fetcher.fetch(source.name)
    try:
        if source.name == STANDARD_INPUT:
            data = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with Path(source.name).open("rb") as file:
                data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise SourceNotFound from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise SourceUnreadable("The file cannot be read.") from error
    if len(data) > max_bytes:
        raise PayloadTooLarge(f"The image has more than {max_bytes:,} bytes.")
    return data
