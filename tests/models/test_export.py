"""Models in other programs' forms, read back by those programs' own libraries."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anpr.errors import (
    InvalidOption,
    ModelUnusable,
    RuntimeMissing,
    StoreUnwritable,
)
from anpr.models import manifest, tensors
from anpr.models.export import Format, export
from anpr.onnx import make_session, session_options
from anpr.settings import Settings
from anpr.weights import ModelFile
from tests.models import samples

DETECTOR = manifest.read(Settings().weights_dir)["plate-detector"].file


def test_onnx_is_copied_as_it_is(tmp_path: Path) -> None:
    assert export(DETECTOR, "onnx", tmp_path / "a.onnx") == [tmp_path / "a.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == DETECTOR.path.read_bytes()


def test_weights_as_safetensors(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file

    (path,) = export(DETECTOR, "safetensors", tmp_path)
    assert path == tmp_path / "plate-detector.safetensors"
    assert path.stat().st_mode & 0o777 == 0o644
    wanted = tensors.of_model(DETECTOR.read(), "x")
    found = load_file(path)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)
    with safe_open(path, "np") as file:
        assert file.metadata()["source_sha256"] == DETECTOR.sha256


def test_weights_as_hdf5(tmp_path: Path) -> None:
    import h5py

    (path,) = export(DETECTOR, "h5", tmp_path / "out.h5")
    wanted = tensors.of_model(DETECTOR.read(), "x")
    with h5py.File(path) as file:
        assert file.attrs["source_sha256"] == DETECTOR.sha256
        assert all(np.array_equal(file[key][()], array) for key, array in wanted.items())


def test_names_that_hdf5_cannot_have(tmp_path: Path) -> None:
    import onnx

    model = onnx.load(samples.detector(tmp_path / "a.onnx"))
    model.graph.initializer[0].name = "zero/inner"  # beside a weight that is called zero
    data = model.SerializeToString()
    (tmp_path / "a.onnx").write_bytes(data)
    file = ModelFile(tmp_path / "a.onnx", hashlib.sha256(data).hexdigest())
    with pytest.raises(ModelUnusable, match="HDF5"):
        export(file, "h5", tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("form", "module", "output"),
    [
        ("safetensors", "safetensors.numpy", "a.safetensors"),
        ("h5", "h5py", "a.h5"),
        ("openvino", "openvino", "a.xml"),
    ],
)
def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Format, module: str, output: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RuntimeMissing, match=module.partition(".")[0]):
        export(DETECTOR, form, tmp_path / output)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_came_out_wrong_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.numpy

    monkeypatch.setattr(safetensors.numpy, "load_file", lambda _: {})
    with pytest.raises(ModelUnusable, match="not those of the model"):
        export(DETECTOR, "safetensors", tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_openvino_gives_what_onnx_runtime_gives(tmp_path: Path) -> None:
    openvino: Any = pytest.importorskip("openvino")
    made = export(DETECTOR, "openvino", tmp_path / "out.xml")
    assert [path.name for path in made] == ["out.xml", "out.bin"]
    blank = np.full((1, 3, 192, 320), 0.5, np.float32)
    single = {"INFERENCE_PRECISION_HINT": "f32"}
    found = openvino.Core().compile_model(made[0], "CPU", single)([blank])[0]
    session = make_session(DETECTOR.read(), session_options(1))
    (wanted,) = session.run(None, {"images": blank})
    assert np.abs(found - wanted).max() < 0.05


def test_openvino_has_a_name_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="xml"):
        export(DETECTOR, "openvino", tmp_path / "out.bin")


def test_torchscript_is_made_of_checkpoints_only(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="checkpoint"):
        export(DETECTOR, "torchscript", tmp_path / "a.torchscript")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable):
        export(DETECTOR, "onnx", tmp_path / "file" / "a.onnx")
