"""The relativistic average objective: more real than the mean of the other kind.

Jolicoeur-Martineau 2018, arXiv:1807.00734.
Scores are raw, (N, 1) or (N, 1, h, w), higher for more real.
"""

from __future__ import annotations

from torch import Tensor

from ganvas.losses.adversarial import fake_loss, real_loss


def relativistic_discriminator_loss(*, real: Tensor, fake: Tensor) -> Tensor:
    """What a discriminator minimises: half of Eq. 11 and half of Eq. 12, as ESRGAN weighs them."""
    return 0.5 * (real_loss(real - fake.mean(), "vanilla") + fake_loss(fake - real.mean(), "vanilla"))


def relativistic_generator_loss(*, real: Tensor, fake: Tensor) -> Tensor:
    """What a generator minimises: the same with the two kinds in each other's place."""
    return relativistic_discriminator_loss(real=fake, fake=real)
