"""HTML page of a comparison: tables, pictures beside their targets, and training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganvas.content_gate import AdmittedPicture
from ganvas.data.splits import evenly
from ganvas.evaluation.comparison_plan import SIDES
from ganvas.evaluation.comparison_result import (
    CSV_NAME,
    DIRECTIONS,
    IDENTITY,
    Comparison,
    named,
    ranking_of,
    remarks,
    tables,
)
from ganvas.evaluation.report import caption_of
from ganvas.methods.config import Direction
from ganvas.reports import html
from ganvas.reports.chart import Point, line_chart
from ganvas.reports.curves import curves, training_charts
from ganvas.reports.display import Display, display, gallery, num_rows
from ganvas.reports.ranking import Ranking
from ganvas.reports.tables import Cell

__all__ = ["GridRow", "as_html", "captions_of", "grid_rows"]

NUM_SHOWN: dict[Direction, int] = {"a_to_b": 8, "b_to_a": 4}
"""Number of test pictures in the grid."""
NUM_ROWS = 50
"""Number of pictures in the table; the CSV file has all."""
VALIDATION = "Validation PSNR during training: outputs against the targets of the validation split"
HOW = (
    "PSNR and SSIM: higher is closer to the target; L1 and LPIPS: lower is closer. Frechet and kernel distance: "
    "distance to the real pictures of that side; lower is closer. Back: PSNR of pictures translated there and back; "
    "it can be high although the translations do not resemble the other side. The ± is the standard deviation over "
    "pictures, and for the kernel distance over halves of the pictures, which is about its standard error. The "
    "Frechet distance is biased upwards for few pictures: use it only to compare rows."
)


@dataclass(frozen=True)
class GridRow:
    """A test picture with its translations.

    Attributes:
        direction: direction of the translation.
        name: name of the picture.
        cells: input, output of each method and, for pairs, the target; None if refused or not learned.
    """

    direction: Direction
    name: str
    cells: Sequence[AdmittedPicture | None]


def captions_of(comparison: Comparison) -> list[str]:
    """Return the column captions of the grid."""
    return ["input", *comparison.methods, *(["target"] if comparison.test.paired else [])]


def grid_rows(comparison: Comparison) -> list[GridRow]:
    """Return the rows of the grid: for pairs those that the ranking selects, else evenly spaced over each side.

    Side b of pairs has no rows, nor has a side that no method translates.
    """
    test, rows = comparison.test, list[GridRow]()
    for direction, (given, _) in SIDES.items():
        translated = [one.measured.translated.get(direction) for one in comparison.methods.values()]
        if direction == "b_to_a" and (test.paired or not any(translated)):
            continue
        for name in _names(comparison, direction):
            outputs = [None if one is None else one.outputs.get(name) for one in translated]
            target = [test.sides["b"][name]] if test.paired else []
            rows.append(GridRow(direction, name, [test.sides[given][name], *outputs, *target]))
    return rows


def _ranking(comparison: Comparison) -> Ranking:
    specs = comparison.test.specs
    return ranking_of(comparison, max(NUM_SHOWN["a_to_b"] // num_rows(*(spec.channels for spec in specs.values())), 3))


def _names(comparison: Comparison, direction: Direction) -> list[str]:
    """Return the names of the pictures to show."""
    if (ranking := _ranking(comparison)).names:
        return ranking.shown
    names = list(comparison.test.sides[SIDES[direction][0]])
    return [names[index] for index in evenly(len(names), NUM_SHOWN[direction])]


def as_html(comparison: Comparison) -> str:
    """Return the whole report as one HTML page."""
    sections = []
    if problems := _problems(comparison):
        sections.append(("What failed", html.points(problems)))
    sections += [(title, html.table(header, rows)) for title, (header, rows) in tables(comparison).items()]
    notes = html.note(HOW) + html.note(f"{features_of(comparison)}.")
    sections.append(("How it was measured", notes))
    if refusals := remarks(comparison):
        sections.append(("Left out", "".join(html.note(f"{sentence}.") for sentence in refusals)))
    sections.append(("Pictures", _pictures(comparison)))
    sections.append(("Training curves", _training(comparison)))
    if comparison.test.paired:
        sections.append(("Each picture", _each(comparison)))
    return html.page(_title(comparison), html.paragraph(introduction(comparison)), sections)


def _title(comparison: Comparison) -> str:
    """Return the title of the page: the methods with results, and those without."""
    with_outputs = [name for name, one in comparison.methods.items() if one.has_outputs]
    verb = "compared" if len(with_outputs) > 1 else "measured"
    done = f"{named(with_outputs)} {verb}" if with_outputs else "No method produced a picture that can be shown"
    so_far = " so far" if comparison.num_pending else ""
    failed = f"; {named(list(comparison.failures))} failed" if comparison.failures else ""
    return f"{done}{so_far}{failed}"


def _problems(comparison: Comparison) -> list[str]:
    """Return a sentence for each method without results."""
    sentences = [f"{name} failed: {why}." for name, why in comparison.failures.items()]
    return sentences + [
        f"{name} produced no picture that the content gate admits, so it has no fidelity metrics."
        for name, one in comparison.methods.items()
        if not one.has_outputs
    ]


def introduction(comparison: Comparison) -> str:
    """Return the common conditions as sentences."""
    settings, test = comparison.settings, comparison.test
    limits = {"minute": settings.minutes, "epoch": settings.epochs}
    budget = [f"{limit:g} {unit}{'s' * (limit != 1)}" for unit, limit in limits.items() if limit is not None]
    height, width = settings.crop_size
    kind = "pairs, which methods for unpaired data used as unpaired sides" if test.paired else "two unpaired sides"
    return (
        f"{_count(comparison)}, each given {' or '.join(budget)} of training on the same pictures of "
        f"{settings.data.resolve().name} ({kind}), crops of {height}x{width}, seed {settings.seed}, "
        f"{comparison.device}. "
        f"Measured on the {test.split} split, {len(test.sides['a'])} and {len(test.sides['b'])} pictures; the last "
        f"snapshot of each.{_pending(comparison)}"
    )


def _count(comparison: Comparison) -> str:
    """Return the number of methods with results, and of all if some have none."""
    done, asked = len(comparison.methods), comparison.asked
    methods = f"{asked} method{'s' * (asked != 1)}"
    return methods if done == asked else f"{done} of {methods}"


def _pending(comparison: Comparison) -> str:
    count = comparison.num_pending
    left = "one method is" if count == 1 else f"{count} methods are"
    return f" The page is rewritten after each method; {left} still to come." if count else ""


def _pictures(comparison: Comparison) -> str:
    """Return the pictures: for pairs the worst first, else evenly spaced and by direction."""
    columns = [title.capitalize() if title in ("input", "target") else title for title in captions_of(comparison)]
    rows, ranking = grid_rows(comparison), _ranking(comparison)
    if ranking.names:
        words = f"{ranking.describe()} PSNR is the mean over the methods."
        return html.paragraph(words) + gallery({row.name: _display(comparison, row) for row in rows}, columns, ranking)
    parts = [html.paragraph("Evenly spaced over the test pictures, because without targets there is no order.")]
    for direction, words in DIRECTIONS.items():
        if shown := {row.name: _display(comparison, row) for row in rows if row.direction == direction}:
            parts.append(html.heading(words.capitalize(), direction) + gallery(shown, columns))
    return "".join(parts)


def _display(comparison: Comparison, row: GridRow) -> Display:
    pictures = [None if cell is None else cell.picture for cell in row.cells]
    if not comparison.test.paired:
        return display(pictures, None)
    measured = [comparison.references[IDENTITY], *(one.measured for one in comparison.methods.values())]
    return display(pictures[:-1], pictures[-1], [caption_of(one.scores.get(row.name)) for one in measured])


def _training(comparison: Comparison) -> str:
    """Return the validation of all methods in one chart, then the curves of each."""
    charts = []
    if lines := validation_lines(comparison):
        charts.append(line_chart(lines, "minutes of training", "PSNR (dB)", title=VALIDATION))
    for name, compared in comparison.methods.items():
        found = curves(compared.trained.run)
        if lines:  # the chart above has the validation of this method
            found = {kind: rows for kind, rows in found.items() if kind != "validation"}
        charts.append(training_charts(found, of=name))
    return "".join(charts) or html.note("The training was too short for a log.")


def validation_lines(comparison: Comparison) -> dict[str, list[Point]]:
    """Return method -> (minutes, PSNR on the validation split), if it exists."""
    lines = {}
    for name, compared in comparison.methods.items():
        rows = curves(compared.trained.run).get("validation", {})
        if "psnr" in rows:
            clock = dict(rows["seconds"])
            lines[name] = [(clock[images] / 60, value) for images, value in rows["psnr"]]
    return lines


def _each(comparison: Comparison) -> str:
    """Return a table of the PSNR of each picture, the lowest first."""
    names = _ranking(comparison).names
    measured = {name: row for name, row in comparison.rows.items() if row.scores}
    rows: list[list[Cell]] = [
        [name, *(row.scores[name]["psnr"] if name in row.scores else None for row in measured.values())]
        for name in names[:NUM_ROWS]
    ]
    shown = f"The {NUM_ROWS} with the lowest of {len(names):,}" if len(names) > NUM_ROWS else "The lowest first"
    words = f"PSNR in dB. {shown}; {CSV_NAME} has all pictures and all measures."
    return html.paragraph(words) + html.table(["", *measured], rows)


def features_of(comparison: Comparison) -> str:
    """Describe the features behind each distance and their preprocessing."""
    found = {
        one.measure: one.features for row in comparison.rows.values() for all_ in row.distances.values() for one in all_
    }
    return "; ".join(f"{measure}: {space.name}, {space.protocol}" for measure, space in found.items())
