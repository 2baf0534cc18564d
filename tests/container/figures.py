"""What was measured, as a table for people and a JSON file for programs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Figures:
    """``add`` notes a figure with the limit it is held to; the caller asserts."""

    rows: list[tuple[str, float, str, float | None]] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str = "", limit: float | None = None) -> float:
        self.rows.append((name, round(value, 4), unit, limit))
        return value

    def write(self, path: Path, title: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {"name": name, "value": value, "unit": unit, "limit": limit}
            for name, value, unit, limit in self.rows
        ]
        path.write_text(json.dumps(rows, indent=2) + "\n")
        wide = max((len(name) for name, *_ in self.rows), default=0)
        lines = [f"\n{title} ({path})"]
        for name, value, unit, limit in self.rows:
            bound = "" if limit is None else f"   limit {limit:g}"
            lines.append(f"  {name:{wide}}  {value:>10g} {unit:12}{bound}".rstrip())
        sys.stdout.write("\n".join(lines) + "\n")
