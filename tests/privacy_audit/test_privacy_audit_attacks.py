"""Attacks on covered pictures: reconstruction and reidentification."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from ganvas.image.cover import mosaic
from ganvas.privacy_audit import attacks
from ganvas.privacy_audit.album import PlannedCover, plan_covers
from ganvas.privacy_audit.attacks import (
    Attacker,
    fixed_attacks,
    interpolate,
    interval,
    kernel_of,
    small_network,
    wiener,
)


def clouds(rng: np.random.Generator, count: int = 90) -> tuple[Tensor, Tensor]:
    """Return three clusters in ten dimensions, one of which has another scale."""
    kinds = np.arange(count) % 3
    vectors = rng.normal(size=(count, 10)) + 4 * np.eye(10)[kinds]
    vectors[:, 9] *= 1000
    return torch.from_numpy(vectors).float(), torch.from_numpy(kinds)


def test_the_linear_attacker_learns_what_is_linear(rng: np.random.Generator) -> None:
    vectors, kinds = clouds(rng)
    namer = attacks._learn_linear(vectors[:60], kinds[:60], 3, 0)
    assert (namer(vectors[60:]) == kinds[60:]).double().mean() > 0.9


def test_noise_of_the_arithmetic_names_nothing(rng: np.random.Generator) -> None:
    vectors = torch.full((90, 10), 0.04)
    vectors[64:] += 2.5e-6 * torch.from_numpy(rng.normal(size=10)).float()  # as in a second, smaller batch
    kinds = torch.arange(90) // 30
    assert len(attacks._learn_linear(vectors, kinds, 3, 0)(vectors).unique()) == 1


def test_the_linear_attacker_minimises_its_loss(rng: np.random.Generator) -> None:
    vectors, kinds = clouds(rng)
    vectors = vectors.double() / vectors.double().std(0)
    weights = attacks._logistic(vectors, kinds, 3, 1e-2).requires_grad_()
    loss = torch.nn.functional.cross_entropy(vectors @ weights[:-1] + weights[-1], kinds)
    (slope,) = torch.autograd.grad(loss + 1e-2 * (weights[:-1] ** 2).sum(), weights)
    assert slope.abs().max() < 1e-4


def colors(count: int, seed: int) -> tuple[list[np.ndarray], Tensor]:
    draw = np.random.default_rng(seed)
    kinds = np.arange(count) % 2
    pictures = [
        np.clip(np.where(np.arange(3) == kind, 170, 80) + draw.normal(0, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
        for kind in kinds
    ]
    return pictures, torch.from_numpy(kinds)


def learnt(attacker: Attacker) -> Tensor:
    pictures, kinds = colors(40, 0)
    unseen, _ = colors(20, 1)
    return attacker.learn(attacker.see(pictures), kinds, 2, 5)(attacker.see(unseen))


@pytest.mark.slow
def test_the_network_learns_colors_and_repeats_itself() -> None:
    before = torch.random.get_rng_state()
    first, second = learnt(small_network(steps=40)), learnt(small_network(steps=40))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (first == colors(20, 1)[1]).double().mean() >= 0.95


def test_what_the_network_sees() -> None:
    large = [np.full((96, 96, 3), 255, np.uint8)]
    assert attacks._see_small(large).shape == (1, 3, 64, 64)
    assert torch.equal(attacks._see_small([np.zeros((16, 16, 3), np.uint8)]), -torch.ones(1, 3, 16, 16))


def test_shifts_keep_size_and_contents() -> None:
    image = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    moved = attacks._shifted(image)
    assert moved.shape == image.shape
    assert set(moved.unique().tolist()) <= set(image.unique().tolist())


def test_wilson_s_interval() -> None:
    assert interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert interval(20, 20) == pytest.approx((0.8389, 1), abs=1e-4)


def one(style: str, strength: float, size: int = 64) -> PlannedCover:
    (plan,) = plan_covers((style,), blocks=(int(strength),), sigmas=(strength,), size=size)  # type: ignore[arg-type]
    return plan


def smooth(seed: int, size: int = 64) -> np.ndarray:
    """Return pictures whose power falls as 1 / f^2, as that of photographs."""
    draw = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]
    spectrum = np.fft.fft2(draw.normal(size=(size, size, 3)), axes=(0, 1))
    spectrum /= np.maximum(np.hypot(rows, columns), 1 / size)[:, :, None]
    picture = np.fft.ifft2(spectrum, axes=(0, 1)).real
    return np.clip(128 + 45 * picture / picture.std(), 0, 255).astype(np.uint8)


def error(made: np.ndarray, truth: np.ndarray) -> float:
    return float(((made.astype(float) - truth) ** 2).mean())


@pytest.mark.parametrize("side", [3, 4])
def test_the_kernel_of_a_mosaic_is_the_mean_about_a_place(side: int) -> None:
    kernel = kernel_of(one("mosaic", 64 // side if side == 4 else 22))
    assert kernel.sum() == pytest.approx(1)
    line = np.random.default_rng(0).uniform(size=50)
    blurred = ndimage.convolve1d(line, kernel, mode="reflect")
    if side == 4:  # its center is between pixels: the mean of the two adjacent blocks
        halves = (line[18:22].mean() + line[19:23].mean()) / 2
        assert blurred[20] == pytest.approx(halves)
    else:
        assert blurred[20] == pytest.approx(line[19:22].mean())


def test_the_kernel_of_a_blur_is_what_the_cover_does() -> None:
    line = np.random.default_rng(0).uniform(size=60)
    ours = ndimage.convolve1d(line, kernel_of(one("blur", 2.5)), mode="reflect")
    np.testing.assert_allclose(ours, ndimage.gaussian_filter1d(line, 2.5, mode="reflect", truncate=4.0), atol=1e-12)


def test_without_noise_the_inverse_of_a_mild_blur_is_exact() -> None:
    image = smooth(0)
    kernel = np.array([0.2, 0.6, 0.2])  # never 0 at any frequency
    blurred = ndimage.convolve1d(ndimage.convolve1d(image.astype(float), kernel, axis=0, mode="reflect"),
                                 kernel, axis=1, mode="reflect")  # fmt: skip
    restored = wiener(blurred, kernel, 0.0)  # type: ignore[arg-type]  # unrounded, so that it can be exact
    assert np.abs(restored.astype(int) - image).max() <= 1


def test_the_mean_stays() -> None:
    image = np.full((32, 48, 3), 97, np.uint8)
    assert np.array_equal(wiener(image, kernel_of(one("blur", 4)), 1.0), image)


def test_blocks_are_interpolated_about_their_middles() -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 64, axis=0)
    made = interpolate(mosaic(ramp, 8), 8).astype(float)
    inside = slice(16, -16)
    assert np.abs(made[:, inside] - ramp[:, inside].astype(float)).max() <= 1


def test_a_last_block_may_be_narrow() -> None:
    image = smooth(1)[:61, :57]
    assert interpolate(mosaic(image, 7), 7).shape == image.shape


@pytest.mark.parametrize(("style", "strength"), [("mosaic", 16), ("blur", 2.0)])
def test_attacks_come_nearer_to_the_truth(style: str, strength: float) -> None:
    plan = one(style, strength)
    pictures = [smooth(seed) for seed in range(6)]
    covered = [plan.apply(picture) for picture in pictures]
    attacks = fixed_attacks(plan, pictures[:4], covered[:4])
    assert set(attacks) == ({"bicubic", "Wiener"} if style == "mosaic" else {"Wiener"})
    start = np.mean([error(image, picture) for image, picture in zip(covered[4:], pictures[4:], strict=True)])
    errors = {
        name: np.mean([error(attack(image), picture) for image, picture in zip(covered[4:], pictures[4:], strict=True)])
        for name, attack in attacks.items()
    }
    assert max(errors.values()) < 0.95 * start
    assert errors["Wiener"] == min(errors.values())


def test_a_solid_cover_leaves_nothing_to_attack() -> None:
    assert fixed_attacks(one("solid", 1), [smooth(0)], [smooth(0)]) == {}
