"""A small real server on loopback, for what a public one might do to us.

It listens on 127.0.0.2 (all of 127/8 is loopback on Linux), so that a test can permit that address
alone and 127.0.0.1 stays as forbidden as it is in service.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from anpr.fetch import Fetcher, FetchPolicy
from anpr.netguard import address_permitted

ADDRESS = "127.0.0.2"
CERTIFICATE = Path(__file__).parent / "data" / "photos.example.pem"
PHOTO = bytes(range(256)) * 400


class Visit:
    """One connection. Writing to a client that has gone ends the answer quietly."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self._sock = sock
        self._stopping = stopping

    def head(self) -> str:
        """The request up to its empty line."""
        head = b""
        while not head.endswith(b"\r\n\r\n") and (piece := self._sock.recv(1)):
            head += piece
        return head.decode("latin-1")

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def wait(self, seconds: float = 30.0) -> None:
        """Until the time is over or the client or the server has gone."""
        self._sock.settimeout(0.02)
        for _ in range(int(seconds / 0.02)):
            with suppress(TimeoutError):
                if self._stopping.is_set() or not self._sock.recv(1):
                    raise BrokenPipeError

    def drip(self, data: bytes) -> None:
        """A byte each 20 ms, again and again."""
        while True:
            for byte in data:
                self.send(bytes([byte]))
                self.wait(0.02)


Answer = Callable[[Visit], None]


@dataclass
class Server:
    port: int
    heads: list[str] = field(default_factory=list)
    """The requests, as they came."""
    names: list[str | None] = field(default_factory=list)
    """The server names (SNI) of TLS clients."""
    visits: int = 0

    def url(self, path: str = "/plate.jpg", *, scheme: str = "http") -> str:
        return f"{scheme}://photos.example:{self.port}{path}"


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


@contextmanager
def serve(
    *answers: Answer | bytes, tls: bool = False, address: str = ADDRESS, port: int = 0
) -> Iterator[Server]:
    """Give the answers in turn, the last one to every further visit too.

    Bytes are sent once the request has been read; a function does all of it itself.
    """
    stopping = threading.Event()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family)
    server = Server(listener.getsockname()[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.sni_callback = lambda _sock, name, _context: server.names.append(name)
    threads: list[threading.Thread] = []

    def receive(sock: socket.socket, answer: Answer | bytes) -> None:
        with suppress(OSError), sock:
            sock.settimeout(30)
            with context.wrap_socket(sock, server_side=True) if tls else sock as line:
                visit = Visit(line, stopping)
                if callable(answer):
                    answer(visit)
                else:
                    server.heads.append(visit.head())
                    visit.send(answer)

    def listen() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                answer = answers[min(server.visits, len(answers) - 1)]
                server.visits += 1
                thread = threading.Thread(target=receive, args=(sock, answer))
                threads.append(thread)
                thread.start()

    threads.append(threading.Thread(target=listen))
    threads[0].start()
    try:
        yield server
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        threads[0].join()
        listener.close()
        for thread in threads[1:]:
            thread.join(5)


def permit(address: str) -> bool:
    """The server's address, as if it were public, and no other of this machine's."""
    return address == ADDRESS or address_permitted(address)


Resolver = Callable[[str, int], list[str]]


def fetcher(
    server: Server,
    *,
    answers: Resolver = lambda _host, _port: [ADDRESS],
    permitted: Callable[[str], bool] = permit,
    trusted: bool = True,
    timeout_s: float = 5.0,
    max_bytes: int = 1_000_000,
    max_redirects: int = 3,
    hosts: tuple[str, ...] = (),
) -> Fetcher:
    return Fetcher(
        FetchPolicy(
            timeout_s=timeout_s,
            max_bytes=max_bytes,
            max_redirects=max_redirects,
            ports=(80, 443, 9001, server.port),
            hosts=hosts,
        ),
        resolve=answers,
        permitted=permitted,
        ca_bundle=str(CERTIFICATE) if trusted else None,
    )
