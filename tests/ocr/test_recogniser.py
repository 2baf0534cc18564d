"""The widths that a recogniser is shown a plate at: what its graph says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anpr.errors import ModelUnusable
from anpr.ocr import PLATE_ALPHABET, Recogniser
from anpr.onnx import open_session
from anpr.weights import ModelFile
from tests.graphs import constant_graph
from tests.scenes import plate_pixels

CROP = plate_pixels("AB12", "CDE", height=110)
BANDS = ((0.1, 0.45), (0.55, 0.9))


class Watched:
    """A session that remembers how wide its inputs were."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.widths: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: Any, inputs: dict[str, Any], options: Any) -> Any:
        self.widths += [batch.shape[3] for batch in inputs.values()]
        return self._session.run(outputs, inputs, options)


def recogniser(tmp_path: Path, **told: str) -> tuple[Recogniser, list[int]]:
    answer = np.zeros((1, 6, 38), np.float32)
    answer[..., 0] = 1
    answer[0, 2, [0, -1]] = 0.3, 0.7  # the sign for two lines
    metadata = {"character": "\n".join(PLATE_ALPHABET), **told}
    path = constant_graph(tmp_path / "r.onnx", answer, metadata=metadata)
    session = Watched(open_session(ModelFile(path), 1))
    return (
        Recogniser(ModelFile(path), alphabet=None, threads=1, opener=lambda *_: session),
        session.widths,
    )


def test_each_way_to_look_has_the_width_that_it_was_trained_at(tmp_path: Path) -> None:
    reader, widths = recogniser(tmp_path, plate_width="160", pair_width="208", glance_width="48")
    assert reader.plate(CROP).two_lines == pytest.approx(0.7)
    assert reader.glance(CROP) == pytest.approx(0.7)
    upper, lower = reader.lines_side_by_side(CROP, BANDS)
    assert upper.shape == lower.shape
    assert widths == [160, 48, 208]


def test_a_graph_that_tells_one_width_is_never_glanced_through(tmp_path: Path) -> None:
    reader, widths = recogniser(tmp_path, plate_width="160", glance_width="-1")
    assert reader.glance(CROP) == 0
    reader.lines_side_by_side(CROP, BANDS)
    assert widths == [160]


def test_a_graph_that_tells_none_sees_no_plates(tmp_path: Path) -> None:
    reader, _ = recogniser(tmp_path)
    assert not reader.sees_plates
    assert reader.glance(CROP) == 0


@pytest.mark.parametrize("width", ["1281", "9" * 5000])
@pytest.mark.parametrize("name", ["plate_width", "pair_width", "glance_width"])
def test_a_graph_that_asks_for_too_much_is_unusable(tmp_path: Path, name: str, width: str) -> None:
    reader, widths = recogniser(tmp_path, **({"plate_width": "160"} | {name: width}))
    with pytest.raises(ModelUnusable, match=name):
        reader.plate(CROP)
    assert not widths
