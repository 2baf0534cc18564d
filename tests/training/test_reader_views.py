"""What the recogniser is shown in training."""

from __future__ import annotations

import numpy as np
import pytest

from anpr.ocr import GLANCE_WIDTH, PAIR_WIDTH, PLATE_WIDTH, TWO_LINES, input_tensor
from anpr.types import Candidate, Reading
from tests.scenes import plate_pixels
from training.reader import crops, views
from training.reader.views import Sample


def sample(*lines: str) -> Sample:
    image = plate_pixels(*lines, height=110 if len(lines) > 1 else 60)
    height, width = image.shape[:2]
    quad = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return Sample(image, quad, "".join(lines), len(lines) == 2)


def shown(plate: Sample, *, padded: bool = False) -> set[tuple[int, str]]:
    """Widths and texts of many views."""
    rng = np.random.default_rng(0)
    some = [views.view(rng, plate, spoil=True, padded=padded) for _ in range(60)]
    assert {image.shape[0] for image, _ in some} == {48}
    assert {image.dtype for image, _ in some} == {np.dtype(np.uint8)}
    return {(image.shape[1], text) for image, text in some}


def test_a_plate_of_one_line_has_its_text_and_none_at_a_glance() -> None:
    assert shown(sample("RK069AV")) == {(PLATE_WIDTH, "RK069AV"), (GLANCE_WIDTH, "")}


def test_a_plate_of_two_lines_is_shown_in_each_way() -> None:
    assert shown(sample("AB12", "CDE")) == {
        (PAIR_WIDTH, "AB12CDE"),
        (PLATE_WIDTH, TWO_LINES),
        (GLANCE_WIDTH, TWO_LINES),
    }


def test_a_padded_plate_keeps_its_aspect_and_is_not_glanced_at() -> None:
    seen = shown(sample("RK069AV"), padded=True)
    assert {text for _, text in seen} == {"RK069AV"}
    assert all(PLATE_WIDTH < width <= views.PADDED_WIDTH for width, _ in seen)


def test_lines_are_not_joined_where_the_layout_misses_them() -> None:
    plate = sample("AB12", "CDE")
    elsewhere = np.zeros((2, 4, 2), np.float32)  # both lines are said to lie at the very top
    lost = Sample(plate.image, plate.quad, plate.text, True, elsewhere)
    assert {text for _, text in shown(lost)} == {TWO_LINES}


def test_the_same_seed_gives_the_same_view() -> None:
    one, other = (
        views.view(np.random.default_rng(5), sample("RK069AV"), spoil=True, padded=True)[0]
        for _ in range(2)
    )
    assert np.array_equal(one, other)


def test_a_batch_is_padded_with_zeros() -> None:
    batch = input_tensor([np.full((48, 100, 3), 255, np.uint8)], 320)
    assert batch.shape == (1, 3, 48, 320)
    assert batch[..., :100].min() == 1
    assert not batch[..., 100:].any()


def reading(text: str, confidence: float = 0.99) -> Reading:
    return Reading((Candidate(text, confidence, lines=(text,)),))


@pytest.mark.parametrize(
    ("label", "read", "countries", "text"),
    [
        ("ABC1234", reading("ABC1234"), ("br",), "ABC1234"),
        ("ABC1234", reading("X"), ("br",), "ABC1234"),  # the label fits, the reading does not
        ("ABCD234", reading("ABC0234"), ("br",), "ABC0234"),  # the other way round
        ("ABC1234", reading("ABC1284"), ("br",), "ABC1284"),  # both fit, and it is sure
        ("ABC1234", reading("ABC1284", 0.5), ("br",), None),
        ("ABCD234", reading("ABCO234"), ("br",), None),  # neither does
        ("VANITY", reading("VAN1TY"), (), "VANITY"),  # written by hand, no format to ask
        (None, reading("AB12CDE"), (), "AB12CDE"),
        (None, reading("AUIOBGX"), (), "AU10BGX"),  # British: two digits in the middle
        (None, reading("IO1O1O"), (), None),  # whatever it is
        (None, reading("AB12CDE", 0.5), (), None),
        (None, reading("A"), (), None),
    ],
)
def test_a_text_is_trusted_where_label_and_reading_leave_no_doubt(
    label: str | None, read: Reading, countries: tuple[str, ...], text: str | None
) -> None:
    assert crops.judge(label, read, countries) == text
