"""HTML report and picture grid of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from ganvas.comparison.plan import SIDES
from ganvas.comparison.result import DIRECTIONS, GRID_NAME, HTML_NAME, JSON_NAME, Comparison, as_record, remarks, tables
from ganvas.content_gate import AdmittedPicture, as_sheet, write_synthetic
from ganvas.evaluation.pictures import evenly
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.image.grid import make_grid
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.methods.config import Direction
from ganvas.reports import html
from ganvas.reports.chart import Point, curves, line_chart
from ganvas.reports.text import Cell

NUM_SHOWN: dict[Direction, int] = {"a_to_b": 8, "b_to_a": 4}
"""Test pictures in the grid."""
VALIDATION = "Validation PSNR during training: outputs against the targets of the validation split"
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
        note="The columns with a method's name are synthetic.",
    )
    grid = make_grid([_pictures(row) for row in cells], captions=captions, row_labels=[name for name, _ in rows])
    shown = [cell for row in cells for cell in row if cell is not None]
    write_synthetic(comparison.out / GRID_NAME, as_sheet(Picture(grid), shown, name=GRID_NAME), label)
    write_text(comparison.out / HTML_NAME, as_html(comparison))


def _pictures(cells: Sequence[AdmittedPicture | None]) -> list[Picture | None]:
    return [None if cell is None else cell.picture for cell in cells]


def captions_of(comparison: Comparison) -> list[str]:
    """Return the column captions of the grid."""
    return ["input", *comparison.methods, *(["target"] if comparison.test.paired else [])]


def grid_rows(comparison: Comparison) -> list[tuple[str, list[AdmittedPicture | None]]]:
    """Return name -> input, each method's output and, for pairs, the target; None where refused or not learned.

    Side b of pairs has no rows of its own, nor has a side that no method translates.
    """
    test, rows = comparison.test, list[tuple[str, list[AdmittedPicture | None]]]()
    for direction, (given, _) in SIDES.items():
        translated = [one.measured.translated.get(direction) for one in comparison.methods.values()]
        if direction == "b_to_a" and (test.paired or not any(translated)):
            continue
        names = list(test.sides[given])
        for name in [names[index] for index in evenly(len(names), NUM_SHOWN[direction])]:
            made = [None if one is None else one.made.get(name) for one in translated]
            target = [test.sides["b"][name]] if test.paired else []
            rows.append((f"{DIRECTIONS[direction]}: {name}", [test.sides[given][name], *made, *target]))
    return rows


def as_html(comparison: Comparison) -> str:
    """Return the whole report as one HTML page."""
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
        [_pictures(cells) for _, cells in rows], captions_of(comparison), [name for name, _ in rows], lossy=True
    )
    sections.append(("Pictures", html.paragraph("Evenly spread. Select a picture to see it large.") + pictures))
    if lines := validation_lines(comparison):
        sections.append(("Training curves", line_chart(lines, "minutes of training", "PSNR (dB)", title=VALIDATION)))
    return html.page(f"{', '.join(comparison.methods)}, compared", html.paragraph(introduction(comparison)), sections)


def introduction(comparison: Comparison) -> str:
    """Return the common conditions as sentences."""
    settings, test = comparison.settings, comparison.test
    limits = {"minutes": settings.minutes, "epochs": settings.epochs}
    budget = [f"{limit:g} {name}" for name, limit in limits.items() if limit is not None]
    height, width = settings.crop_size
    kind = "pairs; methods that need none saw the two sides apart" if test.paired else "two sides without pairs"
    return (
        f"{comparison.asked} methods, each given {' or '.join(budget)} of training on the same pictures of "
        f"{settings.data.resolve().name} ({kind}), crops of {height}x{width}, seed {settings.seed}, "
        f"{comparison.device}. "
        f"Measured on the {test.split} split, {len(test.sides['a'])} and {len(test.sides['b'])} pictures; the last "
        "snapshot of each."
    )


def validation_lines(comparison: Comparison) -> dict[str, list[Point]]:
    """Return method -> (minutes, PSNR on the validation split), where there is one."""
    lines = {}
    for name, compared in comparison.methods.items():
        rows = curves(compared.trained.run).get("validation", {})
        if "psnr" in rows:
            clock = dict(rows["seconds"])
            lines[name] = [(clock[images] / 60, value) for images, value in rows["psnr"]]
    return lines


def features_of(comparison: Comparison) -> str:
    """Describe the features behind each distance and their preprocessing."""
    found = {
        one.measure: one.features for row in comparison.rows.values() for all_ in row.distances.values() for one in all_
    }
    return "; ".join(f"{measure}: {space.name}, {space.protocol}" for measure, space in found.items())
