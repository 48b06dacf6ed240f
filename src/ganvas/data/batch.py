"""What a loader gives and a method takes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """One batch. `a` and `b`: (N, C, H, W) in [-1, 1]; paired methods: a[i] is given, and b[i] is to be made of it."""

    a: Tensor
    b: Tensor
