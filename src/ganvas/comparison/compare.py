"""Train several methods under the same budget on the same data, and write one page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from ganvas.bulk import claimed, require_apart, require_outside
from ganvas.comparison.measures import Instruments, another_draw, input_as_it_is, load_instruments, measure_run
from ganvas.comparison.plan import Terms, TestPictures, open_test_pictures, plan_data, plan_runs
from ganvas.comparison.report import write_reports
from ganvas.comparison.result import GRID_NAME, HTML_NAME, JSON_NAME, Compared, Comparison
from ganvas.data.config import DataConfig
from ganvas.data.layouts import data_files, data_folders
from ganvas.errors import FILE_ERRORS, ConfigError, PartialFailure, RunError, problem_of
from ganvas.inference.device import pick_device, pick_precision
from ganvas.inference.record import load_generators
from ganvas.training.checkpoint import STATE_NAME
from ganvas.training.config import RunConfig
from ganvas.training.loop import train
from ganvas.training.run_folder import read_config


def compare(
    recipes: Sequence[str], terms: Terms, out: Path, *, pictures: int = 200, progress: bool = True
) -> Comparison:
    """Train each recipe under the same terms in OUT/runs/RECIPE, measure all on the same pictures, and write one page.

    Writes `report.html`, `comparison.json` and `grid.png`, anew after each method. A method that fails is listed and
    the others go on. Stopped, the same call goes on; with more minutes or epochs, every run goes on for longer.

    Args:
        recipes: names of `ganvas.recipes`.
        terms: what all are given alike.
        out: the folder to write.
        pictures: measure on at most so many of each side of the test split, evenly spread.
        progress: say what is being done.

    Raises:
        ConfigError: no such recipe, one that needs pairs where there are none, bfloat16 where it is not fast, or `out`
            holds runs on other data.
        DataError, ImageError: the pictures cannot be found or used.
        PolicyRefusal: too many of them are refused.
        PartialFailure: every method failed.
        KeyboardInterrupt: training was interrupted, by Ctrl-C or SIGTERM.
    """
    if pictures < 2:
        raise ConfigError(f"pictures {pictures} must be 2 or more, or nothing can be said of their distribution")
    runs, data = _with_precision(plan_runs(recipes, terms), terms.device), plan_data(terms)
    for name, config in runs.items():
        _check_same_data(config, out / "runs" / name)
    require_apart([out / name for name in (JSON_NAME, HTML_NAME, GRID_NAME)], data_files(data))
    require_outside(out, *data_folders(data))
    with claimed(out):
        return _compare(runs, data, terms, out, pictures=pictures, progress=progress)


def _compare(
    runs: dict[str, RunConfig], data: DataConfig, terms: Terms, out: Path, *, pictures: int, progress: bool
) -> Comparison:
    """As `compare`, into a folder that this process holds."""
    test = open_test_pictures(data, limit=pictures)
    instruments = load_instruments(test)
    references = {
        "input as it is": input_as_it_is(test, instruments),
        "training pictures": another_draw(data, test, instruments),
    }
    device = _in_words(terms.device)
    comparison = Comparison(out=out, terms=terms, test=test, references=references, asked=len(runs), device=device)
    for number, (name, config) in enumerate(runs.items(), start=1):
        if progress:
            Console(stderr=True).print(f"[bold]{number} of {len(runs)}[/bold]  {name}", highlight=False)
        try:
            comparison.methods[name] = _train_and_measure(
                config, out / "runs" / name, test, instruments, quiet=not progress
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
    """Return the runs with the precision that each computes in, so that one that cannot be had is said at the start."""
    chosen = {name: pick_precision(config.training.precision, device) for name, config in runs.items()}
    return {
        name: replace(config, training=replace(config.training, precision=chosen[name]))
        for name, config in runs.items()
    }


def _check_same_data(config: RunConfig, run: Path) -> None:
    """Raise where the run in this folder learnt from other pictures; one that cannot be read is listed later."""
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
    """The device that is meant, and on a CPU its threads."""
    chosen = pick_device(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)} of the CPU" if chosen.type == "cpu" else str(chosen)


def count_parameters(run: Path) -> tuple[int, int]:
    """All that are trained, and those that a snapshot holds."""
    method = load_generators(run, "last")
    held = [parameter for name in method.generators for parameter in getattr(method, name).parameters()]
    return sum(p.numel() for p in method.parameters()), sum(p.numel() for p in held)
