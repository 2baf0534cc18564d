"""Compiled forms: found, verified, rebuilt, and never in the way of the source."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from anpr.errors import ModelMismatch, ModelMissing, ModelUnusable
from anpr.models import compiled, disk
from anpr.models.compiled import CompiledForms, compile_form, survey
from anpr.models.seal import peek, seal
from anpr.onnx import OnnxModel, runtime
from anpr.weights import ModelFile
from tests.graphs import constant_graph

ANSWER = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
INPUT = np.ones((1, 3, 4, 4), np.float32)


@pytest.fixture
def source(tmp_path: Path) -> ModelFile:
    path = constant_graph(tmp_path / "m.onnx", ANSWER, metadata={"stride": "32"})
    return ModelFile(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "compiled"


class Unread(ModelFile):
    """A source that must not be read."""

    def read(self) -> bytes:
        raise AssertionError("the source was read")


def unread(source: ModelFile) -> ModelFile:
    return Unread(source.path, source.sha256)


def run(forms: CompiledForms, source: ModelFile) -> OnnxModel:
    model = OnnxModel(source, opener=forms.open)
    np.testing.assert_array_equal(model.run(INPUT), ANSWER)
    return model


def kept(source: ModelFile, cache: Path) -> Path:
    """A form in the cache."""
    forms = CompiledForms(cache)
    run(forms, source)
    (path,) = forms.keep()
    return path


def test_the_first_start_writes_nothing_until_it_is_told_to(source: ModelFile, cache: Path) -> None:
    forms = CompiledForms(cache)
    run(forms, source)
    assert forms.pending
    assert not cache.exists()
    (path,) = forms.keep()
    assert not forms.pending
    assert path.parent == cache
    assert [one.state for one in survey(cache)] == ["good"]
    assert forms.keep() == []


def test_later_starts_load_the_form_and_leave_the_source_alone(
    source: ModelFile, cache: Path
) -> None:
    kept(source, cache)
    forms = CompiledForms(cache)
    model = run(forms, unread(source))
    assert not forms.pending
    assert model.metadata["stride"] == "32"
    assert model.name == source.name


def test_without_a_cache_nothing_is_kept(source: ModelFile) -> None:
    forms = CompiledForms(None)
    run(forms, source)
    assert not forms.pending
    assert forms.keep() == []


def test_a_portable_form_is_loaded_where_there_is_no_other(
    source: ModelFile, tmp_path: Path
) -> None:
    baked = tmp_path / "weights" / "compiled"
    path = compile_form(source, baked, "extended")
    assert (peek(path).cpu, peek(path).source_mtime_ns) == ("", None)
    os.utime(source.path)  # as when an image is put together
    forms = CompiledForms(None, baked)
    run(forms, unread(source))
    assert not forms.pending


def test_a_form_for_this_cpu_is_made_where_only_the_portable_one_is(
    source: ModelFile, cache: Path, tmp_path: Path
) -> None:
    baked = tmp_path / "baked"
    compile_form(source, baked, "extended")
    forms = CompiledForms(cache, baked)
    run(forms, source)
    assert forms.pending
    (path,) = forms.keep()
    assert peek(path).level == "all"


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_damaged_form_is_told_once_never_loaded_and_rebuilt(
    source: ModelFile, cache: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = kept(source, cache)
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1
    flipped = bytes(data)
    damages = {"flip": flipped, "cut": flipped[:200], "empty": b"", "other": b"x" * 5000}
    path.write_bytes(damages[damage])
    assert [one.state for one in survey(cache)] == ["damaged"]

    forms = CompiledForms(cache)
    with caplog.at_level(logging.WARNING):
        run(forms, source)
        run(forms, source)
    assert caplog.text.count("is damaged") == 1
    assert forms.keep() == [path]
    run(CompiledForms(cache), unread(source))


def test_a_whole_form_that_onnx_runtime_refuses_is_no_error(
    source: ModelFile, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept(source, cache)
    path.write_bytes(seal(b"no graph", peek(path)))
    run(CompiledForms(cache), source)


@pytest.mark.parametrize("what", ["runtime", "cpu"])
def test_another_version_or_cpu_gets_a_form_of_its_own(
    source: ModelFile, cache: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    old = kept(source, cache)
    if what == "runtime":
        monkeypatch.setattr(runtime(), "__version__", "99.0")
        assert [one.state for one in survey(cache)] == ["stale"]
    else:
        monkeypatch.setattr(compiled, "cpu", lambda: "x86_64:another")
    forms = CompiledForms(cache)
    run(forms, source)
    (new,) = forms.keep()
    assert new != old
    # what an older version left goes; another machine may share the folder, and keeps its own
    assert old.exists() == (what == "cpu")


def test_a_source_that_was_touched_is_looked_at_again(source: ModelFile, cache: Path) -> None:
    kept(source, cache)
    os.utime(source.path, ns=(1, 1))
    forms = CompiledForms(cache)
    run(forms, source)
    assert forms.pending
    forms.keep()
    run(CompiledForms(cache), unread(source))


def test_a_source_that_was_replaced_is_not_loaded(source: ModelFile, cache: Path) -> None:
    kept(source, cache)
    constant_graph(source.path, ANSWER + 1)
    with pytest.raises(ModelMismatch):
        OnnxModel(source, opener=CompiledForms(cache).open).load()


def test_a_source_that_is_gone_is_missing(source: ModelFile, cache: Path) -> None:
    kept(source, cache)
    source.path.unlink()
    with pytest.raises(ModelMissing):
        OnnxModel(source, opener=CompiledForms(cache).open).load()


def test_a_file_that_no_manifest_knows_is_keyed_by_its_content(
    source: ModelFile, cache: Path
) -> None:
    nameless = ModelFile(source.path)
    kept(nameless, cache)
    forms = CompiledForms(cache)
    run(forms, nameless)
    assert not forms.pending
    constant_graph(source.path, ANSWER + 1)
    answer = OnnxModel(nameless, opener=CompiledForms(cache).open).run(INPUT)
    np.testing.assert_array_equal(answer, ANSWER + 1)


def test_a_folder_that_cannot_be_made_is_told_once(
    source: ModelFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    forms = CompiledForms(tmp_path / "cache" / "compiled")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            run(forms, source)
            assert forms.keep() == []
    assert caplog.text.count("cannot be kept") == 1
    assert caplog.text.count("cannot be read") == 1
    assert not forms.pending


def test_a_full_disk_leaves_nothing_behind(
    source: ModelFile, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "write_whole", full)
    forms = CompiledForms(cache)
    run(forms, source)
    assert forms.keep() == []
    assert list(cache.iterdir()) == []


def test_many_may_keep_the_same_form_at_once(source: ModelFile, cache: Path) -> None:
    all_forms = [CompiledForms(cache) for _ in range(8)]
    for forms in all_forms:
        run(forms, source)
    threads = [threading.Thread(target=forms.keep) for forms in all_forms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.state for one in survey(cache)] == ["good"]
    assert len(list(cache.iterdir())) == 1
    run(CompiledForms(cache), unread(source))


def test_what_a_killed_process_left_is_cleared_away_later(source: ModelFile, cache: Path) -> None:
    old, young = cache / ".draft-old", cache / ".draft-young"
    for draft in (old, young):
        draft.mkdir(parents=True)
        (draft / "form.onnx").write_bytes(b"half a form")
    os.utime(old, (time.time() - 7200,) * 2)
    kept(source, cache)
    assert not old.exists()
    assert young.exists()


def test_a_file_that_is_no_graph_cannot_be_compiled(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelUnusable, match=r"m\.onnx"):
        compile_form(ModelFile(tmp_path / "m.onnx"), tmp_path / "cache", "all")


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("model name: A\nflags : fpu avx2 fma\nflags : other\n", "flags : fma avx2 clflush"),
        ("Features\t: asimd sve\n", "Features\t: sve crc32 asimd"),
    ],
)
def test_a_cpu_is_what_it_can_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, like: str
) -> None:
    def named(cpuinfo: str) -> str:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
        compiled.cpu.cache_clear()
        return compiled.cpu()

    monkeypatch.setattr(compiled, "_CPUINFO", tmp_path / "cpuinfo")
    try:
        assert named(text) == named(like)
        assert named(text) != named("flags : avx512f\n")
        assert named(text).startswith(os.uname().machine + ":")
        assert named("nothing to see") != named(text)
    finally:
        compiled.cpu.cache_clear()


def test_a_folder_that_is_not_there_has_no_forms(tmp_path: Path) -> None:
    assert survey(tmp_path / "none") == []
