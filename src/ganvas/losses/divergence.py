"""Divergences and negative log-likelihoods, in nats.

`entropy`, `cross_entropy` and `kl_divergence` take densities on a grid (Cover and Thomas 2006, ch. 2 and 8): (..., n),
nonnegative, each summing to 1 / step over the last axis. Where `p` is 0 the cost is 0, whatever `q` is; where only `q`
is 0 it is infinite. The other terms of a variational bound are averaged over the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.losses.reconstruction import at_least_float32


def entropy(p: Tensor, *, step: float) -> Tensor:
    """Return the entropy H(P) = - integral p log p, (...)."""
    total: Tensor = step * torch.special.entr(p).sum(-1)
    return total


def cross_entropy(p: Tensor, q: Tensor, *, step: float) -> Tensor:
    """Return H(P, Q) = - integral p log q, (...): the negative log-likelihood per sample of P under the model Q."""
    total: Tensor = -step * torch.special.xlogy(p, q).sum(-1)
    return total


def kl_divergence(p: Tensor, q: Tensor, *, step: float) -> Tensor:
    """Return KL(P || Q) = integral p log (p / q), (...): at least 0, and 0 only where the two agree."""
    ratio = torch.where(p > 0, p / q, 1.0)
    total: Tensor = step * torch.special.xlogy(p, ratio).sum(-1)
    return total


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) || N(0, I)) of (N, Z) each: Kingma and Welling 2014, appendix B, negated."""
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(dim=1).mean()


def gaussian_negative_log_likelihood(made: Tensor, wanted: Tensor, *, deviation: float = 1.0) -> Tensor:
    """-log N(wanted; made, deviation^2 I) up to its constant, of (N, ...) each."""
    squares = torch.square(at_least_float32(made) - at_least_float32(wanted)).flatten(1)
    return squares.sum(dim=1).mean() / (2 * deviation**2)


def bernoulli_negative_log_likelihood(logits: Tensor, wanted: Tensor) -> Tensor:
    """-log of the probability of `wanted` (N, ...) in [0, 1], each number a Bernoulli: the same, appendix C.1."""
    entropies = nn.functional.binary_cross_entropy_with_logits(
        at_least_float32(logits), at_least_float32(wanted), reduction="none"
    )
    return entropies.flatten(1).sum(dim=1).mean()
