"""Reads number plates from photographs.

::

    from anpr import Recognizer

    result = Recognizer().read(open("car.jpg", "rb").read())
    for plate in result:
        print(plate.text, plate.confidence, plate.box)

Importing this package loads nothing heavy: the names below are resolved when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anpr.errors import AnprError
    from anpr.pipeline import Recognizer, read
    from anpr.settings import Settings
    from anpr.types import Box, Plate, Result

__version__ = "0.1.0"
__all__ = ["AnprError", "Box", "Plate", "Recognizer", "Result", "Settings", "read"]

_ROOMS = {
    "AnprError": "anpr.errors",
    "Box": "anpr.types",
    "Plate": "anpr.types",
    "Recognizer": "anpr.pipeline",
    "Result": "anpr.types",
    "Settings": "anpr.settings",
    "read": "anpr.pipeline",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ROOMS[name]), name)
