from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from anpr.deadline import Deadline
from anpr.errors import DeadlineExceeded, ModelUnusable
from anpr.models import manifest
from anpr.onnx import OnnxModel
from anpr.settings import Settings
from anpr.weights import ModelFile
from tests.graphs import constant_graph

ANSWER = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
INPUT = np.ones((1, 3, 4, 4), np.float32)


def test_a_graph_runs_and_tells_about_itself(tmp_path: Path) -> None:
    path = constant_graph(tmp_path / "m.onnx", ANSWER, metadata={"stride": "32"})
    model = OnnxModel(ModelFile(path))
    assert not model.loaded
    np.testing.assert_array_equal(model.run(INPUT), ANSWER)
    assert model.loaded
    assert model.metadata == {"stride": "32"}
    assert model.input_shape == [1, 3, "height", "width"]


def test_many_first_requests_load_once(tmp_path: Path) -> None:
    reads = []

    class Counting(ModelFile):
        def read(self) -> bytes:
            reads.append(1)
            time.sleep(0.05)
            return super().read()

    model = OnnxModel(Counting(constant_graph(tmp_path / "m.onnx", ANSWER)))
    threads = [threading.Thread(target=model.load) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1


def test_after_unloading_it_loads_again(tmp_path: Path) -> None:
    model = OnnxModel(ModelFile(constant_graph(tmp_path / "m.onnx", ANSWER)))
    model.load()
    model.unload()
    assert not model.loaded
    np.testing.assert_array_equal(model.run(INPUT), ANSWER)


def test_what_is_no_graph_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no graph at all")
    with pytest.raises(ModelUnusable, match=r"m\.onnx"):
        OnnxModel(ModelFile(path)).load()


def test_an_input_that_does_not_fit_is_unusable(tmp_path: Path) -> None:
    path = constant_graph(tmp_path / "m.onnx", ANSWER, shape=(1, 3, 32, 32))
    with pytest.raises(ModelUnusable):
        OnnxModel(ModelFile(path)).run(INPUT)


def test_want_of_memory_is_not_taken_for_a_broken_model(tmp_path: Path) -> None:
    class Full:
        def get_inputs(self) -> list[ModelFile]:
            return [ModelFile(tmp_path / "x")]  # something with a name

        def run(self, *_: object) -> None:
            raise MemoryError

    model = OnnxModel(ModelFile(tmp_path / "m.onnx"), opener=lambda *_: Full())
    with pytest.raises(MemoryError):
        model.run(INPUT)


def test_the_deadline_ends_a_run_and_the_model_stays_usable() -> None:
    settings = Settings()
    model = OnnxModel(manifest.find(settings.weights_dir, settings.reader_model))
    model.load()
    started = time.perf_counter()
    with Deadline(0.05), pytest.raises(DeadlineExceeded):
        model.run(np.zeros((1, 3, 48, 24_000), np.float32))  # a second or more of work
    assert time.perf_counter() - started < 0.8
    assert model.run(np.zeros((1, 3, 48, 320), np.float32)).shape[0] == 1


def test_a_deadline_that_has_passed_starts_nothing(tmp_path: Path) -> None:
    model = OnnxModel(ModelFile(constant_graph(tmp_path / "m.onnx", ANSWER)))
    deadline = Deadline()
    deadline.cancel()
    with deadline, pytest.raises(DeadlineExceeded):
        model.run(INPUT)
