"""Progress report of a training run: display, speed and estimated end, and its result."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Self

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from ganvas.hardware.device import choose_precision
from ganvas.hardware.threads import StepThreads, processor_name
from ganvas.terminal import printable
from ganvas.training.config import RunConfig
from ganvas.training.schedule import Clock, Schedule, Stopped

PLAIN_EVERY = 30.0
"""Seconds between lines without a terminal."""
GPU_SECONDS = 5.0
"""Seconds in training steps after which the speed of a GPU is reported."""


class Report:
    """Progress display of a run: a bar with speed, losses and remaining time, or plain lines.

    Args:
        total: number of images of the whole run.
        epoch_size: number of images of an epoch.
        quiet: show nothing.
        console: output; unset: standard error.
    """

    def __init__(self, total: int, epoch_size: int, *, quiet: bool = False, console: Console | None = None) -> None:
        self._total, self._epoch_size = total, epoch_size
        self._console = console or Console(file=sys.stderr, quiet=quiet, highlight=False, force_jupyter=False)
        # this column wraps text that is wider than the terminal; the default column truncates it
        columns = (BarColumn(bar_width=16), TextColumn("{task.fields[text]}", markup=False, table_column=Column()))
        self._bar = Progress(*columns, console=self._console, refresh_per_second=2, transient=False)
        self._live = self._console.is_terminal and not quiet
        self._task = self._bar.add_task("training", total=total, text="")
        self._losses = ""
        self._threads: int | None = None
        self._last_line = time.monotonic()

    def losses(self, means: Mapping[str, float]) -> None:
        """Set the losses to show."""
        self._losses = "  ".join(f"{name} {value:.3g}" for name, value in means.items())

    def show(self, images_seen: int, *, rate: float, seconds_left: float) -> None:
        """Update the bar, or print a line every `PLAIN_EVERY` seconds."""
        text = (
            f"{images_seen:,} of {self._total:,} images  epoch {images_seen / self._epoch_size:.2f}  "
            f"{_format_rate(rate)} images/s  {duration(seconds_left)} left"
        )
        if self._live:
            self._bar.update(self._task, completed=images_seen, text=f"{text}\n{self._losses}")
        elif time.monotonic() - self._last_line > PLAIN_EVERY:
            self._last_line = time.monotonic()
            self.say(f"{text}  {self._losses}")

    def speed(
        self, config: RunConfig, device: torch.device, threads: StepThreads, clock: Clock, schedule: Schedule
    ) -> None:
        """Print speed and estimated end once they are known, and later each change of the number of threads."""
        is_wall_time = device.type == "cpu"  # steps on a GPU are asynchronous
        if threads.pace is None or not threads.is_settled or self._threads == threads.threads:
            return
        if not (is_wall_time or clock.busy > GPU_SECONDS):
            return
        rate = config.training.batch_size / threads.pace if is_wall_time else clock.rate
        if self._threads is None:
            limit = schedule.budget.limit
            for line in describe_speed(
                config,
                device,
                threads=threads.threads,
                rate=rate,
                images_left=schedule.images_left(clock),
                seconds_left=float("inf") if limit is None else limit - clock.seconds,
                now=datetime.now(),
            ):
                self.say(line)
        else:
            count = f"{threads.threads} thread{'s are' if threads.threads > 1 else ' is'}"
            self.say(f"{count} now faster: {rate:.3g} images/s")
        self._threads = threads.threads

    def say(self, text: str) -> None:
        """Print a permanent line."""
        self._console.print(printable(text), soft_wrap=True, markup=False, highlight=False)

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._bar.stop()


HOURS_MOST = 96
"""Number of hours from which durations are shown in days."""


def duration(seconds: float) -> str:
    """Format a duration: 45 s, 12 min, 3 h 05 min, 16 days."""
    if seconds == float("inf"):
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes >= 60 * HOURS_MOST:
        return f"{minutes / 60 / 24:,.0f} days"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


LONG = 24 * 3600.0
"""Seconds of training above which smaller settings are suggested."""
SMALL_SIDE = 128
SMALL_WIDTH = 32


def describe_speed(
    config: RunConfig,
    device: torch.device,
    *,
    threads: int,
    rate: float,
    images_left: int,
    seconds_left: float,
    now: datetime,
) -> list[str]:
    """Return lines with the speed, the estimated end and, for long runs, smaller settings.

    Args:
        config: config of the run, its precision chosen.
        device: device of the networks.
        threads: number of CPU threads.
        rate: measured images per second.
        images_left: images until the epochs are done.
        seconds_left: seconds until `--minutes` are over; infinite without a limit.
        now: the time of day.
    """
    needed = images_left / rate
    seconds = min(needed, seconds_left)
    end = (now + timedelta(seconds=seconds)).strftime("%a %d %b %H:%M")
    lines = [f"{machine_line(device, threads, config.training.precision)}: {_format_rate(rate)} images/s"]
    if needed > seconds_left:
        lines.append(
            f"The time limit ends the run in {duration(seconds)} ({end}), after about {rate * seconds:,.0f} more of "
            f"{images_left:,} images"
        )
    else:
        lines.append(f"{images_left:,} images end in about {duration(seconds)} ({end})")
    if seconds > LONG:
        lines.append(f"This is long. {smaller_settings(config, device)}")
    return lines


def machine_line(device: torch.device, threads: int, precision: str) -> str:
    """Return the processor or GPU, the number of CPU threads where one computes, and the precision."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {precision}"
    counted = f"{threads} thread{'s' * (threads > 1)}" if device.type == "cpu" else str(device)
    return f"{processor_name()}, {counted}, {precision}"


def smaller_settings(config: RunConfig, device: torch.device) -> str:
    """Return settings that make this run faster, as flags of the command line."""
    ways = []
    height, width = config.data.crop_size
    if min(height, width) >= 2 * SMALL_SIDE and config.data.resize != "none":
        times = height * width / SMALL_SIDE**2
        load = round(SMALL_SIDE * config.data.load_size[0] / height)
        ways.append(
            f"--crop-size {SMALL_SIDE} {SMALL_SIDE} --load-size {load} {load} (about {times:.0f} times as fast)"
        )
    if getattr(config.method, "width", 0) > SMALL_WIDTH:
        names = [field.name for field in fields(config.method) if field.name in ("width", "discriminator_width")]
        flags = " ".join(f"--{name.replace('_', '-')} {SMALL_WIDTH}" for name in names)
        ways.append(f"{flags} (up to 4 times)")
    if config.training.precision == "float32" and choose_precision("auto", device) == "bfloat16":
        ways.append("--precision bfloat16 (about twice)")
    ways.append("fewer --epochs, or --minutes M")
    return f"Smaller settings train in hours: {'; '.join(ways)}"


def _format_rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


INTERRUPTED_EXIT = 130


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """Result of a training run; `str` gives a summary with the next command."""

    run: Path
    """Run folder."""
    images_seen: int
    """Total over all resumptions."""
    seconds: float
    """Total over all resumptions, including validation and previews."""
    images_per_second: float
    """Speed of training steps since the last resumption."""
    stopped: Stopped
    """Reason of the end: done (all epochs), minutes (time limit), or interrupted (Ctrl-C or SIGTERM)."""
    best: dict[str, float] = field(default_factory=dict)
    """Best validation by PSNR: images, psnr, ssim, l1, spread; empty without a validation split."""

    @property
    def exit_code(self) -> int:
        """Return 0, or 130 for an interrupted run."""
        return INTERRUPTED_EXIT if self.stopped == "interrupted" else 0

    def __str__(self) -> str:
        ends = {
            "done": "done",
            "minutes": "the time limit is reached",
            "interrupted": "interrupted; the state is saved",
        }
        text = f"{self.run}: {ends[self.stopped]} after {self.images_seen:,} images, {duration(self.seconds)}"
        if self.best:
            text += f"; best validation {self.best['psnr']:.2f} dB after {self.best['images']:,.0f} images"
        more = {"done": "", "minutes": " --minutes M, the new total", "interrupted": ""}[self.stopped]
        return text if self.stopped == "done" else f"{text}. Continue with: ganvas resume {quote(str(self.run))}{more}"
