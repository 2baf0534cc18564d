"""How many passes fit into the time, and the learning rate over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.detector.schedule import Budget, estimated_epochs, learning_rate_factor


@pytest.mark.parametrize(
    ("done", "spent", "budget", "epoch", "most", "total"),
    [
        (0, 0.0, None, None, 30, 30),  # no budget: what was asked for
        (0, 0.0, 600.0, None, 30, 30),  # nothing known of the length of a pass yet
        (2, 200.0, 1000.0, 100.0, 30, 10),  # eight more fit
        (2, 200.0, 9000.0, 100.0, 30, 30),  # never more than asked for
        (9, 950.0, 1000.0, 100.0, 30, 10),  # a pass that does not fit is made all the same
        (30, 1.0, 9000.0, 1.0, 30, 31),
    ],
)
def test_estimate(
    done: int, spent: float, budget: float | None, epoch: float | None, most: int, total: int
) -> None:
    assert estimated_epochs(done, spent, budget, epoch, most) == total


def test_learning_rate_falls_from_one_to_the_final_factor() -> None:
    factors = [learning_rate_factor(epoch, 10, 0.02) for epoch in range(12)]
    assert factors[0] == 1.0
    assert factors[5] == pytest.approx(0.51)
    assert factors[10] == factors[11] == pytest.approx(0.02)
    assert factors == sorted(factors, reverse=True)


def budget(folder: Path, *, most: int = 100, budget_s: float | None = 1000.0) -> Budget:
    return Budget(most=most, budget_s=budget_s, closing=4, folder=folder)


def test_slow_passes_make_the_run_shorter(tmp_path: Path) -> None:
    run = budget(tmp_path)
    assert run.epochs(0) == 100
    run.add(100.0)
    assert run.epochs(1) == 10
    run.add(400.0)  # the mean of both is expected of the next: two more fit into 500 s
    assert run.epochs(2) == 4


def test_only_the_last_passes_count_for_the_estimate(tmp_path: Path) -> None:
    run = budget(tmp_path)
    for seconds in (500.0, 10.0, 10.0, 10.0):
        run.add(seconds)
    assert run.epochs(4) == 4 + 47


def test_killed_run_goes_on_with_the_time_that_is_left(tmp_path: Path) -> None:
    first = budget(tmp_path)
    first.add(300.0)
    second = budget(tmp_path)
    second.restore()
    assert (second.spent_s, second.recent_s) == (300.0, [300.0])
    assert second.epochs(1) == 3


def test_new_run_has_nothing_to_take_up(tmp_path: Path) -> None:
    run = budget(tmp_path)
    run.restore()
    assert run.spent_s == 0.0


def test_run_told_to_wind_down_ends_after_its_closing_passes(tmp_path: Path) -> None:
    run = budget(tmp_path, budget_s=None)
    assert run.epochs(10) == 100
    (tmp_path / "wind-down").touch()
    assert run.epochs(11) == 15
    assert run.epochs(12) == 15
    run.add(1.0)
    again = budget(tmp_path, budget_s=None)
    again.restore()
    assert again.epochs(13) == 15


def test_winding_down_never_makes_a_run_longer(tmp_path: Path) -> None:
    run = budget(tmp_path, most=12, budget_s=None)
    (tmp_path / "wind-down").touch()
    assert run.epochs(11) == 12
