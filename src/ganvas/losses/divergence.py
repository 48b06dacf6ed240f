"""How far one density lies from another, both given on a grid, in nats (Cover and Thomas 2006, ch. 2 and 8).

Densities are (..., n), not negative, each of sum 1 / step over the last axis. What is 0 in `p` costs nothing, whatever
`q` is there; what is 0 in `q` alone costs infinity.
"""

from __future__ import annotations

import torch
from torch import Tensor


def entropy(p: Tensor, *, step: float) -> Tensor:
    """H(P) = - integral p log p, (...)."""
    total: Tensor = step * torch.special.entr(p).sum(-1)
    return total


def cross_entropy(p: Tensor, q: Tensor, *, step: float) -> Tensor:
    """H(P, Q) = - integral p log q, (...): the negative log-likelihood per sample of P under the model Q."""
    total: Tensor = -step * torch.special.xlogy(p, q).sum(-1)
    return total


def kl_divergence(p: Tensor, q: Tensor, *, step: float) -> Tensor:
    """KL(P || Q) = integral p log (p / q), (...): at least 0, and 0 only where the two agree."""
    ratio = torch.where(p > 0, p / q, 1.0)
    total: Tensor = step * torch.special.xlogy(p, ratio).sum(-1)
    return total
