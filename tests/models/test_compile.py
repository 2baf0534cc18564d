"""Compiling a checkpoint to ONNX, and the compiled model that is shipped."""

from __future__ import annotations

import builtins
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from anpr.errors import ModelMissing, ModelUnusable, RuntimeMissing
from anpr.models import compile as compiling

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
ONNX = WEIGHTS / "plate-detector.onnx"


def shipped() -> Any:
    return onnxruntime.InferenceSession(ONNX, providers=["CPUExecutionProvider"])


def outputs() -> list[Any]:
    """What the shipped model gives for the blank images that a compiled model is tried on."""
    session = shipped()
    return [
        session.run(None, {"images": np.full((1, 3, h, w), compiling.BLANK, np.float32)})[0]
        for h, w in compiling._sides(320)
    ]


def test_shipped_model_was_compiled_from_the_shipped_checkpoint() -> None:
    told = shipped().get_modelmeta().custom_metadata_map
    source = hashlib.sha256((WEIGHTS / "last.pt").read_bytes()).hexdigest()
    assert told["source_sha256"] == source
    assert (told["imgsz"], told["stride"], told["end2end"]) == ("320", "32", "false")
    assert json.loads(told["names"]) == {"0": "plate"}


def test_shipped_model_takes_any_height_and_width_and_one_image() -> None:
    (image,) = shipped().get_inputs()
    assert image.name == "images"
    assert image.type == "tensor(float)"
    assert image.shape == [1, 3, "height", "width"]


def test_shapes_that_are_tried_are_the_square_and_about_16_to_9() -> None:
    assert compiling._sides(320) == ((320, 320), (192, 320))
    assert compiling._sides(32) == ((32, 32), (32, 32))


def test_model_that_gives_what_its_checkpoint_gives_passes() -> None:
    compiling._check(ONNX.read_bytes(), 320, outputs())


@pytest.mark.parametrize(
    "alter",
    [lambda a: a + 1.0, lambda a: a[:, :, :-1], lambda a: np.full_like(a, np.nan)],
    ids=["other boxes", "other shape", "no numbers"],
)
def test_model_that_gives_something_else_is_refused(alter: Callable[[Any], Any]) -> None:
    square, wide = outputs()
    with pytest.raises(ModelUnusable):
        compiling._check(ONNX.read_bytes(), 320, [square, alter(wide)])


def test_weights_are_stored_in_half_and_computed_with_in_full() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    bias = np.linspace(0, 1, 8).astype(np.float32)
    scale = np.array([[1e9]], np.float32)  # too large for half precision: left as it is
    nodes = [
        helper.make_node("Conv", ["images", "weight", "bias"], ["seen"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["seen", "scale"], ["output"]),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 16, 16])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 8, 16, 16])
    arrays = {"weight": weight, "bias": bias, "scale": scale}
    stored = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "small", [image], [output], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    photo = rng.uniform(size=(1, 3, 16, 16)).astype(np.float32)
    before = model.SerializeToString()
    compiling._halve(model)
    after = model.SerializeToString()
    assert len(before) - len(after) > 0.4 * weight.nbytes
    full, half = (
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(
            None, {"images": photo}
        )[0]
        for content in (before, after)
    )
    assert half.dtype == np.float32
    assert half == pytest.approx(full, rel=2e-3, abs=2e-3 * float(np.abs(full).max()))
    assert (half != full).any()


def test_names_are_written_as_json() -> None:
    assert compiling._names("{0: 'plate'}") == '{"0": "plate"}'


def test_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        compiling.compile_detector(tmp_path / "none.pt", tmp_path / "out.onnx")


def test_missing_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_ultralytics(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "ultralytics":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_ultralytics)
    (tmp_path / "a.pt").write_bytes(b"")
    with pytest.raises(RuntimeMissing):
        compiling.compile_detector(tmp_path / "a.pt", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.reference
def test_same_checkpoint_gives_the_same_bytes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = [compiling.compile_detector(WEIGHTS / "last.pt", tmp_path / name) for name in "ab"]
    assert made[0].sha256 == made[1].sha256
    assert made[0].bytes == (tmp_path / "a").stat().st_size
    assert capfd.readouterr().out == ""


@pytest.mark.reference
def test_new_model_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")
    made = compiling.compile_detector(WEIGHTS / "last.pt", target, imgsz=160)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == made.sha256
    assert made.metadata["imgsz"] == "160"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.reference
def test_file_that_is_no_checkpoint_leaves_the_old_model(tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    (tmp_path / "model.onnx").write_bytes(b"old")
    with pytest.raises(ModelUnusable):
        compiling.compile_detector(tmp_path / "bad.pt", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == b"old"
