"""A form says what it was made from, in its own last bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from anpr.models.seal import TRAILER_BYTES, Origin, peek, seal, unseal
from tests.graphs import constant_graph

ORIGIN = Origin(
    source_sha256="ab" * 32,
    source_bytes=1234,
    source_mtime_ns=1_700_000_000_000_000_001,
    level="all",
    onnxruntime="1.31.1",
    cpu="x86_64:0123456789abcdef",
)


@pytest.fixture
def form(tmp_path: Path) -> bytes:
    graph = constant_graph(tmp_path / "m.onnx", np.ones((1, 2), np.float32)).read_bytes()
    return seal(graph, ORIGIN)


def test_what_is_sealed_tells_its_origin(form: bytes, tmp_path: Path) -> None:
    origin = unseal(form)
    assert replace(origin, sha256="") == ORIGIN
    (tmp_path / "form.onnx").write_bytes(form)
    assert peek(tmp_path / "form.onnx") == origin


def test_a_form_is_an_onnx_file_with_one_more_entry(form: bytes) -> None:
    model = onnx.load_from_string(form)
    onnx.checker.check_model(model)
    (entry,) = model.metadata_props
    assert entry.key == "anpr"
    assert '"onnxruntime":"1.31.1"' in entry.value


@pytest.mark.parametrize("where", [0, 40, -TRAILER_BYTES - 1, -TRAILER_BYTES, -TRAILER_BYTES + 12])
def test_a_flipped_bit_is_noticed(form: bytes, where: int) -> None:
    damaged = bytearray(form)
    damaged[where] ^= 1
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        unseal(bytes(damaged))


@pytest.mark.parametrize("length", [0, 10, TRAILER_BYTES, -1, -TRAILER_BYTES])
def test_a_cut_file_is_noticed(form: bytes, length: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        unseal(form[:length])


def test_a_seal_of_another_version_is_no_form_of_ours(form: bytes) -> None:
    with pytest.raises(ValueError, match="another format"):
        unseal(form.replace(b'"source_bytes"', b'"source_weigh"'))


@pytest.mark.parametrize(
    "other",
    [
        {"source_sha256": "cd" * 32},
        {"onnxruntime": "1.32.0"},
        {"cpu": "x86_64:fedcba9876543210"},
        {"level": "extended"},
        {"format": 2},
    ],
)
def test_what_a_form_depends_on_is_in_its_name(other: dict[str, str]) -> None:
    assert replace(ORIGIN, **other).file_name != ORIGIN.file_name  # type: ignore[arg-type]


def test_when_the_source_was_touched_is_not_in_its_name() -> None:
    assert replace(ORIGIN, source_mtime_ns=None, sha256="x").file_name == ORIGIN.file_name


def test_an_origin_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        seal(b"", replace(ORIGIN, cpu="x" * 2000))
