"""The options, as text and as JSON values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anpr.errors import InvalidOption
from anpr.server.options import Options, parse


def of(**given: object) -> Options:
    return parse({name: [value] for name, value in given.items()}, max_candidates=20)


def test_nothing_given_is_the_default() -> None:
    assert parse({}, max_candidates=20) == Options(top_n=1, min_confidence=0.0)


@pytest.mark.parametrize("value", ["5", 5, 5.0, "005"])
def test_a_number_of_candidates(value: object) -> None:
    assert of(top_n=value).top_n == 5


@pytest.mark.parametrize("value", ["0.5", 0.5, ".5", "5e-1", "0.50"])
def test_a_confidence(value: object) -> None:
    assert of(min_confidence=value).min_confidence == 0.5


@pytest.mark.parametrize("value", [0, 1, "0", "1", "1.0"])
def test_the_ends_of_the_range_are_allowed(value: object) -> None:
    assert of(min_confidence=value).min_confidence == float(str(value))


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "21",
        0,
        21,
        -1,
        "-1",
        "1.5",
        1.5,
        "",
        " 1",
        "1_0",
        "x",
        "²",
        "١",
        True,
        [],
        {},
        "9" * 99,
    ],
)
def test_no_number_of_candidates(value: object) -> None:
    with pytest.raises(InvalidOption, match="top_n"):
        of(top_n=value)


@pytest.mark.parametrize(
    "value",
    [
        "-0.1", "1.1", 1.1, -1, "nan", "inf", float("nan"), float("inf"), "", ".", "e", "1e", "e5",
        ".e5", "x", "0x1", "1_0", "٠", True, [], {}, 10**400, "0" * 99,
    ],
)  # fmt: skip
def test_no_confidence(value: object) -> None:
    with pytest.raises(InvalidOption, match="min_confidence"):
        of(min_confidence=value)


@pytest.mark.parametrize("name", ["top_n", "min_confidence"])
def test_an_option_given_twice_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match="more than once"):
        parse({name: ["1", "1"]}, max_candidates=20)


@pytest.mark.parametrize("value", ["xx", ["eu"], 5, "eu;br", "ＥＵ", "\neu", {}])
def test_regions_that_are_unknown_or_no_text_are_refused(value: object) -> None:
    with pytest.raises(InvalidOption, match="region"):
        of(regions=value)


@pytest.mark.parametrize("values", [["eu,br"], ["EU", "br"], [" eu , br,"]])
def test_regions_come_separated_or_one_by_one(values: list[object]) -> None:
    regions = parse({"regions": values}, max_candidates=20).regions
    assert [name.lower() for name in regions] == ["eu", "br"]


@pytest.mark.parametrize("value", ["", None, " ", ","])
def test_no_regions_are_fine(value: object) -> None:
    assert of(regions=value) == Options()


@settings(deadline=None)
@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_is_an_option_or_a_refusal(top_n: str, min_confidence: str) -> None:
    try:
        options = of(top_n=top_n, min_confidence=min_confidence)
    except InvalidOption:
        return
    assert 1 <= options.top_n <= 20
    assert 0 <= options.min_confidence <= 1
