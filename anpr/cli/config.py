"""``anpr config``: every setting with its value."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from anpr.cli import console

if TYPE_CHECKING:
    from anpr.cli.console import Commands


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "config", help="list every setting", description="Lists every setting."
    )
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from anpr.settings import describe

    rows = describe(console.settings())
    if options.format == "json":
        import json

        print(json.dumps([row._asdict() for row in rows], indent=2))
    elif options.format == "markdown":
        print("| setting | default | meaning |\n|---|---|---|")
        for row in rows:
            print(f"| `{row.name}` | {f'`{row.default}`' if row.default else ''} | {row.meaning} |")
    else:
        wide = max(len(row.name) for row in rows)
        for row in rows:
            note = "" if row.value == row.default else f" (default: {row.default or 'none'})"
            print(f"{row.name:{wide}}  {row.value or '-'}{note}\n{'':{wide}}  {row.meaning}")
    return 0
