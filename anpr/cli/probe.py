"""``python -m anpr.cli.probe lazy|eager CYCLES [PHOTO]``: this process's memory, step by step.

Prints JSON. ``anpr memory`` starts it, in a process of its own for each runtime and way to load:
what was imported or loaded once never quite leaves a process.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anpr import memory
from anpr.memory import MemoryMonitor

if TYPE_CHECKING:
    from anpr.pipeline import Recognizer
    from anpr.settings import Settings

REQUESTS: Final = 10
_WARM_UP_CYCLES: Final = 2  # until the allocator has seen what there is to see


def main(arguments: Sequence[str]) -> None:
    way, cycles, *photo = arguments
    data = Path(photo[0]).read_bytes() if photo else drawn_photo()
    record = lazy(data) if way == "lazy" else eager(data, int(cycles))
    sys.stdout.write(json.dumps(record) + "\n")


def lazy(photo: bytes) -> dict[str, Any]:
    """A recogniser that loads with its first photo."""
    from anpr.pipeline import Recognizer

    recognizer, monitor = Recognizer(), MemoryMonitor()
    _note(monitor, "lazy")
    recognizer.read(photo)
    _note(monitor, "after analysis")
    recognizer.unload()
    _note(monitor, "after unload")
    return _record(monitor)


def eager(photo: bytes, cycles: int) -> dict[str, Any]:
    """A recogniser that is loaded first, then used, then unloaded, again and again.

    The baseline is this process with all that it will import, before a model is loaded.
    """
    from anpr.pipeline import Recognizer
    from anpr.settings import Settings

    settings, monitor = Settings(), MemoryMonitor()
    recognizer = Recognizer(settings)
    _import_runtimes(settings)
    memory.release()
    _note(monitor, "baseline")
    heap_before = memory.anonymous_mib()
    began = time.perf_counter()
    recognizer.load()
    load_ms = (time.perf_counter() - began) * 1000
    _note(monitor, "eager")
    result = recognizer.read(photo)
    _note(monitor, "after analysis")
    requests = []
    for _ in range(REQUESTS):
        recognizer.read(photo)
        requests.append(memory.rss_mib())
    recognizer.unload()
    _note(monitor, "after unload")
    for _ in range(_WARM_UP_CYCLES):
        _cycle(recognizer, photo)
    unloaded = [_cycle(recognizer, photo) for _ in range(cycles)]
    return _record(monitor) | {
        "load_ms": load_ms,
        "texts": [plate.text for plate in result],
        "stages": {
            stage: {"ms": result.timings_ms[stage], "mib": growth}
            for stage, growth in result.memory_mib.stages.items()
        },
        "requests_mib": requests,
        "cycles_mib": unloaded,
        "anonymous_above_baseline_mib": memory.anonymous_mib() - heap_before,
    }


def _cycle(recognizer: Recognizer, photo: bytes) -> float:
    recognizer.load()
    recognizer.read(photo)
    recognizer.unload()
    return memory.rss_mib()


def _note(monitor: MemoryMonitor, label: str) -> None:
    monitor.checkpoint(label)


def _record(monitor: MemoryMonitor) -> dict[str, Any]:
    return {
        "checkpoints": {
            usage.label: {"at_s": usage.at_s, "rss": usage.rss, "peak": usage.peak}
            for usage in monitor.checkpoints
        }
    }


def _import_runtimes(settings: Settings) -> None:
    names = ["onnxruntime"]
    if settings.detector == "ultralytics":
        os.environ["YOLO_AUTOINSTALL"] = "false"  # a failed import must not start pip
        names += ["torch", "ultralytics"]
    if settings.reader == "paddle":
        cache = settings.cache_folder or Path(tempfile.gettempdir())
        os.environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] = "True"  # it waits for hosts otherwise
        os.environ.setdefault("PADDLE_PDX_CACHE_HOME", str(cache / "paddle" / "paddlex"))
        names += ["paddleocr"]
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            importlib.import_module(name)


def drawn_photo() -> bytes:
    """A JPEG of 1280×720 with the back of a car and one plate, from rectangles and letters."""
    from PIL import Image, ImageDraw, ImageFont

    scene = Image.new("RGB", (1280, 720), "#9fb4c8")
    pen = ImageDraw.Draw(scene)
    pen.rectangle((0, 320, 1280, 720), fill="#5d5d5f")
    for x in (350, 850):
        pen.rounded_rectangle((x, 540, x + 90, 670), 14, fill="#161616")
    pen.polygon([(430, 170), (850, 170), (940, 340), (340, 340)], fill="#23303a")
    pen.rounded_rectangle((310, 330, 970, 600), 36, fill="#8d1f24")
    pen.rounded_rectangle((300, 520, 980, 640), 24, fill="#2b2c2e")
    for x in (330, 880):
        pen.rounded_rectangle((x, 380, x + 70, 440), 10, fill="#c8343a")
    pen.rounded_rectangle((530, 440, 750, 490), 4, fill="white", outline="black", width=2)
    font = ImageFont.load_default(44)
    pen.text((640, 465), "RK069AV", "black", font, anchor="mm", stroke_width=1)
    file = io.BytesIO()
    scene.save(file, "JPEG", quality=88)
    return file.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
