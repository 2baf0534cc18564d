"""Either version of cgroups, from inside a container and from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from anpr import cgroup

STAT = "anon 400\nfile 5242880\ninactive_file 2097152\nactive_file 1048576\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "_paths", lambda: ("/", "/"))
    return tmp_path


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(
    ("text", "limit"), [("1073741824\n", 1024), ("max\n", None), ("nonsense", None)]
)
def test_the_limit_of_v2(root: Path, text: str, limit: float | None) -> None:
    write(root, memory__max=text)
    assert cgroup.limit_mib() == limit


@pytest.mark.parametrize(("text", "limit"), [("536870912\n", 512), ("9223372036854771712\n", None)])
def test_the_limit_of_v1(root: Path, text: str, limit: float | None) -> None:
    write(root / "memory", memory__limit_in_bytes=text)
    assert cgroup.limit_mib() == limit


def test_a_limit_further_up_counts_if_it_is_less(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_paths", lambda: ("/slice/unit", "/"))
    write(root / "slice", memory__max="104857600", memory__current="52428800")
    write(root / "slice/unit", memory__max="max", memory__current="10485760")
    strictest = cgroup.strictest()
    assert cgroup.limit_mib() == 100
    assert strictest is not None
    assert strictest.use_mib() == 50


def test_a_path_of_the_host_falls_back_to_the_top(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_paths", lambda: ("/docker/0123", "/docker/0123"))
    write(root / "memory", memory__limit_in_bytes="1048576", memory__usage_in_bytes="524288")
    strictest = cgroup.strictest()
    assert cgroup.limit_mib() == 1
    assert strictest is not None
    assert strictest.use_mib() == 0.5


def test_a_path_above_this_namespace_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root.parent / "other", memory__max="1048576")
    monkeypatch.setattr(cgroup, "_paths", lambda: ("/../other", "/"))
    assert cgroup.limit_mib() is None


def test_page_cache_is_not_held(root: Path) -> None:
    write(root, memory__current="10485760", memory__stat=STAT)
    strictest = cgroup.strictest()
    assert strictest is not None
    assert (strictest.use_mib(), strictest.held_mib()) == (10, 7)


def test_page_cache_of_v1_is_that_with_the_groups_below(root: Path) -> None:
    stat = "inactive_file 1\ntotal_inactive_file 2097152\ntotal_active_file 0\n"
    write(root / "memory", memory__usage_in_bytes="10485760", memory__stat=stat)
    strictest = cgroup.strictest()
    assert strictest is not None
    assert strictest.held_mib() == 8


def test_without_a_stat_all_is_held(root: Path) -> None:
    write(root, memory__current="10485760")
    strictest = cgroup.strictest()
    assert strictest is not None
    assert strictest.held_mib() == 10


def test_without_cgroups_nobody_counts(root: Path) -> None:
    assert cgroup.strictest() is None
    assert cgroup.limit_mib() is None
    assert cgroup.Cgroup(root, v2=True).held_mib() is None


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("0::/user.slice/a:b\n", ("/user.slice/a:b", "/")),
        ("9:pids:/x\n4:memory:/docker/7\n0::/\n", ("/", "/docker/7")),
        ("nonsense", ("/", "/")),
    ],
)
def test_the_paths_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, paths: tuple[str, str]
) -> None:
    (tmp_path / "cgroup").write_text(text)
    monkeypatch.setattr(cgroup, "_OWN", tmp_path / "cgroup")
    cgroup._paths.cache_clear()
    try:
        assert cgroup._paths() == paths
    finally:
        cgroup._paths.cache_clear()
