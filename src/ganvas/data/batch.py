"""What a loader gives and a method takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Batch", "Loader"]


@dataclass(frozen=True)
class Batch:
    """One batch. `a` and `b`: (N, C, H, W) in [-1, 1]; paired methods: a[i] is given, and b[i] is to be made of it."""

    a: Tensor
    b: Tensor


class Loader(Protocol):
    """Batches as a pure function of how many pictures were seen."""

    @property
    def batch_size(self) -> int:
        """Pictures a step, over all processes together."""

    @property
    def epoch_size(self) -> int:
        """Pictures in an epoch."""

    @property
    def device(self) -> torch.device:
        """Where batches are wanted."""

    def batch(self, images_seen: int) -> Batch:
        """This process's share of the batch that follows after `images_seen` pictures."""
