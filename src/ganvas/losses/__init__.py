"""Losses as functions of tensors."""

from ganvas.losses.adversarial import (
    Objective,
    discriminator_loss,
    fake_loss,
    generator_loss,
    gradient_penalty,
    real_loss,
)
from ganvas.losses.reconstruction import l1_loss

__all__ = [
    "Objective",
    "discriminator_loss",
    "fake_loss",
    "generator_loss",
    "gradient_penalty",
    "l1_loss",
    "real_loss",
]
