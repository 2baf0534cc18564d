from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anpr import ctc


def steps(*columns: int, classes: int = 4, sure: float = 0.97) -> np.ndarray:
    """Probabilities (T, classes) whose best path is these columns."""
    rest = (1 - sure) / (classes - 1)
    rows = np.full((len(columns), classes), rest, np.float32)
    rows[np.arange(len(columns)), columns] = sure
    return rows


def by_enumeration(probabilities: np.ndarray, alphabet: str) -> dict[str, float]:
    """Every text with the probability of all its paths: the definition, spelled out."""
    texts: dict[str, float] = {}
    for path in itertools.product(range(probabilities.shape[1]), repeat=len(probabilities)):
        text = "".join(
            alphabet[c - 1] for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c)
        )
        weight = float(np.prod([row[c] for row, c in zip(probabilities, path, strict=True)]))
        texts[text] = texts.get(text, 0.0) + weight
    return texts


def test_repeats_fold_and_blanks_part() -> None:
    assert ctc.greedy(steps(1, 1, 0, 1, 2, 2, 0), "ABC").text == "AAB"


def test_a_character_has_the_confidence_of_its_best_step() -> None:
    rows = np.array([[0.1, 0.6, 0.3], [0.1, 0.9, 0.0]], np.float32)
    line = ctc.greedy(rows, "AB")
    assert line.characters[0].confidence == pytest.approx(0.9)
    assert line.confidence == pytest.approx(0.9)


def test_nothing_read_has_no_confidence() -> None:
    line = ctc.greedy(steps(0, 0), "ABC")
    assert (line.text, line.confidence) == ("", 0.0)


probabilities = st.lists(
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=5
).map(lambda rows: np.array([np.array(r) / sum(r) for r in rows], np.float32))


@given(probabilities)
@settings(max_examples=40, deadline=None)
def test_the_forward_algorithm_agrees_with_enumeration(rows: np.ndarray) -> None:
    for text, weight in by_enumeration(rows, "AB").items():
        assert ctc.probability(rows, "AB", text) == pytest.approx(weight, abs=1e-5)


@given(probabilities)
@settings(max_examples=40, deadline=None)
def test_a_wide_beam_finds_the_likeliest_texts(rows: np.ndarray) -> None:
    truth = sorted(by_enumeration(rows, "AB").values(), reverse=True)[:3]
    found = ctc.beam(rows, "AB", width=64)[:3]
    assert [p for _, p in found] == pytest.approx(truth, abs=1e-5)


def test_a_beam_gives_no_more_than_asked() -> None:
    assert len(ctc.beam(steps(1, 2, 3, sure=0.5), "ABC", width=2)) == 2


@given(probabilities)
@settings(max_examples=40, deadline=None)
def test_aligning_the_greedy_text_gives_its_characters(rows: np.ndarray) -> None:
    best = np.sort(rows, axis=1)
    assume(bool((best[:, -1] - best[:, -2] > 1e-4).all()))  # of two like paths either will do
    line = ctc.greedy(rows, "AB")
    aligned = ctc.align(rows, "AB", line.text)
    assert "".join(one.text for one in aligned) == line.text
    for one, other in zip(aligned, line.characters, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-6)


def test_aligning_another_text_finds_where_it_stands() -> None:
    rows = np.array([[0.1, 0.7, 0.2], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6]], np.float32)
    assert [round(one.confidence, 2) for one in ctc.align(rows, "AB", "BB")] == [0.2, 0.6]
    assert ctc.align(rows, "AB", "") == ()
