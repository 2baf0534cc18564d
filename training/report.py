"""The figures of an evaluation as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.detection import CURVE_CONFIDENCE


def markdown(figures: Mapping[str, Any]) -> str:
    """One table (or two) for each part that was measured, each with a line that says what it is."""
    blocks: list[str] = []
    if "detection" in figures:
        blocks += _detection(figures["detection"])
    if "crops" in figures:
        blocks += _crops(figures["crops"])
    ends = {part: figures[part] for part in ("e2e", "world") if part in figures}
    if ends:
        blocks += _end_to_end(ends)
    return "\n\n".join(blocks) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _detection(figures: Mapping[str, Any]) -> list[str]:
    threshold = figures["threshold"]
    curve = ("recall_at_p92", "recall_at_p95", "recall_at_p97", "map50", "map50_95")
    head = [
        "photos of `val`", "photos", "plates",
        f"precision at {threshold:g}", f"recall at {threshold:g}",
        "recall at precision 0.92", "at 0.95", "at 0.97", "mAP50", "mAP50-95", "false a photo",
    ]  # fmt: skip
    sources = {
        **figures["sources"],
        "all, unlabelled plates counted as false": figures["raw"],
        "all, with the second look": figures["served"],
        "the same, unlabelled plates counted as false": figures["served_raw"],
    }
    with_curve = {*figures["sources"], "all, unlabelled plates counted as false"}
    rows = [
        [
            name,
            str(of["photos"]),
            str(of["plates"]),
            f"{of['precision']:.3f}",
            f"{of['recall']:.3f}",
            *(f"{of[key]:.3f}" if name in with_curve else "" for key in curve),
            f"{of['false_per_photo']:.3f}",
        ]
        for name, of in sources.items()
    ]
    widths, served = figures["by_width"], figures["served_by_width"]
    return [
        f"Detector `{figures['model']}`, IoU 0.5, median {figures['detect_ms']:.1f} ms a photo "
        f"on one thread, letterbox to boxes, from confidence {CURVE_CONFIDENCE:g} on for the "
        "curve, which takes more looks than the service does:",
        table(head, rows),
        f"Recall at confidence {threshold:g} by the plate's width in pixels, the photo at 320:",
        table(
            ["", *widths],
            [
                ["plates", *(str(of["plates"]) for of in widths.values())],
                ["recall", *(percent(of["recall"]) for of in widths.values())],
                ["with the second look", *(percent(of["recall"]) for of in served.values())],
            ],
        ),
    ]


def _crops(figures: Mapping[str, Any]) -> list[str]:
    head = ["labelled `dev` crops", "crops", "exact", "exact with O=0, I=1", "characters"]
    rows = [
        [name, str(of["count"]), *(percent(of[key]) for key in ("exact", "folded", "characters"))]
        for name, of in figures["sources"].items()
    ]
    told = f"Reader `{figures['model']}`, median {figures['read_ms']:.1f} ms a crop on one thread:"
    return [told, table(head, rows)]


def _end_to_end(ends: Mapping[str, Mapping[str, Any]]) -> list[str]:
    head = [
        "photos", "plates", "found", "exact", "exact with O=0, I=1", "characters",
        "exact on any box", "false a photo",
    ]  # fmt: skip
    rows = [
        [
            f"`{part}`",
            str(of["plates"]),
            percent(of["found"]),
            *(percent(of["text"][key]) for key in ("exact", "folded", "characters")),
            percent(of["exact_anywhere"]),
            f"{of['false_per_photo']:.3f}",
        ]
        for part, of in ends.items()
    ]
    stages = list(next(iter(ends.values()))["stages_ms"])
    times = [
        [f"`{part}`", *(f"{of['stages_ms'].get(stage, 0.0):.1f}" for stage in stages)]
        for part, of in ends.items()
    ]
    models = " and ".join(f"`{name}`" for name in next(iter(ends.values()))["models"].values())
    return [
        f"End to end, bytes to texts, with {models}:",
        table(head, rows),
        "Median milliseconds a stage, one thread:",
        table(["photos", *stages], times),
    ]
