"""``python -m benchmarks.probe RUNTIME PHOTO RUNS``: one runtime, measured from inside.

Prints JSON: times of the stages, the share of garbage collection, memory. ``benchmarks.speed``
runs it.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anpr import memory
from anpr.pipeline import Recognizer
from benchmarks.runtimes import RUNTIMES

STAGES = ("decode", "detect", "crop", "read")
PACKAGES = (
    "onnxruntime",
    "opencv-python-headless",
    "numpy",
    "torch",
    "ultralytics",
    "paddleocr",
    "paddlex",
    "paddlepaddle",
)
_WARM_UP = 5
_UNFROZEN_RUNS = 20


def probe(recognizer: Recognizer, photo: bytes, runs: int) -> dict[str, Any]:
    """The figures of a recogniser that is not loaded yet."""
    before = memory.rss_mib()
    began = time.perf_counter()
    recognizer.load()
    load_s = time.perf_counter() - began
    loaded = memory.rss_mib()
    for _ in range(_WARM_UP):
        recognizer.read(photo)
    unfrozen = _measure(recognizer, photo, _UNFROZEN_RUNS)
    full = {"unfrozen": _full_collection_ms()}
    memory.freeze()
    frozen = _measure(recognizer, photo, runs)
    full["frozen"] = _full_collection_ms()
    rss, objects = memory.rss_mib(), gc.get_freeze_count()
    memory.unfreeze()  # what is frozen at exit counts as leaked for some of Torch's bindings
    return {
        "texts": [plate.text for plate in recognizer.read(photo)],
        "runs": runs,
        "load_s": load_s,
        "rss_mib": {"imported": before, "loaded": loaded, "after_runs": rss},
        "peak_mib": memory.peak_mib(),
        "frozen": frozen,
        "unfrozen": unfrozen,
        "full_collection_ms": full,
        "frozen_objects": objects,
        "python": platform.python_version(),
        "packages": dict(_versions()),
    }


def _versions() -> list[tuple[str, str]]:
    found = []
    for package in PACKAGES:
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _measure(recognizer: Recognizer, photo: bytes, runs: int) -> dict[str, Any]:
    """Milliseconds: of a whole ``read``, of its stages, and of the collection that ends each."""
    whole: list[float] = []
    stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
    collections: list[float] = []
    collect = memory.collect

    def timed() -> None:
        began = time.perf_counter()
        collect()
        collections.append((time.perf_counter() - began) * 1000)

    memory.collect = timed
    try:
        for _ in range(runs):
            began = time.perf_counter()
            result = recognizer.read(photo)
            whole.append((time.perf_counter() - began) * 1000)
            for stage in STAGES:
                stages[stage].append(result.timings_ms[stage])
    finally:
        memory.collect = collect
    per_stage = {stage: collections[index :: len(STAGES)] for index, stage in enumerate(STAGES)}
    return {
        "read_ms": _summary(whole),
        "stages_ms": {stage: _summary(times) for stage, times in stages.items()},
        "collect_ms": {stage: _summary(times) for stage, times in per_stage.items()},
        "collect_share": sum(collections) / sum(whole),
    }


def _full_collection_ms() -> dict[str, float]:
    """Of ``gc.collect()``, every generation: what a stage without a freeze would pay for it."""
    times = []
    for _ in range(10):
        began = time.perf_counter()
        gc.collect()
        times.append((time.perf_counter() - began) * 1000)
    return _summary(times)


def _summary(times: Sequence[float]) -> dict[str, float]:
    return {
        "median": statistics.median(times),
        "p90": statistics.quantiles(times, n=10, method="inclusive")[-1],
    }


def main(arguments: Sequence[str]) -> None:
    name, photo, runs = arguments
    figures = probe(RUNTIMES[name].recognizer(), Path(photo).read_bytes(), int(runs))
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
