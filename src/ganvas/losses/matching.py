"""Batches that a discriminator cannot tell apart by the means of its features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganvas.losses.precision import at_least_float32
from ganvas.losses.reconstruction import mse_loss


def feature_matching(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Squared difference of the batches' mean features, averaged over places and channels, summed over layers.

    Salimans et al. 2016, arXiv:1606.03498, Sec. 3.1.

    Args:
        made: features of a batch of made pictures, (N, C, h, w) of each layer.
        wanted: of a batch of real ones.
    """
    differences = [
        mse_loss(at_least_float32(fake).mean(dim=0), at_least_float32(real).mean(dim=0))
        for fake, real in zip(made, wanted, strict=True)
    ]
    return torch.stack(differences).sum()
