"""The root of the tree."""

from __future__ import annotations

from typing import ClassVar


class AnprError(Exception):
    """Base of every error that this package raises on purpose."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    sentence: str = "Something went wrong on our side."

    def __init__(self, sentence: str | None = None) -> None:
        if sentence is not None:
            self.sentence = sentence
        super().__init__(self.sentence)
