from __future__ import annotations

import re

import pytest

from anpr import formats
from anpr.errors import InvalidOption
from anpr.types import Candidate

LISTS = {"city": ["AB", "C"]}


@pytest.mark.parametrize(
    ("pattern", "text", "size"),
    [
        ("LL DD", "AZ09", 26 * 26 * 100),
        ("[12] L", "2Q", 2 * 26),
        ("[^IO]", "A", 24),
        ("<city> D", "AB7", 20),
        ("(BH) X", "BHZ", 36),
        ("D{1,3}", "12", 10 + 100 + 1000),
        ("L{2,2}", "XY", 676),
    ],
)
def test_a_pattern_matches_and_knows_its_size(pattern: str, text: str, size: float) -> None:
    expression, counted = formats.parse_pattern(pattern, LISTS)
    assert re.fullmatch(expression, text)
    assert counted == size


@pytest.mark.parametrize(
    ("pattern", "text"), [("LL DD", "AZ0"), ("[^IO]", "I"), ("<city>", "B"), ("D{1,3}", "1234")]
)
def test_a_pattern_refuses_what_does_not_fit(pattern: str, text: str) -> None:
    assert not re.fullmatch(formats.parse_pattern(pattern, LISTS)[0], text)


@pytest.mark.parametrize("pattern", ["?", "<nowhere>", "L{2}", "[", "l"])
def test_a_broken_pattern_says_so(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"list|read"):
        formats.parse_pattern(pattern, LISTS)


def test_every_region_has_a_name_and_a_narrow_enough_format() -> None:
    for one in formats.all_formats():
        assert re.fullmatch("[a-z]{2}", one.code)
        assert one.name
        assert 1 < one.size < 1e13


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SO7183K", "pl"),
        ("KA05MF5055", "in"),
        ("ABC1D23", "br"),
        ("ZH123456", "ch"),
        ("1AB2345", "cz"),
    ],
)
def test_a_narrow_format_names_its_region(text: str, code: str) -> None:
    region = formats.region_of(text)
    assert region is not None
    assert region.code == code
    assert 0.5 <= region.confidence <= 1


@pytest.mark.parametrize("text", ["", "ABC1234", "RK069AV", "QQQQQQQQQQ"])
def test_a_format_of_many_or_of_none_names_no_region(text: str) -> None:
    assert formats.region_of(text) is None


@pytest.mark.parametrize(("text", "code"), [("YUNIQUE", "us"), ("S7JM7", "pl"), ("XHILR8N1", "us")])
def test_what_an_owner_may_choose_fits_only_where_it_is_expected(text: str, code: str) -> None:
    assert formats.region_of(text) is None
    assert formats.region_of(text, {code}) is not None
    ranked = formats.rank([Candidate(f"{text}12", 0.6), Candidate(text, 0.2)], {code})
    assert [one.region for one in ranked] == [code, None]


def test_given_regions_are_the_only_ones() -> None:
    region = formats.region_of("ABC1234", {"br"})
    assert region is not None
    assert (region.code, region.confidence) == ("br", 1.0)
    assert formats.region_of("ABC1234", {"pl"}) is None


def test_groups_stand_for_their_regions() -> None:
    assert {"pl", "de", "sk"} < formats.expand(["EU"])
    assert formats.expand(["br", "pl"]) == {"br", "pl"}
    assert formats.expand([]) == frozenset()


def test_an_unknown_region_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidOption, match="eu") as caught:
        formats.expand(["atlantis"])
    assert "atlantis" not in caught.value.sentence


READ = [Candidate("S07183K", 0.6), Candidate("SO7183K", 0.3), Candidate("SO7I83K", 0.05)]


def test_what_fits_comes_first_and_keeps_its_confidence() -> None:
    ranked = formats.rank(READ, {"pl"})
    assert [(one.text, one.confidence, one.region) for one in ranked] == [
        ("SO7183K", 0.3, "pl"),
        ("S07183K", 0.6, None),
        ("SO7I83K", 0.05, None),
    ]


def test_without_regions_the_order_stays() -> None:
    assert [one.text for one in formats.rank(READ)] == [one.text for one in READ]


def test_of_look_alikes_the_one_that_fits_counts_for_all() -> None:
    read = [Candidate(text, seen) for text, seen in (("00H058", 0.5), ("D0H058", 0.2))]
    read += [Candidate(text, seen) for text, seen in (("DOH058", 0.06), ("OOH058", 0.03))]
    ranked = formats.rank(read, {"ar"})
    assert [(one.text, one.confidence) for one in ranked[:2]] == [
        ("OOH058", 0.03),
        ("DOH058", 0.06),
    ]
    assert [one.text for one in ranked[2:]] == ["00H058", "D0H058"]


def test_what_fits_but_was_hardly_seen_stays_behind() -> None:
    read = [Candidate("S07183K", 0.9), Candidate("SO7183K", 0.001)]
    assert [one.text for one in formats.rank(read, {"pl"})] == ["S07183K", "SO7183K"]


def test_nothing_read_is_nothing_ranked() -> None:
    assert formats.rank([], {"pl"}) == []
