"""Drawn plates: repeatable, labelled as they are drawn, and of every country that is laid out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from anpr import formats
from training.synthesis import camera, draw, fonts, layouts, legible, patterns, sample
from training.synthesis.draw import draw_layout
from training.synthesis.plate import Plate

COUNTRIES = sorted({one.country for one in layouts.all_layouts()})
REGIONS = {one.code: one for one in formats.all_formats()}


def drawn(seed: int, country: str | None = None) -> Plate:
    """Without the system's fonts, which not every machine has."""
    return sample(seed, country, own_faces=True)


def test_a_seed_decides_every_pixel() -> None:
    first, again, other = drawn(5), drawn(5), drawn(6)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.quad, again.quad)
    assert (first.text, first.lines) == (again.text, again.lines)
    assert first.image.shape != other.image.shape or not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_text_is_its_lines_in_the_alphabet(country: str) -> None:
    for seed in range(2):
        plate = drawn(seed, country)
        assert plate.country == country
        assert plate.text == "".join(plate.lines)
        assert plate.text
        assert set(plate.text) <= set(patterns.ALPHABET)
        assert len(plate.rows) == len(plate.lines)


@pytest.mark.parametrize("region", sorted(REGIONS))
def test_texts_have_their_regions_format(region: str) -> None:
    rng = np.random.default_rng(1)
    those = [one for one in layouts.all_layouts() if one.region == region]
    for pattern, lists in {text: one.lists for one in those for text in one.patterns}.items():
        for _ in range(40):
            lines = patterns.write(rng, pattern, lists)
            text = "".join(patterns.read(line) for line in lines)
            assert REGIONS[region].weight(text, expected=True), (pattern, text)


@pytest.mark.parametrize("seed", range(24))
def test_a_crop_shows_every_character_in_a_size_that_can_be_read(seed: int) -> None:
    plate = drawn(seed)
    height, width = plate.image.shape[:2]
    assert plate.image.dtype == np.uint8
    assert plate.image.shape[2] == 3
    corners = plate.rows.reshape(-1, 2)
    assert (corners >= -1).all()
    assert (corners <= (width + 1, height + 1)).all()
    tall = np.linalg.norm(plate.rows[:, 3] - plate.rows[:, 0], axis=1)
    assert tall.min() >= camera.SMALLEST_PX * 0.8


def test_a_cut_stays_off_the_characters_and_may_cut_the_frame() -> None:
    plates = [drawn(seed) for seed in range(120)]
    cut = [one for one in plates if (one.quad < 0).any()]
    tall = [
        one
        for one in plates
        if one.image.shape[0] > 1.5 * float(np.ptp(one.quad[:, 1])) and len(one.lines) == 1
    ]
    assert cut
    assert tall


def test_a_hidden_character_is_told_from_a_plate_as_drawn() -> None:
    plate = draw(np.random.default_rng(2), "gb", own_faces=True)
    clean = plate.image.mean(2).astype(np.uint8)
    scene = plate.image.astype(np.float32)
    assert legible.likeness(clean, scene, plate.rows, plate.lines) > 0.98
    hidden = scene.copy()
    hidden[:, int(plate.rows[0, 1, 0] - plate.image.shape[0] * 0.45) :] = 128
    assert legible.likeness(clean, hidden, plate.rows, plate.lines) < camera.LIKENESS


def test_the_rows_are_where_the_ink_is() -> None:
    layout = next(one for one in layouts.all_layouts() if one.country == "vn" and one.lines == 2)
    plate = draw_layout(np.random.default_rng(3), layout, ("59-B1", "385.59"), own_faces=True)
    assert plate.lines == ("59B1", "38559")
    grey = plate.image.mean(2)
    for row in plate.rows:
        (x1, y1), (x2, y2) = row.min(0).astype(int), row.max(0).astype(int)
        assert np.ptp(grey[y1:y2, x1:x2]) > 100
    between = slice(int(plate.rows[0, 3, 1]) + 3, int(plate.rows[1, 0, 1]) - 3)
    middle = slice(int(plate.rows[0, 0, 0]), int(plate.rows[0, 1, 0]))
    assert np.ptp(grey[between, middle]) < 60


def test_years_and_places_are_not_in_the_text() -> None:
    lines = patterns.write(np.random.default_rng(0), "(LEC)-'DD'/DDDD", {})
    assert patterns.read(lines[0]) == "LEC"
    assert len(lines[0]) == len("LEC-14")
    assert len(patterns.read(lines[1])) == 4


def test_small_characters_are_read() -> None:
    lines = patterns.write(np.random.default_rng(0), "(A) DDD `(77)`", {})
    assert patterns.read(lines[0]).endswith("77")


def test_any_text_has_its_lines_and_doubles_as_their_neighbours_are() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows = patterns.write_any(rng, 2)
        text = "".join(patterns.read(row) for row in rows)
        assert len(rows) == 2
        assert 4 <= len(text) <= 8
        for at, character in enumerate(text):
            beside = [c for c in text[max(0, at - 1) : at + 2] if c not in "O0I1"]
            if character in "OI":
                assert not any(c.isdigit() for c in beside)
            if character in "01":
                assert not any(c.isalpha() for c in beside)


@pytest.mark.parametrize("pattern", ["D!", "<nowhere>", "(a)"])
def test_a_wrong_pattern_says_so(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|there is no list"):
        patterns.write(np.random.default_rng(0), pattern, {})


def test_a_country_that_is_not_laid_out_is_refused() -> None:
    with pytest.raises(ValueError, match="no layout of 'zz'"):
        draw(np.random.default_rng(0), "zz", own_faces=True)


def test_without_fonts_it_says_which_packages_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_files", dict)
    with pytest.raises(fonts.FontsMissing, match=r"apt-get install .*fonts-liberation"):
        draw(np.random.default_rng(0))


def test_characters_repeat_more_often_than_by_chance() -> None:
    rng = np.random.default_rng(0)
    texts = [patterns.write(rng, "DDDDDD", {})[0] for _ in range(2000)]
    repeated = sum(a == b for text in texts for a, b in itertools.pairwise(text)) / (5 * 2000)
    assert 0.15 < repeated < 0.25
