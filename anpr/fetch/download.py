"""A large file from a URL, on the same guarded connection as an image: into a file, and resumed.

What is already there is not asked for again (``Range``), if the other end can say that it still
has the same file (``If-Range``, RFC 9110, 13.1.5); otherwise all of it is sent anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

import requests

from anpr.errors import SourceFailed
from anpr.fetch import Fetcher, FetchPolicy, Resolve, resolve
from anpr.fetch.line import Line, PatientClock
from anpr.netguard import Target, address_permitted, judge

SILENCE_S: Final = 30.0  # without a byte, after which the other end counts as gone
_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
_ALL: Final = re.compile(r"bytes \*/([0-9]{1,18})")
_HEADERS: Final = {
    "User-Agent": "anpr (model download)",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


class Sink(Protocol):
    """Where a download goes."""

    @property
    def offset(self) -> int:
        """How many bytes it has already."""

    @property
    def validator(self) -> str | None:
        """What the other end said of these bytes: a strong ETag, or a date."""

    def begin(self, offset: int, total: int | None, validator: str | None) -> None:
        """The next bytes belong at ``offset``: what lies behind it is dropped."""

    def write(self, data: bytes) -> None: ...


class Downloader(Fetcher):
    """``private`` also reaches hosts that are not public, by http too and on any port."""

    def __init__(
        self,
        *,
        max_bytes: int,
        timeout_s: float,
        private: bool = False,
        max_redirects: int = 5,
        silence_s: float = SILENCE_S,
        resolve: Resolve = resolve,
        permitted: Callable[[str], bool] = address_permitted,
        ca_bundle: str | None = None,
    ) -> None:
        policy = FetchPolicy(
            https_only=not private,
            timeout_s=timeout_s,
            max_bytes=max_bytes,
            max_redirects=max_redirects,
        )
        super().__init__(
            policy,
            resolve=resolve,
            permitted=_any_address if private else permitted,
            ca_bundle=ca_bundle,
        )
        self._private = private
        self._silence_s = silence_s

    def download(self, url: str, sink: Sink) -> None:
        """Fill ``sink`` with what is behind ``url``, which is https (or http where private).

        Raises as ``fetch`` does, and what ``sink`` raises; what arrived is in it then.
        """
        clock = PatientClock(self._policy.timeout_s, self._silence_s)
        headers = dict(_HEADERS)
        if sink.offset and sink.validator:
            headers |= {"Range": f"bytes={sink.offset}-", "If-Range": sink.validator}

        def receive(response: requests.Response, line: Line) -> bool:
            return self._receive(response, line, sink)

        if not self._walk(url, clock, headers, receive):
            self._walk(url, clock, _HEADERS, receive)

    def _receive(self, response: requests.Response, line: Line, sink: Sink) -> bool:
        """Whether the body could be used; not so where the range is refused (416)."""
        status, headers = response.status_code, response.headers
        if status == 416 and sink.offset:
            all_of_it = _ALL.fullmatch(headers.get("Content-Range", "").strip())
            if all_of_it is not None and int(all_of_it[1]) == sink.offset:
                return True  # it had arrived whole
            sink.begin(0, None, None)
            return False
        if status not in (200, 206):
            raise SourceFailed from ValueError(f"status {status}")
        offset, length = 0, headers.get("Content-Length", "")
        total = int(length) if re.fullmatch("[0-9]{1,18}", length) else None
        if status == 206:
            part = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
            if part is None or int(part[1]) != sink.offset:
                raise SourceFailed from ValueError("another range than the one that was asked for")
            offset, total = sink.offset, None if part[2] == "*" else int(part[2])
        chunks = self._chunks(response, line, self._policy.max_bytes - offset)
        sink.begin(offset, total, _validator(headers.get("ETag"), headers.get("Last-Modified")))
        for chunk in chunks:
            sink.write(chunk)
        return True

    def _judge(self, url: str) -> Target:
        if not self._private:
            return super()._judge(url)
        return judge(url, ports=range(1, 65536), permitted=self._permitted, private_names=True)


def _any_address(_: str) -> bool:
    return True


def _validator(etag: str | None, modified: str | None) -> str | None:
    """What may stand in ``If-Range``: a weak ETag may not."""
    if etag and re.fullmatch(r'"[\x21\x23-\x7e]{0,500}"', etag.strip()):
        return etag.strip()
    if modified and re.fullmatch(r"[A-Za-z0-9 ,:+-]{1,40}", modified):
        return modified
    return None
