from __future__ import annotations

from pathlib import Path

import pytest

from anpr.models.intake import Intake, vouched
from anpr.models.store import Store
from anpr.settings import Settings

WEIGHTS = Settings().weights_dir


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache" / "models", lock_timeout_s=5)


@pytest.fixture
def intake(store: Store) -> Intake:
    return Intake(store, WEIGHTS, 100_000_000, vouched=vouched(WEIGHTS, store))
