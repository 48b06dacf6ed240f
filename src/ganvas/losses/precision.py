"""Losses are summed in at least float32, whatever the forward pass ran in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """bfloat16 and float16 become float32; float32 and float64 stay."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
