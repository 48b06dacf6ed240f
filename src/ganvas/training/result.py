"""How a training run ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Literal

from ganvas.training.schedule import duration

Stopped = Literal["done", "minutes", "interrupted"]
INTERRUPTED_EXIT = 130


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What `train` gives back; printed, it says what to do next."""

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
