"""Loss functions compared with their equations and with values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganvas.losses import (
    cross_entropy,
    discriminator_loss,
    entropy,
    fake_loss,
    feature_matching,
    generator_loss,
    gradient_penalty,
    kl_divergence,
    l1_loss,
    mse_loss,
    patch_nce,
    real_loss,
)


def test_only_the_batchs_mean_counts():
    real = torch.randn(4, 3, 2, 2)
    assert feature_matching([real.flip(0)], [real]).item() < 1e-12
    assert feature_matching([real + 2], [real]).item() > 3.9


def test_it_is_the_sum_over_layers_of_mean_squares():
    made, wanted = (
        [torch.randn(4, 3, 2, 2), torch.randn(4, 5, 1, 1)],
        [torch.randn(2, 3, 2, 2), torch.randn(2, 5, 1, 1)],
    )
    by_hand = sum(((m.mean(0) - w.mean(0)) ** 2).mean() for m, w in zip(made, wanted, strict=True))
    torch.testing.assert_close(feature_matching(made, wanted), by_hand)


def test_feature_matching_is_summed_in_float32():
    features = [torch.randn(2, 3, 2, 2).bfloat16()]
    assert feature_matching(features, features).dtype == torch.float32
    assert mse_loss(*features, *features).dtype == torch.float32


def test_feature_matching_is_the_cross_entropy_of_the_paper():
    queries, keys = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    wanted = []
    for picture in range(3):
        for place in range(5):
            cosines = [torch.cosine_similarity(queries[picture, place], key, dim=0) for key in keys[picture]]
            shares = [math.exp(cosine / 0.07) for cosine in cosines]
            wanted.append(-math.log(shares[place] / sum(shares)))
    assert patch_nce(queries, keys).item() == pytest.approx(sum(wanted) / len(wanted))


def test_feature_matching_is_the_released_codes_form_too():
    """The positive separately, and in its position among the negatives at -10."""
    queries, keys = (torch.nn.functional.normalize(values, dim=-1) for values in torch.randn(2, 2, 6, 8))
    positive = (queries * keys).sum(dim=-1, keepdim=True)
    negative = (queries @ keys.transpose(1, 2)).masked_fill(torch.eye(6, dtype=torch.bool), -10.0)
    logits = torch.cat([positive, negative], dim=-1).flatten(0, 1) / 0.07
    wanted = torch.nn.functional.cross_entropy(logits, torch.zeros(12, dtype=torch.int64))
    torch.testing.assert_close(patch_nce(queries, keys), wanted)


def test_patches_alike_cost_nothing_and_patches_of_chance_the_logarithm_of_their_number():
    keys = torch.eye(16)[None]
    assert patch_nce(keys, keys).item() < 1e-4
    assert patch_nce(torch.ones(1, 16, 16), keys).item() == pytest.approx(math.log(16))


def test_negatives_are_of_the_same_picture():
    queries, keys = torch.randn(2, 2, 6, 8)
    whole = patch_nce(queries, keys)
    apart = torch.stack([patch_nce(queries[:1], keys[:1]), patch_nce(queries[1:], keys[1:])]).mean()
    torch.testing.assert_close(whole, apart)


def test_keys_get_no_gradient_and_lengths_count_for_nothing():
    queries, keys = (values.requires_grad_() for values in torch.randn(2, 1, 4, 3).unbind())
    loss = patch_nce(queries, keys)
    loss.backward()
    assert keys.grad is None
    assert queries.grad.abs().max() > 0
    torch.testing.assert_close(patch_nce(3 * queries, 0.1 * keys), loss)


def test_patch_nce_is_summed_in_float32():
    queries, keys = torch.randn(2, 1, 4, 3).bfloat16().unbind()
    assert patch_nce(queries, keys).dtype == torch.float32


SCORES = torch.tensor([-30.0, -1.0, 0.0, 0.5, 2.0, 30.0]).reshape(1, 1, 2, 3)


def test_vanilla_is_binary_cross_entropy():
    entropy = nn.BCEWithLogitsLoss()
    torch.testing.assert_close(real_loss(SCORES, "vanilla"), entropy(SCORES, torch.ones_like(SCORES)))
    torch.testing.assert_close(fake_loss(SCORES, "vanilla"), entropy(SCORES, torch.zeros_like(SCORES)))
    torch.testing.assert_close(generator_loss(SCORES, "vanilla"), entropy(SCORES, torch.ones_like(SCORES)))


@pytest.mark.parametrize(
    ("objective", "real", "fake", "generator"),
    [
        ("vanilla", math.log1p(math.exp(-2)), math.log1p(math.exp(2)), math.log1p(math.exp(-2))),
        ("least_squares", 1, 4, 1),
        ("hinge", 0, 3, -2),
        ("wasserstein", -2, 2, -2),
    ],
)
def test_by_hand_at_a_score_of_two(objective, real, fake, generator):
    scores = torch.full((1, 1, 2, 2), 2.0)
    assert real_loss(scores, objective).item() == pytest.approx(real)
    assert fake_loss(scores, objective).item() == pytest.approx(fake)
    assert generator_loss(scores, objective).item() == pytest.approx(generator)
    assert discriminator_loss(real=scores, fake=scores, objective=objective).item() == pytest.approx(real + fake)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_losses_are_at_least_float32(dtype):
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    assert real_loss(SCORES.to(dtype), "vanilla").dtype == wanted
    assert l1_loss(SCORES.to(dtype), SCORES.to(dtype)).dtype == wanted


def test_l1_is_the_mean_absolute_difference():
    assert l1_loss(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 1.0])).item() == pytest.approx(1.5)


def test_the_penalty_of_a_linear_critic_is_known():
    direction = torch.zeros(3, 4, 4)
    direction[0, 0, 0] = 3.0
    penalty = gradient_penalty(
        lambda images: (images * direction).sum(dim=(1, 2, 3)), real=torch.rand(2, 3, 4, 4), fake=torch.rand(2, 3, 4, 4)
    )
    assert penalty.item() == pytest.approx(4.0)  # (3 - 1)^2


def test_the_penalty_trains_the_critic():
    critic = nn.Conv2d(3, 1, 3)
    gradient_penalty(critic, real=torch.rand(2, 3, 8, 8), fake=torch.rand(2, 3, 8, 8)).backward()
    assert critic.weight.grad.abs().sum() > 0


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
