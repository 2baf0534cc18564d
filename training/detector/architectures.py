"""``python -m training.detector.architectures``: what an architecture costs, before any training.

Each is built from stock Ultralytics modules, exported untrained as the service's model is, and run
as the service runs it: letterbox to boxes, one thread, a square photo and one of 16:9. They take
turns, so that whatever else the machine does falls on all of them; beside the median stands the
median of the ratios to YOLO11n in the same turn, with its quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anpr.detect import OnnxDetector
from anpr.models.compile import compile_detector
from anpr.weights import ModelFile
from training import report

OWN = Path(__file__).with_name("plates.yaml")
BASE = "YOLO11n"
SIDE_PX = 320
_UP = [-1, 1, "nn.Upsample", [None, 2, "nearest"]]
_RELU = "torch.nn.ReLU()"


def variant(
    *,
    heads: str = "345",
    reg_max: int = 16,
    stem: int = 64,
    coarsest: int = 256,
    attention: bool = True,
    stages: int = 5,
    width: float = 1.0,
    activation: str | None = None,
) -> dict[str, Any]:
    """YOLO11n with some of it changed, as Ultralytics reads it.

    ``heads`` are the levels that boxes come from, 2 (stride 4) to 5 (stride 32); with level 2
    there is no way down again after the way up. ``stem`` and ``coarsest`` are the channels at
    stride 4 and 32, ``stages`` the number of strides (4 ends at stride 16), ``width`` a factor of
    all channels.
    """
    layers: list[list[Any]] = [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "C3k2", [stem, False, 16 / stem]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "C3k2", [128, False, 0.25]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 1, "C3k2", [128, True]],
    ]
    top = 128
    if stages == 5:
        top = coarsest
        layers += [[-1, 1, "Conv", [top, 3, 2]], [-1, 1, "C3k2", [top, True]]]
    layers.append([-1, 1, "SPPF", [top, 5]])
    if attention:
        layers.append([-1, 1, "C2PSA", [top]])
    fives = fours = len(layers) - 1
    backbone = len(layers)
    if stages == 5:
        layers += [_UP, [[-1, 6], 1, "Concat", [1]], [-1, 1, "C3k2", [128, False]]]
        fours = len(layers) - 1
    layers += [_UP, [[-1, 4], 1, "Concat", [1]], [-1, 1, "C3k2", [64, False]]]
    threes = len(layers) - 1
    outputs = {"3": threes, "4": fours}
    if "2" in heads:
        layers += [_UP, [[-1, 2], 1, "Concat", [1]], [-1, 1, "C3k2", [32, False]]]
        outputs["2"] = len(layers) - 1
    elif "4" in heads:
        layers += [[-1, 1, "Conv", [64, 3, 2]], [[-1, fours], 1, "Concat", [1]]]
        layers.append([-1, 1, "C3k2", [128, False]])
        outputs["4"] = len(layers) - 1
    if "5" in heads:
        layers += [[-1, 1, "Conv", [128, 3, 2]], [[-1, fives], 1, "Concat", [1]]]
        layers.append([-1, 1, "C3k2", [256, True]])
        outputs["5"] = len(layers) - 1
    layers.append([[outputs[level] for level in heads], 1, "Detect", ["nc"]])
    told: dict[str, Any] = {"nc": 1, "reg_max": reg_max, "width_multiple": width}
    told |= {"backbone": layers[:backbone], "head": layers[backbone:]}
    return told | ({"activation": activation} if activation else {})


ARCHITECTURES: Mapping[str, dict[str, Any] | str] = {
    BASE: "yolo11n.yaml",
    "YOLO26n (end to end)": "yolo26n.yaml",
    "YOLO11n, three quarters of the channels": variant(width=0.75),
    "YOLO11n, ReLU": variant(activation=_RELU),
    "YOLO11n, distances (reg_max 1)": variant(reg_max=1),
    "heads at strides 8, 16": variant(heads="34"),
    "the same, reg_max 8": variant(heads="34", reg_max=8),
    "the same, distances": variant(heads="34", reg_max=1),
    "the same, no attention": variant(heads="34", reg_max=1, attention=False),
    "strides 8, 16, distances, 128 channels at stride 32": variant(
        heads="34", reg_max=1, coarsest=128
    ),
    "strides 8, 16, distances, nothing at stride 32": variant(heads="34", reg_max=1, stages=4),
    "strides 8, 16, distances, 32 channels at stride 4 (ours)": str(OWN),
    "strides 4, 8, 16, distances": variant(heads="234", reg_max=1),
    "the same, nothing at stride 32": variant(heads="234", reg_max=1, stages=4),
    "the same, ReLU": variant(heads="234", reg_max=1, stages=4, activation=_RELU),
}


@dataclass(frozen=True, slots=True)
class Cost:
    parameters: int
    gflops: float
    onnx_bytes: int


def export(architecture: dict[str, Any] | str, target: Path) -> Cost:
    """Write the untrained model to ``target``, compiled as the shipped one is."""
    import torch
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.torch_utils import get_flops

    torch.manual_seed(0)
    model = DetectionModel(architecture, nc=1, verbose=False)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    gflops = get_flops(model, SIDE_PX)
    checkpoint = target.with_suffix(".pt")
    told = {"imgsz": SIDE_PX, "task": "detect"}
    model.args = told
    whole = YOLO("yolo11n.yaml", verbose=False)
    whole.model = model
    whole.ckpt = {}
    whole.overrides |= told
    whole.save(checkpoint)
    compile_detector(checkpoint, target, imgsz=SIDE_PX)
    return Cost(parameters, gflops, target.stat().st_size)


def taking_turns(
    detectors: Mapping[str, OnnxDetector], photo: np.ndarray[Any, np.dtype[np.uint8]], turns: int
) -> dict[str, list[float]]:
    """Milliseconds of each detector in each turn, three runs a turn."""
    for detector in detectors.values():
        detector.detect(photo)
    times: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(turns):
        for name, detector in detectors.items():
            began = time.perf_counter()
            for _ in range(3):
                detector.detect(photo)
            times[name].append((time.perf_counter() - began) / 3 * 1000)
    return times


def _ratio(times: Sequence[float], base: Sequence[float]) -> str:
    ratios = [a / b for a, b in zip(times, base, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def rows(names: Iterable[str], turns: int) -> list[list[str]]:
    """A row of the table for each architecture."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="anpr-architectures-") as scratch:
        costs, detectors = {}, {}
        for number, name in enumerate(names):
            file = Path(scratch) / f"{number}.onnx"
            costs[name] = export(ARCHITECTURES[name], file)
            detectors[name] = OnnxDetector(ModelFile(file), side=SIDE_PX)
        square, wide = (
            taking_turns(detectors, rng.integers(0, 256, shape, np.uint8), turns)
            for shape in ((1024, 1024, 3), (576, 1024, 3))
        )
    return [
        [
            name,
            f"{cost.parameters / 1e6:.2f} M",
            f"{cost.gflops:.2f}",
            f"{cost.onnx_bytes / 1e6:.1f}",
            f"{statistics.median(square[name]):.1f}",
            _ratio(square[name], square[BASE]),
            f"{statistics.median(wide[name]):.1f}",
        ]
        for name, cost in costs.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.detector.architectures")
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--only", metavar="TEXT", help="those whose name has it, and YOLO11n")
    options = parser.parse_args(arguments)
    names = [n for n in ARCHITECTURES if n == BASE or not options.only or options.only in n]
    head = [
        "architecture", "parameters", "GFLOPs at 320", "ONNX, MB",
        "ms, 320×320", "to YOLO11n (quartiles)", "ms, 16:9",
    ]  # fmt: skip
    sys.stdout.write(report.table(head, rows(names, options.turns)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
