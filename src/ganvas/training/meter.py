"""Running means of the losses, kept on the device until they are asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganvas.errors import DivergenceError
from ganvas.training.distributed import Processes


class LossMeter:
    """Sums each loss since the last row, without waiting for the device.

    Attributes:
        totals: name -> float32 scalar tensor.
        counts: name -> number of steps summed.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self.totals: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Take in one step's losses; they are copied, so the next step may write over them."""
        known = [name for name in losses if name in self.totals]
        if known:
            torch._foreach_add_([self.totals[name] for name in known], [losses[name].float() for name in known])
        self.totals |= {name: loss.float().clone() for name, loss in losses.items() if name not in known}
        self.counts |= {name: self.counts.get(name, 0) + 1 for name in losses}

    def read(self, images_seen: int) -> dict[str, float]:
        """The means since the last `clear`, over all processes. Waits for the device.

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
        """Begin the next row."""
        self.totals, self.counts = {}, {}
