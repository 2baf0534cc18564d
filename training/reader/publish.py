"""From a checkpoint to the file that is shipped, if it reads better than the one that is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from anpr.models import disk, manifest
from anpr.ocr import GLANCE_WIDTH, PAIR_WIDTH, PLATE_ALPHABET, PLATE_WIDTH, OnnxReader
from anpr.paddle import folder
from anpr.weights import ModelFile
from training.paths import WEIGHTS
from training.reader import calibrate, dev, start
from training.reader.network import Recogniser

NAME = "plate-reader"
LICENCE = "AGPL-3.0"
SOURCE = "PP-OCRv6_small_rec by PaddleOCR (Apache-2.0), tuned to plates, see README.md"


def export(network: Recogniser, checkpoints: Sequence[Path], target: Path) -> Path:
    """The mean of the checkpoints' averaged weights as an ONNX file with its calibration.

    The same checkpoints give the same bytes.
    """
    graph = network.to_onnx(start.mean(checkpoints))
    told = {
        "character": "\n".join(PLATE_ALPHABET),
        "plate_width": str(PLATE_WIDTH),
        "pair_width": str(PAIR_WIDTH),
        "glance_width": str(GLANCE_WIDTH),
        "license": LICENCE,
        "source": SOURCE,
    }
    _write(graph, told, target)
    told["calibration"] = str(calibrate.fit(OnnxReader(ModelFile(target))))
    _write(graph, told, target)
    return target


def _write(graph: onnx.ModelProto, metadata: dict[str, str], target: Path) -> None:
    del graph.metadata_props[:]
    for key in sorted(metadata):
        graph.metadata_props.add(key=key, value=metadata[key])
    graph.producer_name, graph.producer_version, graph.doc_string = "anpr", "", ""
    onnx.checker.check_model(graph)
    target.write_bytes(graph.SerializeToString(deterministic=True))


def write_paddle_folder(file: Path, target: Path) -> None:
    """``inference.onnx`` and ``inference.yml``, which the package ``paddleocr`` runs."""
    target.mkdir(parents=True, exist_ok=True)
    for name, content in folder.recogniser_files(ModelFile(file)).items():
        (target / name).write_bytes(content)


def publish(file: Path, weights: Path = WEIGHTS) -> dict[str, Any]:
    """Put ``file`` into ``weights`` if it reads more ``dev`` crops exactly; the figures of both."""
    figures = {"new": dev.exact(OnnxReader(ModelFile(file)))}
    present = weights / f"{NAME}.onnx"
    if present.is_file():
        figures["present"] = dev.exact(OnnxReader(ModelFile(present)))
    if "present" not in figures or figures["new"]["mean"] > figures["present"]["mean"]:
        disk.write_whole(present, file.read_bytes())
        record(present, weights, figures["new"])
    return figures


def record(present: Path, weights: Path, metrics: dict[str, float]) -> None:
    manifest.record(
        weights,
        manifest.Entry(
            name=NAME,
            kind="reader",
            path=present,
            bytes=0,  # both are taken from the file
            sha256="",
            licence=LICENCE,
            source=SOURCE,
            input_size=(48, PLATE_WIDTH),
            alphabet=PLATE_ALPHABET,
            metrics={name: round(share, 4) for name, share in metrics.items()},
        ),
    )
