"""``anpr models`` as a person types it."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path

import pytest

from anpr.cli import main
from anpr.models import manifest
from anpr.settings import Settings
from tests.loopback import ADDRESS, response, serve
from tests.models import samples

WEIGHTS = Settings().weights_dir


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANPR_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return samples.detector(tmp_path / "seen.onnx")


def models(*arguments: object) -> int:
    return main(["models", *map(str, arguments)])


def listed(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, object]:
    capsys.readouterr()
    assert models("list", "--json", *more) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_the_models_as_a_table(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert models("import", source, "--name", "mine", "--licence", "MIT") == 0
    assert "Use it with: ANPR_DETECTOR_MODEL=mine" in capsys.readouterr().out
    assert models("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "SIZE", "STATE", "FROM", "SHA-256"]
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    assert lines[-2].split()[:2] == ["mine", "detector"]
    assert lines[-2].split()[-3:] == ["ok", "store", digest]
    assert lines[-1].startswith(f"{len(manifest.read(WEIGHTS)) + 1} models, ")
    assert lines[-1].endswith("health good")


def test_the_models_in_detail(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models("import", source, "--name", "mine")
    capsys.readouterr()
    assert models("list", "--detailed") == 0
    out = capsys.readouterr().out
    assert hashlib.sha256(source.read_bytes()).hexdigest() in out
    assert "reclaimable_bytes" in out
    told = listed(capsys, "--detailed")
    statistics = told["statistics"]
    assert isinstance(statistics, dict)
    assert statistics["origins"]["store"] == 1
    assert isinstance(told["models"], list)
    assert {"path", "files", "made_from", "sha256", "licence"} <= set(told["models"][-1])


def test_leftovers_show_in_the_list_and_go_with_prune(
    cache: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models("import", source, "--name", "mine")
    quarantine = cache / "models" / "quarantine"
    quarantine.mkdir()
    (quarantine / "1-old.onnx").write_bytes(bytes(2_500_000))
    capsys.readouterr()
    models("list")
    assert "health cluttered: prune would free 2.5 MB (1 items)" in capsys.readouterr().out
    assert models("prune", "--dry-run") == 0
    assert capsys.readouterr().out == "corrupt: 1-old.onnx (2.5 MB)\nwould free 2.5 MB\n"
    assert models("prune", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["freed_bytes"], told["removed"][0]["reason"]) == (2_500_000, "corrupt")
    models("prune")
    assert capsys.readouterr().out == "freed 0 B\n"


def test_one_model(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models("import", source, "--name", "mine")
    capsys.readouterr()
    assert models("info", "mine", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["inputs"]) == ("ok", {"images": [1, 3, "height", "width"]})
    assert models("info", "mine") == 0
    assert "source" in capsys.readouterr().out


def test_a_checkpoint_is_told_about_without_loading_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert models("info", "last", "--json") == 0
    assert "ultralytics.nn.tasks DetectionModel" in json.loads(capsys.readouterr().out)["imports"]


def test_a_file_that_is_not_imported_yet(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert models("info", source, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["file"]) == ("onnx", "seen.onnx")
    assert models("info", "./none.onnx") == 1
    assert "cannot be read" in capsys.readouterr().err


def test_long_metadata_is_shortened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert models("info", samples.reader(tmp_path / "r.onnx"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["metadata"]["character"].startswith("0\n1\n")
    from anpr.cli.models import _shortened

    assert _shortened("x" * 200) == f"{'x' * 80}… (200 characters)"


def test_what_is_damaged_is_not_looked_into(
    cache: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models("import", source, "--name", "mine")
    (path,) = (cache / "models").glob("*/mine.onnx")
    path.write_bytes(b"damaged")
    capsys.readouterr()
    assert models("info", "mine") == 0
    out = capsys.readouterr().out
    assert "damaged" in out
    assert "inputs" not in out
    for command in (("export", "mine", "--format", "onnx", "--output", "x"), ("compile", "mine")):
        assert models(*command) == 1
        assert capsys.readouterr().err == "anpr: The model 'mine' is damaged.\n"
    assert models("verify") == 1
    captured = capsys.readouterr()
    assert "mine: damaged" in captured.out
    assert "quarantine" in captured.err
    assert models("verify", "mine", "--json") == 1
    assert json.loads(capsys.readouterr().out) == [{"name": "mine", "state": "missing"}]
    assert models("compile", "mine") == 1
    assert "missing" in capsys.readouterr().err


def test_a_link_is_not_exported(
    cache: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models("import", source, "--name", "mine")
    (path,) = (cache / "models").glob("*/mine.onnx")
    path.unlink()
    path.symlink_to(source)
    assert models("export", "mine", "--format", "onnx", "--output", "x") == 1
    assert "link out of its folder" in capsys.readouterr().err


def test_whole_models_verify(capsys: pytest.CaptureFixture[str]) -> None:
    assert models("verify", "plate-detector") == 0
    assert capsys.readouterr().out == "plate-detector: ok\n"
    assert models("verify", "none") == 1
    assert capsys.readouterr().err == "anpr: No manifest has a model of this name.\n"


def test_clear_asks_first(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    models("import", source, "--name", "mine")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # a pipe is nobody
    assert models("clear") == 1
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    assert models("clear") == 1
    assert "[y/N]" in capsys.readouterr().out
    assert models("verify", "mine") == 0
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert models("clear") == 0
    assert "freed" in capsys.readouterr().out
    assert models("verify", "mine") == 1
    models("import", source, "--name", "mine")
    assert models("clear", "--yes") == 0


def test_a_store_that_is_switched_off(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANPR_CACHE_DISABLED", "1")
    assert models("list") == 0
    capsys.readouterr()
    for command in (
        ("import", source, "--name", "mine"),
        ("prune",),
        ("clear", "--yes"),
        ("compile",),
        ("pull", "https://example.org/a.onnx", "--name", "mine"),
    ):
        assert models(*command) == 1
        assert "ANPR_CACHE_DISABLED" in capsys.readouterr().err


def test_a_model_is_exported_as_it_is(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models("import", source, "--name", "mine")
    capsys.readouterr()
    assert models("export", "mine", "--format", "onnx", "--output", tmp_path) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine.onnx'}\n"
    assert (tmp_path / "mine.onnx").read_bytes() == source.read_bytes()


def test_models_are_compiled_for_this_cpu(
    cache: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models("import", source, "--name", "mine")
    capsys.readouterr()
    assert models("compile", "mine") == 0
    assert "compiled for this CPU" in capsys.readouterr().out
    assert len(list((cache / "compiled").glob("*.onnx"))) == 1
    assert models("compile") == 0
    assert len(list((cache / "compiled").glob("*.onnx"))) == 3
    assert models("prune") == 0
    assert len(list((cache / "compiled").glob("*.onnx"))) == 3


def test_a_model_is_pulled(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(response(source.read_bytes())) as server:
        address = f"http://{ADDRESS}:{server.port}/a.onnx"
        assert models("pull", address, "--name", "mine") == 1
        assert "--allow-private" in capsys.readouterr().err
        assert models("pull", address, "--name", "mine", "--allow-private") == 0
        assert "was recorded, and later pulls are held to it" in capsys.readouterr().out
        assert models("pull", address, "--name", "mine", "--allow-private") == 0
        assert "nothing was fetched" in capsys.readouterr().out
    assert models("verify", "mine") == 0


def test_a_bar_shows_on_a_terminal(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with serve(response(source.read_bytes())) as server:
        address = f"http://{ADDRESS}:{server.port}/a.onnx"
        assert models("pull", address, "--name", "mine", "--allow-private") == 0
    assert "mine: 100%" in terminal.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["import", "a.onnx"],
        ["import", "a.onnx", "--name", "x", "--sha256", "abc"],
        ["export", "mine", "--format", "xls", "--output", "x"],
        ["pull"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        models(*arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
