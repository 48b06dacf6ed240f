"""Monitoring of a run: running means of losses, and metrics files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from ganvas.errors import DivergenceError, MissingDependency
from ganvas.image.files import read_image
from ganvas.runs.folder import METRICS_NAME
from ganvas.training.distributed import Processes
from ganvas.training.health import Health
from ganvas.training.report import Report

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class LossMeter:
    """Running means of the losses since the last row of metrics, summed without synchronizing with the device.

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
        """Return the means since the last `clear`, over all processes; synchronizes with the device.

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
        """Replace the sums by their mean over the processes, so that any process can save them."""
        for name, total in self.totals.items():
            self.totals[name] = self._processes.mean(total)

    def clear(self) -> None:
        """Reset the means for the next row."""
        self.totals, self.counts = {}, {}


LEARNING_RATE = "learning_rate"


class Metrics:
    """Writer of metrics: rows with their `kind` (training or validation) and the number of `images` seen.

    Args:
        run: the run folder.
        tensorboard: whether to write TensorBoard events too.
        images_seen: number of images after which TensorBoard hides events, because resuming repeats them.
    """

    def __init__(self, run: Path, *, tensorboard: bool, images_seen: int) -> None:
        self._board = _open_board(run / "tensorboard", images_seen) if tensorboard else None
        self._file = (run / METRICS_NAME).open("a", encoding="utf-8")

    def write(self, kind: str, images_seen: int, figures: dict[str, float], **beside: float) -> None:
        """Append one row.

        Args:
            kind: training or validation.
            images_seen: images at that moment.
            figures: losses or metrics; TensorBoard shows them.
            beside: additional numbers of the row, of which TensorBoard shows the learning rate.
        """
        numbers = {name: value if math.isfinite(value) else None for name, value in (figures | beside).items()}
        self._file.write(json.dumps({"kind": kind, "images": images_seen, **numbers}) + "\n")
        self._file.flush()
        if self._board:
            shown = figures | {name: value for name, value in beside.items() if name == LEARNING_RATE}
            for name, value in shown.items():
                self._board.add_scalar(f"{kind}/{name}", value, images_seen)

    def preview(self, images_seen: int, grid: Path) -> None:
        """Show a preview grid in TensorBoard, if enabled.

        Args:
            images_seen: images at that moment.
            grid: file of the grid; its tiles have passed the content gate.
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
    """Check that TensorBoard is installed.

    Raises:
        MissingDependency: names the command that installs it.
    """
    try:
        import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise MissingDependency("tensorboard", "tensorboard", "training with TensorBoard") from error


def _open_board(folder: Path, images_seen: int) -> SummaryWriter:
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter  # optional dependency

    return SummaryWriter(str(folder), purge_step=images_seen + 1)  # hides events at that step too


@dataclass
class Monitor:
    """Outputs of a run about its progress: metrics files, progress display and health warnings.

    Attributes:
        report: progress display.
        metrics: metrics files, in the first process only.
        health: health checks.
    """

    report: Report
    metrics: Metrics | None = None
    health: Health = field(default_factory=Health)

    def losses(self, images_seen: int, means: dict[str, float], **beside: float) -> None:
        """Write a row of mean losses with additional numbers, and show it."""
        if self.metrics is not None and means:
            self.metrics.write("training", images_seen, means, **beside)
            self.report.losses(means)
            self.warn(self.health.losses(means))

    def validation(self, images_seen: int, measures: dict[str, float], *, seconds: float) -> None:
        """Write a row of validation metrics, and show it."""
        if self.metrics is not None:
            self.metrics.write("validation", images_seen, measures, seconds=seconds)
        self.report.say(f"{images_seen:,} images: validation {_format_measures(measures)}")
        self.warn(self.health.validation(measures))

    def preview(self, images_seen: int, grid: Path, refusals: Iterable[str]) -> None:
        """Show a preview grid in TensorBoard, if enabled, and report refused tiles."""
        if self.metrics is not None:
            self.metrics.preview(images_seen, grid)
        self.warn(f"A preview tile is gray: {sentence}" for sentence in refusals)

    def warn(self, sentences: Iterable[str]) -> None:
        """Print warnings."""
        for sentence in sentences:
            self.report.say(f"Warning: {sentence}")


def _format_measures(measures: dict[str, float]) -> str:
    units = {"psnr": "{:.2f} dB PSNR", "ssim": "{:.4f} SSIM", "l1": "{:.4f} L1"}
    units |= {f"cycle_{side}_psnr": f"cycle of {side} {{:.2f}} dB PSNR" for side in "ab"}
    return ", ".join(text.format(measures[name]) for name, text in units.items() if name in measures)
