"""The end of a run: the better checkpoint becomes ``weights/last.pt``, and its ONNX is compiled.

The run's checkpoints and the one in place are measured as the service runs them, on the photos of
``val``: a model may do well on the padded input of Ultralytics' own validation and less well on the
service's. The one in place stays unless a new one has the higher mAP50-95.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anpr.detect import OnnxDetector
from anpr.models import manifest, onnxfile
from anpr.models.compile import compile_detector
from anpr.weights import ModelFile
from training.data import UNLABELLED, Photo, read_missed, read_yolo
from training.detection import CURVE_CONFIDENCE, Score, look, without_unlabelled

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

THRESHOLD = 0.35
"""The service's, for the figures that are printed."""
KEPT_MODEL_ARGS = ("imgsz", "task", "single_cls", "batch")
"""What a checkpoint tells; the rest is paths of the machine, or stands in ``config.yaml``."""


def better(scores: Mapping[Path, Score]) -> Path:
    """The path of the highest mAP50-95; the first of them where two are equal."""
    return max(scores, key=lambda path: scores[path].map50_95)


def measure(weights: Path, photos: Sequence[Photo], imgsz: int) -> Score:
    """A checkpoint's figures on ``photos``, compiled and run as the service runs it.

    There is one look at each photo. Plates of the shared photos that nobody annotated are neither
    right nor false.
    """
    unlabelled = {name: of.plates for name, of in read_missed(UNLABELLED["val"]).items()}
    with tempfile.TemporaryDirectory(prefix="anpr-measure-") as scratch:
        onnx = Path(scratch) / "candidate.onnx"
        compile_detector(weights, onnx, imgsz=imgsz)
        detector = OnnxDetector(ModelFile(onnx), side=imgsz, confidence=CURVE_CONFIDENCE)
        seen = without_unlabelled(look(photos, detector), unlabelled)
        return Score.of(seen, THRESHOLD)


def strip(checkpoint: Path, target: Path, start: str, data: str) -> None:
    """Write the weights of a checkpoint without optimiser state, and without this machine's paths.

    The weights are the moving average in float16, as Ultralytics ships its own. ``start`` and
    ``data`` are recorded as words.
    """
    import torch

    content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=False)
    model = content.get("ema") or content["model"]
    model = model.half().to(memory_format=torch.contiguous_format)
    for parameter in model.parameters():
        parameter.requires_grad = False
    if hasattr(model, "criterion"):
        model.criterion = None
    told = dict(model.args) if isinstance(model.args, dict) else dict(vars(model.args))
    model.args = {name: told[name] for name in KEPT_MODEL_ARGS if name in told}
    model.yaml["yaml_file"] = Path(str(model.yaml.get("yaml_file", ""))).name
    model.pt_path = target.name
    made = {
        name: value
        for name, value in (content.get("train_args") or {}).items()
        if isinstance(value, bool | int | float) or name in {"optimizer", "task", "mode", "scale"}
    }
    stripped = {
        "date": content.get("date"),
        "version": content.get("version"),
        "license": content.get("license"),
        "docs": content.get("docs"),
        "epoch": -1,
        "best_fitness": None,
        "model": model,
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": {**made, "model": start, "data": data},
        "train_metrics": content.get("train_metrics"),
        "train_results": content.get("train_results"),
        "git": None,
    }
    partial = target.with_suffix(".partial")
    torch.save(stripped, partial)
    partial.replace(target)


def publish(
    candidates: Sequence[Path],
    target: Path,
    onnx: Path,
    data: Path,
    *,
    imgsz: int,
    start: str,
) -> dict[Path, Score]:
    """Put the best of ``candidates`` and ``target`` in place as ``target``, and compile it.

    Returns every score by path. ``target`` and ``onnx`` are replaced in one step each: the first
    where a candidate beats it, the second where it was not made from the first. ``models.toml``
    beside them, where it lists them, gets their new hashes.
    """
    photos = read_yolo(data, "val")
    scores = {
        path: measure(path, photos, imgsz) for path in (target, *candidates) if path.is_file()
    }
    winner = better(scores)
    if winner != target:
        strip(winner, target, start, "photos/train")
    if not _made_from(target, onnx):
        compile_detector(target, onnx, imgsz=imgsz)
    for entry in manifest.read(target.parent).values() if _has_manifest(target) else ():
        # also where an earlier run was ended between compiling and recording
        if entry.path.resolve() in (target.resolve(), onnx.resolve()):
            manifest.record(target.parent, entry)
    return scores


def _made_from(checkpoint: Path, onnx: Path) -> bool:
    if not onnx.is_file():
        return False
    told = onnxfile.describe(onnx.read_bytes()).metadata.get("source_sha256")
    return told == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def _has_manifest(target: Path) -> bool:
    return (target.parent / manifest.FILE_NAME).is_file()
