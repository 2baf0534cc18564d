"""What every door answers with: a result, or an error, as plain JSON values."""

from __future__ import annotations

from typing import Any

from anpr.errors import AnprError
from anpr.types import Box, Plate, Result

PROBLEM_TYPE = "urn:anpr:problem:"


def result_record(result: Result, *, fetch_ms: float = 0.0) -> dict[str, Any]:
    """The body of a 200 response; boxes in whole pixels, confidences to 4 digits."""
    timings = {"fetch": fetch_ms, **result.timings_ms}
    timings["total"] = timings.get("total", 0.0) + fetch_ms
    memory = result.memory_mib
    return {
        "image": {
            "width": result.image.width,
            "height": result.image.height,
            "format": result.image.format,
        },
        "plates": [plate_record(plate) for plate in result],
        "timings_ms": {stage: round(value, 1) for stage, value in timings.items()},
        "memory_mib": {
            "rss": round(memory.rss, 1),
            "peak": round(memory.peak, 1),
            "limit": rounded(memory.limit),
            "cgroup": rounded(memory.cgroup),
            "percent": rounded(memory.percent),
            "stages": {stage: round(value, 1) for stage, value in memory.stages.items()},
        },
        "models": dict(result.models),
    }


def rounded(value: float | None) -> float | None:
    """To one digit, as every figure of memory; ``None`` where there is none."""
    return None if value is None else round(value, 1)


def plate_record(plate: Plate) -> dict[str, Any]:
    return {
        "text": plate.text,
        "confidence": round(plate.confidence, 4),
        "detection_confidence": round(plate.detection_confidence, 4),
        "box": box_record(plate.box),
        "lines": list(plate.lines),
        "characters": [
            {"text": one.text, "confidence": round(one.confidence, 4)} for one in plate.characters
        ],
        "candidates": [
            {"text": one.text, "confidence": round(one.confidence, 4), "region": one.region}
            for one in plate.candidates
        ],
        "region": plate.region
        and {"code": plate.region.code, "confidence": round(plate.region.confidence, 4)},
    }


def box_record(box: Box) -> dict[str, int]:
    return {"x1": round(box.x1), "y1": round(box.y1), "x2": round(box.x2), "y2": round(box.y2)}


def problem_record(error: AnprError) -> dict[str, Any]:
    """RFC 9457 members; nothing that is not for strangers."""
    return {
        "type": PROBLEM_TYPE + error.slug,
        "title": error.title,
        "status": error.status,
        "detail": error.sentence,
    }
