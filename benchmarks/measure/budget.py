"""Training for a fixed time: a short trial finds how many epochs fit, so that the schedule ends with the time.

The time is processor time of one core, so that other programs on the machine do not shorten a training.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest import mock

import torch

from ganvas.data.cache_writer import build_cache
from ganvas.filesystem.paths import cache_folder
from ganvas.training import schedule
from ganvas.training.config import RunConfig
from ganvas.training.loop import train
from ganvas.training.report import TrainingResult
from ganvas.training.state import read_config

TRIAL_MINUTES = 0.15
"""Duration of the trial, which is not counted."""
OVER = 1.1
"""A training run stops after this multiple of its minutes if the machine became slower after the trial."""
NEVER = 10**9
QUIET: dict[str, Any] = {"sample_every": NEVER, "validate_every": NEVER, "log_every": 1000}
"""Settings without previews and validations; checkpoints are written by time."""
Job = TypeVar("Job")
Made = TypeVar("Made")


def train_for(config: RunConfig, run: Path, minutes: float) -> dict[str, float]:
    """Train for about this many minutes, or resume; return the number of images and the seconds."""
    with processor_time():
        config = read_config(run) if (run / "run.json").exists() else scheduled(config, run, minutes)
        result = uninterrupted(train(config, run, resume=True, quiet=True))
    return {"images": result.images_seen, "seconds": round(result.seconds, 1)}


@contextmanager
def processor_time() -> Iterator[None]:
    """Make the clock of a training run count the processor time of this process, and end the run on time.

    The budget of a training run also predicts, by wall time, how long the work after the last step takes; while other
    programs are busy, it would end runs early, by different amounts.
    """
    with (
        mock.patch.object(schedule, "time", SimpleNamespace(monotonic=time.process_time)),
        mock.patch.object(schedule.Budget, "is_over", _is_used_up),
    ):
        yield


def _is_used_up(budget: schedule.Budget, seconds: float) -> bool:
    return budget.limit is not None and seconds >= budget.limit


def scheduled(config: RunConfig, run: Path, minutes: float) -> RunConfig:
    """Return the config for one thread with as many epochs as fit into the minutes, measured by a trial."""
    training = replace(config.training, epochs=1e6, threads=1, **QUIET, checkpoint_every=NEVER, checkpoint_minutes=2.0)
    config = replace(config, training=replace(training, minutes=min(TRIAL_MINUTES, minutes)))
    trial = run.with_name(f".{run.name}-trial")
    shutil.rmtree(trial, ignore_errors=True)
    try:
        rate = uninterrupted(train(config, trial, quiet=True)).images_per_second
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    pictures = len(build_cache(config.data, "train", cache_folder() / "pictures"))
    epochs = max(rate * 60 * minutes, config.training.batch_size) / pictures
    return replace(config, training=replace(config.training, epochs=epochs, minutes=OVER * minutes))


def uninterrupted(result: TrainingResult) -> TrainingResult:
    """Return the result; exit if Ctrl-C or SIGTERM interrupted the training, whose state is saved."""
    if result.stopped == "interrupted":
        raise SystemExit(result.exit_code)
    return result


def in_processes(work: Callable[[Job], Made], jobs: Iterable[Job], count: int) -> list[Made]:
    """Return the results of `work` for all jobs, `count` at a time, each in a process with one thread."""
    with ProcessPoolExecutor(count, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        return list(pool.map(work, jobs))
