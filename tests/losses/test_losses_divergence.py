"""Divergences against closed forms."""

import math

import pytest
import torch

from ganvas.losses.divergence import cross_entropy, entropy, kl_divergence

STEP = 0.01
X = torch.arange(-12, 12, STEP, dtype=torch.float64)


def normal(mean: float, deviation: float) -> torch.Tensor:
    return torch.distributions.Normal(mean, deviation).log_prob(X).exp()


def test_the_entropy_of_a_normal() -> None:
    assert float(entropy(normal(0, 1.5), step=STEP)) == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 1.5**2))


def test_the_divergence_of_two_normals() -> None:
    wanted = math.log(2 / 1) + (1 + 0.5**2) / (2 * 4) - 0.5
    assert float(kl_divergence(normal(0, 1), normal(0.5, 2), step=STEP)) == pytest.approx(wanted)


def test_cross_entropy_is_entropy_and_divergence() -> None:
    p, q = normal(0.3, 1), torch.stack([normal(0, 1), normal(-1, 2)])
    apart = cross_entropy(p, q, step=STEP) - kl_divergence(p, q, step=STEP)
    torch.testing.assert_close(apart, entropy(p, step=STEP).expand(2))


def test_zeros() -> None:
    p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    assert float(kl_divergence(p, q, step=1)) == pytest.approx(math.log(2))
    assert float(kl_divergence(p, p, step=1)) == 0
    assert float(kl_divergence(q, p, step=1)) == math.inf
    assert float(cross_entropy(q, p, step=1)) == math.inf
    assert float(entropy(p, step=1)) == 0
