"""What a run is told, and how the command puts it together. No Torch here."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import paths
from training.detection import Score
from training.detector import config
from training.detector.__main__ import main, overrides
from training.detector.config import Config
from training.detector.publish import better


def score(fitness: float) -> Score:
    return Score(
        photos=1,
        plates=1,
        precision=0.9,
        recall=0.9,
        false_per_photo=0.0,
        recall_at_p92=0.9,
        recall_at_p95=0.9,
        recall_at_p97=0.9,
        threshold_at_p95=0.5,
        threshold_at_p97=0.5,
        map50=0.9,
        map50_95=fitness,
    )


def test_shipped_configuration_is_read() -> None:
    shipped = config.load(config.DEFAULT, paths.REPO)
    assert shipped.start is not None
    assert shipped.start.is_absolute()
    assert shipped.ultralytics["imgsz"] == 320
    assert (192, 320) in shipped.shapes


def test_start_is_relative_to_the_base(tmp_path: Path) -> None:
    told = config.from_mapping({"start": "weights/a.pt"}, tmp_path)
    assert told.start == tmp_path / "weights/a.pt"


def test_architecture_is_a_file_under_the_base_or_one_of_ultralytics(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").touch()
    own = config.from_mapping({"architecture": "own.yaml"}, tmp_path)
    stock = config.from_mapping({"architecture": "yolo11n.yaml"}, tmp_path)
    assert own.architecture == str(tmp_path / "own.yaml")
    assert stock.architecture == "yolo11n.yaml"


def test_unknown_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown in the configuration: epoch, hour"):
        config.from_mapping({"hour": 1, "epoch": 2}, tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"threads": 0},
        {"hours": 0.0},
        {"closing_epochs": -1},
        {"workers": -1},
        {"shapes": [[300, 320]]},
    ],
)
def test_value_out_of_range_is_an_error(values: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"more than 0|at least|multiples"):
        config.from_mapping(values, tmp_path)


def test_file_that_is_no_mapping_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("- epochs\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no mapping"):
        config.load(file, tmp_path)


def test_values_that_are_given_replace_the_file() -> None:
    told = config.override(Config(epochs=30, hours=2.0), epochs=3, hours=None)
    assert (told.epochs, told.hours) == (3, 2.0)


def test_run_without_a_start_trains_from_the_architecture(tmp_path: Path) -> None:
    told = config.without_start(Config(start=Path("a.pt")))
    given = overrides(told, tmp_path / "data.yaml", tmp_path, "cpu")
    assert given["pretrained"] is False
    assert given["model"] == "yolo11n.yaml"


def test_mixed_precision_of_ultralytics_is_for_accelerators(tmp_path: Path) -> None:
    cpu, gpu = (overrides(Config(), tmp_path, tmp_path, device) for device in ("cpu", "0"))
    assert cpu["amp"] is False
    assert gpu["amp"] == "bf16"


def test_highest_fitness_wins_and_the_first_of_equals() -> None:
    there, best, last = Path("there.pt"), Path("best.pt"), Path("last.pt")
    assert better({there: score(0.6), best: score(0.7), last: score(0.6)}) == best
    assert better({there: score(0.6), best: score(0.6)}) == there


def test_wind_down_leaves_a_note_for_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    (tmp_path / "mine").mkdir()
    assert main(["--name", "mine", "--wind-down"]) == 0
    assert (tmp_path / "mine" / "wind-down").exists()
