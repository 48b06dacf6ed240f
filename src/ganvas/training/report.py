"""What the person at the terminal sees: a bar with rate, losses and time left, or plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from ganvas.terminal import printable
from ganvas.training.schedule import duration

PLAIN_EVERY = 30.0
"""Seconds between plain lines."""


class Report:
    """Shows how far a run is.

    Args:
        total: images of the whole run.
        epoch_size: images of an epoch.
        quiet: show nothing.
        console: where to; unset: standard error.
    """

    def __init__(self, total: int, epoch_size: int, *, quiet: bool = False, console: Console | None = None) -> None:
        self._total, self._epoch_size = total, epoch_size
        self._console = console or Console(file=sys.stderr, quiet=quiet, highlight=False)
        # a column of its own wraps what a narrow terminal cannot show; the default one cuts it off
        columns = (BarColumn(bar_width=16), TextColumn("{task.fields[told]}", markup=False, table_column=Column()))
        self._bar = Progress(*columns, console=self._console, refresh_per_second=2, transient=False)
        self._live = self._console.is_terminal and not quiet
        self._task = self._bar.add_task("training", total=total, told="")
        self._losses = ""
        self._last_line = time.monotonic()

    def losses(self, means: Mapping[str, float]) -> None:
        """Take in the newest losses."""
        self._losses = "  ".join(f"{name} {value:.3g}" for name, value in means.items())

    def show(self, images_seen: int, *, rate: float, seconds_left: float) -> None:
        """Move the bar, or print a line if the last is long ago."""
        pace = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
        told = (
            f"{images_seen:,} of {self._total:,} images  epoch {images_seen / self._epoch_size:.2f}  "
            f"{pace} images/s  {duration(seconds_left)} left"
        )
        if self._live:
            self._bar.update(self._task, completed=images_seen, told=f"{told}\n{self._losses}")
        elif time.monotonic() - self._last_line > PLAIN_EVERY:
            self._last_line = time.monotonic()
            self.say(f"{told}  {self._losses}")

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(printable(text), soft_wrap=True, markup=False, highlight=False)

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._bar.stop()
