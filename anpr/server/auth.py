"""API keys: who may read plates, and who may manage models."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterable

from pydantic import SecretStr
from starlette.datastructures import Headers

from anpr.errors import Forbidden, Unauthorized

logger = logging.getLogger(__name__)


class Keys:
    """Keys are kept as SHA-256 only: a dump of memory or a log shows none of them.

    (A slow hash is for passwords; keys are long and random.)
    """

    def __init__(self, api_keys: Iterable[SecretStr], admin_keys: Iterable[SecretStr]) -> None:
        self._readers = [_digest(key.get_secret_value()) for key in api_keys]
        self._admins = [_digest(key.get_secret_value()) for key in admin_keys]

    @property
    def needed(self) -> bool:
        """Without API keys the service is open to all."""
        return bool(self._readers)

    @property
    def managed(self) -> bool:
        """Without admin keys nobody may manage models."""
        return bool(self._admins)

    def announce(self) -> None:
        if not self.needed:
            logger.warning("no API keys are set (ANPR_API_KEYS): the service is open to all")

    def check(self, headers: Headers) -> None:
        """Raise ``Unauthorized`` unless a key may read plates; an administrator's may as well."""
        if self.needed and not _any_of(_sent(headers), [*self._readers, *self._admins]):
            raise Unauthorized

    def check_admin(self, headers: Headers) -> None:
        """Raise ``Unauthorized`` without a known key, ``Forbidden`` unless it may manage models."""
        if not self.managed:
            raise Forbidden("Managing models is switched off: no admin key is set.")
        sent = _sent(headers)
        if _any_of(sent, self._admins):
            return
        if _any_of(sent, self._readers):
            raise Forbidden
        raise Unauthorized("An admin key is needed.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _sent(headers: Headers) -> list[bytes]:
    """Digests of the keys in a request; it may carry one in either header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    keys = [token.strip()] if scheme.lower() == "bearer" else []
    keys.append(headers.get("x-api-key", "").strip())
    return [_digest(key) for key in keys if key]


def _any_of(sent: list[bytes], known: list[bytes]) -> bool:
    """Compared with every known key, each in constant time, whatever the outcome."""
    matches = [hmac.compare_digest(one, other) for one in sent for other in known]
    return any(matches)
