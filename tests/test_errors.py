from __future__ import annotations

import inspect

import pytest

from anpr import errors
from anpr.errors import AnprError, Unavailable

CLASSES = [
    item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, AnprError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_says_what_strangers_may_know(kind: type[AnprError]) -> None:
    error = kind()
    assert 400 <= kind.status < 600
    assert kind.slug == kind.slug.lower()
    assert str(error) == error.sentence
    assert error.sentence.endswith(".")


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_in_the_docstring_is_true(kind: type[AnprError]) -> None:
    lines = [
        line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__} " in f"{line} "
    ]
    assert lines, f"{kind.__name__} is missing from the tree"
    numbers = [word for line in lines for word in line.split() if word.isdigit()]
    if numbers:
        assert int(numbers[0]) == kind.status
        assert kind.slug in lines[0]


def test_slugs_tell_errors_apart() -> None:
    leaves = [k for k in CLASSES if not k.__subclasses__()]
    own = [k for k in leaves if "slug" in vars(k)]
    assert len({k.slug for k in own}) == len(own)


@pytest.mark.parametrize("kind", [k for k in CLASSES if issubclass(k, Unavailable)])
def test_unavailable_says_when_to_try_again(kind: type[Unavailable]) -> None:
    assert kind.status == 503
    assert kind().retry_after_s >= 1


def test_a_sentence_of_its_own_replaces_the_general_one() -> None:
    assert AnprError("The plate is shy.").sentence == "The plate is shy."
    assert AnprError.sentence == "Something went wrong on our side."
