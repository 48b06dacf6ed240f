"""How sharp pictures are, with nothing to compare them with."""

from __future__ import annotations

from torch import Tensor


def gradient_energy(images: Tensor) -> Tensor:
    """Mean squared difference between neighbours, down plus across: blur lowers it, noise raises it.

    A share of another set's energy says how much of its edges and texture is left, not whether they are true.

    Args:
        images: (N, C, H, W) in [0, 1], at least 2 pixels a side.

    Returns:
        (N,) float64, at least 0: the mean over places and channels, each direction over its own places.
    """
    exact = images.double()
    down, across = exact.diff(dim=-2), exact.diff(dim=-1)
    return down.square().mean(dim=(1, 2, 3)) + across.square().mean(dim=(1, 2, 3))
