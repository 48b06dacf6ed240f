"""Patches that show the same must be told from those that do not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.losses.precision import at_least_float32

TEMPERATURE = 0.07
"""tau of Park et al. 2020, Sec. 3."""


def patch_nce(queries: Tensor, keys: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Cross entropy of finding each query's key among all keys of its picture, by the cosine of their angle.

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
