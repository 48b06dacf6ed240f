"""Pixel and feature losses: L1, squared error, feature matching and PatchNCE."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def at_least_float32(values: Tensor) -> Tensor:
    """Return bfloat16 and float16 values as float32; losses are summed in at least float32."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def l1_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute difference of two (N, C, H, W) in [-1, 1]: Isola et al. 2017, Eq. 3."""
    return nn.functional.l1_loss(at_least_float32(made), at_least_float32(wanted))


def mse_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared difference of two tensors of one shape."""
    return nn.functional.mse_loss(at_least_float32(made), at_least_float32(wanted))


def feature_matching(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return the squared difference of mean features, averaged over places and channels, summed over layers.

    Salimans et al. 2016, arXiv:1606.03498, Sec. 3.1.

    Args:
        made: features of a batch of generated pictures, (N, C, h, w) of each layer.
        wanted: features of a batch of real pictures.
    """
    differences = [
        mse_loss(at_least_float32(fake).mean(dim=0), at_least_float32(real).mean(dim=0))
        for fake, real in zip(made, wanted, strict=True)
    ]
    return torch.stack(differences).sum()


TEMPERATURE = 0.07
"""tau of Park et al. 2020, Sec. 3."""


def patch_nce(queries: Tensor, keys: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Return the cross-entropy of classifying each query's key among all keys of its picture, by cosine similarity.

    Park et al. 2020, arXiv:2007.15651, Eq. 2 and 3, the mean over patches and pictures. No gradient reaches the keys.

    Args:
        queries: (N, patches, D), any length but 0.
        keys: (N, patches, D); keys[n, i] belongs to queries[n, i], and the others of the picture are its negatives.
        temperature: cosines are divided by it.
    """
    queries, keys = (nn.functional.normalize(at_least_float32(given), dim=-1) for given in (queries, keys.detach()))
    likeness = torch.bmm(queries, keys.transpose(1, 2)) / temperature  # (N, queries, keys)
    wanted = torch.arange(keys.shape[1], device=keys.device).expand(len(keys), -1)
    return nn.functional.cross_entropy(likeness.flatten(0, 1), wanted.flatten())
