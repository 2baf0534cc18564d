"""How ``anpr read`` prints its records: text, JSON, JSON lines or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import Any, Protocol, TextIO

Record = dict[str, Any]
"""The HTTP response with ``source`` in front; ``error`` (problem members) where it failed."""


class Writer(Protocol):
    def write(self, record: Record) -> None: ...
    def close(self) -> None: ...


class TextWriter:
    """A line an image; failures go to standard error alone."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, record: Record) -> None:
        if "error" in record:
            return
        plates = [self._plate(plate) for plate in record["plates"]]
        print(f"{record['source']}: {', '.join(plates) or 'no plate found'}", file=self._out)

    @staticmethod
    def _plate(plate: dict[str, Any]) -> str:
        box = plate["box"]
        where = f"{box['x1']},{box['y1']} to {box['x2']},{box['y2']}"
        text = plate["text"] or "(unreadable)"
        others = "".join(
            f" | {one['text']} {one['confidence']:.0%}" for one in plate["candidates"][1:]
        )
        return f"{text} {plate['confidence']:.0%}{others} at {where}"

    def close(self) -> None:
        self._out.flush()


class JsonLinesWriter:
    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, record: Record) -> None:
        print(json.dumps(record, ensure_ascii=False), file=self._out, flush=True)

    def close(self) -> None:
        self._out.flush()


class JsonWriter:
    """One array, written record by record, so that a long run needs no more memory."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._first = True

    def write(self, record: Record) -> None:
        self._out.write("[\n" if self._first else ",\n")
        self._first = False
        self._out.write(json.dumps(record, ensure_ascii=False, indent=2))

    def close(self) -> None:
        self._out.write("[]\n" if self._first else "\n]\n")
        self._out.flush()


class CsvWriter:
    """A row a plate; an image without plates, or with an error, has one row."""

    COLUMNS = (
        *("source", "text", "confidence", "detection_confidence"),
        *("x1", "y1", "x2", "y2", "lines", "candidates", "error"),
    )

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rows = csv.DictWriter(out, self.COLUMNS, restval="", lineterminator="\n")
        self._rows.writeheader()

    def write(self, record: Record) -> None:
        source = {"source": record["source"]}
        if "error" in record:
            self._rows.writerow(source | {"error": record["error"]["detail"]})
        elif not record["plates"]:
            self._rows.writerow(source)
        for plate in record.get("plates", ()):
            values = {key: plate[key] for key in ("text", "confidence", "detection_confidence")}
            lists = {
                "lines": " ".join(plate["lines"]),
                "candidates": " ".join(one["text"] for one in plate["candidates"]),
            }
            self._rows.writerow(source | values | plate["box"] | lists)

    def close(self) -> None:
        self._out.flush()


WRITERS: dict[str, Callable[[TextIO], Writer]] = {
    "text": TextWriter,
    "json": JsonWriter,
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
}
