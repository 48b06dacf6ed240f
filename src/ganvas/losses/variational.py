"""The two terms of a variational bound, each in nats a picture, averaged over the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.losses.precision import at_least_float32


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) of (N, Z) each: Kingma and Welling 2014, appendix B, with the sign turned."""
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
