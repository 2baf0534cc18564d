"""The folders that PaddleX runs: a model file beside an ``inference.yml``.

They are made of the very files that the lean reader runs, so that nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from anpr.errors import ModelMissing, ModelUnusable
from anpr.ocr import INPUT_HEIGHT, INPUT_WIDTH
from anpr.onnx import OnnxModel
from anpr.weights import ModelFile

# PaddleX takes a model's way of working from its name, and the folder must say the same one
RECOGNISER: Final = "PP-OCRv6_small_rec"
TEXT_DETECTOR: Final = "PP-OCRv6_small_det"
SCORE_MODE: Final = "fast"  # a box is scored by the rectangle around it, not by its polygon
# DBPostProcess as PP-OCR ships it
POST_PROCESS: Final[Mapping[str, float]] = {"thresh": 0.3, "box_thresh": 0.6, "unclip_ratio": 1.5}
_CONFIG: Final = "inference.yml"


def recogniser_files(file: ModelFile) -> dict[str, bytes]:
    """A PaddleX folder for a recogniser with its characters in the metadata, one a line.

    Raises ``ModelMissing``, ``ModelMismatch`` or ``ModelUnusable``.
    """
    model = file.read()
    characters = OnnxModel(file).metadata.get("character", "")
    if not characters:
        raise ModelUnusable(f"The model file '{file.path.name}' has no characters in it.")
    resize = {"RecResizeImg": {"image_shape": [3, INPUT_HEIGHT, INPUT_WIDTH]}}
    return {
        "inference.onnx": model,
        _CONFIG: _config(
            RECOGNISER,
            [resize],
            # PaddleX puts the blank before these and a space after them
            {"name": "CTCLabelDecode", "character_dict": characters.split("\n")},
        ),
    }


def detector_files(file: ModelFile) -> dict[str, bytes]:
    """A PaddleX folder for PP-OCRv6's text detector, in fast mode.

    Raises ``ModelMissing`` or ``ModelMismatch``.
    """
    normalize = {  # the mean and deviation of ImageNet, as for all PP-OCR detectors
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "scale": 1 / 255,
        "order": "hwc",
    }
    steps: list[dict[str, Any]] = [
        {"DetResizeForTest": {}},
        {"NormalizeImage": normalize},
        {"ToCHWImage": None},
    ]
    post_process = {"name": "DBPostProcess", **POST_PROCESS, "score_mode": SCORE_MODE}
    return {
        "inference.onnx": file.read(),
        _CONFIG: _config(TEXT_DETECTOR, steps, post_process),
    }


def detector_copy(folder: Path) -> dict[str, bytes]:
    """The files of a text detector's folder, brought into fast mode.

    Raises ``ModelMissing`` where there is no such folder, ``ModelUnusable`` where it is broken.
    """
    import yaml  # PaddleX brings it

    try:
        config = yaml.safe_load((folder / _CONFIG).read_text("utf-8"))
        config["PostProcess"]["score_mode"] = SCORE_MODE
        _ = config["Global"]["model_name"]
        models = {p.name: p.read_bytes() for p in folder.glob("inference.*") if p.name != _CONFIG}
    except OSError as error:
        raise ModelMissing("The folder of the text detector is missing or not whole.") from error
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise ModelUnusable("The folder of the text detector is broken.") from error
    return models | {_CONFIG: _json(config)}


def _config(model_name: str, steps: list[dict[str, Any]], post_process: object) -> bytes:
    read = {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}}
    return _json(
        {
            "Global": {"model_name": model_name},
            "PreProcess": {"transform_ops": [read, *steps]},
            "PostProcess": post_process,
        }
    )


def _json(config: object) -> bytes:
    """JSON is YAML, if characters beyond the basic plane are not escaped by halves."""
    return json.dumps(config, ensure_ascii=False).encode()


def model_name(files: Mapping[str, bytes]) -> str:
    name: str = json.loads(files[_CONFIG])["Global"]["model_name"]
    return name


def model_folder(cache: Path, files: Mapping[str, bytes]) -> Path:
    """A folder in ``cache`` with these files, named after the SHA-256 of all of them.

    It is written beside its place and moved there whole, so it is never half there; one that has
    been tampered with is replaced. Raises ``ModelUnusable`` where it cannot be written.
    """
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    folder = cache / digest.hexdigest()
    try:
        if not _holds(folder, files):
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", dir=cache) as room:
                _place(folder, files, Path(room))
    except OSError as error:
        raise ModelUnusable("The model folder for PaddleOCR cannot be written.") from error
    return folder


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return {p.name: p.read_bytes() for p in folder.iterdir()} == files
    except OSError:
        return False


def _place(folder: Path, files: Mapping[str, bytes], room: Path) -> None:
    """Write the files in ``room`` and move them to ``folder``, unless someone else was faster."""
    fresh = room / "fresh"
    fresh.mkdir(mode=0o700)
    for name, content in files.items():
        (fresh / name).write_bytes(content)
    if folder.exists() and not _holds(folder, files):
        folder.rename(room / "stale")
    try:
        fresh.rename(folder)
    except OSError:
        if not _holds(folder, files):
            raise
