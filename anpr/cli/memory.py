"""``anpr memory``: what the models hold, and what is left when they are gone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anpr.cli import console
from anpr.errors import AnprError, ModelUnusable

if TYPE_CHECKING:
    from anpr.cli.console import Commands

RUNTIMES: Final = {"lean": ("onnx", "onnx"), "reference": ("ultralytics", "paddle")}
STATES: Final = ("baseline", "lazy", "eager", "after analysis", "after unload")

IDLE_MIB: Final = 15.0  # above the baseline, once unloaded
SLOPE_MIB: Final = 0.1  # a cycle of loading, reading and unloading
LAZY_SAVES: Final = 0.9  # of what the reference runtime holds once loaded

_MEANINGS: Final = """\
baseline: all imported, nothing loaded · lazy: ready, nothing imported that models need ·
eager: loaded · after analysis: one photo read · after unload: models gone, process alive"""


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "memory",
        help="measure memory: lazy, eager, after unloading",
        description="Measures memory, each runtime in processes of its own, on one thread. "
        "The reference runtime is measured where it is installed.",
    )
    parser.add_argument("photo", nargs="?", type=Path, help="default: one that is drawn")
    parser.add_argument("--json", action="store_true", help="print figures instead of a table")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw them as well")
    parser.add_argument(
        "--cycles", type=console.whole, default=20, metavar="N", help="loads and unloads (20)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    figures = measure(options.photo, options.cycles)
    if options.plot:
        from anpr.cli import chart

        chart.draw(figures).save(options.plot, "PNG", optimize=True)
    print(json.dumps(figures, indent=2) if options.json else table(figures))
    return 0


def measure(photo: Path | None, cycles: int) -> dict[str, Any]:
    """All figures, in MiB. Raises ``ModelUnusable`` when a runtime cannot be measured."""
    import platform

    console.settings()  # a wrong one is told here
    runtimes = {name: _measure(name, photo, cycles) for name in RUNTIMES if _installed(name)}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "runtimes": runtimes,
        "targets": targets(runtimes),
    }


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    wanted = {"ultralytics": "ultralytics", "paddle": "paddleocr"}
    return all(find_spec(wanted.get(r, "onnxruntime")) for r in RUNTIMES[name])


def _measure(name: str, photo: Path | None, cycles: int) -> dict[str, Any]:
    from statistics import median

    given = [str(photo.resolve())] if photo else []
    eager = _probe(name, "eager", str(cycles), *given)
    lazy = _probe(name, "lazy", "0", *given)
    states = {state: eager["checkpoints"].get(state) for state in STATES}
    states["lazy"] = lazy["checkpoints"]["lazy"]
    rss = {state: values["rss"] for state, values in states.items()}
    return {
        "rss_mib": rss,
        "peak_mib": eager["checkpoints"]["after unload"]["peak"],
        "load_ms": eager["load_ms"],
        "texts": eager["texts"],
        "stages": eager["stages"],
        "requests_mib": eager["requests_mib"],
        "cycles_mib": eager["cycles_mib"],
        "idle_above_baseline_mib": {
            "rss": median(eager["cycles_mib"]) - rss["baseline"],
            "anonymous": eager["anonymous_above_baseline_mib"],
        },
        "slope_mib_a_cycle": slope(eager["cycles_mib"]),
    }


def _probe(name: str, way: str, *arguments: str) -> dict[str, Any]:
    import subprocess

    print(f"anpr: measuring {name}, {way} …", file=sys.stderr)
    detector, reader = RUNTIMES[name]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    outcome = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "anpr.cli.probe", way, *arguments],
        env=os.environ | one | {"ANPR_DETECTOR": detector, "ANPR_READER": reader},
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        last = (outcome.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise ModelUnusable(f"The {name} runtime could not be measured: {last}") from AnprError(
            outcome.stderr
        )
    record: dict[str, Any] = json.loads(outcome.stdout.splitlines()[-1])
    return record


def slope(values: Sequence[float]) -> float:
    """Growth from one to the next: the median of all pairs' slopes (Theil 1950, Sen 1968).

    A line by least squares would follow one outlier at either end.
    """
    from itertools import combinations
    from statistics import median

    pairs = combinations(enumerate(values), 2)
    return median([(y - x) / (j - i) for (i, x), (j, y) in pairs] or [0.0])


def targets(runtimes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the lean runtime has to reach; ``met`` is null where it was not measured."""
    lean, reference = runtimes["lean"], runtimes.get("reference")
    saved = None
    if reference is not None:
        saved = 1 - lean["rss_mib"]["lazy"] / reference["rss_mib"]["eager"]
    # resident memory may be under the baseline: unloading lets go of program files' pages as well
    idle, growth = max(lean["idle_above_baseline_mib"].values()), lean["slope_mib_a_cycle"]
    return {
        "idle_above_baseline_mib": {"value": idle, "most": IDLE_MIB, "met": idle <= IDLE_MIB},
        "slope_mib_a_cycle": {"value": growth, "most": SLOPE_MIB, "met": growth < SLOPE_MIB},
        "lazy_saves_of_eager_reference": {
            "value": saved,
            "least": LAZY_SAVES,
            "met": None if saved is None else saved >= LAZY_SAVES,
        },
    }


def table(figures: Mapping[str, Any]) -> str:
    runtimes = figures["runtimes"]
    requests, cycles = (len(runtimes["lean"][key]) for key in ("requests_mib", "cycles_mib"))
    cells: dict[str, Callable[[Any], str]] = {
        **{state: _rss(state) for state in STATES},
        "peak": lambda r: f"{r['peak_mib']:.1f}",
        **{f"  first photo, {stage}": _stage(stage) for stage in runtimes["lean"]["stages"]},
        f"over {requests} requests": lambda r: _span(r["requests_mib"]),
        f"unloaded, {cycles} cycles": lambda r: _span(r["cycles_mib"]),
        "  above the baseline": lambda r: f"{r['idle_above_baseline_mib']['rss']:+.1f}",
        "  without pages of files": lambda r: f"{r['idle_above_baseline_mib']['anonymous']:+.1f}",
        "  growth a cycle": lambda r: f"{r['slope_mib_a_cycle']:+.3f}",
        "loading both models, ms": lambda r: f"{r['load_ms']:.0f}",
    }
    rows = [("resident memory, MiB", list(runtimes))]
    rows += [(name, [cell(r) for r in runtimes.values()]) for name, cell in cells.items()]
    wide = max(len(name) for name, _ in rows)
    lines = [f"{name:{wide}}" + "".join(f"{cell:>18}" for cell in cells) for name, cells in rows]
    lines += ["", _MEANINGS, ""]
    lines += [_told(name, target) for name, target in figures["targets"].items()]
    return "\n".join(lines)


def _rss(state: str) -> Callable[[Any], str]:
    return lambda runtime: f"{runtime['rss_mib'][state]:.1f}"


def _stage(stage: str) -> Callable[[Any], str]:
    """Its growth and its time."""
    return lambda r: "{mib:+.1f} in {ms:.0f} ms".format_map(r["stages"][stage])


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.1f} … {max(values):.1f}"


def _told(name: str, target: Mapping[str, Any]) -> str:
    words = {True: "met", False: "MISSED", None: "not measured"}
    bound = f"at most {target['most']}" if "most" in target else f"at least {target['least']}"
    value = "–" if target["value"] is None else f"{target['value']:.3f}"
    return f"{name.replace('_', ' ')}: {value} ({bound}): {words[target['met']]}"
