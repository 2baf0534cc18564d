"""``python -m benchmarks.start``: from nothing to the first plate, and loading alone.

Each start is a process of its own: ``anpr read PHOTO`` until its first line is there. The ways
take turns, so that what else the machine does falls on all of them, and ratios are of starts in
one turn. The lean runtime starts with an empty cache (its models are optimised while they load),
with the compiled form that the first start left, and without a cache; the reference runtime, where
it is installed, loads ``last.pt`` through Ultralytics and its reader through PaddleOCR.

``loading`` is ``Recognizer.load()`` alone, in a fresh process with everything imported: wall time,
and the processor's, which is what is left of it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import output
from benchmarks.runtimes import LEAN, REFERENCE, REPO, Runtime, given_or_drawn, reference_python
from benchmarks.speed import machine

EMPTY, COMPILED, OFF, PT = "empty cache", "compiled form", "no cache", "reference, last.pt"
RATIO = 8.0  # the reference's first plate by the compiled form's, at least
LOADING_MS = 150.0  # both models, at most
_LOAD = """
import json, time
import anpr.imaging, onnxruntime
from anpr.pipeline import Recognizer
recognizer = Recognizer()
recognizer.models
began, worked = time.perf_counter(), time.process_time()
recognizer.load()
now = time.perf_counter(), time.process_time()
print(json.dumps({"wall": (now[0] - began) * 1000, "cpu": (now[1] - worked) * 1000}))
"""


def first_plate_s(runtime: Runtime, python: Path, photo: Path, cache: dict[str, str]) -> float:
    """Seconds from the start of ``anpr read`` to its first line."""
    began = time.perf_counter()
    with subprocess.Popen(
        [str(python), "-m", "anpr", "read", str(photo)],
        cwd=REPO,
        env=runtime.environment() | cache,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None  # noqa: S101
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
    if not line.strip() or process.returncode:
        raise RuntimeError(f"anpr read did not read a plate: {line!r}")
    return seconds


def loading_ms(cache: dict[str, str]) -> dict[str, float]:
    outcome = subprocess.run(
        [sys.executable, "-c", _LOAD],
        cwd=REPO,
        env=LEAN.environment() | cache,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    times: dict[str, float] = json.loads(outcome.stdout)
    return times


def measure(photo: Path, turns: int, reference_turns: int) -> dict[str, Any]:
    python = reference_python() if reference_turns else None
    starts: dict[str, list[float]] = {EMPTY: [], COMPILED: [], OFF: []}
    loads: dict[str, list[float]] = {}
    ratios: list[float] = []
    if python is not None:
        starts[PT] = []
        first_plate_s(REFERENCE, python, photo, {})  # PaddleX makes its model folders
    with tempfile.TemporaryDirectory() as folder:
        kept = {"ANPR_CACHE_DIR": str(Path(folder, "kept"))}
        off = {"ANPR_CACHE_DISABLED": "true"}
        first_plate_s(LEAN, Path(sys.executable), photo, kept)
        for turn in range(turns):
            empty = {"ANPR_CACHE_DIR": str(Path(folder, f"empty-{turn}"))}
            for way, cache in ((EMPTY, empty), (COMPILED, kept), (OFF, off)):
                starts[way].append(first_plate_s(LEAN, Path(sys.executable), photo, cache))
            for way, cache in ((OFF, off), (COMPILED, kept)):
                for kind, ms in loading_ms(cache).items():
                    loads.setdefault(f"{way}, {kind}", []).append(ms)
            if python is not None and turn < reference_turns:
                starts[PT].append(first_plate_s(REFERENCE, python, photo, {}))
                ratios.append(starts[PT][-1] / starts[COMPILED][-1])
    return {
        "machine": machine(),
        "first_plate_s": {way: _spread(times) for way, times in starts.items()},
        "loading_ms": {way: _spread(times) for way, times in loads.items()},
        "ratios": {
            "reference by compiled form": _spread(ratios) if ratios else None,
            "empty cache by compiled form": _spread(_by(starts[EMPTY], starts[COMPILED])),
            "no cache by compiled form": _spread(_by(starts[OFF], starts[COMPILED])),
            "loading, no cache by compiled form, cpu": _spread(
                _by(loads[f"{OFF}, cpu"], loads[f"{COMPILED}, cpu"])
            ),
        },
        "targets": {
            "reference by compiled form": {
                "least": RATIO,
                "met": statistics.median(ratios) >= RATIO if ratios else None,
            },
            "loading both models, ms of one processor": {
                "most": LOADING_MS,
                "met": statistics.median(loads[f"{COMPILED}, cpu"]) <= LOADING_MS,
            },
        },
    }


def _by(these: Sequence[float], those: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(these, those, strict=True)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def markdown(figures: Mapping[str, Any]) -> str:
    lines = ["| | median | least | most |", "|---|---|---|---|"]
    for title, part, digits in (
        ("process start to first plate, s, {}", "first_plate_s", 2),
        ("loading both models, ms, {}", "loading_ms", 0),
        ("ratio: {}", "ratios", 2),
    ):
        for way, spread in figures[part].items():
            if spread is not None:
                cells = " | ".join(f"{spread[k]:.{digits}f}" for k in ("median", "least", "most"))
                lines.append(f"| {title.format(way)} | {cells} |")
    words = {True: "met", False: "missed", None: "not measured"}
    lines.append("")
    for name, target in figures["targets"].items():
        bound = f"at least {target['least']}" if "least" in target else f"at most {target['most']}"
        lines.append(f"{name}, {bound}: {words[target['met']]}")
    about = figures["machine"]
    lines += ["", f"{about['cpu']}, {about['cpus']} CPUs, load {about['load']:.1f} at the end"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--photo", type=Path, help="a photo of your own (default: a drawn one)")
    parser.add_argument("--turns", type=int, default=10, help="starts of each way (10)")
    parser.add_argument("--reference-turns", type=int, default=5, help="of the reference (5)")
    output.add_options(parser)
    options = parser.parse_args(arguments)
    with given_or_drawn(options.photo) as photo:
        figures = measure(photo, options.turns, options.reference_turns)
    output.tell(options, figures, markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
