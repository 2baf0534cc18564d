"""AWS Lambda: ``anpr.aws.handler``.

Understands API Gateway REST (v1) and HTTP (v2) events and function URLs. The models load with the
first invocation and stay for the next ones: the application lives as long as the process does.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mangum import Mangum


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The answer to one event, in the form that the event's kind asks for."""
    answer: dict[str, Any] = _owner()(event, context)
    return answer


@functools.cache
def _owner() -> Mangum:
    """The one application of this process. Importing this module costs nothing before."""
    from mangum import Mangum
    from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

    from anpr.server.app import create_app
    from anpr.settings import Settings

    settings = Settings()
    # The handlers are AWS's; its root logger would keep back what is below WARNING
    logging.getLogger("anpr").setLevel(settings.log_level)
    return Mangum(
        create_app(settings),
        # mangum starts and stops the lifespan on every invocation
        lifespan="off",
        # what is not named here is sent in base64; the argument replaces the defaults
        text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, "application/problem+json"],
    )
