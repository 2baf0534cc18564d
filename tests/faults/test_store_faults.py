"""The model store where disks are full, folders read-only, processes killed and files hostile.

Whatever happens, it is said in a sentence, what the store held stays, and nothing is loaded that
is not what the manifest says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anpr.models import manifest
from tests.conftest import ROOT
from tests.graphs import constant_graph
from tests.loopback import ADDRESS, Visit, response, serve
from tests.models import samples
from tests.models.test_onnxfile import with_external_data
from tests.scenes import car_photo

ANPR = (sys.executable, "-m", "anpr")


def environment(cache: Path, **more: str) -> dict[str, str]:
    return os.environ | {"ANPR_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)} | more


def run(cache: Path, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ANPR, *map(str, arguments)],
        env=environment(cache, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def start(cache: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*ANPR, *map(str, arguments)],
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def large(path: Path) -> Path:
    """A detector of 2 MB."""
    return constant_graph(path, np.zeros((1, 5, 100_000), np.float32))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- what lies there is not what it was --------------------------------------------------------


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [flipped, truncated])
def test_a_damaged_model_is_not_loaded_and_comes_back_by_import(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    cache, source = tmp_path / "cache", samples.detector(tmp_path / "a.onnx")
    photo = tmp_path / "car.jpg"
    photo.write_bytes(car_photo(size=(640, 480)))
    assert run(cache, "models", "import", source, "--name", "mine").returncode == 0
    (path,) = (cache / "models").glob("*/mine.onnx")
    damage(path)
    done = run(cache, "read", photo, ANPR_DETECTOR_MODEL="mine")
    assert done.returncode == 1
    assert done.stderr == (
        "anpr: The model file 'mine.onnx' is not the one that the manifest describes.\n"
    )
    assert not path.exists()
    assert len(list((cache / "models" / "quarantine").iterdir())) == 1
    assert run(cache, "models", "import", source, "--name", "mine").returncode == 0
    done = run(cache, "read", photo, "--format", "jsonl", ANPR_DETECTOR_MODEL="mine")
    assert json.loads(done.stdout)["models"]["detector"].startswith("mine@")


def test_a_link_out_of_the_store_is_not_followed(tmp_path: Path) -> None:
    cache, source = tmp_path / "cache", samples.detector(tmp_path / "a.onnx")
    run(cache, "models", "import", source, "--name", "mine")
    (path,) = (cache / "models").glob("*/mine.onnx")
    path.unlink()
    path.symlink_to(source)
    photo = tmp_path / "car.jpg"
    photo.write_bytes(car_photo(size=(640, 480)))
    done = run(cache, "read", photo, ANPR_DETECTOR_MODEL="mine")
    assert (done.returncode, done.stderr) == (
        1,
        "anpr: The model file 'mine.onnx' is a link out of its folder.\n",
    )
    done = run(cache, "models", "verify", "mine")
    assert (done.returncode, done.stdout) == (1, "mine: unsafe\n")
    assert source.exists()


# --- hostile files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("models", "import", "FILE", "--name", "mine", "--trust"),
        ("models", "import", "FILE", "--name", "mine"),
        ("models", "info", "FILE"),
        ("read", "PHOTO"),
    ],
)
def test_a_checkpoint_that_runs_code_never_runs(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    marker = tmp_path / "it-has-run"
    evil = samples.checkpoint(tmp_path / "evil.pt", samples.running_code(marker))
    photo = tmp_path / "car.jpg"
    photo.write_bytes(car_photo(size=(640, 480)))
    places = {"FILE": str(evil), "PHOTO": str(photo)}
    done = run(
        tmp_path / "cache",
        *(places.get(argument, argument) for argument in arguments),
        ANPR_DETECTOR="ultralytics",
        ANPR_DETECTOR_MODEL=str(evil),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("anpr: The ")
    assert done.stderr.count("\n") == 1
    assert not marker.exists()


@pytest.mark.parametrize("location", ["/etc/hostname", "../outside.bin", "link.bin"])
def test_a_model_with_weights_outside_of_its_folder_is_not_loaded(
    tmp_path: Path, location: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(24))
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    path = with_external_data(folder, location)
    done = run(tmp_path / "cache", "models", "import", path, "--name", "mine")
    assert (done.returncode, done.stderr) == (
        1,
        "anpr: The ONNX model wants weights from outside of its folder.\n",
    )
    photo = tmp_path / "car.jpg"
    photo.write_bytes(car_photo(size=(640, 480)))
    done = run(tmp_path / "cache", "read", photo, ANPR_DETECTOR_MODEL=str(path))
    assert done.returncode == 1
    assert "cannot be run by ONNX Runtime" in done.stderr
    assert "Traceback" not in done.stderr


# --- disks -------------------------------------------------------------------------------------


def test_a_file_size_limit_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(cache, "models", "import", samples.detector(tmp_path / "a.onnx"), "--name", "small")
    before = files(cache)
    done = subprocess.run(
        [
            *("bash", "-c", 'ulimit -f 1000 && exec "$@"', "bash"),
            *(*ANPR, "models", "import", str(large(tmp_path / "b.onnx")), "--name", "large"),
        ],
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "anpr: There is no space left for the model store.\n",
    )
    assert files(cache) == before
    assert run(cache, "models", "verify", "small").returncode == 0


def in_a_room_of_its_own(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A shell script that may mount what nobody else sees. Skips where that is not permitted."""
    asked = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*asked, "mount -t tmpfs none /mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of one's own can be mounted here")
    return subprocess.run(
        [*asked, script, *map(str, arguments)],
        env=environment(Path(str(arguments[0]))),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


FULL_DISK = """
set -e
mount -t tmpfs -o size=1m none "$0"
"$1" -m anpr models import "$2" --name small
set +e
"$1" -m anpr models import "$3" --name large
echo "status $?"
"$1" -m anpr models verify small
find "$0" -type f | wc -l
"""


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    room = tmp_path / "disk"
    room.mkdir()
    small, big = samples.detector(tmp_path / "a.onnx"), large(tmp_path / "b.onnx")
    done = in_a_room_of_its_own(FULL_DISK, room, sys.executable, small, big)
    assert done.stderr == "anpr: There is no space left for the model store.\n"
    # the small model and the manifest, and nothing of the large one
    assert done.stdout.splitlines()[-3:] == ["status 1", "small: ok", "2"]


READ_ONLY = """
set -e
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
set +e
for action in "import $2 --name other" "verify mine" prune "clear --yes"; do
  "$1" -m anpr models $action >/dev/null
  echo "$action: $?" >&2
done
"$1" -m anpr models list --json
"""


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(cache, "models", "import", samples.detector(tmp_path / "a.onnx"), "--name", "mine")
    (path,) = (cache / "models").glob("*/mine.onnx")
    flipped(path)
    before = files(cache)
    other = samples.detector(tmp_path / "b.onnx", seed=1)
    done = in_a_room_of_its_own(READ_ONLY, cache, sys.executable, other)
    said = done.stderr.splitlines()
    assert said[0::2] == ["anpr: The folder of the model store cannot be written."] * 4
    assert [line.rpartition(": ")[2] for line in said[1::2]] == ["1"] * 4
    told = {one["name"]: one["state"] for one in json.loads(done.stdout)["models"]}
    assert told["mine"] == "damaged"
    assert files(cache) == before


# --- processes ---------------------------------------------------------------------------------


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "nothing happened"
        time.sleep(0.02)


def test_a_killed_download_goes_on_where_it_was(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    content = large(tmp_path / "b.onnx").read_bytes()
    half = 16 * 65536  # a whole number of chunks
    etag = 'ETag: "one"'

    def stalls(visit: Visit) -> None:
        visit.head()
        visit.send(response(content, etag)[: -len(content) + half])
        visit.wait()

    told = f"Content-Range: bytes {half}-{len(content) - 1}/{len(content)}"
    rest = response(content[half:], told, etag, status="206 Partial Content")
    with serve(stalls, rest) as server:
        address = f"http://{ADDRESS}:{server.port}/big.onnx"
        command = ("models", "pull", address, "--name", "big", "--allow-private")
        victim = start(cache, *command)
        partial = cache / "models" / "partial"
        wait_for(lambda: any(path.stat().st_size == half for path in partial.glob("*.part")))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        assert manifest.read_store(cache / "models") == {}
        done = run(cache, *command)
    assert done.returncode == 0, done.stderr
    assert f"Range: bytes={half}-" in server.heads[0]
    entry = manifest.read(cache / "models")["big"]
    assert entry.file.read() == content
    assert "was recorded" in done.stdout
    assert files(cache / "models" / "partial") == []


def test_a_killed_import_leaves_nothing_that_is_loaded(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(cache, "models", "import", samples.detector(tmp_path / "a.onnx"), "--name", "mine")
    code = (
        "import sys, time; from pathlib import Path; from anpr.models.store import Store\n"
        "with Store(Path(sys.argv[1])).incoming() as room:\n"
        "    (room / 'half.onnx').write_bytes(bytes(1000)); print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    victim = subprocess.Popen(
        [sys.executable, "-c", code, str(cache / "models")],
        env=environment(cache),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == "ready\n"
    assert run(cache, "models", "prune").stdout == "freed 0 B\n"  # somebody is at work there
    victim.kill()
    victim.communicate()
    done = run(cache, "models", "prune")
    assert done.stdout.startswith("partial: .incoming-")
    assert done.stdout.endswith("freed 1 kB\n")
    assert run(cache, "models", "verify", "mine").returncode == 0


def test_many_processes_import_at_once(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    ours = [samples.detector(tmp_path / f"{n}.onnx", seed=n) for n in range(3)]
    started = [
        *(start(cache, "models", "import", one, "--name", "wanted") for one in ours[:2]),
        *(start(cache, "models", "import", ours[2], "--name", "same") for _ in range(2)),
    ]
    outcomes = [(process.communicate(timeout=60)[1], process.returncode) for process in started]
    # of two models for one name the first one gets it; the same model twice is no quarrel
    assert sorted(code for _, code in outcomes[:2]) == [0, 1]
    assert "another model 'wanted'" in "".join(said for said, _ in outcomes[:2])
    assert [code for _, code in outcomes[2:]] == [0, 0]
    entries = manifest.read(cache / "models")
    assert sorted(entries) == ["same", "wanted"]
    assert all(entry.file.read() for entry in entries.values())
    assert len(files(cache)) == 3
