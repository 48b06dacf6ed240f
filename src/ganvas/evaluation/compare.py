"""Comparison of several methods under the same budget on the same data, with its report and picture grid."""

from __future__ import annotations

import shlex
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console

from ganvas.content_gate import as_sheet, write_synthetic
from ganvas.data.config import DataConfig
from ganvas.data.layouts import data_files, data_folders
from ganvas.errors import FILE_ERRORS, ConfigError, PartialFailure, RunError, problem_of
from ganvas.evaluation import ComparisonConfig
from ganvas.evaluation.comparison_measures import (
    MetricNetworks,
    identity_baseline,
    load_metric_networks,
    measure_run,
    training_reference,
)
from ganvas.evaluation.comparison_page import as_html, captions_of, grid_rows
from ganvas.evaluation.comparison_plan import TestPictures, open_test_pictures, plan_data, plan_runs, why_unpaired
from ganvas.evaluation.comparison_result import (
    CSV_NAME,
    DIRECTIONS,
    GRID_NAME,
    HTML_NAME,
    IDENTITY,
    JSON_NAME,
    TRAINING,
    Compared,
    Comparison,
    as_record,
    every_picture,
)
from ganvas.filesystem import claimed, require_apart, require_outside
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.hardware.device import choose_device, choose_precision
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.reports.tables import rows_as_csv
from ganvas.runs.folder import STATE_NAME
from ganvas.runs.record import load_generators
from ganvas.training.config import RunConfig
from ganvas.training.loop import train
from ganvas.training.state import read_config


def compare(settings: ComparisonConfig, *, progress: bool = True) -> Comparison:
    """Train each recipe with the same settings in OUT/runs/RECIPE, and measure all on the same pictures.

    Writes `report.html`, `comparison.json`, `grid.png` and, of pairs, `pictures.csv`, rewritten after each method. A
    failing method is listed and the others continue. The same call resumes after an interruption; more minutes or
    epochs extend each run.

    Args:
        settings: recipes, data and budget.
        progress: show progress.

    Raises:
        ConfigError: an unknown recipe, a recipe that needs pairs for unpaired data, bfloat16 that is not fast, or `out`
            contains runs on other data.
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
    require_apart([out / name for name in (JSON_NAME, HTML_NAME, GRID_NAME, CSV_NAME)], data_files(data))
    require_outside(out, *data_folders(data))
    if progress and (reason := why_unpaired(settings.data)):
        Console(stderr=True).print(f"The pictures are used as unpaired: {reason}", highlight=False, markup=False)
    with claimed(out):
        return _compare(runs, data, settings, progress=progress)


def _compare(runs: dict[str, RunConfig], data: DataConfig, settings: ComparisonConfig, *, progress: bool) -> Comparison:
    """Run `compare` in a folder that this process has locked."""
    # Measure all methods on the same test pictures, beside two references.
    test = open_test_pictures(data, limit=settings.pictures)
    networks = load_metric_networks(test)
    references = {
        IDENTITY: identity_baseline(test, networks),
        TRAINING: training_reference(data, test, networks),
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
                config, settings.out / "runs" / name, test, networks, quiet=not progress
            )
        except FILE_ERRORS as error:
            comparison.failures[name] = problem_of(error)
        if comparison.methods:
            write_reports(comparison)
    if not comparison.methods:
        raise PartialFailure(comparison.failures, len(runs))
    return comparison


def _with_precision(runs: dict[str, RunConfig], device: str) -> dict[str, RunConfig]:
    """Return the runs with their resolved precision, so that an unsupported precision is an error at the start."""
    chosen = {name: choose_precision(config.training.precision, choose_device(device)) for name, config in runs.items()}
    return {
        name: replace(config, training=replace(config.training, precision=chosen[name]))
        for name, config in runs.items()
    }


def _check_same_data(config: RunConfig, run: Path) -> None:
    """Raise an error if the run in this folder was trained on other pictures; an unreadable run is listed later."""
    if not (run / STATE_NAME).exists():
        return
    try:
        before = read_config(run).data.folder.resolve()
    except RunError:
        return
    if before != (now := config.data.folder.resolve()):
        raise ConfigError(
            f"{run} was trained on {before}, not on {now}: use another --out; if the pictures were only moved, "
            f"record it with: ganvas resume {shlex.quote(str(run))} --data {shlex.quote(str(now))}"
        )


def _train_and_measure(
    config: RunConfig, run: Path, test: TestPictures, networks: MetricNetworks, *, quiet: bool
) -> Compared:
    trained = train(config, run, resume=True, quiet=quiet)
    if trained.stopped == "interrupted":
        raise KeyboardInterrupt
    measured = measure_run(run, test, networks, device=config.training.device)
    return Compared(config=config, trained=trained, parameters=count_parameters(run), measured=measured)


def _in_words(device: str) -> str:
    """Describe the selected device, with its threads for a CPU."""
    chosen = choose_device(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)} of the CPU" if chosen.type == "cpu" else str(chosen)


def count_parameters(run: Path) -> tuple[int, int]:
    """Count all trained parameters, and those of a snapshot."""
    method = load_generators(run, "last")
    held = [parameter for name in method.generators for parameter in getattr(method, name).parameters()]
    return sum(p.numel() for p in method.parameters()), sum(p.numel() for p in held)


def write_reports(comparison: Comparison) -> None:
    """Write the JSON, the CSV, the grid and the page, replacing those of an earlier call."""
    out = comparison.out
    write_json(out / JSON_NAME, as_record(comparison))
    if comparison.test.paired:
        write_text(out / CSV_NAME, rows_as_csv(*every_picture(comparison)))
    rows = grid_rows(comparison)
    label = SyntheticLabel(
        software=f"ganvas {version('ganvas')}",
        model=", ".join(comparison.methods) or "none",
        note="The columns with a method's name are synthetic.",
    )
    cells = [[None if cell is None else cell.picture for cell in row.cells] for row in rows]
    names = [f"{DIRECTIONS[row.direction]}: {row.name}" for row in rows]
    grid = make_grid(cells, captions=captions_of(comparison), row_labels=names)
    shown = [cell for row in rows for cell in row.cells if cell is not None]
    write_synthetic(out / GRID_NAME, as_sheet(Picture(grid), shown, name=GRID_NAME), label)
    write_text(out / HTML_NAME, as_html(comparison))
