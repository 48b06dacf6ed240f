"""An evaluation as text, JSON and HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ganvas.bulk import claimed
from ganvas.bulk.atomic import write_json, write_text
from ganvas.evaluation.evaluate import TITLES, Evaluation, Measures, PictureScores, Trio
from ganvas.evaluation.summary import Summary
from ganvas.reports import html
from ganvas.reports.chart import Point, line_chart
from ganvas.serialization import parse_json

JSON_NAME, HTML_NAME, METRICS_NAME = "evaluation.json", "report.html", "metrics.jsonl"
NUM_NAMED = 10
"""Refused pictures that are named on the page and the terminal."""
HOW = {
    "psnr": "peak signal-to-noise ratio; more is nearer to the target",
    "ssim": "structural similarity, Gaussian window of 11 pixels; 1 is equal",
    "ms_ssim": "the same over five scales",
    "l1": "mean absolute difference where white is 1; less is nearer",
}


def write_reports(evaluation: Evaluation, run: Path, out: Path, shown: Mapping[str, Trio]) -> Evaluation:
    """Write `evaluation.json` and `report.html`; returns the evaluation with the report's place."""
    with claimed(out):
        write_json(out / JSON_NAME, as_record(evaluation))
        write_text(out / HTML_NAME, as_html(evaluation, shown, curves(run)))
    return replace(evaluation, report=out / HTML_NAME)


def as_record(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON: in all, then per picture."""
    baseline = evaluation.baseline
    return {
        "run": evaluation.run,
        "snapshot": evaluation.snapshot,
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
    """The figures in all as a table for the terminal."""
    table = Table(title=_title(evaluation), title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for title in TITLES.values():
        table.add_column(title, justify="right")
    for name, summaries in _kinds(evaluation).items():
        table.add_row(name, *(_mean_and_deviation(summaries[measure]) for measure in TITLES))
    stream = StringIO()
    Console(file=stream, width=110, force_terminal=False).print(table)
    lines = [stream.getvalue().rstrip(), *_remarks(evaluation)]
    return "\n".join(lines + ([f"Report: {evaluation.report}"] if evaluation.report else []))


def as_html(evaluation: Evaluation, shown: Mapping[str, Trio], series: Mapping[str, Mapping[str, list[Point]]]) -> str:
    """The whole report as one page.

    Args:
        evaluation: the figures.
        shown: name -> (input, output, target); these pictures have passed the content gate.
        series: as `curves` gives it.
    """
    sections = [("In all", _in_all(evaluation)), ("Pictures", _pictures(evaluation, shown))]
    for kind, lines in series.items():
        charts = [
            line_chart(group, "images seen", label, title=f"{kind.capitalize()}: {label}")
            for label, group in _grouped(lines).items()
        ]
        sections.append((f"{kind.capitalize()} curves", "".join(charts)))
    sections.append(("Each picture", _each(evaluation)))
    intro = f"{len(evaluation.pictures)} pictures of {evaluation.data}, snapshot {evaluation.snapshot}."
    return html.page(_title(evaluation), html.paragraph(intro), sections)


def curves(run: Path) -> dict[str, dict[str, list[Point]]]:
    """Kind of row -> measure -> (images seen, value), from the run's `metrics.jsonl`; empty where there is none."""
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
    """One line, or nothing of a line that a crash left unfinished."""
    try:
        row = parse_json(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _grouped(lines: Mapping[str, list[Point]]) -> dict[str, dict[str, list[Point]]]:
    """Losses in one chart, each measure with a scale of its own in another; rates and clocks in none."""
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


def _mean_and_deviation(summary: Summary) -> str:
    if summary.mean is None or summary.deviation is None:
        return html.EN_DASH
    return f"{html.format_value(summary.mean)} ± {html.format_value(summary.deviation, like=summary.mean)}"


def _remarks(evaluation: Evaluation) -> list[str]:
    """What limits the figures, in sentences."""
    reasons = Counter(f"{TITLES[name]}: {why}" for s in evaluation.pictures for name, why in s.why_missing.items())
    remarks = [f"{count} without {reason}" for reason, count in reasons.most_common(5)]
    if evaluation.refused:
        remarks.append(f"{len(evaluation.refused)} left out, refused by the content gate: {_names(evaluation)}")
    return remarks


def _names(evaluation: Evaluation) -> str:
    """The refused pictures with the reasons; a long list is cut, `evaluation.json` has all."""
    named = [f"{name} ({reason})" for name, reason in evaluation.refused.items()]
    more = [f"and {len(named) - NUM_NAMED} more in {JSON_NAME}"] if len(named) > NUM_NAMED else []
    return "; ".join(named[:NUM_NAMED] + more)


def _in_all(evaluation: Evaluation) -> str:
    rows = [
        [name, *(_mean_and_deviation(summaries[measure]) for measure in TITLES)]
        for name, summaries in _kinds(evaluation).items()
    ]
    how = "; ".join(f"{TITLES[name]}: {what}" for name, what in HOW.items())
    remarks = "".join(html.note(remark + ".") for remark in _remarks(evaluation))
    table = html.table(["", *TITLES.values()], rows)
    return table + html.note(f"Mean and standard deviation over the pictures. {how}.") + remarks


def _pictures(evaluation: Evaluation, shown: Mapping[str, Trio]) -> str:
    scores = {s.name: s for s in evaluation.pictures}
    captions = [[_caption(scores[name].baseline), _caption(scores[name].output), ""] for name in shown]
    grid = html.picture_grid(
        list(shown.values()), ["Input", "Output", "Target"], list(shown), captions=captions, lossy=True
    )
    told = f"{len(shown)} of {len(evaluation.pictures)}, evenly spread. Select a picture to see it large."
    return html.paragraph(told) + grid


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
