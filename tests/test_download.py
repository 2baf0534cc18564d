"""Large files from a real server on loopback: resumed, counted, and only from where they may be."""

from __future__ import annotations

import pytest

from anpr.errors import SourceFailed, SourceTimeout, SourceTooLarge, UrlNotAllowed
from anpr.fetch.download import Downloader
from tests.loopback import ADDRESS, CERTIFICATE, Server, Visit, permit, response, serve

CONTENT = bytes(range(256)) * 1000
ETAG = 'ETag: "one"'


class Memory:
    """A sink that remembers."""

    def __init__(self, data: bytes = b"", validator: str | None = None) -> None:
        self.data = bytearray(data)
        self.validator = validator
        self.begun: list[tuple[int, int | None, str | None]] = []

    @property
    def offset(self) -> int:
        return len(self.data)

    def begin(self, offset: int, total: int | None, validator: str | None) -> None:
        self.begun.append((offset, total, validator))
        del self.data[offset:]
        self.validator = validator

    def write(self, data: bytes) -> None:
        self.data += data


def download(
    server: Server,
    sink: Memory,
    *,
    scheme: str = "https",
    private: bool = False,
    max_bytes: int = 1_000_000,
    silence_s: float = 5.0,
    url: str | None = None,
) -> None:
    downloader = Downloader(
        max_bytes=max_bytes,
        timeout_s=10,
        private=private,
        silence_s=silence_s,
        resolve=lambda _host, _port: [ADDRESS],
        permitted=permit,
        ca_bundle=str(CERTIFICATE),
    )
    if not private:  # the test's server is on a port of its own
        downloader._policy = type(downloader._policy)(
            https_only=True, timeout_s=10, max_bytes=max_bytes, ports=(server.port,)
        )
    downloader.download(url or server.url("/model", scheme=scheme), sink)


def part(start: int, *headers: str, end: int | None = None, total: str | None = None) -> bytes:
    body = CONTENT[start:end]
    last = start + len(body) - 1
    told = f"Content-Range: bytes {start}-{last}/{total or len(CONTENT)}"
    return response(body, told, *headers, status="206 Partial Content")


def test_a_file_comes_over_tls() -> None:
    sink = Memory()
    with serve(response(CONTENT, ETAG), tls=True) as server:
        download(server, sink)
    assert bytes(sink.data) == CONTENT
    assert sink.begun == [(0, len(CONTENT), '"one"')]
    assert "Range" not in server.heads[0]


def test_the_rest_is_asked_for_if_the_file_is_still_the_same() -> None:
    sink = Memory(CONTENT[:1000], '"one"')
    with serve(part(1000, ETAG), tls=True) as server:
        download(server, sink)
    assert bytes(sink.data) == CONTENT
    assert "Range: bytes=1000-\r\n" in server.heads[0]
    assert 'If-Range: "one"\r\n' in server.heads[0]
    assert sink.begun == [(1000, len(CONTENT), '"one"')]


def test_a_file_that_changed_comes_from_its_beginning() -> None:
    sink = Memory(b"old" * 100, '"old"')
    with serve(response(CONTENT, ETAG), tls=True) as server:
        download(server, sink)
    assert bytes(sink.data) == CONTENT


def test_what_nobody_can_vouch_for_is_fetched_anew() -> None:
    sink = Memory(b"old" * 100, None)
    with serve(response(CONTENT), tls=True) as server:
        download(server, sink)
    assert "Range" not in server.heads[0]
    assert bytes(sink.data) == CONTENT


def test_a_range_that_does_not_exist_is_fetched_anew() -> None:
    sink = Memory(CONTENT + b"too much", '"one"')
    refused = response(b"", status="416 Range Not Satisfiable")
    with serve(refused, response(CONTENT, ETAG), tls=True) as server:
        download(server, sink)
    assert bytes(sink.data) == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        part(999, ETAG),
        response(CONTENT[1000:], "Content-Range: lines 3-4/5", status="206 Partial Content"),
        response(CONTENT[1000:], status="206 Partial Content"),
        response(b"", status="404 Not Found"),
        response(b"", status="500 Oops"),
    ],
)
def test_an_answer_to_another_question(answer: bytes) -> None:
    sink = Memory(CONTENT[:1000], '"one"')
    with serve(answer, tls=True) as server, pytest.raises(SourceFailed):
        download(server, sink)
    assert bytes(sink.data) == CONTENT[:1000]


def test_a_part_of_a_file_whose_length_is_not_known() -> None:
    sink = Memory(CONTENT[:1000], '"one"')
    with serve(part(1000, total="*"), tls=True) as server:
        download(server, sink)
    assert sink.begun == [(1000, None, None)]


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        (['ETag: W/"weak"'], None),
        (['ETag: "a b"'], None),
        (["Last-Modified: Sat, 21 Nov 2026 05:48:00 GMT"], "Sat, 21 Nov 2026 05:48:00 GMT"),
        (["Last-Modified: <script>"], None),
        ([ETAG, "Last-Modified: Sat, 21 Nov 2026 05:48:00 GMT"], '"one"'),
    ],
)
def test_what_can_be_asked_with_later(headers: list[str], validator: str | None) -> None:
    sink = Memory()
    with serve(response(CONTENT, *headers), tls=True) as server:
        download(server, sink)
    assert sink.validator == validator


def test_what_is_too_large_is_refused_by_its_length_and_by_what_arrives() -> None:
    sink = Memory()
    with serve(response(CONTENT), tls=True) as server, pytest.raises(SourceTooLarge):
        download(server, sink, max_bytes=len(CONTENT) - 1)
    assert sink.offset == 0
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT
    with serve(endless, tls=True) as server, pytest.raises(SourceTooLarge):
        download(server, sink, max_bytes=len(CONTENT) - 1)


def test_what_is_there_counts_against_the_limit_too() -> None:
    sink = Memory(CONTENT[:1000], '"one"')
    with serve(part(1000), tls=True) as server, pytest.raises(SourceTooLarge):
        download(server, sink, max_bytes=len(CONTENT) - 1)


def test_a_connection_that_breaks_leaves_what_arrived() -> None:
    def half(visit: Visit) -> None:
        visit.head()
        visit.send(response(CONTENT, ETAG)[: len(CONTENT) // 2])

    sink = Memory()
    with serve(half, tls=True) as server, pytest.raises(SourceFailed):
        download(server, sink)
    assert 0 < sink.offset < len(CONTENT)
    assert CONTENT.startswith(bytes(sink.data))


def test_silence_ends_it_and_slowness_does_not() -> None:
    def slow(visit: Visit) -> None:
        visit.head()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            visit.send(b"x")
            visit.wait(0.04)

    def silent(visit: Visit) -> None:
        visit.head()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nabc")
        visit.wait()

    sink = Memory()
    with serve(slow) as server:  # 0.8 s in all
        download(server, sink, scheme="http", private=True, silence_s=0.4)
    assert sink.offset == 20
    with serve(silent) as server, pytest.raises(SourceTimeout):
        download(server, Memory(), scheme="http", private=True, silence_s=0.2)


def test_only_https_and_public_hosts_unless_private_ones_are_allowed() -> None:
    with serve(response(CONTENT)) as server:
        with pytest.raises(UrlNotAllowed):
            download(server, Memory(), scheme="http")
        for host in ("127.0.0.2", "localhost", "minio.internal"):
            url = f"http://{host}:{server.port}/model"
            with pytest.raises(UrlNotAllowed):
                download(server, Memory(), url=url)
            sink = Memory()
            download(server, sink, url=url, private=True)
            assert bytes(sink.data) == CONTENT


def test_a_redirect_is_followed_where_it_may_lead() -> None:
    with serve(response(CONTENT, ETAG), tls=True) as there:
        away = response(b"", f"Location: {there.url('/other', scheme='https')}", status="302 Found")
        with serve(away, tls=True) as server:
            sink = Memory(CONTENT[:10], '"one"')
            download(server, sink, private=True)
    assert bytes(sink.data) == CONTENT
    assert "If-Range" in there.heads[0]
    with (
        serve(response(b"", "Location: http://photos.example/", status="302 Found"), tls=True) as s,
        pytest.raises(UrlNotAllowed),
    ):
        download(s, Memory(), private=True)
