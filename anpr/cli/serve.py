"""``anpr serve``: the HTTP service."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from anpr.cli import console

if TYPE_CHECKING:
    from anpr.cli.console import Commands


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "serve", help="run the HTTP service", description="Runs the HTTP service."
    )
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - a container's door
    parser.add_argument("--port", type=console.port, default=None, help="default: $PORT, or 8080")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from anpr.server.run import serve

    port = options.port
    if port is None:
        try:
            port = console.port(os.environ.get("PORT") or "8080")
        except (ValueError, argparse.ArgumentTypeError):
            return console.complain("The variable PORT is not a port number.")
    serve(console.settings(), host=options.host, port=port)
    return 0
