"""The Lambda image: its own entry point answers events, as AWS runs it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.container.containers import image_tag, inspect_image, running
from tests.scenes import PLATE_TEXT, car_photo
from tests.test_aws import RuntimeApi, function_url, plates_of

if TYPE_CHECKING:
    from tests.container.figures import Figures

pytestmark = pytest.mark.container


def test_the_image_answers_events(figures: Figures) -> None:
    image = f"{image_tag()}-lambda"
    base = inspect_image(image_tag())["Config"]["Labels"]["org.opencontainers.image.base.name"]
    grown = inspect_image(image)["Size"] - inspect_image(base)["Size"]
    figures.add("image beyond its base", grown / 1e6, "MB")
    event = function_url(body=car_photo(), content_type="image/jpeg")
    with RuntimeApi() as api:
        thread = threading.Thread(target=api.serve_forever)
        thread.start()
        try:
            with running(image=image, environment=api.environment) as container:
                cold = api.invoke(event, seconds=60)
                figures.add("start to the first plate", time.monotonic() - container.started, "s")
                warm = api.invoke(event)
        finally:
            api.events.put(None)
            api.shutdown()
            thread.join()
    for outcome in (cold, warm):
        assert [plate["text"] for plate in plates_of(outcome)] == [PLATE_TEXT]
    assert figures.add("second event", warm.seconds, "s", 2) < 2
