"""Monitoring of a run: running means of the losses, metrics files, warnings and the progress display."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from torch import Tensor

from ganvas.errors import DivergenceError, MissingDependency
from ganvas.image.files import read_image
from ganvas.runs.folder import METRICS_NAME
from ganvas.terminal import printable
from ganvas.training.distributed import Processes
from ganvas.training.schedule import duration

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class LossMeter:
    """Running means of the losses since the last row, summed without waiting for the device.

    Attributes:
        totals: name -> float32 scalar tensor.
        counts: name -> number of steps summed.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self.totals: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add one step's losses; they are copied, so the next step may overwrite them."""
        known = [name for name in losses if name in self.totals]
        if known:
            torch._foreach_add_([self.totals[name] for name in known], [losses[name].float() for name in known])
        self.totals |= {name: loss.float().clone() for name, loss in losses.items() if name not in known}
        self.counts |= {name: self.counts.get(name, 0) + 1 for name in losses}

    def read(self, images_seen: int) -> dict[str, float]:
        """Return the means since the last `clear`, over all processes. Waits for the device.

        Raises:
            DivergenceError: one of them is not finite; names it.
        """
        if not self.totals:
            return {}
        sums = self._processes.mean(torch.stack(list(self.totals.values()))).tolist()
        means = {name: total / self.counts[name] for name, total in zip(self.totals, sums, strict=True)}
        if broken := [name for name, mean in means.items() if not math.isfinite(mean)]:
            raise DivergenceError(f"{', '.join(broken)} became NaN or infinite by image {images_seen:,}")
        return means

    def share(self) -> None:
        """Make the sums of all processes alike, their means staying as they are: any one's can then be saved."""
        for name, total in self.totals.items():
            self.totals[name] = self._processes.mean(total)

    def clear(self) -> None:
        """Start the next row."""
        self.totals, self.counts = {}, {}


LEARNING_RATE = "learning_rate"


class Metrics:
    """Rows of figures, each with its `kind` (training or validation) and the number of `images` seen.

    Args:
        run: the run folder.
        tensorboard: write events too.
        images_seen: events after this are hidden, as after a resumption.
    """

    def __init__(self, run: Path, *, tensorboard: bool, images_seen: int) -> None:
        self._board = _open_board(run / "tensorboard", images_seen) if tensorboard else None
        self._file = (run / METRICS_NAME).open("a", encoding="utf-8")

    def write(self, kind: str, images_seen: int, figures: dict[str, float], **beside: float) -> None:
        """Append one row.

        Args:
            kind: training or validation.
            images_seen: when.
            figures: what was measured; TensorBoard shows these.
            beside: further numbers of the row; TensorBoard shows the learning rate among them.
        """
        numbers = {name: value if math.isfinite(value) else None for name, value in (figures | beside).items()}
        self._file.write(json.dumps({"kind": kind, "images": images_seen, **numbers}) + "\n")
        self._file.flush()
        if self._board:
            shown = figures | {name: value for name, value in beside.items() if name == LEARNING_RATE}
            for name, value in shown.items():
                self._board.add_scalar(f"{kind}/{name}", value, images_seen)

    def preview(self, images_seen: int, grid: Path) -> None:
        """Show a preview grid in TensorBoard, where it is on.

        Args:
            images_seen: when.
            grid: the picture that was written; its tiles have passed the content gate.
        """
        if self._board:
            self._board.add_image("samples", read_image(grid).as_rgb8(), images_seen, dataformats="HWC")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if self._board:
            self._board.close()


def check_tensorboard() -> None:
    """Raise MissingDependency, with the command that installs it, unless TensorBoard can be written to."""
    try:
        import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise MissingDependency("tensorboard", "tensorboard", "training with tensorboard on") from error


def _open_board(folder: Path, images_seen: int) -> SummaryWriter:
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=images_seen + 1)  # hides what lies at that step too


ADVERSARIES = ("discriminator", "critic", "judge")
"""Words in the name of a player that is a discriminator."""
WON = 0.03
"""Total loss under which a discriminator hardly errs (log 2 / 2 to 1 is chance level)."""
PATIENCE = 20
"""Rows of metrics in a row."""
ALIKE = 0.1
"""Outputs that differ less than this share of what the targets do."""
VALIDATIONS = 3
"""In a row."""


class Health:
    """Health checks of a run: warns once of a winning discriminator or of collapse (docs/training.md)."""

    def __init__(self) -> None:
        self._won: dict[str, int] = {}
        self._alike = 0
        self._said: set[str] = set()

    def losses(self, means: Mapping[str, float]) -> list[str]:
        """Return the warnings after a row of losses, named `<player>/<loss>`."""
        warnings = []
        for player in {name.partition("/")[0] for name in means}:
            if not any(word in player for word in ADVERSARIES):
                continue
            loss = sum(value for name, value in means.items() if name.startswith(f"{player}/"))
            self._won[player] = self._won.get(player, 0) + 1 if 0 <= loss < WON else 0
            if self._won[player] == PATIENCE:
                warnings += self._once(
                    f"won/{player}",
                    f"The {player} has been telling real from made pictures almost without error (loss {loss:.3f}, "
                    f"{PATIENCE} rows), so the generator learns little from it. If the samples stop improving: a "
                    "weaker discriminator (discriminator_width, receptive_field), more data, or more weight on L1 or "
                    "the cycle.",
                )
        return warnings

    def validation(self, measures: Mapping[str, float]) -> list[str]:
        """Return the warnings after a validation."""
        self._alike = self._alike + 1 if measures.get("spread", 1.0) < ALIKE else 0
        if self._alike < VALIDATIONS:
            return []
        return self._once(
            "collapse",
            "The outputs look almost alike whatever the input is (collapse). If that stays: "
            "look at the samples, lower learning_rate, give L1 or the cycle more weight, and check that the pairs, if "
            "there are pairs, belong together.",
        )

    def _once(self, key: str, text: str) -> list[str]:
        if key in self._said:
            return []
        self._said.add(key)
        return [text]


PLAIN_EVERY = 30.0
"""Seconds between plain lines."""


class Report:
    """Progress display of a run: a bar with rate, losses and time left, or plain lines.

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
        """Set the losses to show."""
        self._losses = "  ".join(f"{name} {value:.3g}" for name, value in means.items())

    def show(self, images_seen: int, *, rate: float, seconds_left: float) -> None:
        """Update the bar, or print a line if the last is long ago."""
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
        """Print a line that stays."""
        self._console.print(printable(text), soft_wrap=True, markup=False, highlight=False)

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._bar.stop()


Stopped = Literal["done", "minutes", "interrupted"]
INTERRUPTED_EXIT = 130


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """Result of `train`; printed, it names the next command."""

    run: Path
    """The run folder."""
    images_seen: int
    """Over all resumptions."""
    seconds: float
    """Trained, over all resumptions, validation and samples included."""
    images_per_second: float
    """In training steps since the last resumption."""
    best: dict[str, float] = field(default_factory=dict)
    """The best validation by PSNR: images, psnr, ssim, l1, spread; empty without a validation split."""
    stopped: Stopped
    """done: all epochs; minutes: the time was over; interrupted: by Ctrl-C or SIGTERM."""

    @property
    def exit_code(self) -> int:
        """0, or 130 for an interrupted run."""
        return INTERRUPTED_EXIT if self.stopped == "interrupted" else 0

    def __str__(self) -> str:
        ends = {"done": "done", "minutes": "the time is over", "interrupted": "interrupted; the state is saved"}
        text = f"{self.run}: {ends[self.stopped]} after {self.images_seen:,} images, {duration(self.seconds)}"
        if self.best:
            text += f"; best validation {self.best['psnr']:.2f} dB after {self.best['images']:,.0f} images"
        more = {"done": "", "minutes": " --minutes M, so many in all", "interrupted": ""}[self.stopped]
        return text if self.stopped == "done" else f"{text}. Go on with: ganvas resume {quote(str(self.run))}{more}"
