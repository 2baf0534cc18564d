"""Writing TOML, which the standard library only reads: one table of plain values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def table(name: str, values: Mapping[str, Any]) -> str:
    """``[name]`` and a line for each value that is not ``None``."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in values.items() if value is not None]
    return f"[{_key(name)}]\n" + "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], Mapping):
            return "[\n" + "".join(f"  {_value(one)},\n" for one in value) + "]"
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)  # TOML says nan and inf as Python does
    if isinstance(value, bool | int | str):
        # a JSON string or integer is also a TOML one, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)  # dates and times, as the parser gives them
