"""What the commands share: kinds of arguments, settings, and how a fault is told."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from anpr.errors import AnprError

if TYPE_CHECKING:
    from anpr.settings import Settings

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def complain(sentence: str, source: str | None = None) -> int:
    """Say what went wrong on standard error; the exit status that belongs to it."""
    print(f"anpr: {source}: {sentence}" if source else f"anpr: {sentence}", file=sys.stderr)
    return 1


def settings() -> Settings:
    """The settings of the environment; a wrong one is named and ends the program."""
    from pydantic import ValidationError

    from anpr.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        faults = (
            f"ANPR_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
        raise SystemExit(f"anpr: {'; '.join(faults)}") from None


def whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return number


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be between 0 and 65535")
    return number


def regions(text: str) -> tuple[str, ...]:
    from anpr.formats import expand

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    try:
        expand(names)
    except AnprError as error:
        raise argparse.ArgumentTypeError(error.sentence) from error
    return names
