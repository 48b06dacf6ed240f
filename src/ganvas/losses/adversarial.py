"""Adversarial losses, as functions of raw scores (N, 1, h, w), higher for more real.

vanilla        -log sigmoid, the generator's in its non-saturating form (Goodfellow et al. 2014, arXiv:1406.2661)
least_squares  squared distance to 1 for real and 0 for fake (Mao et al. 2017, arXiv:1611.04076)
hinge          max(0, 1 - score) and max(0, 1 + score) (Lim and Ye 2017, arXiv:1705.02894)
wasserstein    plain scores (Arjovsky et al. 2017, arXiv:1701.07875), to be used with `gradient_penalty`
relativistic   more real than the mean of the other kind (Jolicoeur-Martineau 2018, arXiv:1807.00734)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ganvas.losses.reconstruction import at_least_float32

Objective = Literal["vanilla", "least_squares", "hinge", "wasserstein"]


def _cross_entropy(scores: Tensor, *, real: bool) -> Tensor:
    """-log sigmoid(score), or of 1 - sigmoid(score), already averaged, for gradients equal to the released code's."""
    wanted = torch.ones_like(scores) if real else torch.zeros_like(scores)
    return nn.functional.binary_cross_entropy_with_logits(scores, wanted)


_REAL: dict[Objective, Callable[[Tensor], Tensor]] = {
    "vanilla": lambda scores: _cross_entropy(scores, real=True),
    "least_squares": lambda scores: (scores - 1) ** 2,
    "hinge": lambda scores: torch.relu(1 - scores),
    "wasserstein": lambda scores: -scores,
}
_FAKE: dict[Objective, Callable[[Tensor], Tensor]] = {
    "vanilla": lambda scores: _cross_entropy(scores, real=False),
    "least_squares": lambda scores: scores**2,
    "hinge": lambda scores: torch.relu(1 + scores),
    "wasserstein": lambda scores: scores,
}
_GENERATOR: dict[Objective, Callable[[Tensor], Tensor]] = {**_REAL, "hinge": lambda scores: -scores}


def real_loss(scores: Tensor, objective: Objective) -> Tensor:
    """Return the discriminator loss on scores of real images."""
    return _REAL[objective](at_least_float32(scores)).mean()


def fake_loss(scores: Tensor, objective: Objective) -> Tensor:
    """Return the discriminator loss on scores of generated images."""
    return _FAKE[objective](at_least_float32(scores)).mean()


def discriminator_loss(*, real: Tensor, fake: Tensor, objective: Objective) -> Tensor:
    """Return the discriminator loss on scores of real and of generated images."""
    return real_loss(real, objective) + fake_loss(fake, objective)


def generator_loss(scores: Tensor, objective: Objective) -> Tensor:
    """Return the generator loss on the discriminator's scores of its images."""
    return _GENERATOR[objective](at_least_float32(scores)).mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], *, real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean of (|| grad critic(x) || - 1)^2 at random points x between real and fake.

    Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3, where its weight is 10.

    Args:
        critic: images -> scores, without batch norm, which would tie the pictures of a batch together (Sec. 4).
        real: (N, C, H, W) in [-1, 1].
        fake: (N, C, H, W) in [-1, 1].
    """
    share = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    between = (share * real + (1 - share) * fake.detach()).requires_grad_()
    scores = at_least_float32(critic(between)).sum()
    (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    length = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return torch.square(length - 1).mean()


def relativistic_discriminator_loss(*, real: Tensor, fake: Tensor) -> Tensor:
    """Return the relativistic discriminator loss: half of Eq. 11 plus half of Eq. 12, as ESRGAN. arXiv:1807.00734."""
    return 0.5 * (real_loss(real - fake.mean(), "vanilla") + fake_loss(fake - real.mean(), "vanilla"))


def relativistic_generator_loss(*, real: Tensor, fake: Tensor) -> Tensor:
    """Return the relativistic generator loss: the discriminator loss with real and fake swapped."""
    return relativistic_discriminator_loss(real=fake, fake=real)
