"""A run in progress: its state and clock, and all that it writes and says between two steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ganvas.errors import DivergenceError
from ganvas.inference.record import save_snapshot, snapshot_path
from ganvas.methods.base import Method
from ganvas.training.checkpoint import STATE_NAME, Counters, TrainingState, save_state
from ganvas.training.compilation import uncompiled
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.ema import evaluating
from ganvas.training.health import Health
from ganvas.training.metrics import Metrics
from ganvas.training.pictures import Pictures
from ganvas.training.report import Report
from ganvas.training.result import Stopped, TrainingResult
from ganvas.training.samples import sample_path, write_samples
from ganvas.training.schedule import Clock, learning_rate, reached
from ganvas.training.validation import validate

MEND = (
    "Go on with a lower rate (ganvas resume RUN --learning-rate R; a third of it is a good try), with --precision "
    "float32 if it was bfloat16, and look for broken pictures in the data; or start anew in another folder"
)


@dataclass(kw_only=True)
class Session:
    """One start of a run, on one process.

    Attributes:
        total: images of the whole run.
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
    total: int
    images_seen: int
    step: int
    best: dict[str, float]
    saved: int | None
    saved_at: float
    evaluation_due: bool = False
    health: Health = field(default_factory=Health)

    @property
    def rate(self) -> float:
        """The learning rate now."""
        settings = self.settings
        full, constant, decay = settings.learning_rate, settings.constant_fraction, settings.decay
        return learning_rate(self.images_seen, total=self.total, full=full, constant_fraction=constant, decay=decay)

    def tick(self, *, interrupted: bool) -> tuple[Stopped | None, bool]:
        """Why to stop now, if at all, and whether a checkpoint is due by time. All processes agree."""
        seconds, minutes = self.clock.seconds, self.settings.minutes
        over = minutes is not None and seconds >= 60 * minutes
        late = seconds - self.saved_at >= 60 * self.settings.checkpoint_minutes
        interrupted, over, late = self.processes.agree(interrupted, over, late)
        if self.images_seen >= self.total:
            return "done", late
        return "interrupted" if interrupted else "minutes" if over else None, late

    def seconds_left(self) -> float:
        """Until the epochs or the minutes are over."""
        rate = self.clock.rate(self.images_seen)
        left = max(self.total - self.images_seen, 0) / rate if rate else float("inf")
        if self.settings.minutes is not None:
            left = min(left, max(60 * self.settings.minutes - self.clock.seconds, 0))
        return left

    def result(self, stopped: Stopped) -> TrainingResult:
        """How it ended."""
        return TrainingResult(
            run=self.run,
            images_seen=self.images_seen,
            seconds=self.clock.seconds,
            images_per_second=self.clock.rate(self.images_seen),
            best=self.best,
            stopped=stopped,
        )

    def show(self) -> None:
        """Keep the person at the terminal informed."""
        self.report.show(self.images_seen, rate=self.clock.rate(self.images_seen), seconds_left=self.seconds_left())

    def check(self) -> dict[str, float]:
        """The mean losses since the last row. Waits for the device.

        Raises:
            DivergenceError: a loss, a weight or a moment is not finite.
        """
        try:
            means = self.state.meter.read(self.images_seen)
            self.state.check_finite(self.images_seen)
        except DivergenceError as error:
            kept = "No state was saved yet" if self.saved is None else f"The state after {self.saved:,} images is kept"
            raise DivergenceError(f"{self.run}: {error}. {kept}. {MEND}.") from None
        return means

    def log(self) -> None:
        """A row of losses."""
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
        with self._evaluating() as method:
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
        """A grid of inputs, outputs and targets."""
        self.check()
        if not self.processes.first:
            return
        with self._evaluating() as method:
            torch.manual_seed(self.settings.seed)
            grid = sample_path(self.run, self.images_seen)
            refused = write_samples(grid, method, self.pictures)
        if self.metrics is not None:
            self.metrics.preview(self.images_seen, grid)
        self._warn([f"A sample tile is drawn grey: {sentence}" for sentence in refused])

    def checkpoint(self) -> None:
        """Save the generators alone, then the whole state: killed in between, a resumption makes both again."""
        self.check()
        self.state.meter.share()
        self.saved, self.saved_at = self.images_seen, self.clock.seconds
        if not self.processes.first:
            return
        with self.clock.pause():
            counters = Counters(
                images_seen=self.images_seen,
                step=self.step,
                seconds=self.clock.seconds,
                pictures=self.pictures.loader.epoch_size,
                best=self.best,
                evaluation_due=self.evaluation_due,
                loss_counts=self.state.meter.counts,
            )
            self._snapshot("last")
            save_state(self.run / STATE_NAME, self.state, counters)

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
