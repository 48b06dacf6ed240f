"""Observers of a training run: metrics, validation, preview grids, checkpoints and the progress display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from ganvas.errors import DivergenceError
from ganvas.hardware.threads import StepThreads
from ganvas.methods.base import Method
from ganvas.runs.folder import STATE_NAME, mark_saved, preview_path, save_checkpoint
from ganvas.runs.record import snapshot_path
from ganvas.training.config import RunConfig
from ganvas.training.dataset import Dataset
from ganvas.training.distributed import Processes
from ganvas.training.monitoring import Monitor
from ganvas.training.report import TrainingResult
from ganvas.training.schedule import Closing, Schedule, Stopped, reached
from ganvas.training.state import TrainingState
from ganvas.training.validation import validate, write_preview

REMEDY = (
    "Continue with a lower learning rate (ganvas resume RUN --learning-rate R; try a third), with --precision float32 "
    "if it was bfloat16, and check the data for damaged pictures; or start again in another folder"
)


@dataclass(frozen=True, kw_only=True)
class Observers:
    """Observers of a training run, which never change a weight.

    Every process calls the same methods in the same order, because checks are collective; only the first process
    writes.

    Attributes:
        run: the run folder.
        config: method, data and training.
        processes: the processes that train together.
        dataset: pictures for validation and previews.
        state: the observed state.
        schedule: learning rate and time budget.
        monitor: metrics files, display and warnings.
    """

    run: Path
    config: RunConfig
    processes: Processes
    dataset: Dataset
    state: TrainingState
    schedule: Schedule
    monitor: Monitor

    def after_step(self, stopped: Stopped | None, *, checkpoint_is_late: bool) -> None:
        """Write the outputs that are due after a step.

        Args:
            stopped: reason why the run ends now; None otherwise.
            checkpoint_is_late: whether a checkpoint is due by time.
        """
        last = stopped in ("done", "minutes")  # an interrupted run is evaluated after resuming
        if last or self._reached(self.config.training.log_every):
            self.log()
        self.evaluate(last=last)
        # The checkpoint comes last: after an earlier crash, resuming repeats this step and everything due after it
        if stopped or checkpoint_is_late or self._reached(self.config.training.checkpoint_every):
            self.checkpoint()

    def repeat_evaluation(self, *, last: bool) -> None:
        """Repeat the evaluation that failed after the last checkpoint, and complete that of a run that ends here."""
        is_due = self.state.evaluation_due
        if is_due or (last and not self.state.is_evaluated):
            if last:
                self.log()
            self.evaluate(last=last, is_begun=not is_due)
            self.checkpoint()

    def _reached(self, every: int) -> bool:
        """Return whether the last step reached a multiple of `every` images."""
        seen = self.state.clock.images_seen
        return reached(every, seen - self.config.training.batch_size, seen)

    def show(self, threads: StepThreads) -> None:
        """Update the progress display."""
        clock, report = self.state.clock, self.monitor.report
        report.speed(self.config, self.processes.device, threads, clock, self.schedule)
        report.show(clock.images_seen, rate=clock.rate, seconds_left=self.schedule.seconds_left(clock))

    def log(self) -> None:
        """Write a row of mean losses."""
        means, clock = self._check(), self.state.clock
        self.state.meter.clear()
        self.monitor.losses(
            clock.images_seen,
            means,
            epoch=clock.images_seen / self.dataset.loader.epoch_size,
            learning_rate=self.schedule.learning_rate(clock.images_seen),
            seconds=clock.seconds,
        )

    def evaluate(self, *, last: bool, is_begun: bool = False) -> None:
        """Validate and write previews if they are due; both are due at the end of the run (`last`).

        With `is_begun`, an earlier call at this image did what was due without `last`.
        """
        every = self.config.training.validate_every, self.config.training.sample_every
        reached = (self._reached(images) for images in every)
        validates, previews = ((last or one) and not (is_begun and one) for one in reached)
        if (validates or previews) and self.state.saved_images is None:
            # Both may fail, so the state is saved before the first of them; resuming then starts with them
            self.state.evaluation_due = True
            self.checkpoint()
        if validates:
            self.validate()
        if previews:
            self.preview()
        self.state.evaluation_due, self.state.is_evaluated = False, last

    def validate(self) -> None:
        """Measure on the validation split, and save the best generators."""
        self._check()
        if not self.processes.first:
            return
        state = self.state
        with self._evaluating("validation") as method:
            measures = validate(method, self.dataset, self.config.training.validation_pictures)
        if not measures:
            return
        self.monitor.validation(state.clock.images_seen, measures, seconds=state.clock.seconds)
        if measures.get("psnr", float("-inf")) > state.best.get(
            "psnr", float("-inf")
        ):  # only pairs have a best snapshot
            state.best = {"images": float(state.clock.images_seen), **measures}
            state.save_generators(snapshot_path(self.run, "best"))

    def preview(self) -> None:
        """Write a grid of inputs, outputs and targets."""
        self._check()
        if not self.processes.first:
            return
        with self._evaluating("sample") as method:
            grid = preview_path(self.run, self.state.clock.images_seen)
            refusals = write_preview(grid, method, self.dataset)
        self.monitor.preview(self.state.clock.images_seen, grid, refusals)

    def checkpoint(self) -> None:
        """Save the generators, then the whole state."""
        self._check()
        state, budget = self.state, self.schedule.budget
        state.meter.share()
        state.saved_images, state.saved_seconds = state.clock.images_seen, state.clock.seconds
        if not self.processes.first:
            return
        with state.clock.pause(), budget.measuring("checkpoint"):
            state.reserved_seconds = budget.reserve + (budget.step_seconds or 0.0)
            counters = state.counters(self.dataset.loader.epoch_size)
            # The state comes last: after a crash between the two, resuming writes both again
            state.save_generators(snapshot_path(self.run, "last"))
            save_checkpoint(self.run / STATE_NAME, state.tensors(), counters)
            mark_saved(self.run)

    def result(self, stopped: Stopped) -> TrainingResult:
        """Return the result of a finished training run."""
        clock = self.state.clock
        return TrainingResult(
            run=self.run,
            images_seen=clock.images_seen,
            seconds=clock.seconds,
            images_per_second=clock.rate,
            stopped=stopped,
            best=self.state.best,
        )

    def _check(self) -> dict[str, float]:
        """Return the mean losses since the last row; synchronizes with the device and the other processes.

        Raises:
            DivergenceError: a loss, a weight or a moment is not finite.
        """
        state = self.state
        try:
            means = state.meter.read(state.clock.images_seen)
            state.check_finite()
        except DivergenceError as error:
            saved = state.saved_images
            kept = "No state was saved yet" if saved is None else f"The state after {saved:,} images is kept"
            raise DivergenceError(f"{self.run}: {error}. {kept}. {REMEDY}.") from None
        return means

    @contextmanager
    def _evaluating(self, work: Closing) -> Iterator[Method]:
        """Switch the method to evaluation, with the same noise each time, and measure the time for the budget."""
        with (
            self.state.evaluating(compiled=self.config.training.compile) as method,
            self.schedule.budget.measuring(work),
        ):
            torch.manual_seed(self.config.training.seed)
            yield method
