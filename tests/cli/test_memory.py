"""``anpr memory``: its figures, its table, its picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anpr.cli import chart, main, memory, probe
from anpr.errors import ModelUnusable
from anpr.pipeline import Recognizer


def runtime(base: float) -> dict[str, Any]:
    """What a runtime's processes might tell."""
    return {
        "rss_mib": {
            "baseline": base,
            "lazy": 70.0,
            "eager": base + 70,
            "after analysis": base + 90,
            "after unload": base + 7,
        },
        "peak_mib": base + 120,
        "load_ms": 123.4,
        "texts": ["RK069AV"],
        "stages": {"decode": {"ms": 6.2, "mib": 3.4}, "read": {"ms": 15.0, "mib": -0.1}},
        "requests_mib": [base + 90 + i for i in range(10)],
        "cycles_mib": [base + 7 + 0.01 * i for i in range(20)],
        "idle_above_baseline_mib": {"rss": -9.0, "anonymous": 7.1},
        "slope_mib_a_cycle": 0.01,
    }


def figures(*, reference: bool) -> dict[str, Any]:
    runtimes = {"lean": runtime(87)} | ({"reference": runtime(690)} if reference else {})
    return {"runtimes": runtimes, "targets": memory.targets(runtimes)}


def test_the_slope_does_not_follow_an_outlier() -> None:
    steady = [100 + 0.5 * i for i in range(20)]
    assert memory.slope(steady) == pytest.approx(0.5)
    assert memory.slope([*steady[:-1], 500]) == pytest.approx(0.5)
    assert memory.slope([*reversed(steady)]) == pytest.approx(-0.5)
    assert memory.slope([7.0]) == 0


def test_targets_are_met_missed_or_not_measured() -> None:
    both = figures(reference=True)["targets"]
    assert both["idle_above_baseline_mib"] == {"value": 7.1, "most": 15.0, "met": True}
    assert both["slope_mib_a_cycle"]["met"] is True
    saved = both["lazy_saves_of_eager_reference"]
    assert saved["value"] == pytest.approx(1 - 70 / 760)
    assert saved["met"] is True
    assert figures(reference=False)["targets"]["lazy_saves_of_eager_reference"]["met"] is None

    growing = runtime(87) | {
        "idle_above_baseline_mib": {"rss": 16.0, "anonymous": 3.0},
        "slope_mib_a_cycle": 0.1,
    }
    missed = memory.targets({"lean": growing})
    assert [missed[name]["met"] for name in list(missed)[:2]] == [False, False]


def test_the_table_tells_every_state_and_every_target() -> None:
    text = memory.table(figures(reference=True))
    rows = {line[:26].strip(): line.split() for line in text.splitlines()}
    assert rows["lazy"][-2:] == ["70.0", "70.0"]
    assert rows["eager"][-2:] == ["157.0", "760.0"]
    assert rows["without pages of files"][-2:] == ["+7.1", "+7.1"]
    assert "first photo, decode +3.4 in 6 ms +3.4 in 6 ms" in " ".join(text.split())
    assert "over 10 requests" in text
    assert "unloaded, 20 cycles" in text
    assert "idle above baseline mib: 7.100 (at most 15.0): met" in text
    alone = memory.table(figures(reference=False))
    assert "lazy saves of eager reference: – (at least 0.9): not measured" in alone


@pytest.mark.parametrize("reference", [True, False])
def test_the_picture_has_the_colours_of_what_was_measured(reference: bool) -> None:
    picture = chart.draw(figures(reference=reference))
    assert picture.size == chart.SIZE
    pixels = np.asarray(picture).reshape(-1, 3)
    for name, colour in (("lean", (0, 114, 178)), ("reference", (213, 94, 0))):
        seen = (pixels == colour).all(axis=1).sum()
        assert (seen > 5000) == (name == "lean" or reference)


@pytest.mark.parametrize(("most", "axis"), [(72, 100), (990, 1000), (1001, 1250), (6.1, 10)])
def test_the_axis_ends_at_a_round_number(most: float, axis: float) -> None:
    assert chart._round_up(most) == pytest.approx(axis)


def test_the_drawn_photo_is_one_that_can_be_read(recognizer: Recognizer) -> None:
    assert [plate.text for plate in recognizer.read(probe.drawn_photo())] == ["RK069AV"]


def test_a_process_tells_each_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(probe.drawn_photo())
    probe.main(["eager", "1", str(photo)])
    eager = json.loads(capsys.readouterr().out)
    assert list(eager["checkpoints"]) == ["baseline", "eager", "after analysis", "after unload"]
    assert (len(eager["requests_mib"]), len(eager["cycles_mib"])) == (probe.REQUESTS, 1)
    probe.main(["lazy", "0"])
    lazy = json.loads(capsys.readouterr().out)
    assert list(lazy["checkpoints"]) == ["lazy", "after analysis", "after unload"]


def test_a_process_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"lean runtime could not be measured: .*none\.jpg"):
        memory._probe("lean", "lazy", "0", str(tmp_path / "none.jpg"))


def test_the_command_measures_prints_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_installed", lambda name: name == "lean")
    plot = tmp_path / "memory.png"
    assert main(["memory", "--json", "--cycles", "2", "--plot", str(plot)]) == 0
    told = json.loads(capsys.readouterr().out)
    lean = told["runtimes"]["lean"]
    assert lean["texts"] == ["RK069AV"]
    assert set(lean["stages"]) == {"decode", "detect", "crop", "read"}
    assert lean["rss_mib"]["lazy"] < lean["rss_mib"]["eager"] < lean["peak_mib"]
    assert lean["rss_mib"]["after unload"] < lean["rss_mib"]["after analysis"] - 20
    assert len(lean["cycles_mib"]) == 2
    assert set(told["targets"]) == {
        "idle_above_baseline_mib",
        "slope_mib_a_cycle",
        "lazy_saves_of_eager_reference",
    }
    with Image.open(plot) as picture:
        assert picture.format == "PNG"


@pytest.mark.slow
def test_twenty_loads_and_unloads_leave_nothing_behind() -> None:
    record = memory.measure(None, 20)["runtimes"]["lean"]
    assert max(record["idle_above_baseline_mib"].values()) < 15
    assert record["slope_mib_a_cycle"] < 0.1
    assert record["texts"] == ["RK069AV"]
