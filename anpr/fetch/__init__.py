"""An image from a URL, safely: on ``requests``, with a connection of its own below it.

The address is judged where it is connected to, inside the connection: a name is resolved once,
refused if any answer is forbidden, and the connection goes to that literal address, while the Host
header, SNI and the certificate keep the name. So a name that resolves differently a moment later
(DNS rebinding) changes nothing, and every redirect is judged as if it had been asked for.

One clock covers everything: look-up, connecting, TLS, headers, body and redirects. The socket is
re-armed with what is left of it before every read, so that a source which drips a byte a second
ends on time as well. What arrives is counted in the socket too, before anybody parses it.

``requests.Session`` is not used: proxies, netrc, cookies and CA bundles from the environment are
its doing, and so is following redirects.
"""

from __future__ import annotations

import io
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from typing import TypeVar
from urllib.parse import urljoin

import certifi
import requests
from urllib3.exceptions import HTTPError

from anpr.errors import SourceFailed, SourceTimeout, SourceTooLarge, UrlNotAllowed
from anpr.fetch.data import is_data_url, read_data_url
from anpr.fetch.line import Adapter, Clock, Line, make_tls_context, open_pool, root_cause
from anpr.netguard import Target, address_permitted, judge

__all__ = ["FetchPolicy", "Fetcher", "Resolve", "is_data_url", "read_data_url", "resolve"]

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, as literals; raises ``OSError`` where there are none."""

Body = TypeVar("Body")
Read = Callable[[requests.Response, Line], Body]
"""Makes something of a response that is no redirect."""

_CHUNK_BYTES = 64 * 1024
_MAX_ADDRESSES = 4  # of a host that are tried; they share the time
_MAX_LOOKUPS = 16  # under way at once: a look-up that hangs cannot be ended, only abandoned
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "User-Agent": "anpr (image fetch)",
    "Accept": "image/*, */*;q=0.5",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What may be fetched, and how much of it."""

    https_only: bool = False
    timeout_s: float = 5.0
    max_bytes: int = 10_000_000
    max_redirects: int = 3
    ports: tuple[int, ...] = (80, 443)
    hosts: tuple[str, ...] = ()


def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver answers, in its order of preference."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in answers]


class Fetcher:
    """Fetches images; may be used from several threads at once.

    ``resolve``, ``permitted`` and ``ca_bundle`` (a file of trusted certificates, instead of
    certifi's) are for tests, which have only loopback: no setting reaches them.
    """

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        resolve: Resolve = resolve,
        permitted: Callable[[str], bool] = address_permitted,
        ca_bundle: str | None = None,
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._permitted = permitted
        self._ca_bundle = ca_bundle
        self._lookups: list[threading.Thread] = []
        # It warns of malformed headers with the whole URL, and that is personal data.
        logging.getLogger("urllib3").setLevel(logging.ERROR)

    def fetch(self, url: str) -> bytes:
        """The bytes behind ``url``, which is http, https or data; whether they are an image is
        for others to judge.

        Raises ``UrlNotAllowed``, ``SourceTooLarge``, ``SourceFailed`` or ``SourceTimeout``,
        ``DeadlineExceeded`` when the deadline of the request ends it, and ``MalformedRequest``
        for a broken ``data:`` URL.
        """
        if is_data_url(url):
            return read_data_url(url, self._policy.max_bytes)
        return self._walk(url, Clock(self._policy.timeout_s), _HEADERS, self._read)

    def _walk(self, url: str, clock: Clock, headers: Mapping[str, str], read: Read[Body]) -> Body:
        """What ``read`` makes of the response at the end of all redirects."""
        target = self._judge(url)
        for _ in range(self._policy.max_redirects + 1):
            answer = self._get(target, clock, headers, read)
            if not isinstance(answer, _Redirect):
                return answer
            target = self._follow(target, answer.location)
        raise SourceFailed from ValueError("too many redirects")

    def _judge(self, url: str) -> Target:
        return judge(
            url,
            https_only=self._policy.https_only,
            ports=self._policy.ports,
            hosts=self._policy.hosts,
            permitted=self._permitted,
        )

    def _follow(self, origin: Target, location: str) -> Target:
        try:
            url = urljoin(origin.url, location)
        except ValueError as reason:
            raise UrlNotAllowed from reason
        target = self._judge(url)
        if (origin.scheme, target.scheme) == ("https", "http"):
            raise UrlNotAllowed from ValueError("a redirect from https to http")
        return target

    def _get(
        self, target: Target, clock: Clock, headers: Mapping[str, str], read: Read[Body]
    ) -> Body | _Redirect:
        """One request, on a connection of its own."""
        try:
            request = requests.Request("GET", target.url, headers=dict(headers)).prepare()
        except requests.RequestException:
            raise UrlNotAllowed from ValueError("requests cannot read the URL")
        line = Line(target, clock, self._addresses)
        pool = open_pool(target, line, lambda: self._tls_context)
        adapter = Adapter(pool)
        try:
            with (
                clock.request.interruptible(line.stop),
                closing(adapter.send(request, stream=True, timeout=clock.left())) as response,
            ):
                return _redirect(response) or read(response, line)
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            late = isinstance(error, requests.Timeout)
            failure = SourceTimeout() if late else SourceFailed()
            raise clock.over() or failure from root_cause(error)
        finally:
            pool.close()
            adapter.close()
            line.close()

    def _read(self, response: requests.Response, line: Line) -> bytes:
        if response.status_code != 200:
            raise SourceFailed from ValueError(f"status {response.status_code}")
        body = io.BytesIO()
        for chunk in self._chunks(response, line, self._policy.max_bytes):
            body.write(chunk)
        return body.getvalue()

    def _chunks(self, response: requests.Response, line: Line, limit: int) -> Iterator[bytes]:
        """The body in pieces, counted against ``limit`` and its Content-Length."""
        headers = response.headers
        if headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
            raise SourceFailed from ValueError("the body is encoded, though this was not asked for")
        chunked = "Transfer-Encoding" in headers  # then its length does not count (RFC 9112, 6.3)
        if chunked and headers["Transfer-Encoding"].strip().lower() != "chunked":
            raise SourceFailed from ValueError("an unknown transfer encoding")
        length = headers.get("Content-Length")
        if length is not None and not re.fullmatch(r"[0-9]{1,1000}", length):
            raise SourceFailed from ValueError("the length is malformed")
        if length is not None and int(length) > limit:
            raise SourceTooLarge from ValueError("by its Content-Length")
        line.expect_body(limit)
        received = 0
        while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
            received += len(chunk)
            if received > limit:
                raise SourceTooLarge from ValueError("by what arrived")
            yield chunk
        line.clock.left()  # a cancelled connection looks as if it had been closed at the other end
        if length is not None and not chunked and received != int(length):
            raise SourceFailed from ValueError("shorter than its Content-Length")

    def _addresses(self, target: Target, clock: Clock) -> Sequence[str]:
        """Where ``target`` may be reached: every answer is permitted, or none is used."""
        answers = [target.host] if target.literal else self._look_up(target, clock)
        if not answers or not all(map(self._permitted, answers)):
            raise UrlNotAllowed from ValueError(
                "the name has no address, or one that is not public"
            )
        return list(dict.fromkeys(answers))[:_MAX_ADDRESSES]

    def _look_up(self, target: Target, clock: Clock) -> Sequence[str]:
        """Resolve in a thread, because ``getaddrinfo`` knows no time-out."""
        outcome: list[Sequence[str] | Exception] = []
        done = threading.Event()

        def work() -> None:
            try:
                outcome.append(self._resolve(target.host, target.port))
            except Exception as error:
                outcome.append(error)
            done.set()

        self._lookups = [thread for thread in self._lookups if thread.is_alive()]
        if len(self._lookups) >= _MAX_LOOKUPS:
            raise SourceTimeout from ValueError("too many look-ups hang")
        thread = threading.Thread(target=work, name="anpr-look-up", daemon=True)
        thread.start()
        self._lookups.append(thread)
        with clock.request.interruptible(done.set):
            while not outcome:
                done.wait(clock.left())
        if isinstance(outcome[0], Exception):
            raise UrlNotAllowed from outcome[0]
        return outcome[0]

    @cached_property
    def _tls_context(self) -> ssl.SSLContext:
        """Made once, and only where it is needed: reading the certificates takes a while."""
        return make_tls_context(self._ca_bundle or certifi.where())


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str


def _redirect(response: requests.Response) -> _Redirect | None:
    if response.status_code not in _REDIRECTS or "Location" not in response.headers:
        return None
    # http.client reads headers as Latin-1; what is sent raw is UTF-8.
    location = response.headers["Location"].encode("latin-1")
    return _Redirect(location.decode("utf-8", errors="replace"))
