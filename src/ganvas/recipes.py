"""Named, complete runs. Each is a small function that returns one `RunConfig`; change it with `dataclasses.replace`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ganvas.data.config import PairedData, UnpairedData
from ganvas.methods.config import CycleGANConfig, Pix2PixConfig
from ganvas.training.config import RunConfig, TrainingConfig


def pix2pix() -> RunConfig:
    """Pairs of any kind, with the paper's settings (Isola et al., Sec. 6.1-6.2)."""
    return RunConfig()


def facades() -> RunConfig:
    """CMP facades, label -> photo, as the paper: side by side, right to left, batch 1, 200 epochs (Sec. 6.2.2)."""
    return RunConfig(data=PairedData(layout="side_by_side", direction="b_to_a"))


def facades_port() -> RunConfig:
    """Facades as the PyTorch port trains them: the rate falls linearly over the second half."""
    return replace(facades(), training=TrainingConfig(constant_fraction=0.5))


def cyclegan() -> RunConfig:
    """Two folders that need not correspond, with the paper's settings (Zhu et al., Sec. 4 and 7.1-7.2)."""
    return RunConfig(method=CycleGANConfig(), data=UnpairedData(), training=TrainingConfig(constant_fraction=0.5))


def horse2zebra() -> RunConfig:
    """Horse -> zebra and back, as the paper: no identity loss, batch 1, 200 epochs, the rate falling from the 101st."""
    return cyclegan()


def horse2zebra_port() -> RunConfig:
    """Horse -> zebra and back as the PyTorch port trains it: with an identity loss of half the cycle's weight."""
    return replace(cyclegan(), method=CycleGANConfig(identity_weight=0.5))


def restore() -> RunConfig:
    """Photographs covered by an 8-pixel mosaic, restored: a U-Net without norm that adds its output to its input.

    The input is nearly the answer, so the network learns the difference; a norm would shift colours.
    L1 alone, which is what brings a picture nearest to the truth on average; --adversarial-weight 1 sharpens it
    with invented detail, and costs decibels.
    """
    return RunConfig(
        method=Pix2PixConfig(
            width=32, depth=4, norm="none", dropout=0.0, residual=True, adversarial_weight=0.0, discriminator_width=32
        ),
        data=PairedData(
            layout="single", degrade="mosaic", resize="shorter_side", load_size=(256, 256), crop_size=(64, 64)
        ),
        training=TrainingConfig(batch_size=16, learning_rate=4e-4, constant_fraction=0.5, epochs=400),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    "pix2pix": pix2pix,
    "facades": facades,
    "facades_port": facades_port,
    "restore": restore,
    "cyclegan": cyclegan,
    "horse2zebra": horse2zebra,
    "horse2zebra_port": horse2zebra_port,
}
"""Name -> recipe, as the command line offers them."""


def recipe_summary(name: str) -> str:
    """The first line of the recipe's docstring."""
    return (RECIPES[name].__doc__ or "").strip().splitlines()[0]
