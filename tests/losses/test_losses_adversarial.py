import math

import pytest
import torch
from torch import nn

from ganvas.losses import discriminator_loss, fake_loss, generator_loss, gradient_penalty, l1_loss, real_loss

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
