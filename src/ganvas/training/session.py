"""Training session: the state and clock of a run in progress, and what it writes between steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import torch

from ganvas.errors import DivergenceError
from ganvas.hardware.threads import StepThreads
from ganvas.methods.base import Method
from ganvas.runs.checkpoint import STATE_NAME, Counters, save_checkpoint
from ganvas.runs.folder import mark_saved, preview_path
from ganvas.runs.snapshots import save_snapshot, snapshot_path
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.ema import evaluating
from ganvas.training.monitoring import Health, Metrics, Report, Stopped, TrainingResult
from ganvas.training.performance.compilation import uncompiled
from ganvas.training.pictures import Pictures
from ganvas.training.previews import write_samples
from ganvas.training.schedule import Budget, Clock, expect, learning_rate, reached
from ganvas.training.state import TrainingState
from ganvas.training.validation import validate

GPU_SECONDS = 5.0
"""Of steps, after which the speed of a GPU is reported."""
REMEDY = (
    "Go on with a lower rate (ganvas resume RUN --learning-rate R; a third of it is a good try), with --precision "
    "float32 if it was bfloat16, and look for broken pictures in the data; or start anew in another folder"
)


@dataclass(kw_only=True)
class Session:
    """One start of a run, on one process.

    Attributes:
        total: images of the whole run.
        told_threads: the number of threads last told to the person at the terminal.
        images_seen, step: the run's clock.
        best: the best validation so far.
        saved: images seen at the last checkpoint; None before the first.
        saved_at: the clock's seconds at that moment.
        metrics: on the first process.
        evaluation_due: what `evaluate` does at this moment is still to be done.
    """

    run: Path
    settings: TrainingConfig
    processes: Processes
    pictures: Pictures
    state: TrainingState
    report: Report
    metrics: Metrics | None
    clock: Clock
    budget: Budget
    total: int
    images_seen: int
    step: int
    best: dict[str, float]
    saved: int | None
    saved_at: float
    evaluation_due: bool = False
    health: Health = field(default_factory=Health)
    told_threads: int | None = None

    @property
    def rate(self) -> float:
        """The learning rate now."""
        settings = self.settings
        full, constant, decay = settings.learning_rate, settings.constant_fraction, settings.decay
        return learning_rate(self.images_seen, total=self.total, full=full, constant_fraction=constant, decay=decay)

    def tick(self, *, interrupted: bool) -> tuple[Stopped | None, bool]:
        """Return why to stop now, if at all, and whether a checkpoint is due by time; all processes agree."""
        seconds = self.clock.seconds
        over = self.budget.is_over(seconds)
        late = seconds - self.saved_at >= 60 * self.settings.checkpoint_minutes
        interrupted, over, late = self.processes.agree(interrupted, over, late)
        if self.images_seen >= self.total:
            return "done", late
        return "interrupted" if interrupted else "minutes" if over else None, late

    def seconds_left(self) -> float:
        """Return the seconds until the epochs or the minutes are over."""
        rate = self.clock.rate(self.images_seen)
        left = max(self.total - self.images_seen, 0) / rate if rate else float("inf")
        if self.settings.minutes is not None:
            left = min(left, max(60 * self.settings.minutes - self.clock.seconds, 0))
        return left

    def result(self, stopped: Stopped) -> TrainingResult:
        """Return how it ended."""
        return TrainingResult(
            run=self.run,
            images_seen=self.images_seen,
            seconds=self.clock.seconds,
            images_per_second=self.clock.rate(self.images_seen),
            best=self.best,
            stopped=stopped,
        )

    def write_due(self, before: int, stopped: Stopped | None, *, late: bool) -> None:
        """Write rows, measures and pictures as they are due; the checkpoint last, so that none is lost or done twice.

        Args:
            before: images seen before the step.
            stopped: why the run stops now, if it does.
            late: a checkpoint is due by time.
        """
        settings, seen, last = self.settings, self.images_seen, stopped in ("done", "minutes")
        if last or reached(settings.log_every, before, seen):
            self.log()
        self.evaluate(before, last=last)
        if stopped or late or reached(settings.checkpoint_every, before, seen):
            self.checkpoint()

    def show(self) -> None:
        """Update the progress display."""
        self.report.show(self.images_seen, rate=self.clock.rate(self.images_seen), seconds_left=self.seconds_left())

    def tell_speed(self, config: RunConfig, threads: StepThreads) -> None:
        """Report speed and expected end once; later, each change of the number of threads."""
        device = self.processes.device
        pace_is_wall_time = device.type == "cpu"  # a GPU is waited for between two rows of metrics only
        if threads.pace is None or not threads.is_settled or self.told_threads == threads.threads:
            return
        if not (pace_is_wall_time or self.clock.busy > GPU_SECONDS):
            return
        rate = self.settings.batch_size / threads.pace if pace_is_wall_time else self.clock.rate(self.images_seen)
        if self.told_threads is not None:
            self.told_threads = threads.threads
            counted = f"{threads.threads} thread{'s are' if threads.threads > 1 else ' is'}"
            self.report.say(f"{counted} now faster: {rate:.3g} images/s")
            return
        lines = expect(
            config,
            device,
            threads=threads.threads,
            rate=rate,
            images_left=max(self.total - self.images_seen, 0),
            seconds_left=float("inf") if self.budget.limit is None else self.budget.limit - self.clock.seconds,
            now=datetime.now(),
        )
        for line in lines:
            self.report.say(line)
        self.told_threads = threads.threads

    def check(self) -> dict[str, float]:
        """Return the mean losses since the last row. Waits for the device.

        Raises:
            DivergenceError: a loss, a weight or a moment is not finite.
        """
        try:
            means = self.state.meter.read(self.images_seen)
            self.state.check_finite(self.images_seen)
        except DivergenceError as error:
            kept = "No state was saved yet" if self.saved is None else f"The state after {self.saved:,} images is kept"
            raise DivergenceError(f"{self.run}: {error}. {kept}. {REMEDY}.") from None
        return means

    def log(self) -> None:
        """Write a row of losses."""
        means = self.check()
        self.state.meter.clear()
        if self.metrics is None or not means:
            return
        epoch = self.images_seen / self.pictures.loader.epoch_size
        beside = {"epoch": epoch, "learning_rate": self.rate, "seconds": self.clock.seconds}
        self.metrics.write("training", self.images_seen, means, **beside)
        self.report.losses(means)
        self._warn(self.health.losses(means))

    def evaluate(self, before: int, *, last: bool) -> None:
        """Validate and draw previews where they are due; the first time, save the state before, for both may fail.

        Args:
            before: images seen before the last step.
            last: the run ends here, so both are due.
        """
        every = self.settings.validate_every, self.settings.sample_every
        validates, samples = (last or reached(count, before, self.images_seen) for count in every)
        if (validates or samples) and self.saved is None:
            self.evaluation_due = True
            self.checkpoint()
        if validates:
            self.validate()
        if samples:
            self.sample()
        self.evaluation_due = False

    def validate(self) -> None:
        """Measure on the validation split, and keep the best generators."""
        self.check()
        if self.metrics is None:
            return
        with self._evaluating() as method, self.budget.measuring("validation"):
            torch.manual_seed(self.settings.seed)  # the same noise each time
            measures = validate(method, self.pictures, self.settings.validation_pictures)
        if not measures:
            return
        self.metrics.write("validation", self.images_seen, measures, seconds=self.clock.seconds)
        self.report.say(f"{self.images_seen:,} images: validation {_told(measures)}")
        self._warn(self.health.validation(measures))
        if measures.get("psnr", float("-inf")) > self.best.get("psnr", float("-inf")):  # pairs alone have a best
            self.best = {"images": float(self.images_seen), **measures}
            self._snapshot("best")

    def sample(self) -> None:
        """Write a preview grid of inputs, outputs and targets."""
        self.check()
        if not self.processes.first:
            return
        with self._evaluating() as method, self.budget.measuring("sample"):
            torch.manual_seed(self.settings.seed)
            grid = preview_path(self.run, self.images_seen)
            refused = write_samples(grid, method, self.pictures)
        if self.metrics is not None:
            self.metrics.preview(self.images_seen, grid)
        self._warn([f"A sample tile is shown gray: {sentence}" for sentence in refused])

    def checkpoint(self) -> None:
        """Save the generators alone, then the whole state: killed in between, a resumption makes both again."""
        self.check()
        self.state.meter.share()
        self.saved, self.saved_at = self.images_seen, self.clock.seconds
        if not self.processes.first:
            return
        with self.clock.pause(), self.budget.measuring("checkpoint"):
            counters = Counters(
                images_seen=self.images_seen,
                step=self.step,
                seconds=self.clock.seconds,
                pictures=self.pictures.loader.epoch_size,
                best=self.best,
                evaluation_due=self.evaluation_due,
                loss_counts=self.state.meter.counts,
                reserved=self.budget.reserve + (self.budget.step_seconds or 0.0),
            )
            self._snapshot("last")
            save_checkpoint(self.run / STATE_NAME, self.state.tensors(), counters)
            mark_saved(self.run)

    @contextmanager
    def _evaluating(self) -> Iterator[Method]:
        """The method as inference will see it and as it is written; training makes a pause."""
        averaged = evaluating(self.state.method, self.state.average)
        with self.clock.pause(), uncompiled(self.settings.compile), averaged as method:
            yield method

    def _snapshot(self, name: str) -> None:
        path, weights = snapshot_path(self.run, name), self.state.average.weights
        save_snapshot(path, self.state.method, images_seen=self.images_seen, weights=weights)

    def _warn(self, sentences: list[str]) -> None:
        for sentence in sentences:
            self.report.say(f"Warning: {sentence}")


def _told(measures: dict[str, float]) -> str:
    units = {"psnr": "{:.2f} dB PSNR", "ssim": "{:.4f} SSIM", "l1": "{:.4f} L1"}
    units |= {f"cycle_{side}_psnr": f"{side} there and back {{:.2f}} dB PSNR" for side in "ab"}
    return ", ".join(text.format(measures[name]) for name, text in units.items() if name in measures)
