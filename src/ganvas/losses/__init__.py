"""Loss functions of tensors."""

from ganvas.losses.adversarial import (
    Objective,
    discriminator_loss,
    fake_loss,
    generator_loss,
    gradient_penalty,
    real_loss,
)
from ganvas.losses.reconstruction import feature_matching, l1_loss, mse_loss, patch_nce

__all__ = [
    "Objective",
    "discriminator_loss",
    "fake_loss",
    "feature_matching",
    "generator_loss",
    "gradient_penalty",
    "l1_loss",
    "mse_loss",
    "patch_nce",
    "real_loss",
]
