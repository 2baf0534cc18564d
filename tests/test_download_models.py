"""``scripts/download_paddle_models.sh``, against a server on loopback and against a folder."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).resolve().parent.parent / "scripts" / "download_paddle_models.sh"
# no hash of these is pinned in the script
DETECTOR, RECOGNISER = "PP-OCRv9_test_det", "PP-OCRv9_test_rec"


def archive(name: str, *, size: int = 300_000, others: Mapping[str, bytes] | None = None) -> bytes:
    """A model as Paddle packs it: a folder called as the archive is."""
    weights = "inference.onnx" if name.endswith("_onnx") else "inference.pdiparams"
    files = {
        weights: bytes(range(256)) * (size // 256),
        "inference.yml": b"Global: {}\n",
        **(others or {}),
    }
    if not name.endswith("_onnx"):
        files["inference.json"] = b"{}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{name}_infer/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Host(ThreadingHTTPServer):
    """Gives archives by name, and misbehaves as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.archives: dict[str, bytes] = {}
        self.breaks = 0
        """So many answers end halfway."""
        self.errors: list[int] = []
        """Statuses of the first answers."""
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, *names: str) -> None:
        self.archives |= {f"{name}_infer.tar": archive(name) for name in names}


class Visit(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        name = self.path.rpartition("/")[2]
        self.server.asked.append((name, wanted))
        if self.server.errors:
            self.send_error(self.server.errors.pop(0))
            return
        content = self.server.archives.get(name)
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start and self.server.ranges:
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            content = content[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        thread = threading.Thread(target=host.serve_forever, args=(0.01,))
        thread.start()
        yield host
        host.shutdown()
        thread.join()


def download(*arguments: str | Path, to: Path, tries: int = 3) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHON": sys.executable,
        "DOWNLOAD_TRIES": str(tries),
        "DOWNLOAD_PAUSE_S": "0.01",
        "DOWNLOAD_TIMEOUT_S": "5",
    }
    command = [SCRIPT, "--to", to, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def files(folder: Path) -> set[str]:
    """Everything below ``folder``, hidden files too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


PADDLE_FILES: Final = {"inference.json", "inference.pdiparams", "inference.yml"}
ONNX_FILES: Final = {"inference.onnx", "inference.yml"}


# --- it works ----------------------------------------------------------------------------------


def test_both_models_in_both_formats(host: Host, tmp_path: Path) -> None:
    names = (DETECTOR, f"{DETECTOR}_onnx", RECOGNISER, f"{RECOGNISER}_onnx")
    host.put(*names)
    done = download("--mirror", host.url, DETECTOR, RECOGNISER, to=tmp_path)

    assert done.returncode == 0, done.stderr
    expected = {
        f"{name}/{file}"
        for name in names
        for file in (ONNX_FILES if name.endswith("_onnx") else PADDLE_FILES)
    }
    assert files(tmp_path) == expected | {"SHA256SUMS"}


def test_the_first_hash_is_recorded_and_it_says_so(host: Host, tmp_path: Path) -> None:
    host.put(RECOGNISER)
    done = download("--mirror", host.url, "--format", "paddle", RECOGNISER, to=tmp_path)
    digest = hashlib.sha256(host.archives[f"{RECOGNISER}_infer.tar"]).hexdigest()

    assert "trusted on first use" in done.stderr
    assert digest in done.stderr
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in map(str.split, lines)}
    assert sums[f"{RECOGNISER}_infer.tar"] == digest
    for file in PADDLE_FILES:
        content = (tmp_path / RECOGNISER / file).read_bytes()
        assert sums[f"{RECOGNISER}/{file}"] == hashlib.sha256(content).hexdigest()


def test_a_second_run_asks_for_nothing(host: Host, tmp_path: Path) -> None:
    host.put(RECOGNISER)
    arguments = ("--mirror", host.url, "--format", "paddle", RECOGNISER)
    download(*arguments, to=tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)}
    done = download(*arguments, to=tmp_path)

    assert done.returncode == 0
    assert "already there" in done.stderr
    assert len(host.asked) == 1
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)} == before


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_model_is_replaced(host: Host, tmp_path: Path, damage: str) -> None:
    host.put(RECOGNISER)
    arguments = ("--mirror", host.url, "--format", "paddle", RECOGNISER)
    download(*arguments, to=tmp_path)
    weights = tmp_path / RECOGNISER / "inference.pdiparams"
    good = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(b"\1" + good[1:])
    else:
        weights.unlink()
    done = download(*arguments, to=tmp_path)

    assert done.returncode == 0
    assert weights.read_bytes() == good
    assert len(host.asked) == 2
    assert "verified" in done.stderr  # held to the recorded hash, not trusted a second time


def test_only_what_a_model_is_made_of_is_unpacked(host: Host, tmp_path: Path) -> None:
    host.archives[f"{RECOGNISER}_infer.tar"] = archive(
        RECOGNISER, others={"../../evil": b"x", "run.sh": b"x", "deep/inference.yml": b"x"}
    )
    done = download("--mirror", host.url, "--format", "paddle", RECOGNISER, to=tmp_path / "models")

    assert files(tmp_path) <= {f"models/{RECOGNISER}/{file}" for file in PADDLE_FILES} | {
        "models/SHA256SUMS"
    }
    assert done.returncode in (0, 1)  # some tars refuse such an archive as a whole


# --- the net fails -----------------------------------------------------------------------------


def test_broken_connections_are_resumed(host: Host, tmp_path: Path) -> None:
    host.put(RECOGNISER)
    host.breaks = 2
    done = download("--mirror", host.url, "--format", "paddle", RECOGNISER, to=tmp_path)
    size = len(host.archives[f"{RECOGNISER}_infer.tar"])

    assert done.returncode == 0, done.stderr
    assert [wanted for _, wanted in host.asked] == [
        None,
        f"bytes={size // 2}-",
        f"bytes={size // 2 + (size - size // 2) // 2}-",
    ]
    assert done.stderr.count("the connection broke") == 2


def test_a_server_that_cannot_resume_is_asked_from_the_start(host: Host, tmp_path: Path) -> None:
    host.put(RECOGNISER)
    host.breaks, host.ranges = 1, False
    done = download("--mirror", host.url, "--format", "paddle", RECOGNISER, to=tmp_path)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / RECOGNISER / "inference.yml").exists()


def test_a_net_that_stays_broken_leaves_nothing_behind(host: Host, tmp_path: Path) -> None:
    host.put(RECOGNISER)
    host.breaks = 100
    done = download("--mirror", host.url, "--format", "paddle", RECOGNISER, to=tmp_path, tries=2)

    assert done.returncode == 1
    assert "could not be downloaded" in done.stderr
    assert "--offline" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_with_partial_the_next_run_goes_on(host: Host, tmp_path: Path) -> None:
    host.put(RECOGNISER)
    host.breaks = 1
    arguments = ("--mirror", host.url, "--format", "paddle", "--partial", tmp_path / "unfinished")
    first = download(*arguments, RECOGNISER, to=tmp_path / "models", tries=1)
    second = download(*arguments, RECOGNISER, to=tmp_path / "models", tries=1)

    assert (first.returncode, second.returncode) == (1, 0), second.stderr
    assert host.asked[1][1] == f"bytes={len(host.archives[f'{RECOGNISER}_infer.tar']) // 2}-"
    assert files(tmp_path / "unfinished") == set()


def test_a_server_error_is_tried_again_and_404_is_not(host: Host, tmp_path: Path) -> None:
    host.put(RECOGNISER)
    host.errors = [503]
    found = download("--mirror", host.url, "--format", "paddle", RECOGNISER, to=tmp_path)
    missing = download("--mirror", host.url, "--format", "paddle", DETECTOR, to=tmp_path)

    assert (found.returncode, missing.returncode) == (0, 1)
    assert "404" in missing.stderr
    assert Counter(name for name, _ in host.asked) == {
        f"{RECOGNISER}_infer.tar": 2,
        f"{DETECTOR}_infer.tar": 1,
    }
    assert not (tmp_path / DETECTOR).exists()


def test_nobody_listens(tmp_path: Path) -> None:
    done = download("--mirror", "http://127.0.0.1:9", RECOGNISER, to=tmp_path, tries=2)

    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- the bytes are wrong -----------------------------------------------------------------------


def test_a_pinned_model_with_other_bytes_is_refused(host: Host, tmp_path: Path) -> None:
    host.put("PP-OCRv6_small_rec")
    done = download("--mirror", host.url, "--format", "paddle", "PP-OCRv6_small_rec", to=tmp_path)

    assert done.returncode == 1
    assert "wrong SHA-256" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_recorded_hash_is_held_to(host: Host, tmp_path: Path) -> None:
    host.put(RECOGNISER)
    arguments = ("--mirror", host.url, "--format", "paddle", RECOGNISER)
    download(*arguments, to=tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    (tmp_path / RECOGNISER / "inference.yml").unlink()
    host.archives[f"{RECOGNISER}_infer.tar"] = archive(RECOGNISER, size=256)
    done = download(*arguments, to=tmp_path)

    assert done.returncode == 1
    assert "wrong SHA-256" in done.stderr
    del before[f"{RECOGNISER}/inference.yml"]
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@pytest.mark.parametrize("content", [b"<html>sign in</html>", b"", archive(f"{RECOGNISER}_onnx")])
def test_what_is_no_such_model_is_refused(host: Host, tmp_path: Path, content: bytes) -> None:
    host.archives[f"{RECOGNISER}_infer.tar"] = content
    done = download("--mirror", host.url, "--format", "paddle", RECOGNISER, to=tmp_path)

    assert done.returncode == 1
    assert "error: " in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- without a net -----------------------------------------------------------------------------


def test_archives_come_out_of_a_folder(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    packed = shelf / f"{RECOGNISER}_onnx_infer.tar"
    packed.write_bytes(archive(f"{RECOGNISER}_onnx"))
    done = download("--offline", shelf, "--format", "onnx", RECOGNISER, to=tmp_path / "models")

    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "models" / f"{RECOGNISER}_onnx") == ONNX_FILES
    assert packed.exists()


def test_a_folder_without_the_archive(tmp_path: Path) -> None:
    done = download("--offline", tmp_path, RECOGNISER, to=tmp_path / "models")

    assert done.returncode == 1
    assert f"has no {RECOGNISER}_infer.tar" in done.stderr
    assert files(tmp_path) == set()


def test_a_wrong_archive_in_a_folder_is_refused_and_kept(tmp_path: Path) -> None:
    packed = tmp_path / "PP-OCRv6_small_det_infer.tar"
    packed.write_bytes(archive("PP-OCRv6_small_det"))
    done = download("--offline", tmp_path, to=tmp_path / "models")

    assert done.returncode == 1
    assert "wrong SHA-256" in done.stderr
    assert files(tmp_path) == {packed.name}


# --- how it is asked ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "tensorflow"),
        ("--mirror", "ftp://models.example"),
        ("--mirror",),
        ("--colour",),
        ("../../etc",),
        ("--mirror", "http://127.0.0.1:9", "--offline", "/"),
    ],
)
def test_usage(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = download(*arguments, to=tmp_path / "models")

    assert done.returncode == 2
    assert "usage: " in done.stderr
    assert not (tmp_path / "models").exists()


def test_help_tells_the_options() -> None:
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True)
    for option in ("--to", "--format", "--mirror", "--offline", "--partial"):
        assert option in done.stdout


def test_the_pins_are_of_both_models_in_both_formats() -> None:
    pins = re.findall(
        r"^ +(PP-OCR\S+)_infer\.tar\)\n +echo ([0-9a-f]{64}) ", SCRIPT.read_text(), re.M
    )
    assert {name for name, _ in pins} == {
        f"PP-OCRv6_small_{kind}{suffix}" for kind in ("det", "rec") for suffix in ("", "_onnx")
    }
    assert len({digest for _, digest in pins}) == 4
