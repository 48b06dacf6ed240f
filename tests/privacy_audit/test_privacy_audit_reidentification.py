"""Attackers who learn to name pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.privacy_audit import reidentification
from ganvas.privacy_audit.reidentification import Attacker, interval, small_network


def clouds(rng: np.random.Generator, count: int = 90) -> tuple[Tensor, Tensor]:
    """Three clouds in ten dimensions, one of which has a scale of its own."""
    kinds = np.arange(count) % 3
    vectors = rng.normal(size=(count, 10)) + 4 * np.eye(10)[kinds]
    vectors[:, 9] *= 1000
    return torch.from_numpy(vectors).float(), torch.from_numpy(kinds)


def test_the_linear_attacker_learns_what_is_linear(rng: np.random.Generator) -> None:
    vectors, kinds = clouds(rng)
    namer = reidentification._learn_linear(vectors[:60], kinds[:60], 3, 0)
    assert (namer(vectors[60:]) == kinds[60:]).double().mean() > 0.9


def test_noise_of_the_arithmetic_names_nothing(rng: np.random.Generator) -> None:
    vectors = torch.full((90, 10), 0.04)
    vectors[64:] += 2.5e-6 * torch.from_numpy(rng.normal(size=10)).float()  # as in a second, smaller batch
    kinds = torch.arange(90) // 30
    assert len(reidentification._learn_linear(vectors, kinds, 3, 0)(vectors).unique()) == 1


def test_the_linear_attacker_minimises_its_loss(rng: np.random.Generator) -> None:
    vectors, kinds = clouds(rng)
    vectors = vectors.double() / vectors.double().std(0)
    weights = reidentification._logistic(vectors, kinds, 3, 1e-2).requires_grad_()
    loss = torch.nn.functional.cross_entropy(vectors @ weights[:-1] + weights[-1], kinds)
    (slope,) = torch.autograd.grad(loss + 1e-2 * (weights[:-1] ** 2).sum(), weights)
    assert slope.abs().max() < 1e-4


def colours(count: int, seed: int) -> tuple[list[np.ndarray], Tensor]:
    draw = np.random.default_rng(seed)
    kinds = np.arange(count) % 2
    pictures = [
        np.clip(np.where(np.arange(3) == kind, 170, 80) + draw.normal(0, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
        for kind in kinds
    ]
    return pictures, torch.from_numpy(kinds)


def learnt(attacker: Attacker) -> Tensor:
    pictures, kinds = colours(40, 0)
    unseen, _ = colours(20, 1)
    return attacker.learn(attacker.see(pictures), kinds, 2, 5)(attacker.see(unseen))


def test_the_network_learns_colours_and_repeats_itself() -> None:
    before = torch.random.get_rng_state()
    first, second = learnt(small_network(steps=40)), learnt(small_network(steps=40))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (first == colours(20, 1)[1]).double().mean() >= 0.95


def test_what_the_network_sees() -> None:
    large = [np.full((96, 96, 3), 255, np.uint8)]
    assert reidentification._see_small(large).shape == (1, 3, 64, 64)
    assert torch.equal(reidentification._see_small([np.zeros((16, 16, 3), np.uint8)]), -torch.ones(1, 3, 16, 16))


def test_shifts_keep_size_and_contents() -> None:
    image = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    moved = reidentification._shifted(image)
    assert moved.shape == image.shape
    assert set(moved.unique().tolist()) <= set(image.unique().tolist())


def test_wilson_s_interval() -> None:
    assert interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert interval(20, 20) == pytest.approx((0.8389, 1), abs=1e-4)
