"""How far a made picture lies from the wanted one."""

from __future__ import annotations

from torch import Tensor, nn

from ganvas.losses.precision import at_least_float32


def l1_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of two (N, C, H, W) in [-1, 1]: Isola et al. 2017, Eq. 3."""
    return nn.functional.l1_loss(at_least_float32(made), at_least_float32(wanted))


def mse_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of two tensors of one shape."""
    return nn.functional.mse_loss(at_least_float32(made), at_least_float32(wanted))
