"""Models from a server on loopback: resumed, hashed, and held to what was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from anpr.errors import (
    InvalidOption,
    ModelMismatch,
    ModelUnsafe,
    ModelUnusable,
    SourceFailed,
    SourceTimeout,
    SourceTooLarge,
    StoreBusy,
    UrlNotAllowed,
)
from anpr.fetch.download import Downloader
from anpr.models import disk
from anpr.models.intake import Intake
from anpr.models.pull import Pulled, Puller, endpoint
from anpr.models.store import Store
from tests.loopback import ADDRESS, Server, Visit, response, serve
from tests.models import samples

ETAG = 'ETag: "one"'


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return samples.detector(tmp_path / "served.onnx").read_bytes()


@pytest.fixture
def puller(intake: Intake) -> Puller:
    downloader = Downloader(
        max_bytes=intake.max_bytes,
        timeout_s=10,
        private=True,
        silence_s=1.0,
        resolve=lambda _host, _port: [ADDRESS],
    )
    return Puller(intake, downloader)


def pull(puller: Puller, server: Server, path: str = "/mine.onnx", **options: object) -> Pulled:
    return puller.pull(server.url(path), "mine", **options)  # type: ignore[arg-type]


def parts(store: Store) -> list[Path]:
    folder = store.folder / "partial"
    return sorted(folder.iterdir()) if folder.exists() else []


def half(content: bytes, *headers: str) -> Callable[[Visit], None]:
    """An answer that breaks off."""

    def answer(visit: Visit) -> None:
        visit.head()
        whole = response(content, *headers)
        visit.send(whole[: len(whole) - len(content) // 2])

    return answer


def rest(content: bytes, have: int) -> bytes:
    told = f"Content-Range: bytes {have}-{len(content) - 1}/{len(content)}"
    return response(content[have:], told, ETAG, status="206 Partial Content")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://example.org/a.onnx", "https://example.org/a.onnx"),
        ("hf://owner/repo/a.onnx", "https://huggingface.co/owner/repo/resolve/main/a.onnx"),
        (
            "hf://o.w/r-e/some/where/a b.pt@v1/x",
            "https://huggingface.co/o.w/r-e/resolve/v1%2Fx/some/where/a%20b.pt",
        ),
        ("gs://bucket/a/b.onnx", "https://storage.googleapis.com/bucket/a/b.onnx"),
        ("s3://bucket/a b.onnx", "https://bucket.s3.amazonaws.com/a%20b.onnx"),
        ("s3://my.bucket/k", "https://s3.amazonaws.com/my.bucket/k"),
    ],
)
def test_what_stands_behind_an_address(address: str, url: str) -> None:
    assert endpoint(address) == url


@pytest.mark.parametrize(
    "address", ["ftp://a/b", "hf://repo/a", "gs://bucket", "s3://", "a.onnx", "file:///etc/passwd"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InvalidOption, match="address"):
        endpoint(address)


def test_a_model_comes_in_and_its_hash_is_recorded(puller: Puller, content: bytes) -> None:
    seen: list[tuple[int, int | None]] = []
    with serve(response(content, ETAG)) as server:
        pulled = pull(puller, server, progress=lambda done, total: seen.append((done, total)))
        address = server.url("/mine.onnx")
    assert pulled.first_use
    assert pulled.entry.sha256 == hashlib.sha256(content).hexdigest()
    assert (pulled.entry.source, pulled.fetched_bytes) == (address, len(content))
    assert (seen[0], seen[-1]) == ((0, len(content)), (len(content), len(content)))
    assert parts(puller.intake.store) == []


def test_what_is_there_is_not_fetched_again(puller: Puller, content: bytes) -> None:
    with serve(response(content)) as server:
        first = pull(puller, server)
        again = pull(puller, server)
        assert server.visits == 1
    assert (again.entry, again.first_use, again.fetched_bytes) == (first.entry, False, 0)


def test_what_is_damaged_is_fetched_again(puller: Puller, content: bytes) -> None:
    with serve(response(content)) as server:
        first = pull(puller, server)
        first.entry.path.write_bytes(b"damaged")
        again = pull(puller, server)
    assert not again.first_use
    assert again.entry.file.read() == content


def test_what_changed_at_its_address_is_refused(
    puller: Puller, content: bytes, tmp_path: Path
) -> None:
    other = samples.detector(tmp_path / "other.onnx", seed=2).read_bytes()
    with serve(response(content), response(other)) as server:
        first = pull(puller, server)
        first.entry.path.unlink()
        with pytest.raises(ModelMismatch, match="another SHA-256"):
            pull(puller, server)
        assert parts(puller.intake.store) == []
        assert pull(puller, server, replace_old=True).entry.path.read_bytes() == other


def test_a_hash_that_was_given_is_what_it_must_have(puller: Puller, content: bytes) -> None:
    with serve(response(content)) as server:
        with pytest.raises(ModelMismatch):
            pull(puller, server, sha256="0" * 64)
        assert puller.intake.store.entries() == {}
        pulled = pull(puller, server, sha256=hashlib.sha256(content).hexdigest())
        assert not pulled.first_use
        with pytest.raises(InvalidOption, match="another model"):
            pull(puller, server, sha256="0" * 64)
        with pytest.raises(InvalidOption, match="another model"):
            pull(puller, server, "/elsewhere.onnx")


def test_a_download_that_breaks_off_goes_on_at_once(puller: Puller, content: bytes) -> None:
    have = len(content) - len(content) // 2
    with serve(half(content, ETAG), rest(content, have)) as server:
        pulled = pull(puller, server)
    assert pulled.entry.file.read() == content
    assert f"Range: bytes={have}-" in server.heads[0]


def test_a_download_that_failed_goes_on_with_the_next_try(puller: Puller, content: bytes) -> None:
    have = len(content) - len(content) // 2
    down = response(b"", status="503 Down")
    with serve(half(content, ETAG), down, rest(content, have)) as server:
        with pytest.raises(SourceFailed, match=r"status 503\. What arrived is kept"):
            pull(puller, server)
        assert len(parts(puller.intake.store)) == 2
        pulled = pull(puller, server)
    assert pulled.entry.file.read() == content
    assert pulled.fetched_bytes == len(content) - have
    assert parts(puller.intake.store) == []


def test_a_file_that_changed_meanwhile_begins_again(puller: Puller, content: bytes) -> None:
    with serve(half(b"x" * 1000, ETAG), response(content, 'ETag: "two"')) as server:
        assert pull(puller, server).entry.file.read() == content
    assert "Range: bytes=500-" in server.heads[0]


def test_without_a_validator_it_begins_again(puller: Puller, content: bytes) -> None:
    with serve(half(content), response(content)) as server:
        with pytest.raises(SourceFailed):
            pull(puller, server)
        assert pull(puller, server).entry.file.read() == content
    assert "Range" not in server.heads[-1]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": "https://other", "validator": "x"}'])
def test_a_part_with_a_broken_note_begins_again(puller: Puller, content: bytes, note: str) -> None:
    with serve(half(content, ETAG), response(b"", status="503 X"), response(content)) as server:
        with pytest.raises(SourceFailed):
            pull(puller, server)
        told = next(path for path in parts(puller.intake.store) if path.suffix == ".json")
        told.write_text(note)
        assert pull(puller, server).entry.file.read() == content
    assert "Range" not in server.heads[-1]


def test_a_server_that_says_nothing(puller: Puller) -> None:
    def silent(visit: Visit) -> None:
        visit.head()
        visit.wait()

    with serve(silent) as server, pytest.raises(SourceTimeout, match="took too long"):
        pull(puller, server)


def test_what_is_too_large_is_not_kept(intake: Intake, content: bytes) -> None:
    downloader = Downloader(
        max_bytes=100, timeout_s=5, private=True, resolve=lambda _host, _port: [ADDRESS]
    )
    with serve(response(content)) as server, pytest.raises(SourceTooLarge, match="than a model"):
        pull(Puller(intake, downloader), server)
    assert parts(intake.store) == []


def test_private_hosts_need_a_word(intake: Intake) -> None:
    puller = Puller(intake, Downloader(max_bytes=100, timeout_s=5))
    with pytest.raises(UrlNotAllowed, match="--allow-private"):
        puller.pull("https://127.0.0.1/a.onnx", "mine")


@pytest.mark.parametrize("make", ["text", "evil"])
def test_what_is_no_model_is_not_kept(puller: Puller, tmp_path: Path, make: str) -> None:
    marker = tmp_path / "it-has-run"
    evil = samples.checkpoint(tmp_path / "evil.pt", samples.running_code(marker)).read_bytes()
    content, error = (b"text", ModelUnusable) if make == "text" else (evil, ModelUnsafe)
    with serve(response(content)) as server, pytest.raises(error):
        pull(puller, server, sha256=hashlib.sha256(content).hexdigest())
    assert not marker.exists()
    assert parts(puller.intake.store) == []
    assert puller.intake.store.entries() == {}


def test_a_checkpoint_needs_a_hash_or_trust(puller: Puller, tmp_path: Path) -> None:
    content = samples.checkpoint(tmp_path / "last.pt").read_bytes()
    with (
        serve(response(content)) as server,
        pytest.raises(ModelUnsafe, match=r"'last\.pt'.*--trust"),
    ):
        pull(puller, server, "/last.pt?download=1")
    assert len(parts(puller.intake.store)) == 2  # with the word it need not come again


def test_what_arrived_is_kept_while_the_store_is_busy(puller: Puller, content: bytes) -> None:
    store = puller.intake.store
    object.__setattr__(store, "lock_timeout_s", 0.05)
    store.folder.mkdir(parents=True)
    refused = response(b"", f"Content-Range: bytes */{len(content)}", status="416 Too Far")
    with serve(response(content, ETAG), refused) as server:
        with disk.locked(store.folder, 1.0), pytest.raises(StoreBusy):
            pull(puller, server)
        assert len(parts(store)) == 2
        assert pull(puller, server).fetched_bytes == 0
    assert list(store.entries()) == ["mine"]
    assert parts(store) == []


def test_two_downloads_of_one_address(puller: Puller, content: bytes) -> None:
    def meanwhile(visit: Visit) -> None:
        visit.head()
        with pytest.raises(StoreBusy, match="this very file"):
            puller.pull(f"http://photos.example:{server.port}/mine.onnx", "other")
        visit.send(response(content))

    with serve(meanwhile) as server:
        pull(puller, server)
    assert list(puller.intake.store.entries()) == ["mine"]
