"""The application: what there is, put together. No state outlives the app that it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, FastAPI, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response

from anpr import __version__, errors
from anpr.models.catalogue import Catalogue
from anpr.server import description, models, problems, schemas
from anpr.server.admission import Admission, Headroom
from anpr.server.auth import Keys
from anpr.server.body import CloseUnread
from anpr.server.engine import Engine
from anpr.server.headers import HeadAsGet, SecurityHeaders
from anpr.server.logs import RequestLog
from anpr.server.metrics import CountRequests, make_metrics
from anpr.server.plates import PlatesEndpoint
from anpr.server.source import Source
from anpr.server.status import Status
from anpr.server.submission import Limits
from anpr.settings import Settings

if TYPE_CHECKING:
    from anpr.fetch import Fetcher
    from anpr.pipeline import Recognizer

_TIDY_EVERY_S: Final = 10.0

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings | None = None,
    recognizer: Recognizer | None = None,
    fetcher: Fetcher | None = None,
) -> FastAPI:
    """The service as an ASGI application. Loads nothing before its lifespan or first photo.

    ``recognizer`` and ``fetcher`` are made from the settings where they are not given.
    ``app.state.admission`` is for whoever runs it: ``drain()`` and ``end()`` stop it gracefully.
    """
    settings = settings or Settings()
    if recognizer is None:
        from anpr.pipeline import Recognizer

        recognizer = Recognizer(settings)
    engine = Engine(recognizer)
    admission = Admission(
        queue_size=settings.queue_size,
        queue_timeout_s=settings.queue_timeout_s,
        headroom=Headroom(
            settings.memory_reject_percent, last_resort=lambda: engine.unload(wait=False)
        ),
    )
    source = Source(settings, fetcher)
    keys = Keys(settings.api_keys, settings.admin_keys)
    keys.announce()
    eager = settings.load == "eager"
    status = Status(admission, engine, eager, __version__)
    metrics = make_metrics(admission, engine) if settings.metrics else None
    plates = PlatesEndpoint(
        admission=admission,
        engine=engine,
        source=source,
        limits=Limits(settings.max_image_bytes, settings.body_timeout_s, settings.max_candidates),
        deadline_s=settings.deadline_s,
        observe=metrics.observe if metrics else None,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tidying = asyncio.create_task(_tidy_now_and_then(admission, engine, settings))
        loading = asyncio.create_task(_load(admission, engine)) if eager else None
        yield
        tidying.cancel()
        admission.end()
        source.close()
        await asyncio.wait({tidying} if loading is None else {tidying, loading})

    middleware = [
        Middleware(RequestLog),
        Middleware(SecurityHeaders),
        Middleware(CloseUnread),
        Middleware(HeadAsGet),
        Middleware(problems.CatchAll),
    ]
    if metrics is not None:
        middleware.insert(1, Middleware(CountRequests, metrics=metrics))
    app = FastAPI(
        title="anpr",
        version=__version__,
        description=description.TEXT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        middleware=middleware,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,  # it would trust the Host header, and no POST survives it
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.admission = admission
    problems.install(app)
    description.install(app)
    locked = _locked(keys)
    _add_plates(app, plates, settings, locked)
    _add_status(app, status)
    catalogue = Catalogue(settings.weights_dir, settings.cache_folder, models.LOCK_TIMEOUT_S)
    management = models.Management(admission, engine, catalogue)
    models.add(app, management, readers=locked, admins=_locked_to_admins(keys))
    if metrics is not None:
        metrics.watch({getattr(route, "path", "") for route in app.routes} | {"/metrics"})

        @app.get("/metrics", dependencies=locked, include_in_schema=False)
        async def prometheus() -> Response:
            return metrics.response()

    return app


async def _load(admission: Admission, engine: Engine) -> None:
    """Models at start, in the worker thread: the probes answer meanwhile, photos wait."""
    try:
        await admission.run(lambda _: engine.load())
    except errors.AnprError as error:
        logger.exception("the models could not be loaded: %s", error.sentence)
    except Exception:
        logger.exception("the models could not be loaded")


async def _tidy_now_and_then(admission: Admission, engine: Engine, settings: Settings) -> None:
    """Where the platform stops the process between requests, the clock goes on with the next."""
    every_s = min(_TIDY_EVERY_S, max(0.05, settings.model_idle_s / 4 or _TIDY_EVERY_S))
    while True:
        await asyncio.sleep(every_s)
        try:
            await _when_quiet(admission, engine.tidy)
        except Exception:  # the next time may do better; without it memory would not come back
            logger.exception("the models could not be tidied")


async def _when_quiet(admission: Admission, work: Callable[[], object]) -> None:
    """``work()`` in the worker thread, if no request is inside."""
    if admission.idle:
        with contextlib.suppress(errors.Busy, errors.Draining):
            await admission.run(lambda _: work())


def _locked(keys: Keys) -> list[Any]:
    """What a route depends on that needs a key, if any key is set at all."""
    if not keys.needed:
        return []

    async def check(request: Request) -> None:
        keys.check(request.headers)

    return [*_key_headers(), Depends(check)]


def _locked_to_admins(keys: Keys) -> list[Any]:
    """What a route depends on that needs an admin key, or that nobody may use without one."""

    async def check(request: Request) -> None:
        keys.check_admin(request.headers)

    return [*(_key_headers() if keys.managed else ()), Depends(check)]


def _key_headers() -> list[Any]:
    """Where a key may stand, for the API's description."""
    return [
        Security(HTTPBearer(auto_error=False, description="an API key")),
        Security(APIKeyHeader(name="X-API-Key", auto_error=False, description="an API key")),
    ]


def _add_plates(
    app: FastAPI, plates: PlatesEndpoint, settings: Settings, locked: list[Any]
) -> None:
    @app.post(
        "/v1/plates",
        summary="Read the plates of one photo",
        response_model=schemas.PlatesAnswer,
        responses=description.plates_responses(keys=bool(locked)),
        dependencies=locked,
        openapi_extra=description.plates_operation(
            max_candidates=settings.max_candidates, image_bytes=settings.max_image_bytes
        ),
    )
    async def read_plates(request: Request) -> JSONResponse:
        return await plates(request)


def _add_status(app: FastAPI, status: Status) -> None:
    unavailable = description.responses([errors.Draining, errors.Busy, errors.OutOfMemory])

    @app.get("/health", summary="Alive, models, memory: for monitors")
    async def health() -> schemas.Health:
        # AWS Lambda has no clock between requests: there this is when idle models go
        await _when_quiet(status.admission, status.engine.unload_idle)
        return schemas.Health.model_validate(status.health())

    @app.get("/livez", summary="The event loop runs")
    async def livez() -> schemas.Probe:
        return schemas.Probe(status="ok")

    @app.get("/readyz", summary="Able to take a photo", responses=unavailable)
    async def readyz() -> schemas.Probe:
        status.check_ready()
        return schemas.Probe(status="ok")

    @app.get("/startupz", summary="Started", responses=unavailable)
    async def startupz() -> schemas.Probe:
        status.check_started()
        return schemas.Probe(status="ok")
