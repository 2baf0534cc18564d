"""The connection below requests, and its guard: where it may go, how long, how much may arrive.

Sockets, connections, pool and adapter are those of the standard library, urllib3 and requests, each
with the one step replaced where the guard has a say.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from anpr.deadline import current
from anpr.errors import (
    AnprError,
    DeadlineExceeded,
    SourceFailed,
    SourceTimeout,
    SourceTooLarge,
    UrlNotAllowed,
)
from anpr.netguard import Target

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAX_HEADER_BYTES = 64 * 1024  # eight times what common servers send at most


class Clock:
    """The time of one fetch: its own, and what the request that it belongs to has left."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self.request = current()

    def left(self) -> float:
        """Seconds, more than 0; or ``SourceTimeout``, or ``DeadlineExceeded``."""
        of_request = self.request.remaining()
        if of_request == 0.0:
            raise DeadlineExceeded
        own = self._ends - time.monotonic()
        if own <= 0:
            raise SourceTimeout
        return own if of_request is None else min(own, of_request)

    def heard(self) -> None:
        """Something arrived."""

    def over(self) -> AnprError | None:
        """What ``left`` would raise, to be raised from a cause of one's own."""
        try:
            self.left()
        except (DeadlineExceeded, SourceTimeout) as error:
            return error
        return None


class PatientClock(Clock):
    """For what takes long: it may, as long as something arrives every ``silence_s``."""

    def __init__(self, seconds: float, silence_s: float) -> None:
        super().__init__(seconds)
        self._silence_s = silence_s
        self.heard()

    def left(self) -> float:
        of_silence = self._heard_at + self._silence_s - time.monotonic()
        if of_silence <= 0:
            raise SourceTimeout
        return min(super().left(), of_silence)

    def heard(self) -> None:
        self._heard_at = time.monotonic()


class Line:
    """One connection's guard: where it may go, for how long, and how much may arrive."""

    def __init__(
        self,
        target: Target,
        clock: Clock,
        addresses: Callable[[Target, Clock], Sequence[str]],
    ) -> None:
        self.clock = clock
        self._target = target
        self._addresses = addresses
        self._handles: list[socket.socket] = []
        self._received = 0
        self._allowed = _MAX_HEADER_BYTES
        self._excess: type[SourceFailed | SourceTooLarge] = SourceFailed

    def connect(self, host: str, port: int) -> socket.socket:
        if (host, port) != (self._target.host, self._target.port):
            raise UrlNotAllowed from ValueError("another host than the one that was judged")
        addresses = self._addresses(self._target, self.clock)
        failure: OSError | None = None
        for position, address in enumerate(addresses):
            try:
                return self._dial(address, len(addresses) - position)
            except OSError as error:
                failure = error
        late = isinstance(failure, TimeoutError)
        raise self.clock.over() or (SourceTimeout() if late else SourceFailed()) from failure

    def _dial(self, address: str, shares: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = _PlainSocket(family, socket.SOCK_STREAM)
        try:
            sock.line = self
            self._handles.append(sock.dup())
            sock.settimeout(self.clock.left() / shares)
            sock.connect((address, self._target.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(self.clock.left())  # for the whole of a TLS handshake
        except BaseException:
            sock.close()
            raise
        return sock

    def expect_body(self, limit: int) -> None:
        """From here on twice the limit may arrive: chunks have their own headers."""
        self._allowed = self._received + 2 * limit + _MAX_HEADER_BYTES
        self._excess = SourceTooLarge

    def time_to_receive(self) -> float:
        if self._received >= self._allowed:
            raise self._excess from ValueError("more arrived than is read")
        return self.clock.left()

    def count(self, received: int) -> None:
        self._received += received
        self.clock.heard()

    def stop(self) -> None:
        """Called from another thread, when the request's deadline ends: wakes a blocked read.

        Through handles of its own, since TLS takes the first socket's descriptor away; they stay
        open until the end, so that no descriptor is shut down that has a new owner.
        """
        for handle in self._handles:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for handle in self._handles:
            handle.close()


class _GuardedSocket(socket.socket):
    """Every read and write gets the time that is left, and what is read is counted."""

    line: Line

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        while True:
            self.settimeout(self.line.time_to_receive())
            with suppress(TimeoutError):  # the clock says so itself, in the next round
                received = super().recv_into(buffer, nbytes or 0, flags)
                self.line.count(received)
                return received

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(self.line.clock.left())
        super().sendall(data, flags)


class _PlainSocket(_GuardedSocket):
    pass


class _TlsSocket(_GuardedSocket, ssl.SSLSocket):
    pass


class _Connection(HTTPConnection):
    def __init__(self, *args: Any, line: Line, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line = line

    def _new_conn(self) -> socket.socket:
        return self._line.connect(self.host, self.port)


class _TlsConnection(HTTPSConnection):
    def __init__(self, *args: Any, line: Line, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line = line

    def _new_conn(self) -> socket.socket:
        return self._line.connect(self.host, self.port)

    def connect(self) -> None:
        super().connect()
        cast("_TlsSocket", self.sock).line = self._line


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def open_pool(
    target: Target, line: Line, tls_context: Callable[[], ssl.SSLContext]
) -> HTTPConnectionPool:
    """A pool whose one connection is guarded by ``line``; close it."""
    if target.scheme == "https":
        return _TlsPool(target.host, target.port, ssl_context=tls_context(), line=line)
    return _Pool(target.host, target.port, line=line)


def make_tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Verifies certificate and name (Python's defaults); its sockets are guarded."""
    context = ssl.create_default_context(cafile=ca_bundle)
    context.sslsocket_class = _TlsSocket
    return context


class Adapter(HTTPAdapter):
    """Sends over the one pool that was made for the target, whatever the request says."""

    def __init__(self, pool: HTTPConnectionPool) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._pool = pool

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> HTTPConnectionPool:
        return self._pool

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Without the cookies and the encoding: nothing is parsed that is not needed."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        return response

    def cert_verify(self, *args: Any, **options: Any) -> None:
        """Leave the pool alone: its TLS context verifies already, with its own certificates."""


def root_cause(error: BaseException) -> BaseException:
    """What is below the wrappers of requests and urllib3: their messages hold the URL."""
    wrappers = (requests.RequestException, HTTPError)
    while isinstance(error, wrappers) and (inner := error.__cause__ or error.__context__):
        error = inner
    return error
