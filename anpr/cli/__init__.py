"""The command line: ``anpr read | serve | models | …``. A module a command: ``add`` and ``run``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from anpr import __version__
from anpr.cli import config, memory, models, read, serve
from anpr.cli.console import complain
from anpr.errors import AnprError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0, 1 (something could not be read) or 2 (usage)."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except AnprError as error:
        return complain(error.sentence)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anpr", description="Reads number plates in photos.")
    parser.add_argument("--version", action="version", version=f"anpr {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (read, serve, models, memory, config):
        command.add(commands)
    return parser
