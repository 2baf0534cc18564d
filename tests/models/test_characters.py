"""The one list of an ``inference.yml``, held against a YAML parser."""

from __future__ import annotations

import json

import pytest
import yaml

from anpr.errors import ModelUnusable
from anpr.models import characters

KNOWN = [
    *"0129AZaz-!\"#'%&*:?@[]`{|}~,.·éßØ€車京沪",
    "\\",
    "\u3000",
    "\xa0",
    "𝔸",
    "null",
    "y",
]


def config(known: list[str]) -> dict[str, object]:
    return {
        "Global": {"model_name": "any"},
        "PostProcess": {"name": "CTCLabelDecode", "character_dict": known},
        "PreProcess": {"transform_ops": [{"DecodeImage": None}]},
    }


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("indented", [True, False])
def test_what_a_yaml_writer_wrote_is_read(escaped: bool, indented: bool) -> None:
    known = [*KNOWN, "\x85"] if escaped else KNOWN  # a line break, which YAML folds
    text = yaml.safe_dump(config(known), allow_unicode=not escaped)
    if indented:
        text = text.replace("\n  - ", "\n    - ")
    assert characters.of_config(text) == known


def test_a_list_at_the_end_of_the_file() -> None:
    assert characters.of_config("character_dict:\n- a\n- 'b'") == ["a", "b"]


def test_json_is_yaml() -> None:
    assert characters.of_config(json.dumps(config(KNOWN))) == KNOWN


@pytest.mark.parametrize("text", ["", "Global:\n  model_name: x\n", "{}", '{"PostProcess": {}}'])
def test_a_config_without_characters(text: str) -> None:
    assert characters.of_config(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "character_dict:\n- 'open\n",
        'character_dict:\n- "open\n',
        'character_dict:\n- "\\q"\n',
        'character_dict:\n- "\\UFFFFFFFF"\n',
        'character_dict:\n- "\\U00110000"\n',
        'character_dict:\n- "\\ud800"\n',
        '{"PostProcess": ' + "[" * 100_000,
        "{",
        "{]",
        '{"PostProcess": 3}',
        '{"PostProcess": {"character_dict": 7}}',
    ],
)
def test_a_config_that_is_broken(text: str) -> None:
    with pytest.raises(ModelUnusable):
        characters.of_config(text)
