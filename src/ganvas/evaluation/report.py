"""Evaluation of a run: scores, and their text, JSON and HTML reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ganvas.filesystem import claimed
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.methods.config import Direction
from ganvas.metrics.fidelity import TITLES, Measures, Summary, summaries
from ganvas.reports import html
from ganvas.reports.curves import Curves, curves, training_charts
from ganvas.reports.display import Display, gallery
from ganvas.reports.ranking import Ranking, worst_first
from ganvas.reports.tables import MINUS, Cell, Rows, format_value, mean_and_deviation, rows_as_csv, tables_as_text

JSON_NAME, HTML_NAME, CSV_NAME = "evaluation.json", "report.html", "pictures.csv"
NUM_NAMED = 10
"""Number of refused pictures that the reports name."""
NUM_ROWS = 100
"""Number of pictures in the table of the HTML report; the CSV file has all."""
HOW = {
    "psnr": "peak signal-to-noise ratio; higher is closer to the target",
    "ssim": "structural similarity, Gaussian window of 11 pixels; 1 for identical pictures",
    "ms_ssim": "the same over five scales",
    "l1": "mean absolute difference in units of white; lower is closer",
}


@dataclass(frozen=True)
class PictureScores:
    """Scores of one picture.

    Attributes:
        name: name of the pair.
        output: metrics of the run's output with respect to the target.
        baseline: metrics of the unchanged input: a smaller one enlarged by bicubic interpolation, gray repeated for a
            target in color; None if their channels differ otherwise.
        why_missing: metric -> reason why it is None.
    """

    name: str
    output: Measures
    baseline: Measures | None
    why_missing: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of evaluating a run on a split.

    Attributes:
        run: name of the run's folder.
        snapshot: name of the snapshot.
        images_seen: training images up to the snapshot.
        direction: direction of the translation.
        data: folder of the pairs.
        split: train, val or test.
        pictures: scores of the pictures, in order.
        refused: name -> reason of the content gate; names of outputs end in `(translated)`.
        channels: channels of input and target.
        scale: scale factor of the run.
        seconds: total time.
        report: the HTML file, if it was written.
    """

    run: str
    snapshot: str
    images_seen: int
    direction: Direction
    data: str
    split: str
    pictures: tuple[PictureScores, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[int, int] = (3, 3)
    scale: int = 1
    seconds: float = 0.0
    report: Path | None = None

    @property
    def output(self) -> dict[str, Summary]:
        """Return metric -> summary over the outputs."""
        return summaries([scores.output for scores in self.pictures])

    @property
    def baseline(self) -> dict[str, Summary] | None:
        """Return metric -> summary over the unchanged inputs, or None."""
        rows = [scores.baseline for scores in self.pictures if scores.baseline is not None]
        return summaries(rows) if rows else None

    @property
    def baseline_name(self) -> str:
        """Return the name of the row of the inputs."""
        return "unchanged input" if self.scale == 1 else "input, enlarged by bicubic interpolation"

    @property
    def num_nearer(self) -> int:
        """Return the number of outputs with a higher PSNR than their input."""
        pairs = [(scores.output["psnr"], scores.baseline["psnr"]) for scores in self.pictures if scores.baseline]
        return sum(given is not None and (output is None or output > given) for output, given in pairs)

    def ranking(self, limit: int) -> Ranking:
        """Return the pictures by rising PSNR; a report shows at most `limit`."""
        return Ranking(worst_first({scores.name: scores.output["psnr"] for scores in self.pictures}), limit)

    def __str__(self) -> str:
        return as_text(self)


def write_reports(
    evaluation: Evaluation, run: Path, out: Path, shown: Mapping[str, Display], ranking: Ranking
) -> Evaluation:
    """Write `evaluation.json`, `pictures.csv` and `report.html`; return the evaluation with the path of the report."""
    with claimed(out):
        write_json(out / JSON_NAME, as_record(evaluation))
        write_text(out / CSV_NAME, rows_as_csv(*_every_picture(evaluation, ranking)))
        write_text(out / HTML_NAME, as_html(evaluation, shown, ranking, curves(run)))
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


def as_html(evaluation: Evaluation, shown: Mapping[str, Display], ranking: Ranking, series: Curves) -> str:
    """Return the whole report as one HTML page.

    Args:
        evaluation: the results.
        shown: name -> input, output and target; these pictures have passed the content gate.
        ranking: order of the pictures.
        series: result of `curves`.
    """
    pictures = html.paragraph(ranking.describe()) + gallery(shown, ["Input", "Output", "Target"], ranking)
    charts = training_charts(series)
    sections = [
        ("In all", _overall(evaluation)),
        ("Pictures", pictures),
        ("Training", charts or html.note("This run has no log of its training: it was imported, published or moved.")),
        ("Each picture", _each(evaluation, ranking)),
    ]
    return html.page(_title(evaluation), html.paragraph(_introduction(evaluation)), sections)


def _introduction(evaluation: Evaluation) -> str:
    """Describe the measured and the excluded pictures."""
    measured, refused = len(evaluation.pictures), len(evaluation.refused)
    seen = f" after {evaluation.images_seen:,} training images" if evaluation.images_seen else ""
    total = f"{measured + refused:,} picture{'s' * (measured + refused != 1)}"
    counted = f"{measured:,} of {total}" if refused else total
    left_out = ", the others are refused by the content gate" if refused else ""
    return f"{counted} of {evaluation.data}{left_out}; snapshot {evaluation.snapshot}{seen}."


def _title(evaluation: Evaluation) -> str:
    return f"{evaluation.run} on the {evaluation.split} split"


def _kinds(evaluation: Evaluation) -> dict[str, dict[str, Summary]]:
    kinds = {"output of the run": evaluation.output}
    return kinds if evaluation.baseline is None else {**kinds, evaluation.baseline_name: evaluation.baseline}


def _overall_table(evaluation: Evaluation) -> Rows:
    rows: list[list[Cell]] = [
        [name, *(mean_and_deviation(found[measure].mean, found[measure].deviation) for measure in TITLES)]
        for name, found in _kinds(evaluation).items()
    ]
    return ["", *TITLES.values()], rows


def _remarks(evaluation: Evaluation) -> list[str]:
    """Return the comparison with the input and the limitations of the scores as sentences."""
    reasons = Counter(f"{TITLES[name]}: {why}" for s in evaluation.pictures for name, why in s.why_missing.items())
    remarks = [_beside_the_input(evaluation)]
    remarks += [f"{count} without {reason}" for reason, count in reasons.most_common(5)]
    if evaluation.refused:
        remarks.append(f"{len(evaluation.refused)} left out, refused by the content gate: {_names(evaluation)}")
    return remarks


def _beside_the_input(evaluation: Evaluation) -> str:
    if evaluation.baseline is None:
        given, wanted = evaluation.channels
        return f"The input has no row: it has {given} channels and the target {wanted}, so they cannot be compared"
    total = len(evaluation.pictures)
    return f"By PSNR, {evaluation.num_nearer} of {total} outputs are closer to the target than their input"


def _names(evaluation: Evaluation) -> str:
    """Return the refused pictures with the reasons; `evaluation.json` has the complete list."""
    named = [f"{name} ({reason})" for name, reason in evaluation.refused.items()]
    more = [f"and {len(named) - NUM_NAMED} more in {JSON_NAME}"] if len(named) > NUM_NAMED else []
    return "; ".join(named[:NUM_NAMED] + more)


def _overall(evaluation: Evaluation) -> str:
    how = "; ".join(f"{TITLES[name]}: {what}" for name, what in HOW.items())
    remarks = "".join(html.note(remark + ".") for remark in _remarks(evaluation))
    note = html.note(f"Mean and standard deviation over the pictures. {how}.")
    return html.table(*_overall_table(evaluation)) + note + remarks


def caption_of(measures: Measures | None) -> str:
    """Return PSNR and SSIM of a picture for its caption; empty without metrics."""
    if measures is None:
        return ""
    psnr, ssim = measures["psnr"], measures["ssim"]
    fidelity = "equal to the target" if psnr is None else f"{format_value(psnr)} dB"
    return fidelity if ssim is None else f"{fidelity} · SSIM {f'{ssim:.3f}'.replace('-', MINUS)}"


def _each(evaluation: Evaluation, ranking: Ranking) -> str:
    header, rows = _every_picture(evaluation, ranking, titles=TITLES)
    shown = f"The {NUM_ROWS} with the lowest PSNR of {len(rows):,}" if len(rows) > NUM_ROWS else "The lowest PSNR first"
    kept = [index for index in range(len(header)) if index == 0 or any(row[index] is not None for row in rows)]
    filled = [[row[index] for index in kept] for row in rows[:NUM_ROWS]]
    words = f"{shown}; all are in {CSV_NAME}."
    return html.paragraph(words) + html.table([header[index] for index in kept], filled)


def _every_picture(evaluation: Evaluation, ranking: Ranking, titles: Mapping[str, str] | None = None) -> Rows:
    """Return a row of metrics for each picture, the worst first, with names of metrics or titles as columns."""
    has_baseline, scores = evaluation.baseline is not None, {one.name: one for one in evaluation.pictures}
    own = [(titles or {}).get(name, name) for name in TITLES]
    given = [f"input's {title}" if titles else f"input_{title}" for title in own if has_baseline]
    rows = [_cells(scores[name], has_baseline) for name in ranking.names]
    return ["" if titles else "picture", *own, *given], rows


def _cells(scores: PictureScores, has_baseline: bool) -> list[Cell]:
    beside = [scores.baseline[name] if scores.baseline else None for name in TITLES] if has_baseline else []
    return [scores.name, *(scores.output[name] for name in TITLES), *beside]
