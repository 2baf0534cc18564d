"""A YOLO checkpoint (``.pt``) as a Torch module, read without trusting it.

The file is examined first (``pickles``); then Torch's restricted reader (``weights_only``) gets
those names that the examination found, and no others. Needs Torch and Ultralytics.
"""

from __future__ import annotations

import importlib
import io
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from anpr import pickles
from anpr.errors import ModelUnusable, RuntimeMissing

_SIDE_PX: Final = 320  # where the checkpoint does not say what it was trained at
_MAX_SIDE_PX: Final = 1280
_BUILTIN: Final = "__builtin__", "builtins", "_codecs", "collections"  # known to Torch's reader


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``model`` is float32 and in evaluation mode; ``side`` what it was trained at, in pixels."""

    model: Any
    side: int
    names: dict[int, str]
    metrics: dict[str, float]


def load(data: bytes, name: str) -> Checkpoint:
    """Raises ``ModelUnsafe``, ``ModelUnusable`` or ``RuntimeMissing``."""
    imported = pickles.examine(data, name)
    os.environ["YOLO_AUTOINSTALL"] = "false"  # a failed import must not start pip
    os.environ.setdefault("YOLO_VERBOSE", "false")
    try:
        import torch
        import ultralytics  # noqa: F401 - its classes are imported by name below
    except ImportError as error:
        raise RuntimeMissing(
            "A checkpoint (.pt) needs Torch and Ultralytics: the extra 'reference' or 'training'."
        ) from error
    try:
        with torch.serialization.safe_globals(_classes(imported)), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        model = (content.get("ema") or content["model"]).float().eval()
        return Checkpoint(model, _side(content), _labels(model), _metrics(content))
    except Exception as error:  # Torch and Ultralytics raise what they trip over
        raise ModelUnusable(f"The checkpoint '{name}' cannot be loaded by Ultralytics.") from error


def run(checkpoint: Checkpoint) -> Any:
    """What the model gives for a grey image of its size, float32. Raises what Torch raises."""
    import torch

    side = checkpoint.side
    with torch.inference_mode():
        output = checkpoint.model(torch.full((1, 3, side, side), 114 / 255))
    return (output[0] if isinstance(output, tuple | list) else output).numpy()


def _classes(imported: Iterable[str]) -> list[Any]:
    """The objects behind the names, for Torch's reader, under the names that they are called by."""
    found: list[Any] = []
    for name in imported:
        module, _, attribute = name.partition(" ")
        if module in _BUILTIN or module in ("torch", "torch._utils"):
            continue
        found.append((getattr(importlib.import_module(module), attribute), f"{module}.{attribute}"))
        if name == "numpy dtype":
            import numpy as np

            found += [type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"]
    return found


def _side(content: dict[str, Any]) -> int:
    side = (content.get("train_args") or {}).get("imgsz")
    if isinstance(side, int) and 32 <= side <= _MAX_SIDE_PX and side % 32 == 0:
        return side
    return _SIDE_PX


def _labels(model: Any) -> dict[int, str]:
    return {int(number): str(name) for number, name in dict(model.names).items()}


def _metrics(content: dict[str, Any]) -> dict[str, float]:
    """Precision, recall and mAP as the training measured them, under their usual names."""
    told = content.get("train_metrics") or {}
    return {
        key.removeprefix("metrics/").removesuffix("(B)"): round(float(value), 5)
        for key, value in told.items()
        if key.startswith("metrics/") and isinstance(value, int | float)
    }
