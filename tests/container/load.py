"""Photos of many kinds, and clients that send them as well-behaved ones do."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests import scenes
from tests.container.containers import Container, MemoryWatch

if TYPE_CHECKING:
    from anpr import Recognizer
    from tests.container.figures import Figures

REQUESTS, CLIENTS = 300, 4
BUSY_SHARE = 0.05
TOO_MANY_FAILURES = 4

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "BMP": "image/bmp"}


@dataclass(frozen=True)
class Photo:
    """``texts`` are the plates that an answer must have; ``None`` where nobody knows them."""

    name: str
    data: bytes
    type: str
    texts: tuple[str, ...] | None


def drawn_photos() -> list[Photo]:
    """Twelve photos of 0.3 to 12 megapixels, two of them 12, one without a plate."""
    photos = []
    for text, size, kind, options in (
        ("RK069AV", (1280, 720), "JPEG", {"quality": 88}),
        ("B123XYZ", (800, 600), "PNG", {}),
        ("AB12CDE", (4000, 3000), "JPEG", {"quality": 90}),
        ("7ABC123", (640, 480), "JPEG", {"quality": 75}),
        ("WX8877", (1920, 1080), "WEBP", {"quality": 85}),
        ("HH4711", (2048, 1152), "BMP", {}),
        ("KL09PQR", (1600, 1200), "JPEG", {"quality": 92}),
        ("LP1502", (3000, 4000), "JPEG", {"quality": 80}),
        ("SK482TU", (1024, 768), "PNG", {}),
        ("GH56JKL", (2560, 1440), "JPEG", {"quality": 85}),
        ("MN30BKX", (960, 540), "WEBP", {"quality": 70}),
    ):
        data = scenes.car_photo(text, size=size, format=kind, **options)
        photos.append(Photo(f"{text} {size[0]}x{size[1]} {kind}", data, TYPES[kind], (text,)))
    road = scenes.encode(scenes.draw_plate(" ", height=720, ratio=1.8).convert("RGB"))
    photos.append(Photo("no plate", road, TYPES["JPEG"], None))
    return photos


def real_photos(folder: Path, count: int) -> list[Photo]:
    """``count`` of the photos for end-to-end checks, the same ones each time."""
    lines = (folder / "photos.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] in ("e2e", "world")]
    chosen = random.Random(3).sample(rows, count)
    return [
        Photo(row["file"], (folder / row["file"]).read_bytes(), TYPES["JPEG"], None)
        for row in chosen
    ]


def read_here(recognizer: Recognizer, photos: Sequence[Photo]) -> dict[str, list[str]]:
    """What the same product reads on these photos in this process, by name of the photo."""
    return {
        photo.name: sorted(plate.text for plate in recognizer.read(photo.data)) for photo in photos
    }


@dataclass
class Answer:
    photo: Photo
    status: int
    seconds: float
    texts: list[str]
    rss_mib: float


@dataclass
class Outcome:
    """``answers`` in the order in which they came; ``replies`` counts every status, 503 too."""

    answers: list[Answer] = field(default_factory=list)
    replies: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def busy_share(self) -> float:
        return self.replies[503] / max(1, self.replies.total())

    def slope(self, last: int) -> float:
        """Growth of resident memory in MiB a request over the last answers.

        The median of the slopes between answers to the same photo (Theil 1950, Sen 1968): what the
        process holds depends on the photo and on its neighbours by 40 MiB and more, and least
        squares over all answers give -0.04 to 0.04 for one and the same build.
        """
        seen: dict[str, list[tuple[int, float]]] = {}
        for number, answer in enumerate(self.answers[-last:]):
            seen.setdefault(answer.photo.name, []).append((number, answer.rss_mib))
        return median(
            (later - earlier) / (n - m)
            for series in seen.values()
            for (m, earlier), (n, later) in itertools.combinations(series, 2)
        )

    def least_squares(self, last: int) -> float:
        """The same by least squares over all answers."""
        values = [answer.rss_mib for answer in self.answers[-last:]]
        middle_x, middle_y = (len(values) - 1) / 2, sum(values) / len(values)
        above = sum((x - middle_x) * (y - middle_y) for x, y in enumerate(values))
        return above / sum((x - middle_x) ** 2 for x in range(len(values)))


def send_all(container: Container, photos: Sequence[Photo], requests: int, clients: int) -> Outcome:
    """Send ``requests`` photos, over and over in their order, from so many clients at once.

    A client that gets a 503 waits as long as ``Retry-After`` says and asks again. All give up
    once a few photos have got no answer.
    """
    outcome = Outcome()
    lock = threading.Lock()
    waiting = iter(range(requests))

    def client() -> None:
        while True:
            with lock:
                number = next(waiting, None)
            if number is None or len(outcome.failures) >= TOO_MANY_FAILURES:
                return
            photo = photos[number % len(photos)]
            try:
                answer = _send(container, photo, outcome, lock)
            except Exception as error:  # a client that dies must not go unnoticed
                with lock:
                    outcome.failures.append(f"{photo.name}: {error!r}")
                continue
            with lock:
                outcome.answers.append(answer)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def _send(
    container: Container, photo: Photo, outcome: Outcome, lock: threading.Lock, tries: int = 10
) -> Answer:
    headers = {"Content-Type": photo.type}
    for _ in range(tries):
        started = time.monotonic()
        reply = container.request("POST", "/v1/plates", photo.data, headers)
        with lock:
            outcome.replies[reply.status] += 1
        if reply.status == 503:
            time.sleep(float(reply.headers["retry-after"]))
            continue
        if reply.status != 200:
            raise AssertionError(f"{reply.status}: {reply.body[:300]!r}")
        return Answer(
            photo,
            reply.status,
            time.monotonic() - started,
            sorted(plate["text"] for plate in reply.json["plates"]),
            reply.json["memory_mib"]["rss"],
        )
    raise AssertionError(f"still 503 after {tries} tries")


@dataclass(frozen=True)
class Result:
    outcome: Outcome
    watch: MemoryWatch
    peak_mib: float
    oom_killed: bool


def under_load(
    container: Container,
    photos: Sequence[Photo],
    figures: Figures,
    *,
    peak_limit_mib: float | None = None,
) -> Result:
    """Send the 300 requests from four clients to a container that is ready, and note figures."""
    watch = MemoryWatch(container.cgroup())
    started = time.monotonic()
    with watch.during():
        outcome = send_all(container, photos, REQUESTS, CLIENTS)
    took = time.monotonic() - started
    memory = container.request("GET", "/health").json["memory_mib"]
    peak = watch.peak
    waits = sorted(answer.seconds for answer in outcome.answers) or [0.0]
    figures.add("different photos", len(photos))
    figures.add("requests answered", len(outcome.answers), "", REQUESTS)
    figures.add("photos a second", len(outcome.answers) / took, "1/s")
    figures.add("median answer, queueing included", waits[len(waits) // 2], "s")
    figures.add("replies that were 503", 100 * outcome.busy_share, "%", 100 * BUSY_SHARE)
    figures.add("memory peak, page cache included", peak, "MiB", peak_limit_mib)
    figures.add("memory peak, processes alone", watch.process_peak, "MiB")
    figures.add("page cache, most", watch.cache_peak, "MiB")
    figures.add("resident memory of the service, peak", memory["peak"], "MiB")
    figures.add("resident memory of the service, after", memory["rss"], "MiB")
    return Result(outcome, watch, peak, bool(container.described["State"].get("OOMKilled")))
