"""Scores of a film with respect to its ground truth, and their text, JSON and HTML reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.filesystem import claimed
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.image.picture import Picture
from ganvas.metrics.fidelity import Measures, Summary, summarize
from ganvas.reports import html
from ganvas.reports.chart import Point, line_chart
from ganvas.reports.display import Display, display, gallery
from ganvas.reports.tables import Cell, Rows, format_value, mean_and_deviation, tables_as_text

JSON_NAME, HTML_NAME = "evaluation.json", "report.html"
WARP_UNIT = 1e-4
TITLES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lpips": "LPIPS", "warp": "warp error (1e-4)"}
PARTS = {"film": "film", "input": "unchanged input", "truth": "ground truth"}
HOW = (
    "PSNR and SSIM: similarity to the ground truth, higher is closer. LPIPS: perceptual distance, lower is closer. "
    "Warp error: mean squared difference of consecutive frames along the motion of the ground truth, without occluded "
    "pixels; the ground truth itself has the warp error of motion and noise, a higher one is flicker, a lower one "
    "smoothing. Mean and standard deviation over the frames."
)
NUM_NAMED = 5
"""Number of worst frames in the text."""


@dataclass(frozen=True, kw_only=True)
class FrameScores:
    """Scores of one frame.

    Attributes:
        index: number of the frame.
        time: time in seconds.
        film: metric -> value with respect to the ground truth.
        input: the same for the unchanged input, enlarged by bicubic interpolation if it is smaller; None without one.
        warp: part -> warp error from this frame to the next; None if it was not measured.
    """

    index: int
    time: float
    film: Measures
    input: Measures | None
    warp: Mapping[str, float | None] | None = None


@dataclass(frozen=True, kw_only=True)
class FilmEvaluation:
    """Result of evaluating a film.

    Attributes:
        film: name of the film's file.
        truth: name of the ground truth's file.
        input: name of the input's file, if set.
        frames: scores of the frames, in order.
        flow_stride: interval at which pairs of frames were measured for flicker; None if it was not measured.
        missing: metric -> reason why it was not measured.
        seconds: total time.
        report: the HTML file, if it was written.
    """

    film: str
    truth: str
    input: str | None
    frames: tuple[FrameScores, ...]
    flow_stride: int | None
    missing: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    report: Path | None = None

    @property
    def summaries(self) -> dict[str, dict[str, Summary]]:
        """Return part ("film", "input", "truth") -> metric -> summary over the frames."""
        found: dict[str, dict[str, Summary]] = {}
        for part in PARTS if self.input else ("film", "truth"):
            rows = [getattr(frame, part, None) or {} for frame in self.frames]
            found[part] = {name: summarize([row.get(name) for row in rows]) for name in ("psnr", "ssim", "lpips")}
            found[part]["warp"] = summarize([frame.warp.get(part) for frame in self.frames if frame.warp])
        return found

    @property
    def worst(self) -> list[FrameScores]:
        """Return the frames by rising PSNR, without identical ones."""
        measured = [(frame.film["psnr"], frame) for frame in self.frames]
        return [frame for _, frame in sorted(((v, f) for v, f in measured if v is not None), key=lambda one: one[0])]

    def __str__(self) -> str:
        worst = ", ".join(f"{frame.index} ({_caption(frame)})" for frame in self.worst[:NUM_NAMED])
        return "\n".join([
            tables_as_text({_title(self): _table(self)}, width=110),
            *([f"Worst frames: {worst}"] if worst else []),
            *_remarks(self),
            *([f"Report: {self.report}"] if self.report else []),
        ])  # fmt: skip


Shown = Sequence[tuple[int, float, Mapping[str, NDArray[np.uint8]]]]
"""Number, second and pictures of frames."""


def write_film_reports(evaluation: FilmEvaluation, out: Path, worst: Shown, best: Shown) -> FilmEvaluation:
    """Write `evaluation.json` and `report.html`; return the evaluation with the path of the report."""
    with claimed(out):
        write_json(out / JSON_NAME, as_record(evaluation))
        write_text(out / HTML_NAME, as_html(evaluation, worst, best))
    return replace(evaluation, report=out / HTML_NAME)


def as_record(evaluation: FilmEvaluation) -> dict[str, Any]:
    """Return the evaluation as JSON: overall scores, then one entry per frame."""
    return {
        "film": evaluation.film,
        "truth": evaluation.truth,
        "input": evaluation.input,
        "seconds": round(evaluation.seconds, 2),
        "flow_stride": evaluation.flow_stride,
        "missing": dict(evaluation.missing),
        "summaries": {
            part: {name: vars(summary) for name, summary in measures.items()}
            for part, measures in evaluation.summaries.items()
        },
        "frames": [
            {
                "index": frame.index,
                "time": round(frame.time, 6),
                "film": frame.film,
                "input": frame.input,
                "warp": None if frame.warp is None else dict(frame.warp),
            }
            for frame in evaluation.frames
        ],
    }


def as_html(evaluation: FilmEvaluation, worst: Shown, best: Shown) -> str:
    """Return the whole report as one HTML page; the shown pictures have passed the content gate."""
    remarks = "".join(html.note(f"{remark}.") for remark in _remarks(evaluation))
    sections = [
        ("In all", html.table(*_table(evaluation)) + html.note(HOW) + remarks),
        ("Worst frames", _frames(evaluation, worst, "lowest")),
        *([("Best frames", _frames(evaluation, best, "highest"))] if best else []),
        ("Over time", "".join(_charts(evaluation))),
    ]
    intro = f"{len(evaluation.frames)} frames of {evaluation.film}."
    return html.page(_title(evaluation), html.paragraph(intro), sections)


def _title(evaluation: FilmEvaluation) -> str:
    return f"{evaluation.film} against {evaluation.truth}"


def _table(evaluation: FilmEvaluation) -> Rows:
    rows: list[list[Cell]] = []
    for part, found in evaluation.summaries.items():
        units = {name: WARP_UNIT if name == "warp" else 1.0 for name in TITLES}
        cells = [_scaled(found[name], unit) for name, unit in units.items()]
        rows.append([PARTS[part], *cells])
    return ["", *TITLES.values()], rows


def _scaled(summary: Summary, unit: float) -> str | None:
    if summary.mean is None or summary.deviation is None:
        return None
    return mean_and_deviation(summary.mean / unit, summary.deviation / unit)


def _remarks(evaluation: FilmEvaluation) -> list[str]:
    remarks = [f"{TITLES[name]} was not measured: {why}" for name, why in evaluation.missing.items()]
    if (evaluation.flow_stride or 1) > 1:
        remarks.append(f"Flicker was measured on one pair of consecutive frames in {evaluation.flow_stride}")
    return remarks


def _frames(evaluation: FilmEvaluation, shown: Shown, which: str) -> str:
    """Return input, film and ground truth of a few frames side by side."""
    scores, found = {frame.index: frame for frame in evaluation.frames}, dict[str, Display]()
    for index, seconds, pictures in shown:
        given = [Picture(pictures[part]) for part in ("input", "film") if part in pictures]
        captions = [*([_decibels(scores[index].input)] if "input" in pictures else []), _caption(scores[index])]
        found[f"frame {index}, {seconds:.3f} s"] = display(given, Picture(pictures["truth"]), captions)
    names = [PARTS[part].capitalize() for part in ("input", "film", "truth") if shown and part in shown[0][2]]
    return html.paragraph(f"The frames with the {which} PSNR, in this order.") + gallery(found, names)


def _caption(frame: FrameScores) -> str:
    return f"{frame.time:.3f} s, {_decibels(frame.film)}"


def _decibels(measures: Measures | None) -> str:
    psnr = None if measures is None else measures["psnr"]
    return "equal" if psnr is None else f"{format_value(psnr)} dB"


def _charts(evaluation: FilmEvaluation) -> list[str]:
    """Return a chart of each metric over the time of the film."""
    charts = []
    for name, title in TITLES.items():
        series = {PARTS[part]: points for part in PARTS if (points := _points(evaluation, part, name))}
        if series:
            charts.append(line_chart(series, "second", title, title=title))
    return charts


def _points(evaluation: FilmEvaluation, part: str, name: str) -> list[Point]:
    """Return (second, value) of a metric of one part."""
    if name == "warp":
        found = [(frame.time, frame.warp.get(part)) for frame in evaluation.frames if frame.warp]
        return [(at, value / WARP_UNIT) for at, value in found if value is not None]
    rows = [(frame.time, (getattr(frame, part, None) or {}).get(name)) for frame in evaluation.frames]
    return [(at, value) for at, value in rows if value is not None]
