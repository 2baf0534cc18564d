"""Checkpoints as Torch and Ultralytics read them: imported, exported, kept from running code."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anpr import pickles
from anpr.cli import main
from anpr.errors import ModelUnsafe, ModelUnusable
from anpr.models import checkpoint, compile, manifest
from anpr.models.export import export
from anpr.onnx import make_session, session_options
from anpr.settings import Settings
from tests.conftest import ROOT
from tests.models import samples

pytestmark = [
    pytest.mark.reference,
    # of Torch and Ultralytics; ours stay errors
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

WEIGHTS = Settings().weights_dir
PADDLE_FORMAT = ROOT.parent / "shared" / "models" / "en_PP-OCRv3_det_infer"
LAST = manifest.read(WEIGHTS)["last"]


def blank(side: int = 320) -> Any:
    return np.full((1, 3, side, side), 114 / 255, np.float32)


def test_a_checkpoint_is_read_by_the_restricted_reader() -> None:
    loaded = checkpoint.load(LAST.path.read_bytes(), "last.pt")
    assert loaded.side == 320
    assert list(loaded.names.values()) == ["plate"]
    assert 0.5 < loaded.metrics["mAP50"] <= 1
    assert checkpoint.run(loaded).shape[:2] == (1, 5)


def test_what_ultralytics_would_evaluate_is_never_reached(tmp_path: Path) -> None:
    """Its constructor evaluates the activation's text; a pickle may call a constructor."""
    marker = tmp_path / "it-has-run"
    layers = {"backbone": [[-1, 1, "Conv", [64, 3, 2]]], "head": [], "nc": 1}
    recipe = layers | {"activation": f"__import__('pathlib').Path({str(marker)!r}).touch()"}
    told = pickle.dumps(recipe, protocol=2)[2:-1]  # without its beginning and end
    program = samples.pickled(b"cultralytics.nn.tasks\nDetectionModel\n", told, b"\x85R")
    evil = samples.checkpoint(tmp_path / "evil.pt", program)
    with pytest.raises(ModelUnsafe, match="would call"):
        pickles.examine(evil.read_bytes(), "evil.pt")
    with pytest.raises(ModelUnsafe, match="would call"):
        checkpoint.load(evil.read_bytes(), "evil.pt")
    assert not marker.exists()
    import torch
    from ultralytics.nn.tasks import DetectionModel

    with torch.serialization.safe_globals([DetectionModel]), contextlib.suppress(Exception):
        torch.load(evil, weights_only=True)  # Torch's reader alone does not see it
    assert marker.exists()


def test_a_checkpoint_without_a_model(tmp_path: Path) -> None:
    path = samples.checkpoint(tmp_path / "empty.pt")
    with pytest.raises(ModelUnusable):
        checkpoint.load(path.read_bytes(), "empty.pt")


def test_plain_weights_of_torch_are_no_detector() -> None:
    import torch

    buffer = io.BytesIO()
    torch.save({"model": {"weight": torch.zeros(3)}}, buffer)
    assert pickles.examine(buffer.getvalue(), "weights.pt")
    with pytest.raises(ModelUnusable):
        checkpoint.load(buffer.getvalue(), "weights.pt")


def test_a_checkpoint_is_imported_compiled_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANPR_CACHE_DIR", str(tmp_path))
    assert main(["models", "import", str(LAST.path), "--name", "mine"]) == 0
    assert "anpr models compile mine" in capsys.readouterr().out
    assert main(["models", "compile", "mine"]) == 0
    entry = manifest.read(tmp_path / "models")["mine-onnx"]
    assert entry.made_from == LAST.sha256
    assert entry.input_size == (320, 320)
    assert "ANPR_DETECTOR_MODEL=mine-onnx" in capsys.readouterr().out
    monkeypatch.setenv("ANPR_DETECTOR_MODEL", "mine")
    assert main(["read", "docs/car.jpg"]) == 1
    assert "compile it" in capsys.readouterr().err
    monkeypatch.setenv("ANPR_DETECTOR_MODEL", "mine-onnx")
    assert main(["read", "docs/car.jpg", "--format", "jsonl"]) == 0
    assert f"mine-onnx@{entry.sha256[:8]}" in capsys.readouterr().out
    assert main(["models", "compile", "mine"]) == 0  # again, in place of itself


def test_torchscript_gives_what_the_checkpoint_gives(tmp_path: Path) -> None:
    import torch

    (path,) = export(LAST.file, "torchscript", tmp_path)
    found = torch.jit.load(str(path))(torch.from_numpy(blank()))
    wanted = checkpoint.run(checkpoint.load(LAST.path.read_bytes(), "last.pt"))
    assert np.abs(found.numpy() - wanted).max() < 0.05


def test_onnx_gives_what_the_checkpoint_gives(tmp_path: Path) -> None:
    (path,) = export(LAST.file, "onnx", tmp_path)
    (found,) = make_session(path.read_bytes(), session_options(1)).run(None, {"images": blank()})
    wanted = checkpoint.run(checkpoint.load(LAST.path.read_bytes(), "last.pt"))
    assert np.abs(found - wanted).max() <= compile.TOLERANCE_PX


def test_weights_of_a_checkpoint_as_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    (path,) = export(LAST.file, "safetensors", tmp_path)
    state = checkpoint.load(LAST.path.read_bytes(), "last.pt").model.state_dict()
    found = load_file(path)
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[key], value.numpy()) for key, value in state.items())
    assert hashlib.sha256(LAST.path.read_bytes()).hexdigest() == LAST.sha256


@pytest.mark.skipif(not PADDLE_FORMAT.is_dir(), reason="no model in Paddle's format is here")
def test_a_text_detector_in_paddles_format_is_imported_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANPR_CACHE_DIR", str(tmp_path))
    assert main(["models", "import", str(PADDLE_FORMAT), "--name", "text"]) == 0
    assert "ANPR_PADDLE_DETECTION_MODEL=text" in capsys.readouterr().out
    monkeypatch.setenv("ANPR_READER", "paddle")
    monkeypatch.setenv("ANPR_PADDLE_ENGINE", "paddle")
    monkeypatch.setenv("ANPR_PADDLE_DETECTION_MODEL", "text")
    assert main(["read", "docs/car.jpg"]) == 0
    assert "docs/car.jpg: R" in capsys.readouterr().out
    assert main(["models", "export", "text", "--format", "onnx", "--output", str(tmp_path)]) == 1
    assert "Paddle's own format" in capsys.readouterr().err
