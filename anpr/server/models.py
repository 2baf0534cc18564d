"""``/v1/models``: which models there are, and what an administrator may do with them.

What changes anything runs in the worker thread, one after another and after the photo that is
being read; it takes no place in the queue, so that memory can be given back when it is short.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from fastapi import Query, Request

from anpr import errors
from anpr.models.catalogue import Catalogue
from anpr.server import description, schemas

if TYPE_CHECKING:
    from fastapi import FastAPI

    from anpr.server.admission import Admission
    from anpr.server.engine import Engine

T = TypeVar("T")

LOCK_TIMEOUT_S: Final = 5.0  # for another process; then the client is told to come again
_LISTED: Final = (errors.ModelMissing, errors.ModelMismatch, errors.ModelUnusable)
_REFUSED: Final = (errors.Forbidden, errors.Busy, errors.Draining, errors.AnprError)
_STORE: Final = (
    errors.StoreDisabled,
    errors.StoreBusy,
    errors.StoreFull,
    errors.StoreUnwritable,
    errors.ModelUnusable,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Management:
    admission: Admission
    engine: Engine
    catalogue: Catalogue

    def used(self) -> dict[str, Any]:
        """The models that are used, and whether they are loaded. Raises ``ModelError``."""
        names = self.engine.models
        return {
            "loaded": self.engine.loaded,
            "models": [{"role": role, "name": name} for role, name in names.items()],
        }

    def listed(self) -> dict[str, Any]:
        """The models that are used, and all that there are, by their sizes and unhashed.

        Reads folders, so not for the event loop. Raises ``ModelError``.
        """
        found = self.catalogue.models(hashed=False)
        told = self.catalogue.overview(found, hashed=False)
        return self.used() | {
            "available": [status.record() for status in found],
            "statistics": told,
        }

    async def run(self, work: Callable[[], T], request: Request) -> T:
        """``work()`` in the worker thread. Raises ``Busy``, ``Draining``, or what it raises."""
        request.state.log["admin"] = True
        return await self.admission.run(lambda _: work())


def add(app: FastAPI, management: Management, *, readers: list[Any], admins: list[Any]) -> None:
    """The routes; ``readers`` and ``admins`` are what they depend on."""
    unauthorized = description.responses([errors.Unauthorized] if readers else [])

    @app.get(
        "/v1/models",
        summary="The models that are used, and those that there are",
        responses=description.responses(_LISTED) | unauthorized,
        dependencies=readers,
    )
    async def models() -> schemas.Models:
        return schemas.Models.model_validate(await asyncio.to_thread(management.listed))

    def responses(*kinds: type[errors.AnprError]) -> dict[int | str, dict[str, Any]]:
        locked = (errors.Unauthorized,) if len(admins) > 1 else ()
        return description.responses((*_REFUSED, *locked, *kinds))

    @app.post(
        "/v1/models/load",
        summary="Load the models now (admin key)",
        responses=responses(*_LISTED, errors.ModelUnsafe, errors.RuntimeMissing),
        dependencies=admins,
    )
    async def load_models(request: Request) -> schemas.UsedModels:
        await management.run(management.engine.load, request)
        return schemas.UsedModels.model_validate(management.used())

    @app.post(
        "/v1/models/unload",
        summary="Give the models' memory back; the next photo loads them again (admin key)",
        responses=responses(*_LISTED),
        dependencies=admins,
    )
    async def unload_models(request: Request) -> schemas.UsedModels:
        await management.run(management.engine.unload, request)
        return schemas.UsedModels.model_validate(management.used())

    @app.post(
        "/v1/models/verify",
        summary="Hash the models; what is damaged in the store is put aside (admin key)",
        responses=responses(
            errors.ModelUnknown, errors.InvalidOption, errors.ModelMissing, *_STORE[1:]
        ),
        dependencies=admins,
    )
    async def verify_models(
        request: Request,
        name: Annotated[str | None, Query(description="one model; without it, all")] = None,
    ) -> schemas.Verified:
        found = await management.run(lambda: management.catalogue.verify(name), request)
        return schemas.Verified(
            whole=all(status.whole for status in found),
            models=[
                schemas.ModelVerdict(name=status.entry.name, state=status.state) for status in found
            ],
        )

    @app.post(
        "/v1/models/prune",
        summary="Remove what is corrupt, stale, partial or double in the store (admin key)",
        responses=responses(errors.InvalidOption, errors.ModelMissing, *_STORE),
        dependencies=admins,
    )
    async def prune_models(
        request: Request,
        dry_run: Annotated[bool, Query(description="say it, and do nothing")] = False,
    ) -> schemas.Pruned:
        found = await management.run(lambda: management.catalogue.prune(dry_run=dry_run), request)
        return schemas.Pruned(
            freed_bytes=sum(one.bytes for one in found),
            removed=[schemas.Removed.model_validate(one.record()) for one in found],
        )

    @app.post(
        "/v1/models/clear",
        summary="Remove every imported and compiled model (admin key)",
        responses=responses(*_STORE[:-1]),
        dependencies=admins,
    )
    async def clear_models(request: Request) -> schemas.Cleared:
        freed = await management.run(management.catalogue.clear, request)
        logger.warning("the model store was cleared: %d bytes", freed)
        return schemas.Cleared(freed_bytes=freed)
