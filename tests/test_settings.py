from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from anpr.settings import Settings, describe
from tests.conftest import ROOT


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANPR_PADDING_PX", "7")
    monkeypatch.setenv("ANPR_FETCH_HOSTS", "a.example, b.example,")
    monkeypatch.setenv("ANPR_FETCH_PORTS", "443,8443")
    settings = Settings()
    assert settings.padding_px == 7
    assert settings.fetch_hosts == ("a.example", "b.example")
    assert settings.fetch_ports == (443, 8443)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().padding_px = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"), [("PADDING_PX", "-1"), ("READER", "tesseract"), ("DETECTOR_SIDE_PX", "300")]
)
def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ANPR_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_every_number_is_finite_by_default() -> None:
    numbers = [v for v in Settings().model_dump().values() if isinstance(v, int | float)]
    assert numbers
    assert all(math.isfinite(number) for number in numbers)


def test_every_setting_has_a_meaning_and_no_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANPR_API_KEYS", "tell-nobody,nor-me")
    rows = {row.name: row for row in describe(Settings())}
    assert all(row.meaning for row in rows.values())
    assert rows["ANPR_API_KEYS"].value == "2 set"
    assert "tell-nobody" not in repr(Settings())


def test_the_weights_are_those_of_this_checkout() -> None:
    assert Settings().weights_dir == ROOT / "weights"
    assert (Path(Settings().weights_dir) / "models.toml").is_file()


def test_every_setting_is_read_somewhere() -> None:
    code = "".join(
        path.read_text("utf-8")
        for path in (ROOT / "anpr").rglob("*.py")  # in settings.py itself as `self.…`
    )
    unread = [name for name in Settings.model_fields if f".{name}" not in code]
    assert unread == []
