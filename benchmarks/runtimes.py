"""The runtimes that are compared, and processes of their own to measure them in."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anpr.pipeline import Recognizer
from anpr.settings import Settings

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared"
REFERENCE_PYTHON = REPO / ".venv-reference" / "bin" / "python"
PADDLE_FORMAT = SHARED / "models" / "en_PP-OCRv3_det_infer"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # as in the container
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """One choice of detector and reader, as settings."""

    name: str
    detector: str
    reader: str
    paddle_engine: str = "onnxruntime"

    @property
    def is_reference(self) -> bool:
        return self.detector != "onnx" or self.reader != "onnx"

    def environment(self) -> dict[str, str]:
        """Of a process that runs it: one thread, and the settings that choose it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANPR_")}
        chosen = {"ANPR_DETECTOR": self.detector, "ANPR_READER": self.reader}
        return kept | ONE_THREAD | chosen | {"ANPR_PADDLE_ENGINE": self.paddle_engine}

    def recognizer(self) -> Recognizer:
        """Not loaded yet."""
        settings = Settings()
        if self.paddle_engine == "onnxruntime":
            return Recognizer(settings)
        from anpr.models import manifest
        from anpr.paddle import PaddleReader

        file = manifest.find(settings.weights_dir, settings.reader_model)
        reader = PaddleReader(file, engine="paddle", detection_model=PADDLE_FORMAT)
        return Recognizer(settings, reader=reader)


LEAN = Runtime("lean", "onnx", "onnx")
REFERENCE = Runtime("reference", "ultralytics", "paddle")
PADDLE = Runtime("reference, text detection on Paddle", "ultralytics", "paddle", "paddle")
RUNTIMES = {runtime.name: runtime for runtime in (LEAN, REFERENCE, PADDLE)}


def reference_python() -> Path | None:
    """The interpreter that has the reference runtime: this one, or that of ``.venv-reference``."""
    if all(importlib.util.find_spec(name) for name in ("ultralytics", "paddleocr")):
        return Path(sys.executable)
    return REFERENCE_PYTHON if REFERENCE_PYTHON.is_file() else None


def available() -> list[tuple[Runtime, Path]]:
    """What can be measured here, each with its interpreter."""
    found = [(LEAN, Path(sys.executable))]
    python = reference_python()
    if python is not None:
        found.append((REFERENCE, python))
        if PADDLE_FORMAT.is_dir():
            found.append((PADDLE, python))
    return found


@contextmanager
def given_or_drawn(photo: Path | None) -> Iterator[Path]:
    """The photo itself, or a drawn one of 1280×720 px with one plate, for as long as this lasts."""
    if photo is not None:
        yield photo.resolve()
        return
    from tests.scenes import car_photo  # not for what runs in an environment without the tests

    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder, "drawn.jpg")
        drawn.write_bytes(car_photo(quality=88))
        yield drawn


def ask(runtime: Runtime, python: Path, module: str, *arguments: str) -> Any:
    """What a module prints as JSON on its last line, run in a process for this runtime."""
    outcome = subprocess.run(
        [str(python), "-m", module, runtime.name, *arguments],
        cwd=REPO,
        env=runtime.environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(outcome.stdout.splitlines()[-1])
