"""Curves of a training run: its metrics log, and charts of its losses and its validation over the images seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganvas.metrics.fidelity import TITLES
from ganvas.reports.chart import Point, line_chart
from ganvas.runs.folder import METRICS_NAME
from ganvas.serialization import parse_json

__all__ = ["Curves", "curves", "training_charts"]

Curves = Mapping[str, Mapping[str, list[Point]]]
"""Kind of row (training, validation) -> loss or metric -> points (images seen, value)."""
LOSSES = "loss"
EXCLUDED = ("seconds", "rate", "images", "step", "epoch", "spread")
"""Parts of the names of entries that are neither losses nor metrics."""
LOG_RATIO = 30
"""Ratio of the largest to the smallest value from which the axis of positive losses is logarithmic."""


def training_charts(curves: Curves, *, of: str = "") -> str:
    """Return a chart of the losses and one of each validation metric; empty if nothing was logged.

    Args:
        curves: result of `curves`.
        of: name of the run for the titles.
    """
    charts = []
    for kind, lines in curves.items():
        for label, group in _groups(lines, TITLES if kind == "validation" else {}).items():
            values = [y for points in group.values() for _, y in points]
            log = label == LOSSES and min(values) > 0 and max(values) > LOG_RATIO * min(values)
            title = f"{kind.capitalize()}{f' of {of}' if of else ''}: {label}"
            charts.append(line_chart(group, "images seen", label, log_y=log, title=title))
    return "".join(charts)


def _groups(lines: Mapping[str, list[Point]], titles: Mapping[str, str]) -> dict[str, dict[str, list[Point]]]:
    """Return label of the y axis -> lines: all losses together, and each metric separately, without other entries.

    The metrics of both directions of an unpaired run (cycle_a_psnr, cycle_b_psnr) share a chart.
    """
    groups: dict[str, dict[str, list[Point]]] = {}
    for name, points in lines.items():
        if any(word in name for word in EXCLUDED):
            continue
        measure = _measure_in(name, titles)
        label = LOSSES if measure is None else titles[measure]
        groups.setdefault(label, {})[label if name == measure else name] = points
    return groups


def _measure_in(name: str, measures: Iterable[str]) -> str | None:
    """Return the metric that a name in the log denotes; None for a loss."""
    if name in measures:
        return name
    return next((one for one in measures if name.startswith("cycle_") and name.endswith(f"_{one}")), None)


def curves(run: Path) -> dict[str, dict[str, list[Point]]]:
    """Read the curves from `metrics.jsonl` of a run; empty without the file."""
    found: dict[str, dict[str, list[Point]]] = {}
    path = run / METRICS_NAME
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        row = _row(line)
        lists = found.setdefault(str(row.pop("kind", "training")), {})
        images = row.pop("images", None)
        for name, value in row.items():
            if isinstance(value, (int, float)) and isinstance(images, (int, float)):
                lists.setdefault(name, []).append((float(images), float(value)))
    return {kind: lists for kind, lists in found.items() if lists}


def _row(line: str) -> dict[str, Any]:
    """Parse one line; return an empty row for a line that a crash left unfinished."""
    try:
        row = parse_json(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
