"""A comparison as a page, a table for the terminal, JSON and a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version

from ganvas.bulk.atomic import write_json, write_text
from ganvas.comparison.measures import Measured
from ganvas.comparison.pictures import SIDES
from ganvas.comparison.result import Compared, Comparison, as_record
from ganvas.evaluation.evaluate import TITLES
from ganvas.evaluation.pictures import evenly
from ganvas.evaluation.report import curves
from ganvas.evaluation.summary import Summary
from ganvas.image.files import write_image
from ganvas.image.grid import make_grid
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.methods.config import Direction
from ganvas.reports import html
from ganvas.reports.chart import Point, line_chart
from ganvas.reports.text import Cell, Rows, tables_as_text
from ganvas.training.schedule import duration

JSON_NAME, HTML_NAME, GRID_NAME = "comparison.json", "report.html", "grid.png"
NUM_SHOWN: dict[Direction, int] = {"a_to_b": 8, "b_to_a": 4}
"""Test pictures in the grid."""
VALIDATION = "Validation PSNR during training: outputs against the targets of the validation split"
NUM_NAMED = 10
"""Refused pictures that are named on the page and the terminal."""
FIDELITY = {**TITLES, "lpips": "LPIPS"}
WAYS: dict[Direction, str] = {"a_to_b": "a to b", "b_to_a": "b to a"}
COST = ("learns from", "images seen", "training", "s a picture", "s a translation", "parameters", "to translate")
Columns = dict[str, Callable[[Measured], Cell]]
HOW = (
    "PSNR and SSIM: more is nearer to the target; L1 and LPIPS: less is. Frechet and kernel distance: to the real "
    "pictures of that side; less is nearer. Back: PSNR of pictures translated there and back; a method can do well at "
    "that with translations that look nothing like the other side. The ± is the deviation over pictures, but for the "
    "kernel distance over halves of the pictures, which is about its standard error. The Frechet distance is biased "
    "upwards for few pictures: it orders the rows and means nothing alone."
)


def write_reports(comparison: Comparison) -> None:
    """Write the JSON, the grid and the page; what an earlier call wrote is replaced."""
    write_json(comparison.out / JSON_NAME, as_record(comparison))
    rows = grid_rows(comparison)
    captions, cells = captions_of(comparison), [cells for _, cells in rows]
    label = SyntheticLabel(
        software=f"ganvas {version('ganvas')}",
        model=", ".join(comparison.methods) or "none",
        note="The columns with a method's name were made by models.",
    )
    grid = make_grid(cells, captions=captions, row_labels=[name for name, _ in rows])
    write_image(comparison.out / GRID_NAME, Picture(grid), synthetic=label)
    write_text(comparison.out / HTML_NAME, as_html(comparison))


def captions_of(comparison: Comparison) -> list[str]:
    """The columns of the grid."""
    return ["input", *comparison.methods, *(["target"] if comparison.test.paired else [])]


def grid_rows(comparison: Comparison) -> list[tuple[str, list[Picture | None]]]:
    """Name -> input, each method's output, and the target of pairs; None for what is refused or was not learnt.

    Side b of pairs has no rows of its own, nor has a side that no method translates.
    """
    test, rows = comparison.test, list[tuple[str, list[Picture | None]]]()
    for way, (given, _) in SIDES.items():
        translated = [one.measured.translated.get(way) for one in comparison.methods.values()]
        if way == "b_to_a" and (test.paired or not any(translated)):
            continue
        names = list(test.sides[given])
        for name in [names[index] for index in evenly(len(names), NUM_SHOWN[way])]:
            made = [None if one is None else one.made.get(name) for one in translated]
            target = [test.sides["b"][name]] if test.paired else []
            rows.append((f"{WAYS[way]}: {name}", [test.sides[given][name], *made, *target]))
    return rows


def as_text(comparison: Comparison) -> str:
    """The tables for the terminal, what failed, and where the page lies."""
    failed = [f"{name} failed: {why}" for name, why in comparison.failures.items()]
    lines = [tables_as_text(tables(comparison)), *remarks(comparison), *failed]
    return "\n".join([*lines, f"Report: {comparison.out / HTML_NAME}"])


def as_html(comparison: Comparison) -> str:
    """The whole report as one page."""
    notes = html.note(HOW) + html.note(f"{features_of(comparison)}.")
    sections = [(title, html.table(header, rows)) for title, (header, rows) in tables(comparison).items()]
    sections.append(("How it was measured", notes))
    if refusals := remarks(comparison):
        sections.append(("Left out", "".join(html.note(f"{sentence}.") for sentence in refusals)))
    if comparison.failures:
        failures: list[list[Cell]] = [[name, why] for name, why in comparison.failures.items()]
        sections.append(("What failed", html.table(["", "why"], failures)))
    rows = grid_rows(comparison)
    pictures = html.picture_grid(
        [cells for _, cells in rows], captions_of(comparison), [name for name, _ in rows], lossy=True
    )
    sections.append(("Pictures", html.paragraph("Evenly spread. Select a picture to see it large.") + pictures))
    if lines := validation_lines(comparison):
        sections.append(("On the way", line_chart(lines, "minutes of training", "PSNR (dB)", title=VALIDATION)))
    return html.page(f"{', '.join(comparison.methods)}, compared", html.paragraph(introduction(comparison)), sections)


def remarks(comparison: Comparison) -> list[str]:
    """Return what the content gate refuses, in sentences: test pictures, then outputs of each method and direction."""
    test = comparison.test
    sentences = [_refused(f"test pictures of {comparison.terms.data.resolve().name}", test.refused, None)]
    for name, compared in comparison.methods.items():
        for way, translated in compared.measured.translated.items():
            total = len(translated.made) + len(translated.refused)
            sentences.append(_refused(f"outputs of {name}, {WAYS[way]}", translated.refused, total))
    return [sentence for sentence in sentences if sentence]


def _refused(what: str, refused: Mapping[str, str], total: int | None) -> str:
    """One sentence, empty where nothing is refused; `comparison.json` has what a long list leaves out."""
    if not refused:
        return ""
    named = [f"{name} ({reason})" for name, reason in refused.items()]
    more = [f"and {len(named) - NUM_NAMED} more in {JSON_NAME}"] if len(named) > NUM_NAMED else []
    count = f"{len(refused)}" if total is None else f"{len(refused)} of {total}"
    rest = "" if total is None else f"; its figures are of the other {total - len(refused)}"
    return f"{count} {what}, refused by the content gate: {'; '.join(named[:NUM_NAMED] + more)}{rest}"


def introduction(comparison: Comparison) -> str:
    """What all were given, in sentences."""
    terms, test = comparison.terms, comparison.test
    limits = {"minutes": terms.minutes, "epochs": terms.epochs}
    budget = [f"{limit:g} {name}" for name, limit in limits.items() if limit is not None]
    height, width = terms.crop_size
    kind = "pairs; methods that need none saw the two sides apart" if test.paired else "two sides without pairs"
    return (
        f"{comparison.asked} methods, each given {' or '.join(budget)} of training on the same pictures of "
        f"{terms.data.resolve().name} ({kind}), crops of {height}x{width}, seed {terms.seed}, {comparison.device}. "
        f"Measured on the {test.split} split, {len(test.sides['a'])} and {len(test.sides['b'])} pictures; the last "
        "snapshot of each."
    )


def tables(comparison: Comparison) -> dict[str, Rows]:
    """Title -> header and rows."""
    targets: Columns = {title: partial(_fidelity, name) for name, title in FIDELITY.items()}
    found: dict[str, Columns] = {"Against the targets": targets, "Without targets": distribution_columns(comparison)}
    cost = [[name, *_cost(compared)] for name, compared in comparison.methods.items()]
    measured = {title: _filled(comparison, columns) for title, columns in found.items()}
    return {title: table for title, table in measured.items() if table[1]} | {"What it cost": (["", *COST], cost)}


def distribution_columns(comparison: Comparison) -> Columns:
    """Title -> how to take the value: distances from the real pictures of either side, and what comes back."""
    columns: Columns = {}
    for way, (_, wanted) in SIDES.items():
        found = [one.measure for row in comparison.rows.values() for one in row.distances.get(way, [])]
        for measure in dict.fromkeys(found):
            columns[f"{measure.removesuffix(' distance')}, {wanted}"] = partial(_distance, way, measure)
    return columns | {f"{given} back (dB)": partial(_returned, way) for way, (given, _) in SIDES.items()}


def _filled(comparison: Comparison, columns: Columns) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows, without the rows and columns in which nothing stands."""
    rows = {name: {title: take(one) for title, take in columns.items()} for name, one in comparison.rows.items()}
    kept = [title for title in columns if any(row[title] is not None for row in rows.values())]
    filled = {name: [row[title] for title in kept] for name, row in rows.items()}
    return ["", *kept], [[name, *row] for name, row in filled.items() if any(value is not None for value in row)]


def _fidelity(name: str, measured: Measured) -> Cell:
    return _told(measured.fidelity.get(name))


def _returned(way: Direction, measured: Measured) -> Cell:
    return _told(measured.returned.get(way))


def _distance(way: Direction, measure: str, measured: Measured) -> Cell:
    for one in measured.distances.get(way, []):
        if one.measure == measure:
            return one.value if one.deviation is None else _with_deviation(one.value, one.deviation)
    return None


def _cost(compared: Compared) -> list[Cell]:
    trained, translated = compared.trained, compared.measured.translated
    stopped = {"done": "all epochs", "minutes": "the time was over"}[trained.stopped]
    return [
        "pairs" if compared.pairs_seen else "two sides",
        trained.images_seen,
        f"{duration(trained.seconds)}, {stopped}",
        compared.training_seconds,
        translated["a_to_b"].seconds,
        *(f"{count / 1e6:.2f} M" for count in compared.parameters),
    ]


def validation_lines(comparison: Comparison) -> dict[str, list[Point]]:
    """Method -> (minutes, PSNR against the targets of the validation split), where there is one."""
    lines = {}
    for name, compared in comparison.methods.items():
        rows = curves(compared.trained.run).get("validation", {})
        if "psnr" in rows:
            clock = dict(rows["seconds"])
            lines[name] = [(clock[images] / 60, value) for images, value in rows["psnr"]]
    return lines


def _told(summary: Summary | None) -> Cell:
    if summary is None or summary.mean is None or summary.deviation is None:
        return None
    return _with_deviation(summary.mean, summary.deviation)


def _with_deviation(value: float, deviation: float) -> str:
    return f"{html.format_value(value)} ± {html.format_value(deviation, like=value)}"


def features_of(comparison: Comparison) -> str:
    """Which features each distance is of, and how pictures were brought to them."""
    found = {
        one.measure: one.features for row in comparison.rows.values() for all_ in row.distances.values() for one in all_
    }
    return "; ".join(f"{measure}: {space.name}, {space.protocol}" for measure, space in found.items())
