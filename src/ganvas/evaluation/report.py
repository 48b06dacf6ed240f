"""Evaluation of a run: scores, and their text, JSON and HTML reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.filesystem import claimed
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.methods.config import Direction
from ganvas.metrics.fidelity import TITLES, Measures, Summary, summaries
from ganvas.reports import html
from ganvas.reports.chart import Point, curves, line_chart
from ganvas.reports.html import Cell, Rows, mean_and_deviation, tables_as_text

Trio = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Input, output and target as (H, W, 3)."""
JSON_NAME, HTML_NAME = "evaluation.json", "report.html"
NUM_NAMED = 10
"""Number of refused pictures that the reports name."""
HOW = {
    "psnr": "peak signal-to-noise ratio; more is nearer to the target",
    "ssim": "structural similarity, Gaussian window of 11 pixels; 1 is equal",
    "ms_ssim": "the same over five scales",
    "l1": "mean absolute difference where white is 1; less is nearer",
}


@dataclass(frozen=True)
class PictureScores:
    """Scores of one picture.

    Attributes:
        name: of the pair.
        output: the run's output against the target.
        baseline: the unchanged input against the target, a smaller one enlarged by bicubic interpolation; None where
            the two have different channels.
        why_missing: measure -> why it is None.
    """

    name: str
    output: Measures
    baseline: Measures | None
    why_missing: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of evaluating a run on a split.

    Attributes:
        run: the run's folder, by name.
        snapshot: the snapshot's name.
        images_seen: training images up to the snapshot.
        direction: of the translation.
        data: the folder of the pairs.
        split: train, val or test.
        pictures: per picture, in order.
        refused: name -> why the content gate refuses it; an output's name ends in `(translated)`.
        seconds: in all.
        report: the HTML file, where one was written.
    """

    run: str
    snapshot: str
    images_seen: int
    direction: Direction
    data: str
    split: str
    pictures: tuple[PictureScores, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    report: Path | None = None

    @property
    def output(self) -> dict[str, Summary]:
        """Measure -> the run's outputs in all."""
        return summaries([scores.output for scores in self.pictures])

    @property
    def baseline(self) -> dict[str, Summary] | None:
        """Measure -> the inputs as they are in all, or None."""
        rows = [scores.baseline for scores in self.pictures if scores.baseline is not None]
        return summaries(rows) if rows else None

    def __str__(self) -> str:
        return as_text(self)


def write_reports(evaluation: Evaluation, run: Path, out: Path, shown: Mapping[str, Trio]) -> Evaluation:
    """Write `evaluation.json` and `report.html`; returns the evaluation with the report's place."""
    with claimed(out):
        write_json(out / JSON_NAME, as_record(evaluation))
        write_text(out / HTML_NAME, as_html(evaluation, shown, curves(run)))
    return replace(evaluation, report=out / HTML_NAME)


def as_record(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation as JSON: overall scores, then one entry per picture."""
    baseline = evaluation.baseline
    return {
        "run": evaluation.run,
        "snapshot": evaluation.snapshot,
        "images_seen": evaluation.images_seen,
        "direction": evaluation.direction,
        "data": evaluation.data,
        "split": evaluation.split,
        "seconds": round(evaluation.seconds, 2),
        "output": {name: vars(summary) for name, summary in evaluation.output.items()},
        "baseline": None if baseline is None else {name: vars(summary) for name, summary in baseline.items()},
        "pictures": [
            {"name": s.name, "output": s.output, "baseline": s.baseline, "why_missing": dict(s.why_missing)}
            for s in evaluation.pictures
        ],
        "refused": dict(evaluation.refused),
    }


def as_text(evaluation: Evaluation) -> str:
    """Return the overall scores as a table for the terminal."""
    lines = [tables_as_text({_title(evaluation): _overall_table(evaluation)}, width=110), *_remarks(evaluation)]
    return "\n".join(lines + ([f"Report: {evaluation.report}"] if evaluation.report else []))


def as_html(evaluation: Evaluation, shown: Mapping[str, Trio], series: Mapping[str, Mapping[str, list[Point]]]) -> str:
    """Return the whole report as one HTML page.

    Args:
        evaluation: the figures.
        shown: name -> (input, output, target); these pictures have passed the content gate.
        series: as `curves` gives it.
    """
    sections = [("In all", _overall(evaluation)), ("Pictures", _pictures(evaluation, shown))]
    for kind, lines in series.items():
        charts = [
            line_chart(group, "images seen", label, title=f"{kind.capitalize()}: {label}")
            for label, group in _grouped(lines).items()
        ]
        sections.append((f"{kind.capitalize()} curves", "".join(charts)))
    sections.append(("Each picture", _each(evaluation)))
    intro = f"{len(evaluation.pictures)} pictures of {evaluation.data}, snapshot {evaluation.snapshot}."
    return html.page(_title(evaluation), html.paragraph(intro), sections)


def _grouped(lines: Mapping[str, list[Point]]) -> dict[str, dict[str, list[Point]]]:
    """Group losses into one chart and each measure into its own; leave out rates and clocks."""
    groups: dict[str, dict[str, list[Point]]] = {}
    for name, points in lines.items():
        if name in TITLES:
            groups.setdefault(TITLES[name], {})[TITLES[name]] = points
        elif not any(word in name for word in ("seconds", "rate", "images", "step", "epoch", "spread")):
            groups.setdefault("loss", {})[name] = points
    return groups


def _title(evaluation: Evaluation) -> str:
    return f"{evaluation.run} on the {evaluation.split} split"


def _kinds(evaluation: Evaluation) -> dict[str, dict[str, Summary]]:
    kinds = {"output of the run": evaluation.output}
    return kinds if evaluation.baseline is None else {**kinds, "input as it is": evaluation.baseline}


def _overall_table(evaluation: Evaluation) -> Rows:
    rows: list[list[Cell]] = [
        [name, *(mean_and_deviation(found[measure].mean, found[measure].deviation) for measure in TITLES)]
        for name, found in _kinds(evaluation).items()
    ]
    return ["", *TITLES.values()], rows


def _remarks(evaluation: Evaluation) -> list[str]:
    """Return the limitations of the scores as sentences."""
    reasons = Counter(f"{TITLES[name]}: {why}" for s in evaluation.pictures for name, why in s.why_missing.items())
    remarks = [f"{count} without {reason}" for reason, count in reasons.most_common(5)]
    if evaluation.refused:
        remarks.append(f"{len(evaluation.refused)} left out, refused by the content gate: {_names(evaluation)}")
    return remarks


def _names(evaluation: Evaluation) -> str:
    """Return the refused pictures with the reasons; `evaluation.json` has what a long list leaves out."""
    named = [f"{name} ({reason})" for name, reason in evaluation.refused.items()]
    more = [f"and {len(named) - NUM_NAMED} more in {JSON_NAME}"] if len(named) > NUM_NAMED else []
    return "; ".join(named[:NUM_NAMED] + more)


def _overall(evaluation: Evaluation) -> str:
    how = "; ".join(f"{TITLES[name]}: {what}" for name, what in HOW.items())
    remarks = "".join(html.note(remark + ".") for remark in _remarks(evaluation))
    note = html.note(f"Mean and standard deviation over the pictures. {how}.")
    return html.table(*_overall_table(evaluation)) + note + remarks


def _pictures(evaluation: Evaluation, shown: Mapping[str, Trio]) -> str:
    scores = {s.name: s for s in evaluation.pictures}
    captions = [[_caption(scores[name].baseline), _caption(scores[name].output), ""] for name in shown]
    grid = html.picture_grid(
        list(shown.values()), ["Input", "Output", "Target"], list(shown), captions=captions, lossy=True
    )
    caption = f"{len(shown)} of {len(evaluation.pictures)}, evenly spread. Select a picture to see it large."
    return html.paragraph(caption) + grid


def _caption(measures: Measures | None) -> str:
    if measures is None or measures["psnr"] is None:
        return ""
    ssim = measures["ssim"]
    return f"{measures['psnr']:.2f} dB" + ("" if ssim is None else f" · SSIM {ssim:.3f}")


def _each(evaluation: Evaluation) -> str:
    has_baseline = evaluation.baseline is not None
    header = ["", *TITLES.values(), *(f"input's {title}" for title in TITLES.values() if has_baseline)]
    return html.table(header, [_cells(scores, has_baseline) for scores in evaluation.pictures])


def _cells(scores: PictureScores, has_baseline: bool) -> list[str | float | None]:
    beside = [scores.baseline[name] if scores.baseline else None for name in TITLES] if has_baseline else []
    return [scores.name, *(scores.output[name] for name in TITLES), *beside]
