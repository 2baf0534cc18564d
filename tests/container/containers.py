"""Containers as the tests use them: started as an operator would, and watched from outside.

Which programs do it stands in the environment, as the Makefile sets it: ``IMAGE_TAG``,
``IMAGE_RUN`` (a command that takes `docker run`'s arguments and has the limits in it, and the
host's network) and ``CONTAINER`` (docker or podman, for everything else). Where one of them is
missing or does not work, the tests fail.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
_numbers = itertools.count()


def container_tool(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """docker or podman, with what it printed; stderr is shown where it fails."""
    command = [*shlex.split(os.environ.get("CONTAINER", "docker")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if check and done.returncode:
        raise AssertionError(f"{shlex.join(command)} failed:\n{done.stderr}")
    return done


def inspect_image(image: str) -> dict[str, Any]:
    described: list[dict[str, Any]] = json.loads(container_tool("image", "inspect", image).stdout)
    return described[0]


def image_tag() -> str:
    return os.environ.get("IMAGE_TAG", "anpr:latest")


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Container:
    name: str
    port: int
    started: float = field(default_factory=time.monotonic)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 60,
    ) -> Reply:
        """One request on a connection of its own. Raises ``OSError`` where nobody answers."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            line.request(method, path, body, headers or {})
            answer = line.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            line.close()

    def wait_for(self, path: str, seconds: float = 60) -> float:
        """Until ``path`` answers 200: seconds since the container was told to start."""
        while True:
            try:
                if self.request("GET", path, timeout_s=2).status == 200:
                    return time.monotonic() - self.started
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() - self.started > seconds:
                raise AssertionError(f"{path} did not answer 200 in {seconds} s:\n{self.logs()}")
            time.sleep(0.02)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        return container_tool("exec", self.name, *command, check=False)

    def logs(self) -> str:
        done = container_tool("logs", self.name, check=False)
        return done.stdout + done.stderr

    def signal(self, name: str) -> None:
        container_tool("kill", "--signal", name, self.name)

    def wait(self) -> int:
        """The exit status, once it has ended."""
        return int(container_tool("wait", self.name).stdout)

    @property
    def described(self) -> dict[str, Any]:
        containers: list[dict[str, Any]] = json.loads(
            container_tool("container", "inspect", self.name).stdout
        )
        return containers[0]

    def cgroup(self, controller: str = "memory") -> Path:
        """The folder with this controller's files, as the host sees it (cgroup v1 or v2)."""
        root = Path("/sys/fs/cgroup")
        for line in Path(f"/proc/{self.described['State']['Pid']}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            folder = root / controller if controllers else root
            folder = Path(f"{folder}{path}")
            if controller in (controllers or controller).split(",") and folder.is_dir():
                return folder
        raise AssertionError("the cgroup of the container cannot be seen from here")

    @property
    def cpu_s(self) -> float:
        """CPU time that the container has used."""
        folder = self.cgroup("cpuacct")
        if (folder / "cpuacct.usage").exists():
            return int((folder / "cpuacct.usage").read_text()) / 1e9
        stat = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6


@dataclass
class MemoryWatch:
    """The container's memory as the kernel counts it, in MiB; page cache told apart.

    ``peak`` is the kernel's own high-water mark, page cache included; ``process_peak`` the largest
    sample of what processes hold (anonymous memory), ``cache_peak`` of what the page cache does.
    """

    folder: Path
    process_peak: float = 0
    cache_peak: float = 0
    samples: int = 0

    def sample(self) -> None:
        stat = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        process = int(stat.get("anon") or stat["rss"]) / MIB
        cache = int(stat.get("file") or stat["cache"]) / MIB
        self.process_peak = max(self.process_peak, process)
        self.cache_peak = max(self.cache_peak, cache)
        self.samples += 1

    @property
    def peak(self) -> float:
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            if (self.folder / name).exists():
                return int((self.folder / name).read_text()) / MIB
        raise AssertionError("this kernel keeps no high-water mark of a cgroup's memory")

    @contextmanager
    def during(self) -> Iterator[MemoryWatch]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.05):
                self.sample()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield self
        finally:
            over.set()
            watcher.join()
            self.sample()


@contextmanager
def running(
    *options: str, image: str = "", environment: dict[str, str] | None = None
) -> Iterator[Container]:
    """A container of the image, hardened, on a free port of the host; gone afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = f"anpr-test-{os.getpid()}-{next(_numbers)}"
    variables = {"PORT": str(port), **(environment or {})}
    flags = [part for key, value in variables.items() for part in ("--env", f"{key}={value}")]
    run = shlex.split(os.environ.get("IMAGE_RUN", "docker run --network host"))
    command = [*run, "--detach", "--name", name, *HARDENED, *flags, *options]
    container = Container(name, port)
    done = subprocess.run(
        [*command, image or image_tag()], capture_output=True, text=True, timeout=120
    )
    try:
        assert done.returncode == 0, f"{shlex.join(command)} failed:\n{done.stderr}"
        yield container
    finally:
        container_tool("rm", "--force", name, check=False)
