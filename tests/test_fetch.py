"""Images by URL: what is asked for, where it may go, and ``data:`` URLs; on a real server."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest

from anpr.errors import (
    MalformedRequest,
    SourceFailed,
    SourceTooLarge,
    UrlNotAllowed,
)
from anpr.fetch import Fetcher, FetchPolicy, read_data_url, resolve
from anpr.fetch.line import Clock, Line
from anpr.netguard import Target
from tests.loopback import ADDRESS, PHOTO, fetcher, response, serve

# --- what is asked for, and how ----------------------------------------------------------------


def test_a_photo_is_fetched() -> None:
    with serve(response(PHOTO)) as server:
        assert fetcher(server).fetch(server.url("/a%20b/ü?c=d#e")) == PHOTO
    head = server.heads[0].splitlines()
    assert head[0] == "GET /a%20b/%C3%BC?c=d HTTP/1.1"
    assert f"Host: photos.example:{server.port}" in head
    assert {"Accept-Encoding: identity", "Connection: close"} <= set(head)
    assert not any(line.startswith(("Cookie", "Authorization")) for line in head)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
    ],
)
def test_a_body_may_come_in_chunks_or_until_the_end(answer: bytes) -> None:
    with serve(answer) as server:
        assert fetcher(server).fetch(server.url()) == b"abcde"


def test_a_body_of_exactly_the_limit_is_fetched() -> None:
    with serve(response(PHOTO)) as server:
        assert fetcher(server, max_bytes=len(PHOTO)).fetch(server.url()) == PHOTO


def test_nothing_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with serve(response(b"proxy")) as proxy, serve(response(b"photo"), tls=True) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{ADDRESS}:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://{ADDRESS}:{proxy.port}")
        assert fetcher(server).fetch(server.url(scheme="https")) == b"photo"
    assert proxy.visits == 0
    assert "Authorization" not in server.heads[0]


def test_cookies_do_not_follow_a_redirect() -> None:
    to_photo = response(b"", "Location: /photo", "Set-Cookie: a=b; Path=/", status="302 Found")
    with serve(to_photo, response(PHOTO)) as server:
        assert fetcher(server).fetch(server.url()) == PHOTO
    assert "Cookie" not in server.heads[1]


def test_the_next_address_is_tried() -> None:
    with serve(response(PHOTO)) as server:
        several = fetcher(
            server,
            answers=lambda _host, _port: ["127.0.0.3", "127.0.0.3", ADDRESS],
            permitted=lambda _address: True,
        )
        assert several.fetch(server.url()) == PHOTO


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 on this machine")
def test_an_ipv6_address_is_connected_to() -> None:
    with serve(response(PHOTO), address="::1") as server:
        six = fetcher(server, permitted=lambda address: address == "::1")
        assert six.fetch(f"http://[::1]:{server.port}/") == PHOTO
    assert f"Host: [::1]:{server.port}" in server.heads[0]


# --- TLS ---------------------------------------------------------------------------------------


def test_tls_keeps_the_name() -> None:
    with serve(response(PHOTO), tls=True) as server:
        assert fetcher(server).fetch(server.url(scheme="https")) == PHOTO
    assert server.names == ["photos.example"]
    assert f"Host: photos.example:{server.port}" in server.heads[0]


@pytest.mark.parametrize("host", ["other.example", ADDRESS])
def test_a_certificate_for_another_name_is_refused(host: str) -> None:
    with serve(response(PHOTO), tls=True) as server, pytest.raises(SourceFailed) as failure:
        fetcher(server).fetch(f"https://{host}:{server.port}/")
    assert "certificate" in str(failure.value.__cause__)
    assert server.heads == []


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    with serve(response(PHOTO), tls=True) as server, pytest.raises(SourceFailed):
        fetcher(server, trusted=False).fetch(server.url(scheme="https"))
    assert server.heads == []


# --- where it may go ---------------------------------------------------------------------------

FORBIDDEN_ANSWERS = [
    ["127.0.0.1"],
    ["169.254.169.254"],
    ["10.0.0.1"],
    ["100.100.100.200"],
    ["168.63.129.16"],
    ["192.0.0.192"],
    ["0.0.0.0"],
    ["255.255.255.255"],
    ["224.0.0.1"],
    ["::1"],
    ["::"],
    ["::7f00:1"],
    ["::ffff:169.254.169.254"],
    ["64:ff9b::a9fe:a9fe"],
    ["2002:7f00:1::"],
    ["fd00:ec2::254"],
    ["fe80::1%lo"],
    ["fec0::1"],
    ["8.8.8.8", "127.0.0.1"],  # one is enough
    ["2606:4700::1111", "8.8.8.8", "fd00::1"],
    ["not an address"],
    [""],
    [],
]


@pytest.fixture
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_sock: socket.socket, address: object) -> None:
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.mark.usefixtures("_no_connections")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answers", FORBIDDEN_ANSWERS, ids=",".join)
def test_a_name_with_a_forbidden_answer_is_refused(answers: list[str], scheme: str) -> None:
    guarded = Fetcher(FetchPolicy(), resolve=lambda _host, _port: answers)
    with pytest.raises(UrlNotAllowed) as refusal:
        guarded.fetch(f"{scheme}://photos.example/")
    assert str(refusal.value) == UrlNotAllowed.sentence


@pytest.mark.usefixtures("_no_connections")
@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")]
)
def test_a_name_that_does_not_resolve_is_refused_with_the_same_sentence(error: Exception) -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise error

    with pytest.raises(UrlNotAllowed) as refusal:
        Fetcher(FetchPolicy(), resolve=resolve).fetch("http://photos.example/")
    assert str(refusal.value) == UrlNotAllowed.sentence
    assert refusal.value.__cause__ is error


@pytest.mark.usefixtures("_no_connections")
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9001/",
        "http://2130706433/",
        "http://localhost/",
        "http://metadata.google.internal/",
        "ftp://photos.example/",
        "http://user@photos.example/",
        "http://photos.example:8080/",
        "http://*.example/",
    ],
)
def test_a_forbidden_url_is_refused_before_its_name_is_looked_up(url: str) -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["8.8.8.8"]

    with pytest.raises(UrlNotAllowed):
        Fetcher(FetchPolicy(ports=(80, 443, 9001)), resolve=resolve).fetch(url)
    assert asked == []


def test_the_system_resolver_answers_in_literals() -> None:
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]  # needs no DNS


def test_the_connection_goes_to_no_other_host_than_the_judged_one() -> None:
    target = Target("http://photos.example/", "http", "photos.example", 80, False)
    line = Line(target, Clock(1), lambda _target, _clock: [ADDRESS])
    for host, port in (("other.example", 80), ("photos.example", 81)):
        with pytest.raises(UrlNotAllowed):
            line.connect(host, port)


def test_a_url_that_requests_reads_otherwise_is_refused() -> None:
    odd = Target("http://*.example/", "http", "*.example", 80, False)
    with pytest.raises(UrlNotAllowed):
        Fetcher(FetchPolicy())._get(odd, Clock(1), {}, lambda response, line: b"")


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        "http://127.0.0.1/",
        "//127.0.0.1/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1%25lo]/",
        "https://10.0.0.1/",
        "http://photos.example:22/",
        "http://user:secret@photos.example/",
        "http://photos.example\\@127.0.0.1/",
        "ftp://photos.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:9001/_GET",
        "data:image/png;base64,AAAA",
        "http://elsewhere.example/",  # not on the list
        "http://[::1",
        "/a b",
        "/" + "a" * 2048,
    ],
)
def test_a_redirect_to_a_forbidden_url_is_refused(location: str) -> None:
    found = response(b"", f"Location: {location}", status="302 Found")
    with serve(found) as server, pytest.raises(UrlNotAllowed) as refusal:
        fetcher(server, hosts=("photos.example", "127.0.0.1", "10.0.0.1")).fetch(server.url())
    assert str(refusal.value) == UrlNotAllowed.sentence
    assert server.visits == 1


def test_a_redirect_from_https_to_http_is_refused() -> None:
    found = response(b"", "Location: http://photos.example/", status="301 Moved Permanently")
    with serve(found, tls=True) as server, pytest.raises(UrlNotAllowed):
        fetcher(server).fetch(server.url(scheme="https"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_redirects_are_followed(status: int) -> None:
    hop = response(b"", "Location: ../ü?next", status=f"{status} Elsewhere")
    with serve(hop, hop, hop, response(PHOTO)) as server:
        assert fetcher(server).fetch(server.url()) == PHOTO
    assert server.heads[3].startswith("GET /%C3%BC?next HTTP/1.1")


def test_a_redirect_loop_ends() -> None:
    hop = response(b"", "Location: /again", status="302 Found")
    with serve(hop) as server, pytest.raises(SourceFailed):
        fetcher(server).fetch(server.url())
    assert server.visits == 4


def test_a_name_is_resolved_once_and_that_answer_connected_to() -> None:
    """A resolver that rebinds: public when asked first, 127.0.0.1 from then on."""
    rebinding = [ADDRESS]

    def resolve(_host: str, _port: int) -> list[str]:
        return [rebinding.pop()] if rebinding else ["127.0.0.1"]

    with (
        serve(response(PHOTO)) as server,
        serve(response(b"secret"), address="127.0.0.1", port=server.port) as inside,
    ):
        rebound = fetcher(server, answers=resolve)
        assert rebound.fetch(server.url()) == PHOTO
        with pytest.raises(UrlNotAllowed):
            rebound.fetch(server.url())
    assert inside.visits == 0


def test_a_name_that_rebinds_between_redirects_is_refused() -> None:
    rebinding = [ADDRESS]

    def resolve(_host: str, _port: int) -> list[str]:
        return [rebinding.pop()] if rebinding else ["127.0.0.1"]

    with (
        serve(response(b"", "Location: /photo", status="302 Found")) as server,
        serve(response(b"secret"), address="127.0.0.1", port=server.port) as inside,
        pytest.raises(UrlNotAllowed),
    ):
        fetcher(server, answers=resolve).fetch(server.url())
    assert inside.visits == 0


# --- data: URLs --------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_connections")
@pytest.mark.parametrize(
    ("url", "data"),
    [
        ("data:image/png;base64," + base64.b64encode(PHOTO).decode(), PHOTO),
        ("DATA:;BASE64,cGhvdG8=", b"photo"),
        ("data:;base64,cGhvdG8", b"photo"),
        ("data:;base64,cGhv\r\n dG8=#fragment", b"photo"),
        ("data:image/png;name=a;base64,cGhvdG8%3D", b"photo"),
        ("data:;base64 ,%63GhvdG8=", b"photo"),
        ("data:,pho%74o%00%fF", b"photo\x00\xff"),
        ("data:image/jpeg," + "".join(f"%{byte:02x}" for byte in PHOTO), PHOTO),
        ("data:," + "a" + "%41" * 65536, b"a" + b"A" * 65536),
        ("data:,", b""),
        ("data:;base64,", b""),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_a_data_url_is_read_without_the_net(url: str, data: bytes) -> None:
    assert Fetcher(FetchPolicy()).fetch(url) == data


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:image/png;base64",
        "data:;base64,cGhvdG8*",
        "data:;base64,cGhvd",
        "data:;base64,c=GhvdG8",
        "data:;base64,cGhv_G8-",
        "data:,%",
        "data:,%4",
        "data:,%zz",
        "data:,ü",
    ],
)
def test_a_broken_data_url_is_a_malformed_request(url: str) -> None:
    with pytest.raises(MalformedRequest):
        read_data_url(url, 1000)


@pytest.mark.parametrize(
    "url",
    [
        "data:," + "a" * 1001,
        "data:," + "%61" * 1001,
        "data:;base64," + base64.b64encode(bytes(1001)).decode(),
        "data:;base64," + "*" * 100_000,
    ],
    ids=["plain", "percent", "base64", "far too long"],
)
def test_a_data_url_of_too_many_bytes_is_refused(url: str) -> None:
    with pytest.raises(SourceTooLarge):
        read_data_url(url, 1000)


def test_a_data_url_of_exactly_the_limit_is_read() -> None:
    assert len(read_data_url("data:," + "%61" * 1000, 1000)) == 1000
    url = "data:;base64," + base64.b64encode(bytes(1000)).decode()
    assert len(read_data_url(url, 1000)) == 1000
