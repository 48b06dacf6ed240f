"""Named, complete runs. Each is a small function that returns one `RunConfig`; change it with `dataclasses.replace`.

Other recipes come by the entry point `ganvas.recipes`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points

from ganvas.data.config import PairedData, UnpairedData
from ganvas.errors import ConfigError
from ganvas.methods import (
    CoGANConfig,
    CUTConfig,
    CycleGANConfig,
    DiscoGANConfig,
    DomainGANConfig,
    DualGANConfig,
    Pix2PixConfig,
    SRGANConfig,
    SRResNetConfig,
    UNITConfig,
    VAEConfig,
    VAEGANConfig,
)
from ganvas.training.config import RunConfig, TrainingConfig


def pix2pix() -> RunConfig:
    """Pairs of any kind, with the paper's settings (Isola et al., Sec. 6.1-6.2)."""
    return RunConfig()


def facades() -> RunConfig:
    """CMP facades, label -> photo, as the paper: side by side, right to left, batch 1, 200 epochs (Sec. 6.2.2)."""
    return RunConfig(data=PairedData(layout="side_by_side", direction="b_to_a"))


def facades_port() -> RunConfig:
    """Facades as the PyTorch port trains them: its networks, and the rate falls linearly over the second half."""
    method = Pix2PixConfig(variant="pytorch")
    return replace(facades(), method=method, training=TrainingConfig(constant_fraction=0.5))


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

    The input is nearly the answer, so the network learns the difference; a norm would shift colors.
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


def cut() -> RunConfig:
    """Two folders that need not correspond, a to b alone, as CUT: 400 epochs, both weights 1 (Park et al. 2020)."""
    return RunConfig(
        method=CUTConfig(), data=UnpairedData(), training=TrainingConfig(epochs=400, constant_fraction=0.5)
    )


def cut_port() -> RunConfig:
    """CUT as the released code trains it: the mean of the contrasts of a and of b, in the place of their sum."""
    return replace(cut(), method=CUTConfig(contrast_weight=0.5, identity_weight=0.5))


def fastcut() -> RunConfig:
    """CUT without the identity term, at ten times the contrast, mirrored half of the time: 200 epochs, fewer passes."""
    return RunConfig(
        method=CUTConfig(contrast_weight=10.0, identity_weight=0.0, flip_equivariance=True),
        data=UnpairedData(),
        training=TrainingConfig(constant_fraction=0.75),
    )


def vae() -> RunConfig:
    """Pictures that are their own target, through a small random code and back (Kingma and Welling 2014).

    Pictures, networks and training settings are those of Larsen et al. 2016, who train a VAE beside their VAE/GAN.
    """
    return RunConfig(
        method=VAEConfig(),
        data=PairedData(layout="single", degrade="identity", load_size=(72, 72), crop_size=(64, 64)),
        training=TrainingConfig(batch_size=64, optimizer="rmsprop", learning_rate=3e-4),
    )


def vae_gan() -> RunConfig:
    """A VAE that compares pictures as a discriminator sees them, with the paper's settings (Larsen et al. 2016)."""
    return replace(vae(), method=VAEGANConfig())


def domain_gan() -> RunConfig:
    """Two folders drawn by one GAN from the same noise, then an encoder back to it (Dong et al. 2017).

    A batch holds 64 pictures, half of each side, as in the released code.
    """
    return RunConfig(
        method=DomainGANConfig(),
        data=UnpairedData(load_size=(72, 72), crop_size=(64, 64)),
        training=TrainingConfig(batch_size=32),
    )


def discogan() -> RunConfig:
    """Two folders of small pictures that need not correspond, with DiscoGAN's settings (Kim et al. 2017)."""
    return RunConfig(
        method=DiscoGANConfig(),
        data=UnpairedData(load_size=(64, 64), crop_size=(64, 64), mirror=False),
        training=TrainingConfig(epochs=5000, batch_size=64, weight_decay=1e-5),
    )


def discogan_port() -> RunConfig:
    """DiscoGAN as the released code trains it: discriminators in each third step, generators in the others."""
    return replace(discogan(), method=DiscoGANConfig(discriminator_interval=3))


def dualgan() -> RunConfig:
    """Two folders that need not correspond, with DualGAN's settings: clipped critics and dropout (Yi et al. 2017)."""
    return RunConfig(
        method=DualGANConfig(),
        data=UnpairedData(),
        training=TrainingConfig(optimizer="rmsprop", learning_rate=5e-5),
    )


def dualgan_port() -> RunConfig:
    """DualGAN as the released code trains it: a gradient penalty, global critics that move once, no dropout."""
    method = DualGANConfig(dropout=0.0, critic="global", critic_steps=1, clip=0.0, gradient_penalty=10.0)
    return replace(dualgan(), method=method, data=UnpairedData(load_size=(256, 256)))


def cogan() -> RunConfig:
    """Pairs of small pictures from one noise, of two folders that need not correspond (Liu and Tuzel 2016).

    A translation is a search, so few pictures validate.
    """
    return RunConfig(
        method=CoGANConfig(),
        data=UnpairedData(load_size=(32, 32), crop_size=(32, 32), mirror=False),
        training=TrainingConfig(batch_size=128, weight_decay=5e-4, validation_pictures=4),
    )


def cogan_port() -> RunConfig:
    """CoGAN as the released PyTorch code trains it: normal noise, batches of 64."""
    config = cogan()
    return replace(config, method=CoGANConfig(noise="normal"), training=replace(config.training, batch_size=64))


def unit() -> RunConfig:
    """Two folders that need not correspond, through one latent space, with UNIT's settings (Liu et al. 2017)."""
    return RunConfig(method=UNITConfig(), data=UnpairedData(), training=TrainingConfig(learning_rate=1e-4))


def unit_port() -> RunConfig:
    """UNIT with the released code's objective: no layer shared, gentler weights, least squares at three scales."""
    method = UNITConfig(
        shared_blocks=0,
        judged="translations",
        objective="least_squares",
        discriminator_scales=3,
        adversarial_weight=1.0,
        kl_weight=0.01,
        reconstruction_weight=10.0,
        cycle_weight=10.0,
    )
    return replace(unit(), method=method, training=TrainingConfig(learning_rate=1e-4, weight_decay=1e-4))


def srresnet() -> RunConfig:
    """Photographs enlarged 4 times, as near to the truth as squared error can tell (Ledig et al., Sec. 3.2).

    The paper's million steps are 45.7 passes over its 350,000 pictures: of fewer pictures give more epochs, or minutes.
    """
    return RunConfig(
        method=SRResNetConfig(),
        data=PairedData(layout="single", degrade="reduce", strength=(4.0, 4.0), resize="none", crop_size=(96, 96)),
        training=TrainingConfig(batch_size=16, learning_rate=1e-4, betas=(0.9, 0.999), epochs=45.7),
    )


def srgan() -> RunConfig:
    """Enlarged 4 times and made plausible, from a trained SRResNet: --start-from RUN (Ledig et al., Sec. 3.2).

    200,000 steps, the second half at a tenth of the rate. --content vgg16-5,3 where VGG19's weights are not at hand.
    """
    training = replace(srresnet().training, epochs=9.14, constant_fraction=0.5, decay="tenth")
    return replace(srresnet(), method=SRGANConfig(), training=training)


def srresnet_modern() -> RunConfig:
    """SRResNet without batch norm, beside bicubic interpolation, in L1 and with averaged weights: learns faster."""
    config = srresnet()
    return replace(
        config,
        method=SRResNetConfig(norm="none", residual=True, residual_scale=0.2, loss="l1"),
        training=replace(config.training, learning_rate=4e-4, constant_fraction=0.5, ema_half_life=10_000),
    )


def srgan_modern() -> RunConfig:
    """From `srresnet_modern`: a relativistic critic with spectral norm, features before their ReLU, a little L1."""
    method = SRGANConfig(
        norm="none", residual=True, residual_scale=0.2, loss="l1", pre_activation=True, pixel_weight=0.01,
        objective="relativistic", discriminator_norm="none", spectral=True,
    )  # fmt: skip
    return replace(srgan(), method=method, training=replace(srgan().training, ema_half_life=10_000))


Recipe = Callable[[], RunConfig]
RECIPES: dict[str, Recipe] = {
    "pix2pix": pix2pix,
    "facades": facades,
    "facades_port": facades_port,
    "restore": restore,
    "vae": vae,
    "vae_gan": vae_gan,
    "domain_gan": domain_gan,
    "cyclegan": cyclegan,
    "horse2zebra": horse2zebra,
    "horse2zebra_port": horse2zebra_port,
    "cut": cut,
    "cut_port": cut_port,
    "fastcut": fastcut,
    "discogan": discogan,
    "discogan_port": discogan_port,
    "dualgan": dualgan,
    "dualgan_port": dualgan_port,
    "cogan": cogan,
    "cogan_port": cogan_port,
    "unit": unit,
    "unit_port": unit_port,
    "srresnet": srresnet,
    "srgan": srgan,
    "srresnet_modern": srresnet_modern,
    "srgan_modern": srgan_modern,
}
"""Name -> recipe of this package."""
ENTRY_POINT_GROUP = "ganvas.recipes"


def recipes() -> dict[str, Recipe]:
    """Return name -> recipe, as `ganvas train` and `ganvas compare` know them: ours, then those of entry points.

    A recipe that cannot be imported is left out with a warning, so that a broken package stops no other recipe.

    Raises:
        ConfigError: a package brings a recipe of the name of one of ours.
    """
    found = dict(RECIPES)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name in RECIPES:
            raise ConfigError(f"{entry.value} brings a recipe {entry.name!r}, which ganvas has: rename its entry point")
        try:
            found[entry.name] = entry.load()
        except (ImportError, AttributeError) as error:
            warnings.warn(f"recipe {entry.name} is left out: {entry.value}: {error}", stacklevel=2)
    return found


def recipe_summary(recipe: Recipe) -> str:
    """Return the first line of the recipe's docstring, empty where it has none."""
    return (recipe.__doc__ or "").strip().partition("\n")[0]
