"""ONNX files as their bytes tell, held against the ``onnx`` package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from anpr.errors import ModelUnsafe, ModelUnusable
from anpr.models import manifest, onnxfile, tensors
from anpr.settings import Settings
from tests.models import samples

WEIGHTS = Settings().weights_dir
SHIPPED = [e.path for e in manifest.read(WEIGHTS).values() if e.path.suffix == ".onnx"]
LARGE = 1_000_000_000


def with_external_data(folder: Path, location: str, *, length: int | None = None) -> Path:
    """A graph that adds weights which lie in another file: there, in a branch and in a node."""
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = numpy_helper.from_array(value, "weights")
    external_data_helper.set_external_data(tensor, location, offset=0, length=length)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    graph = helper.make_graph(
        [helper.make_node("Add", ["images", "weights"], ["output"])],
        "external",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [2, 3])],
        [tensor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "external.onnx"
    path.write_bytes(model.SerializeToString())
    (folder / "weights.bin").write_bytes(value.tobytes())
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_model_is_described_as_onnx_describes_it(path: Path) -> None:
    graph, model = onnxfile.describe(path.read_bytes()), onnx.load(path)
    assert [value.name for value in graph.inputs] == [value.name for value in model.graph.input]
    assert [value.name for value in graph.outputs] == [value.name for value in model.graph.output]
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    assert list(graph.inputs[0].shape) == [d.dim_value or d.dim_param for d in dimensions]
    assert graph.inputs[0].kind == TensorProto.FLOAT
    assert dict(graph.metadata) == {p.key: p.value for p in model.metadata_props}
    assert graph.opset == model.opset_import[0].version
    assert graph.producer == model.producer_name
    assert not onnxfile.is_external(path.read_bytes())


def test_weights_that_are_listed_as_inputs_are_not_inputs(tmp_path: Path) -> None:
    model = onnx.load(samples.detector(tmp_path / "a.onnx"))
    model.graph.input.append(helper.make_tensor_value_info("zero", TensorProto.FLOAT, []))
    graph = onnxfile.describe(model.SerializeToString())
    assert [value.name for value in graph.inputs] == ["images"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, I am a text",
        b"\x08\x07",  # a version and no graph
        b"\x3a\x05\x0a",  # a graph that is cut off
        b"\x3b",  # a group, which ONNX has none of
        b"\x00\x01",  # a field without a number
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # a length that never ends
        b"\x38\x01",  # a number where the graph should be
    ],
)
def test_what_is_no_onnx_file(data: bytes) -> None:
    with pytest.raises(ModelUnusable):
        onnxfile.describe(data)


@pytest.mark.parametrize("cut", [10, 1000, 100_000])
def test_a_truncated_model(cut: int) -> None:
    data = SHIPPED[0].read_bytes()[:-cut]
    with pytest.raises(ModelUnusable):
        onnxfile.describe(data)
    with pytest.raises(ModelUnusable):
        onnxfile.is_external(data)


def test_weights_beside_the_model_are_taken_into_it(tmp_path: Path) -> None:
    path = with_external_data(tmp_path, "weights.bin")
    whole = onnxfile.self_contained(path.read_bytes(), tmp_path, LARGE)
    (tmp_path / "weights.bin").unlink()
    assert not onnxfile.is_external(whole)
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": np.ones((2, 3), np.float32)})
    assert found.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_weights_inside_stay_as_they_are(tmp_path: Path) -> None:
    model = onnx.load(with_external_data(tmp_path, "weights.bin"), load_external_data=False)
    inside = numpy_helper.from_array(np.ones(3, np.float32), "inside")
    model.graph.initializer.append(inside)
    whole = onnx.load_from_string(
        onnxfile.self_contained(model.SerializeToString(), tmp_path, LARGE)
    )
    assert whole.graph.initializer[1] == inside
    assert numpy_helper.to_array(whole.graph.initializer[0]).sum() == 15


def test_weights_of_branches_and_nodes_are_found_too(tmp_path: Path) -> None:
    inner = onnx.load(with_external_data(tmp_path, "weights.bin"), load_external_data=False)
    tensor = inner.graph.initializer[0]
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [])
    node = helper.make_node("If", ["images"], ["output"], then_branch=branch, else_branch=branch)
    del inner.graph.node[:], inner.graph.initializer[:]
    inner.graph.node.append(node)
    data = inner.SerializeToString()
    assert onnxfile.is_external(data)
    whole = onnx.load_from_string(onnxfile.self_contained(data, tmp_path, LARGE))
    value = whole.graph.node[0].attribute[0].g.node[0].attribute[0].t
    assert numpy_helper.to_array(value).sum() == 15


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../weights.bin", "a/../../weights.bin", "..\\weights.bin"]
)
def test_weights_outside_of_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    path = with_external_data(tmp_path, location)
    with pytest.raises(ModelUnsafe, match="outside"):
        onnxfile.self_contained(path.read_bytes(), tmp_path, LARGE)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_bytes(bytes(24))
    (inside / "link.bin").symlink_to(tmp_path / "secret")
    path = with_external_data(inside, "link.bin")
    with pytest.raises(ModelUnsafe, match="outside"):
        onnxfile.self_contained(path.read_bytes(), inside, LARGE)


@pytest.mark.parametrize(
    ("location", "length"), [("none.bin", None), ("weights.bin", 25), ("weights.bin", -1), ("", 1)]
)
def test_weights_that_are_missing_or_too_short(
    tmp_path: Path, location: str, length: int | None
) -> None:
    path = with_external_data(tmp_path, location, length=length)
    with pytest.raises(ModelUnusable, match="external weights"):
        onnxfile.self_contained(path.read_bytes(), tmp_path, LARGE)


def test_weights_that_are_too_large(tmp_path: Path) -> None:
    path = with_external_data(tmp_path, "weights.bin")
    with pytest.raises(ModelUnusable, match="too large"):
        onnxfile.self_contained(path.read_bytes(), tmp_path, path.stat().st_size + 23)


def test_graphs_nested_without_end(tmp_path: Path) -> None:
    graph = helper.make_graph([], "innermost", [], [])
    for _ in range(15):
        graph = helper.make_graph(
            [helper.make_node("If", [], ["x"], then_branch=graph)], "", [], []
        )
    with pytest.raises(ModelUnusable):
        onnxfile.is_external(helper.make_model(graph).SerializeToString())


def test_metadata_can_be_added(tmp_path: Path) -> None:
    data = onnxfile.with_metadata(
        samples.detector(tmp_path / "a.onnx").read_bytes(), {"character": "Ä\n" * 100}
    )
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["character"] == "Ä\n" * 100
    assert onnxfile.describe(data).metadata["character"] == "Ä\n" * 100


# --- weights as arrays -------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_weights_are_those_that_onnx_reads(path: Path) -> None:
    found = tensors.of_model(path.read_bytes(), path.name)
    wanted = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    "kind", ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
)
def test_every_kind_of_number(tmp_path: Path, kind: str, raw: bool) -> None:
    low = 0 if kind[0] in "u?" else -2
    value = np.array([[low, 0, 1], [1, 1, 0]], np.dtype(kind))
    model = onnx.load(samples.detector(tmp_path / "a.onnx"))
    onnx_kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    content = value.tobytes() if raw else value.flatten().tolist()
    model.graph.initializer.append(
        helper.make_tensor("extra", onnx_kind, value.shape, content, raw=raw)
    )
    found = tensors.of_model(model.SerializeToString(), "a")["extra"]
    assert found.dtype == value.dtype
    assert np.array_equal(found, value)


def test_weights_of_no_known_kind(tmp_path: Path) -> None:
    model = onnx.load(samples.detector(tmp_path / "a.onnx"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(["a text"], object), "texts"))
    with pytest.raises(ModelUnusable, match="cannot be read"):
        tensors.of_model(model.SerializeToString(), "a")
