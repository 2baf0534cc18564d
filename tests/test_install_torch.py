"""``scripts/install_torch``: what it asks pip for, with a pip that only takes notes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
NOTES: Final = """#!/usr/bin/env python3
import json, pathlib, sys
pairs = zip(sys.argv, sys.argv[1:])
lists = {path: pathlib.Path(path).read_text() for flag, path in pairs if flag == "-r"}
with open(pathlib.Path(__file__).with_name("notes"), "a") as notes:
    notes.write(json.dumps([sys.argv[1:], lists]) + "\\n")
"""


def install(folder: Path, *arguments: str) -> list[tuple[list[str], str]]:
    """The calls of pip: arguments, and the list of requirements."""
    pip = folder / "pip"
    pip.write_text(NOTES)
    pip.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(
        ["sh", "scripts/install_torch", *arguments], cwd=ROOT, env=environment, check=True
    )
    calls = [json.loads(line) for line in (folder / "notes").read_text().splitlines()]
    return [(arguments, "".join(lists.values())) for arguments, lists in calls]


@pytest.mark.parametrize("lock", ["training", "reference"])
def test_everything_is_hashed_without_an_index(tmp_path: Path, lock: str) -> None:
    ((arguments, listed),) = install(tmp_path, f"requirements/{lock}.lock", "")
    assert {"--no-deps", "--require-hashes"} <= set(arguments)
    assert "--index-url" not in arguments
    assert listed == (ROOT / f"requirements/{lock}.lock").read_text()


@pytest.mark.parametrize("lock", ["training", "reference"])
def test_an_index_gives_torch_and_nothing_else(tmp_path: Path, lock: str) -> None:
    path = f"requirements/{lock}.lock"
    (torch, torch_list), (rest, rest_list) = install(tmp_path, path, "https://wheels.example/cpu")
    assert torch[torch.index("--index-url") + 1] == "https://wheels.example/cpu"
    assert "--require-hashes" not in torch
    assert [line.split("==")[0] for line in torch_list.splitlines()] == ["torch", "torchvision"]
    assert "--require-hashes" in rest
    assert "--index-url" not in rest
    left_out = {name for name in _names((ROOT / path).read_text()) if name not in _names(rest_list)}
    assert {"torch", "torchvision", "triton", "nvidia-cublas", "cuda-toolkit"} <= left_out
    assert all(
        name in ("torch", "torchvision", "triton") or name.startswith(("nvidia-", "cuda-"))
        for name in left_out
    )
    assert {"nvidia-ml-py", "ultralytics", "numpy"} <= _names(rest_list)


def _names(lock: str) -> set[str]:
    return {line.split("==")[0] for line in lock.splitlines() if line[:1].isalnum()}
