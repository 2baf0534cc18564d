"""Imports run downwards, and importing the package loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import anpr

PACKAGE = Path(anpr.__file__).parent

# Each room, and the rooms it may know. What is not listed may know everything above `pipeline`.
LOWEST = {"errors", "types"}
PURE = LOWEST | {"deadline", "weights", "memory", "netguard"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "types": set(),
    "settings": set(),
    "cgroup": set(),
    "memory": {"cgroup"},
    "netguard": {"errors"},
    "deadline": {"errors"},
    "weights": {"errors"},
    "pickles": {"errors"},
    "ctc": {"types"},
    "layout": {"types"},
    "jpeg": set(),
    "imaging": LOWEST | {"deadline", "jpeg"},
    "formats": LOWEST,
    "record": LOWEST,
    "onnx": PURE,
    "stages": {"deadline", "memory", "types"},
    "fetch": PURE,
    "yolo": LOWEST,
    "detect": PURE | {"onnx", "yolo", "pickles"},
    "ocr": PURE | {"onnx", "imaging", "ctc", "layout"},
    "paddle": PURE | {"onnx", "ocr", "imaging", "ctc", "layout"},
    "models": PURE | {"onnx", "detect", "ocr", "paddle", "fetch", "pickles", "models"},
    "sources": PURE | {"fetch"},
    "output": LOWEST,
    "annotate": LOWEST | {"imaging"},
    "parts": PURE | {"settings", "onnx", "detect", "ocr", "paddle", "fetch", "models"},
    "pipeline": PURE | {"settings", "formats", "imaging", "models", "stages", "parts"},
}
DOORS = {"server", "aws", "cli", "__init__", "__main__"}

HEAVY = ("numpy", "cv2", "onnxruntime", "fastapi", "torch", "paddle", "paddleocr", "ultralytics")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """The rooms of this package that a module imports, inside functions too."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "anpr":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anpr."):
            rooms.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("anpr.")}
    return rooms


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    if room in DOORS:
        return
    assert room in ROOMS, f"a new room: say in ROOMS what it may know ({room})"
    assert imported_rooms(path) - {room} <= ROOMS[room]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_grows_past_300_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 300


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, anpr; print([m for m in {HEAVY} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


def test_the_lean_runtime_never_loads_the_reference_one() -> None:
    code = (
        "import sys; from anpr import Recognizer; Recognizer().load();"
        "print([m for m in ('torch', 'paddle', 'paddleocr', 'ultralytics', 'rapidocr')"
        " if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


@pytest.mark.parametrize("name", anpr.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(anpr, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = anpr.nonsense
