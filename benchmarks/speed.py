"""``python -m benchmarks.speed``: how fast a photo is read, and what it takes.

Warm times of ``Recognizer.read(bytes)`` by stage, what garbage collection costs with and without
``gc.freeze()``, memory, ``anpr read`` from process start to text, and ``import anpr``. Each
runtime that is installed gets a process of its own, on one thread. The photo is a drawn 1280×720
JPEG with one plate, or ``--photo``.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import output
from benchmarks.probe import STAGES
from benchmarks.runtimes import ONE_THREAD, REPO, Runtime, ask, available, given_or_drawn

HEAVY = (
    *("numpy", "cv2", "PIL", "onnxruntime", "fastapi", "pydantic", "requests"),
    *("torch", "ultralytics", "paddle", "paddleocr"),
)


def command_s(runtime: Runtime, python: Path, photo: Path, runs: int) -> list[float]:
    """Wall seconds of ``anpr read PHOTO``, process start and end included."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        outcome = subprocess.run(
            [str(python.parent / "anpr"), "read", str(photo)],
            env=runtime.environment(),
            check=True,
            capture_output=True,
        )
        times.append(time.perf_counter() - began)
        if not outcome.stdout.strip():
            raise RuntimeError("anpr read printed nothing")
    return times


def import_anpr(python: Path, runs: int) -> dict[str, Any]:
    """Milliseconds of ``import anpr`` in a fresh interpreter, and what it pulled in."""
    code = (
        "import sys, time; began = time.perf_counter(); import anpr;"
        "print((time.perf_counter() - began) * 1000);"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    times, loaded = [], ""
    for _ in range(runs):
        outcome = subprocess.run(
            [str(python), "-c", code],
            cwd=REPO,
            env=os.environ | ONE_THREAD,
            check=True,
            capture_output=True,
            text=True,
        )
        ms, loaded = outcome.stdout.splitlines()
        times.append(float(ms))
    return {"ms": statistics.median(times), "worst_ms": max(times), "heavy_loaded": loaded}


def measure(photo: Path, runs: int, starts: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"machine": machine(), "runtimes": {}}
    for runtime, python in available():
        inside = ask(runtime, python, "benchmarks.probe", str(photo), str(runs))
        if runtime.paddle_engine == "onnxruntime":
            inside["command_s"] = command_s(runtime, python, photo, starts)
        figures["runtimes"][runtime.name] = inside
    figures["import"] = import_anpr(Path(sys.executable), 7)
    return figures


def machine() -> dict[str, Any]:
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


Cell = Callable[[dict[str, Any]], str]


def markdown(figures: dict[str, Any]) -> str:
    runtimes = figures["runtimes"]
    rows: list[tuple[str, Cell]] = [
        ("a photo, ms, median (p90)", lambda f: _times(f["frozen"]["read_ms"])),
        *((f"{stage}, ms, median (p90)", _stage(stage)) for stage in STAGES),
        ("collection after each stage, ms", lambda f: _each(f["frozen"])),
        ("share of collections in a photo", lambda f: f"{f['frozen']['collect_share']:.1%}"),
        ("a full collection, frozen, ms", lambda f: _full(f, "frozen")),
        ("a full collection, not frozen, ms", lambda f: _full(f, "unfrozen")),
        ("a photo in a program that never freezes, ms", lambda f: _times(f["unfrozen"]["read_ms"])),
        ("share of collections in that", lambda f: f"{f['unfrozen']['collect_share']:.1%}"),
        ("load both models, s", lambda f: f"{f['load_s']:.2f}"),
        ("RSS, models loaded, MiB", lambda f: f"{f['rss_mib']['loaded']:.0f}"),
        ("RSS after all runs, MiB", lambda f: f"{f['rss_mib']['after_runs']:.0f}"),
        ("peak RSS, MiB", lambda f: f"{f['peak_mib']:.0f}"),
        ("`anpr read`, s, median (worst)", _command),
        ("texts", lambda f: " ".join(f["texts"]) or "none"),
    ]
    start = figures["import"]
    lines = [
        f"| | {' | '.join(runtimes)} |",
        f"|---|{'---|' * len(runtimes)}",
        *(f"| {name} | {' | '.join(map(cell, runtimes.values()))} |" for name, cell in rows),
        "",
        f"`import anpr`: {start['ms']:.1f} ms (worst {start['worst_ms']:.1f});"
        f" heavy modules it loaded: {start['heavy_loaded']}",
        "",
        f"{figures['machine']['cpu']}, {figures['machine']['cpus']} CPUs,"
        f" load {figures['machine']['load']:.1f} at the start",
    ]
    return "\n".join(lines) + "\n"


def _times(times: dict[str, float]) -> str:
    return f"{times['median']:.1f} ({times['p90']:.1f})"


def _stage(stage: str) -> Cell:
    return lambda figures: _times(figures["frozen"]["stages_ms"][stage])


def _full(figures: dict[str, Any], state: str) -> str:
    return _times(figures["full_collection_ms"][state])


def _each(part: dict[str, Any]) -> str:
    return " · ".join(f"{part['collect_ms'][stage]['median']:.2f}" for stage in STAGES)


def _command(figures: dict[str, Any]) -> str:
    times = figures.get("command_s")
    return f"{statistics.median(times):.2f} ({max(times):.2f})" if times else "–"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--photo", type=Path, help="a photo of your own (default: a drawn one)")
    parser.add_argument("--runs", type=int, default=100, help="photos read warm (100)")
    parser.add_argument("--starts", type=int, default=5, help="runs of anpr read (5)")
    output.add_options(parser)
    options = parser.parse_args(arguments)
    with given_or_drawn(options.photo) as photo:
        figures = measure(photo, options.runs, options.starts)
    output.tell(options, figures, markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
