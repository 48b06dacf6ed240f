"""Losses as functions of tensors."""

from ganvas.losses.adversarial import (
    Objective,
    discriminator_loss,
    fake_loss,
    generator_loss,
    gradient_penalty,
    real_loss,
)
from ganvas.losses.contrastive import patch_nce
from ganvas.losses.matching import feature_matching
from ganvas.losses.reconstruction import l1_loss, mse_loss

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
