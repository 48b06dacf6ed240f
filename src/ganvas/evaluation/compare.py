"""Comparison of several methods under the same budget on the same data, with its page and its grid."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console

from ganvas.content_gate import AdmittedPicture, as_sheet, write_synthetic
from ganvas.data.config import DataConfig
from ganvas.data.layouts import data_files, data_folders
from ganvas.data.splits import evenly
from ganvas.errors import FILE_ERRORS, ConfigError, PartialFailure, RunError, problem_of
from ganvas.evaluation import ComparisonConfig
from ganvas.evaluation.comparison_measures import (
    Instruments,
    identity_baseline,
    load_instruments,
    measure_run,
    training_reference,
)
from ganvas.evaluation.comparison_plan import SIDES, TestPictures, open_test_pictures, plan_data, plan_runs
from ganvas.evaluation.comparison_result import (
    DIRECTIONS,
    GRID_NAME,
    HTML_NAME,
    JSON_NAME,
    Compared,
    Comparison,
    as_record,
    remarks,
    tables,
)
from ganvas.filesystem import claimed, require_apart, require_outside
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.hardware.device import choose_device, choose_precision
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.methods.config import Direction
from ganvas.reports import html
from ganvas.reports.chart import Point, curves, line_chart
from ganvas.reports.html import Cell
from ganvas.runs.folder import STATE_NAME
from ganvas.runs.record import load_generators
from ganvas.training.config import RunConfig
from ganvas.training.loop import train
from ganvas.training.state import read_config

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


def compare(settings: ComparisonConfig, *, progress: bool = True) -> Comparison:
    """Train each recipe with the same settings in OUT/runs/RECIPE, and measure all on the same pictures.

    Writes `report.html`, `comparison.json` and `grid.png`, rewritten after each method. A failing method is
    listed and the others continue. The same call resumes after an interruption; more minutes or epochs extend each run.

    Args:
        settings: recipes, data and budget.
        progress: show progress.

    Raises:
        ConfigError: no such recipe, one that needs pairs where there are none, bfloat16 where it is not fast, or `out`
            holds runs on other data.
        DataError, ImageError: the pictures cannot be found or used.
        PolicyRefusal: too many of them are refused.
        PartialFailure: every method failed.
        KeyboardInterrupt: training was interrupted, by Ctrl-C or SIGTERM.
    """
    # Validate everything before hours of training: recipes, precision, earlier runs, output folder.
    runs, data = _with_precision(plan_runs(settings), settings.device), plan_data(settings)
    out = settings.out
    for name, config in runs.items():
        _check_same_data(config, out / "runs" / name)
    require_apart([out / name for name in (JSON_NAME, HTML_NAME, GRID_NAME)], data_files(data))
    require_outside(out, *data_folders(data))
    with claimed(out):
        return _compare(runs, data, settings, progress=progress)


def _compare(runs: dict[str, RunConfig], data: DataConfig, settings: ComparisonConfig, *, progress: bool) -> Comparison:
    """Run `compare` in a folder that this process holds."""
    # All methods are measured on the same test pictures, beside two references.
    test = open_test_pictures(data, limit=settings.pictures)
    instruments = load_instruments(test)
    references = {
        "input as it is": identity_baseline(test, instruments),
        "training pictures": training_reference(data, test, instruments),
    }
    device = _in_words(settings.device)
    comparison = Comparison(
        out=settings.out, settings=settings, test=test, references=references, asked=len(runs), device=device
    )
    # Train and measure one method at a time; write after each, so that an interruption loses nothing.
    for number, (name, config) in enumerate(runs.items(), start=1):
        if progress:
            Console(stderr=True).print(f"[bold]{number} of {len(runs)}[/bold]  {name}", highlight=False)
        try:
            comparison.methods[name] = _train_and_measure(
                config, settings.out / "runs" / name, test, instruments, quiet=not progress
            )
        except FILE_ERRORS as error:
            comparison.failures[name] = problem_of(error)
            continue
        write_reports(comparison)
    if not comparison.methods:
        raise PartialFailure(comparison.failures, len(runs))
    write_reports(comparison)  # a last method that failed is listed too
    return comparison


def _with_precision(runs: dict[str, RunConfig], device: str) -> dict[str, RunConfig]:
    """Return the runs with the precision that each computes in, so that an unsupported one raises at the start."""
    chosen = {name: choose_precision(config.training.precision, choose_device(device)) for name, config in runs.items()}
    return {
        name: replace(config, training=replace(config.training, precision=chosen[name]))
        for name, config in runs.items()
    }


def _check_same_data(config: RunConfig, run: Path) -> None:
    """Raise where the run in this folder was trained on other pictures; an unreadable run is listed later."""
    if not (run / STATE_NAME).exists():
        return
    try:
        before = read_config(run).data.folder.resolve()
    except RunError:
        return
    if before != (now := config.data.folder.resolve()):
        raise ConfigError(
            f"{run} was trained on {before}, not on {now}: give another --out; if the pictures were only moved, "
            f"say so with: ganvas resume {shlex.quote(str(run))} --data {shlex.quote(str(now))}"
        )


def _train_and_measure(
    config: RunConfig, run: Path, test: TestPictures, instruments: Instruments, *, quiet: bool
) -> Compared:
    trained = train(config, run, resume=True, quiet=quiet)
    if trained.stopped == "interrupted":
        raise KeyboardInterrupt
    measured = measure_run(run, test, instruments, device=config.training.device)
    return Compared(config=config, trained=trained, parameters=count_parameters(run), measured=measured)


def _in_words(device: str) -> str:
    """Describe the selected device, with its threads for a CPU."""
    chosen = choose_device(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)} of the CPU" if chosen.type == "cpu" else str(chosen)


def count_parameters(run: Path) -> tuple[int, int]:
    """Count all trained parameters, and those that a snapshot holds."""
    method = load_generators(run, "last")
    held = [parameter for name in method.generators for parameter in getattr(method, name).parameters()]
    return sum(p.numel() for p in method.parameters()), sum(p.numel() for p in held)


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
            outputs = [None if one is None else one.outputs.get(name) for one in translated]
            target = [test.sides["b"][name]] if test.paired else []
            rows.append((f"{DIRECTIONS[direction]}: {name}", [test.sides[given][name], *outputs, *target]))
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
