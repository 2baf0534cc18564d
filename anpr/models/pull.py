"""A model from the net: fetched into a part, hashed as it arrives, then taken in like any other.

A part that broke off stays in ``partial/`` and is gone on with by the next try. Its name is made
from the address, and its lock is held while it grows, so two processes do not write one part.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from anpr.errors import (
    InvalidOption,
    ModelMismatch,
    ModelUnsafe,
    ModelUnusable,
    SourceError,
    SourceFailed,
    SourceTimeout,
    SourceTooLarge,
    StoreBusy,
    UrlNotAllowed,
)
from anpr.fetch.download import Downloader
from anpr.models import disk, survey
from anpr.models.intake import UNKNOWN_LICENCE, Intake
from anpr.models.manifest import Entry
from anpr.models.store import PARTIAL

Progress = Callable[[int, int | None], None]
"""Called with how much is there, and how much there will be, in bytes."""

_TRIES: Final = 5  # of a download that breaks off, as long as each brings something
_HF: Final = re.compile(r"hf://([\w.-]+/[\w.-]+)/([^@?#]+?)(?:@([\w./-]+))?")
_BUCKET: Final = re.compile(r"(gs|s3)://([a-z0-9][a-z0-9._-]{1,221})/([^?#]+)")


def endpoint(address: str) -> str:
    """The https address behind ``hf://owner/repo/path[@revision]``, ``gs://bucket/object`` or
    ``s3://bucket/key``, of public objects; any other address is as it is.

    Raises ``InvalidOption`` where it cannot be one.
    """
    from urllib.parse import quote

    if address.startswith("hf://") and (found := _HF.fullmatch(address)):
        repository, path, revision = found.groups()
        return (
            f"https://huggingface.co/{repository}/resolve/{quote(revision or 'main', safe='')}"
            f"/{quote(path)}"
        )
    if found := _BUCKET.fullmatch(address):
        kind, bucket, key = found.groups()
        if kind == "gs":
            return f"https://storage.googleapis.com/{bucket}/{quote(key)}"
        if "." in bucket:  # the certificate does not cover a name with more dots
            return f"https://s3.amazonaws.com/{bucket}/{quote(key)}"
        return f"https://{bucket}.s3.amazonaws.com/{quote(key)}"
    if re.match(r"https?://", address):
        return address
    raise InvalidOption(
        "The address is not https://…, hf://owner/repo/path, gs://bucket/object or s3://bucket/key."
    )


@dataclass(frozen=True, slots=True)
class Pulled:
    """``first_use``: nobody had said what the SHA-256 should be, so this one was recorded."""

    entry: Entry
    first_use: bool
    fetched_bytes: int


@dataclass(frozen=True, slots=True)
class Puller:
    intake: Intake
    downloader: Downloader

    def pull(
        self,
        address: str,
        name: str,
        *,
        sha256: str | None = None,
        licence: str = UNKNOWN_LICENCE,
        replace_old: bool = False,
        progress: Progress = lambda _done, _total: None,
    ) -> Pulled:
        """Fetch what is at ``address`` and take it into the store as ``name``.

        ``sha256`` is what it must have; without one, what an earlier pull of the same address
        recorded. A model that is there and whole is not fetched again. Raises what
        ``Intake.take`` raises, and ``SourceError``.
        """
        url = endpoint(address)
        self.intake.check_name(name)
        old = self.intake.store.entries().get(name)
        if old is not None and not replace_old:
            recorded = str(old.more.get("original_sha256", old.sha256))
            if old.source != address or sha256 not in (None, recorded):
                raise InvalidOption(
                    f"The store has another model '{name}': take another name, or --replace."
                )
            sha256 = recorded
            if survey.state(self.intake.store.folder, old, hashed=True) == "ok":
                return Pulled(old, first_use=False, fetched_bytes=0)
        with _Part(self.intake.store.folder / PARTIAL, url, progress) as part:
            self._fetch(url, part)
            fetched = part.fetched
            part.check(sha256)
            try:
                entry = self.intake.take(
                    part.path,
                    name,
                    shown=url.rpartition("/")[2].partition("?")[0],
                    source=address,
                    licence=licence,
                    sha256=part.sha256 if sha256 else None,
                    replace_old=replace_old,
                )
            except (ModelUnusable, ModelMismatch):
                part.drop()  # it would be refused again; all else may be different the next time
                raise
            except ModelUnsafe:
                if sha256 or self.intake.trust:  # else a word of the operator may be all it needs
                    part.drop()
                raise
            part.drop()
        return Pulled(entry, first_use=sha256 is None, fetched_bytes=fetched)

    def _fetch(self, url: str, part: _Part) -> None:
        """Raises ``SourceError`` with a sentence for operators."""
        for attempt in range(_TRIES):
            before = part.fetched
            try:
                self.downloader.download(url, part)
                part.finish()
                return
            except (SourceFailed, SourceTimeout) as error:
                if attempt + 1 < _TRIES and part.fetched > before and part.validator:
                    continue
                kept = " What arrived is kept for the next try." if part.offset else ""
                raise type(error)(
                    f"The model could not be fetched: {_reason(error)}.{kept}"
                ) from error
            except SourceTooLarge as error:
                part.drop()
                raise SourceTooLarge("The file is larger than a model may be.") from error
            except UrlNotAllowed as error:
                raise UrlNotAllowed(
                    f"The address may not be fetched from: {_reason(error)}; hosts that are not "
                    "public, http and other ports need --allow-private."
                ) from error


def _reason(error: SourceError) -> str:
    cause = error.__cause__
    if isinstance(error, SourceTimeout):
        return "it took too long"
    return str(cause or error).strip().rstrip(".") or "the connection failed"


class _Part:
    """What has arrived of one address, in a file that is locked while this is open.

    Beside it lies what the other end said of these bytes, so that it can be asked for the rest.
    """

    def __init__(self, folder: Path, url: str, progress: Progress) -> None:
        digest = hashlib.sha256(url.encode()).hexdigest()[:32]
        self.path = folder / f"{digest}.part"
        self._note = folder / f"{digest}.json"
        self._url = url
        self._progress = progress
        self._total: int | None = None
        self._digest = hashlib.sha256()
        self._file: IO[bytes]
        self.offset = 0
        self.validator: str | None = None
        self.fetched = 0

    def __enter__(self) -> _Part:
        with disk.told():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        if not disk.try_lock(self._file.fileno()) or not self._is_there():
            self._file.close()
            raise StoreBusy("Another process is fetching this very file.")
        told = self._told()
        if told is not None:
            self.validator = told
            while chunk := self._file.read(1 << 20):
                self._digest.update(chunk)
                self.offset += len(chunk)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def begin(self, offset: int, total: int | None, validator: str | None) -> None:
        if offset != self.offset:
            self._digest, self.offset = hashlib.sha256(), 0
        self.validator, self._total = validator, total
        with disk.told():
            self._file.seek(self.offset)
            self._file.truncate()
            note = {"url": self._url, "validator": validator}
            disk.write_whole(self._note, json.dumps(note).encode())
        self._progress(self.offset, total)

    def write(self, data: bytes) -> None:
        with disk.told():
            self._file.write(data)
            self._file.flush()  # what arrived is to outlive this process
        self._digest.update(data)
        self.offset += len(data)
        self.fetched += len(data)
        self._progress(self.offset, self._total)

    def finish(self) -> None:
        with disk.told():
            os.fsync(self._file.fileno())

    def check(self, sha256: str | None) -> None:
        """Raise ``ModelMismatch``, and drop what arrived, if it is not what it should be."""
        if sha256 is not None and self.sha256 != sha256:
            self.drop()
            raise ModelMismatch(
                f"What the address gives has another SHA-256: {self.sha256}. Nothing was kept."
            )

    def drop(self) -> None:
        with disk.told():
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    def _is_there(self) -> bool:
        """Not so where the process that had the lock has just dropped the file."""
        mine = os.fstat(self._file.fileno())
        return self.path.exists() and os.path.samestat(mine, self.path.stat())

    def _told(self) -> str | None:
        """The validator of what is there; ``None`` where it is unknown, so that all is fetched."""
        try:
            note: Any = json.loads(self._note.read_bytes())
            return (
                str(note["validator"]) if note["url"] == self._url and note["validator"] else None
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
