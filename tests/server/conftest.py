from __future__ import annotations

from collections.abc import Iterator

import pytest

from anpr import memory


@pytest.fixture(autouse=True, scope="package")
def no_frozen_garbage() -> Iterator[None]:
    """A service freezes what the collector sees; tests elsewhere are not to inherit that."""
    yield
    memory.unfreeze()
