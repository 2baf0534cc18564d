"""What tests share: the folder of real photos where there is one, and a clean environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from anpr import Recognizer
from anpr.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED_DATA.is_dir():
        return
    missing = pytest.mark.skip(reason="the photos are not here: ../shared/data")
    for item in items:
        if item.get_closest_marker("shared_data"):
            item.add_marker(missing)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ANPR_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept for later starts is kept for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def recognizer() -> Iterator[Recognizer]:
    """The product as it comes, models loaded."""
    product = Recognizer(Settings())
    product.load()
    yield product
    product.unload()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return SHARED_DATA
