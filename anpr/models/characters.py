"""The characters of a PP-OCR recogniser, out of the ``inference.yml`` beside it.

The base install has no YAML parser, and of this file only one list is needed: ``character_dict``,
one scalar a line, as PaddleX writes it. What cannot be read as that is refused; whether the
characters fit the model shows when it runs.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

from anpr.errors import ModelUnusable

_KEY: Final = re.compile(r"(?P<indent> *)character_dict:\s*(#.*)?")
_ITEM: Final = re.compile(r"(?P<indent> *)- (?P<scalar>.*)")
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_SURROGATES: Final = range(0xD800, 0xE000)  # halves of characters
# YAML 1.2, 5.7: escapes of double-quoted scalars that stand for one character
_ESCAPED: Final = dict(
    zip('0abtnvfre "/\\N_LP', '\0\a\b\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029', strict=True)
)


def of_config(text: str) -> list[str]:
    """The list, in order; empty where the file has none. Raises ``ModelUnusable``."""
    if text.lstrip().startswith("{"):  # JSON is YAML
        return _of_json(text)
    lines = iter(text.split("\n"))
    for line in lines:
        key = _KEY.fullmatch(line.rstrip("\r"))
        if key:
            return _items(lines, len(key["indent"]))
    return []


def _of_json(text: str) -> list[str]:
    try:
        config: Any = json.loads(text)
        return [str(one) for one in config.get("PostProcess", {}).get("character_dict", [])]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ModelUnusable("The file 'inference.yml' is broken.") from error


def _items(lines: Any, indent: int) -> list[str]:
    found: list[str] = []
    for line in lines:
        item = _ITEM.fullmatch(line.rstrip("\r"))
        if item is None or len(item["indent"]) < indent:
            break
        found.append(_scalar(item["scalar"]))
    return found


def _scalar(text: str) -> str:
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'"):
            raise ModelUnusable("The characters in 'inference.yml' are not one a line.")
        return text[1:-1].replace("''", "'")
    if text.startswith('"'):
        if len(text) < 2 or not text.endswith('"'):
            raise ModelUnusable("The characters in 'inference.yml' are not one a line.")
        return _ESCAPE.sub(_unescaped, text[1:-1])
    return text.strip(" \t")  # and not U+3000, which is a character


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        point = int(code[1:], 16)
        if point > sys.maxunicode or point in _SURROGATES:
            raise ModelUnusable("The characters in 'inference.yml' have an unknown escape.")
        return chr(point)
    if code not in _ESCAPED:
        raise ModelUnusable("The characters in 'inference.yml' have an unknown escape.")
    return _ESCAPED[code]
