"""How a plate is shown to a recogniser that sees plates whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anpr import layout
from anpr.ocr import PLATE_ALPHABET, plates
from anpr.ocr.recogniser import Seen
from tests.scenes import plate_pixels

if TYPE_CHECKING:
    from anpr.types import Image


def written(text: str, sureness: float = 0.99) -> NDArray[np.float32]:
    """Probabilities that read ``text``, each character after a blank."""
    rows = np.full((2 * len(text) + 1, 37), (1 - sureness) / 36, np.float32)
    for step in range(len(rows)):
        column = PLATE_ALPHABET.index(text[step // 2]) + 1 if step % 2 else 0
        rows[step, column] = sureness
    return rows


def text_of(views: list[NDArray[np.float32]]) -> list[str]:
    texts = []
    for view in views:
        columns = [int(row.argmax()) for row in view]
        texts.append("".join(PLATE_ALPHABET[column - 1] for column in columns if column))
    return texts


@dataclass
class FakeRecogniser:
    """Answers the views it is shown, in order; ``shown`` are their shapes.

    What is glanced at shows two lines as surely as ``glanced`` says.
    """

    wholes: list[Seen]
    two: list[NDArray[np.float32]] = field(default_factory=list)
    shown: list[tuple[int, ...]] = field(default_factory=list)
    joined: int = 0
    glanced: float = 0.0
    glances: int = 0
    alphabet: str = PLATE_ALPHABET

    def glance(self, image: Image) -> float:
        assert image.size
        self.glances += 1
        return self.glanced

    def plate(self, image: Image) -> Seen:
        self.shown.append(image.shape)
        return self.wholes.pop(0) if len(self.wholes) > 1 else self.wholes[0]

    def lines_side_by_side(self, image: Image, bands: layout.Bands) -> list[NDArray[np.float32]]:
        assert bands[0][1] <= bands[1][0]
        self.joined += 1
        return self.two


def test_what_is_read_surely_is_looked_at_once() -> None:
    recogniser = FakeRecogniser([Seen(written("RK069AV"), 0.0)])
    views = plates.views(recogniser, plate_pixels("RK069AV"))  # type: ignore[arg-type]
    assert text_of(views) == ["RK069AV"]
    assert len(recogniser.shown) == 1


def test_two_lines_are_laid_side_by_side() -> None:
    recogniser = FakeRecogniser(
        [Seen(written("", 0.99), 0.98)], two=[written("AB12"), written("CDE")]
    )
    crop = plate_pixels("AB12", "CDE", height=110)
    views = plates.views(recogniser, crop)  # type: ignore[arg-type]
    assert text_of(views) == ["AB12", "CDE"]
    assert recogniser.joined


def test_what_shows_two_lines_at_a_glance_is_not_looked_at_whole() -> None:
    recogniser = FakeRecogniser(
        [Seen(written("ABC"), 0.0)], two=[written("AB12"), written("CDE")], glanced=0.9
    )
    crop = plate_pixels("AB12", "CDE", height=110)
    views = plates.views(recogniser, crop)  # type: ignore[arg-type]
    assert text_of(views) == ["AB12", "CDE"]
    assert recogniser.shown == []


def test_a_glance_that_was_wrong_is_made_good() -> None:
    recogniser = FakeRecogniser(
        [Seen(written("RK069AV"), 0.0)], two=[written("R", 0.4), written("K", 0.4)], glanced=0.9
    )
    crop = plate_pixels("AB12", "CDE", height=110)
    views = plates.views(recogniser, crop)  # type: ignore[arg-type]
    assert text_of(views) == ["RK069AV"]


@pytest.mark.parametrize(("height", "glances"), [(110, 0), (72, 1)])
def test_what_is_nearly_square_is_tried_as_two_lines_without_a_glance(
    height: int, glances: int
) -> None:
    recogniser = FakeRecogniser(
        [Seen(written("ABC"), 0.0)], two=[written("AB12"), written("CDE")], glanced=0.9
    )
    crop = cv2.resize(plate_pixels("AB12", "CDE", height=110), (120, height))
    views = plates.views(recogniser, crop)  # type: ignore[arg-type]
    assert text_of(views) == ["AB12", "CDE"]
    assert recogniser.glances == glances
    assert recogniser.shown == []


def test_a_wide_crop_is_not_glanced_at() -> None:
    recogniser = FakeRecogniser([Seen(written("RK069AV"), 0.0)], glanced=0.9)
    plates.views(recogniser, plate_pixels("RK069AV"))  # type: ignore[arg-type]
    assert len(recogniser.shown) == 1
    assert not recogniser.joined


def test_what_is_doubtful_is_looked_at_again_and_the_surest_view_wins() -> None:
    recogniser = FakeRecogniser([Seen(written("RK069AU", 0.5), 0.0), Seen(written("RK069AV"), 0.0)])
    crop = plate_pixels("RK069AV", slant_deg=10)
    views = plates.views(recogniser, crop)  # type: ignore[arg-type]
    assert text_of(views) == ["RK069AV"]
    assert len(recogniser.shown) > 1


def test_a_worse_look_does_not_replace_a_better_one() -> None:
    recogniser = FakeRecogniser([Seen(written("RK069AV", 0.8), 0.0), Seen(written("X", 0.3), 0.0)])
    crop = plate_pixels("RK069AV", slant_deg=10)
    views = plates.views(recogniser, crop)  # type: ignore[arg-type]
    assert text_of(views) == ["RK069AV"]


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2)])
def test_any_crop_can_be_shown(shape: tuple[int, int]) -> None:
    recogniser = FakeRecogniser([Seen(written("A", 0.2), 0.4)], two=[])
    plates.views(recogniser, np.zeros((*shape, 3), np.uint8))  # type: ignore[arg-type]
    assert all(min(shown) > 0 for shown in recogniser.shown)
