"""Training recipes: functions that return a complete `RunConfig`, which `dataclasses.replace` can change.

Installed packages add recipes through the entry point `ganvas.recipes`.
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
    Pix2PixHDConfig,
    RealESRGANConfig,
    SRGANConfig,
    SRResNetConfig,
    UNITConfig,
    VAEConfig,
    VAEGANConfig,
)
from ganvas.training.config import RunConfig, TrainingConfig


def pix2pix() -> RunConfig:
    """pix2pix on paired pictures, with the settings of the paper (Isola et al. 2017, Sec. 6.1-6.2)."""
    return RunConfig()


def facades() -> RunConfig:
    """Pix2pix on CMP facades, labels to photographs: side by side, right to left, batch 1, 200 epochs (Sec. 6.2.2)."""
    return RunConfig(data=PairedData(layout="side_by_side", direction="b_to_a"))


def facades_port() -> RunConfig:
    """Facades with the networks of the PyTorch port; the learning rate falls linearly over the second half."""
    method = Pix2PixConfig(variant="pytorch")
    return replace(facades(), method=method, training=TrainingConfig(constant_fraction=0.5))


def cyclegan() -> RunConfig:
    """CycleGAN on two unpaired folders, with the settings of the paper (Zhu et al. 2017, Sec. 4 and 7.1-7.2)."""
    return RunConfig(method=CycleGANConfig(), data=UnpairedData(), training=TrainingConfig(constant_fraction=0.5))


def horse2zebra() -> RunConfig:
    """CycleGAN on horses and zebras: no identity loss, batch 1, 200 epochs, linear decay from epoch 101."""
    return cyclegan()


def horse2zebra_port() -> RunConfig:
    """Horses and zebras as in the PyTorch port, with an identity loss of half the weight of the cycle loss."""
    return replace(cyclegan(), method=CycleGANConfig(identity_weight=0.5))


def restore() -> RunConfig:
    """Restoration of photographs under an 8-pixel mosaic: a residual U-Net without norms, trained with L1 alone.

    The network works at half the size and learns the difference to the input; a norm would shift colors. L1 alone gives
    the smallest average error; --adversarial-weight .1 gives sharper pictures, and a larger weight more invented detail
    and a lower PSNR.
    """
    return RunConfig(
        method=Pix2PixConfig(
            generator="residual_unet", width=32, unshuffle=2, encoder_blocks=(1, 1), middle_blocks=2,
            decoder_blocks=(1, 1), norm="none", dropout=0.0, adversarial_weight=0.0, discriminator_width=32,
        ),
        data=PairedData(
            layout="single", degrade="mosaic", resize="shorter_side", load_size=(256, 256), crop_size=(64, 64)
        ),
        training=TrainingConfig(
            batch_size=16, learning_rate=4e-4, constant_fraction=0.5, epochs=400, ema_half_life=2000.0
        ),
    )  # fmt: skip


def pix2pix_hd() -> RunConfig:
    """pix2pixHD on pairs: global generator, three discriminators, feature matching (Wang et al. 2018).

    100 epochs at a constant learning rate, then 100 with linear decay. Give --enhancers 1 for pictures of 1024 pixels
    and more, --generator unet for the losses alone, and --perceptual vgg19 for the perceptual loss of the paper.
    """
    return RunConfig(method=Pix2PixHDConfig(), training=TrainingConfig(constant_fraction=0.5))


def cut() -> RunConfig:
    """CUT on two unpaired folders, a to b: 400 epochs, both loss weights 1 (Park et al. 2020)."""
    return RunConfig(
        method=CUTConfig(), data=UnpairedData(), training=TrainingConfig(epochs=400, constant_fraction=0.5)
    )


def cut_port() -> RunConfig:
    """CUT as in the released code: the mean of the contrastive losses of a and of b instead of their sum."""
    return replace(cut(), method=CUTConfig(contrast_weight=0.5, identity_weight=0.5))


def fastcut() -> RunConfig:
    """FastCUT: no identity term, contrastive weight 10, flip equivariance, 200 epochs."""
    return RunConfig(
        method=CUTConfig(contrast_weight=10.0, identity_weight=0.0, flip_equivariance=True),
        data=UnpairedData(),
        training=TrainingConfig(constant_fraction=0.75),
    )


def vae() -> RunConfig:
    """Variational autoencoder: reconstruction of pictures from a random latent code (Kingma and Welling 2014).

    Picture size, networks and training settings are those of the VAE in Larsen et al. 2016.
    """
    return RunConfig(
        method=VAEConfig(),
        data=PairedData(layout="single", degrade="identity", load_size=(72, 72), crop_size=(64, 64)),
        training=TrainingConfig(batch_size=64, optimizer="rmsprop", learning_rate=3e-4),
    )


def vae_gan() -> RunConfig:
    """VAE/GAN: a VAE with a reconstruction loss on discriminator features (Larsen et al. 2016)."""
    return replace(vae(), method=VAEGANConfig())


def domain_gan() -> RunConfig:
    """Domain-conditional GAN for two unpaired folders, then an encoder to its noise (Dong et al. 2017).

    A batch consists of 64 pictures, 32 of each side, as in the released code.
    """
    return RunConfig(
        method=DomainGANConfig(),
        data=UnpairedData(load_size=(72, 72), crop_size=(64, 64)),
        training=TrainingConfig(batch_size=32),
    )


def discogan() -> RunConfig:
    """DiscoGAN on two unpaired folders of small pictures, with the settings of the paper (Kim et al. 2017)."""
    return RunConfig(
        method=DiscoGANConfig(),
        data=UnpairedData(load_size=(64, 64), crop_size=(64, 64), mirror=False),
        training=TrainingConfig(epochs=5000, batch_size=64, weight_decay=1e-5),
    )


def discogan_port() -> RunConfig:
    """DiscoGAN as in the released code: discriminators are updated every third step, generators in the others."""
    return replace(discogan(), method=DiscoGANConfig(discriminator_interval=3))


def dualgan() -> RunConfig:
    """DualGAN on two unpaired folders, with the settings of the paper: weight clipping, dropout (Yi et al. 2017)."""
    return RunConfig(
        method=DualGANConfig(),
        data=UnpairedData(),
        training=TrainingConfig(optimizer="rmsprop", learning_rate=5e-5),
    )


def dualgan_port() -> RunConfig:
    """DualGAN as in the released code: gradient penalty, global critics updated once per step, no dropout."""
    method = DualGANConfig(dropout=0.0, critic="global", critic_steps=1, clip=0.0, gradient_penalty=10.0)
    return replace(dualgan(), method=method, data=UnpairedData(load_size=(256, 256)))


def cogan() -> RunConfig:
    """CoGAN: corresponding pairs of small pictures from one noise vector, without paired data (Liu and Tuzel 2016).

    Translation searches the noise vector of each picture, so validation uses few pictures.
    """
    return RunConfig(
        method=CoGANConfig(),
        data=UnpairedData(load_size=(32, 32), crop_size=(32, 32), mirror=False),
        training=TrainingConfig(batch_size=128, weight_decay=5e-4, validation_pictures=4),
    )


def cogan_port() -> RunConfig:
    """CoGAN as in the released PyTorch code: normal noise, batches of 64."""
    config = cogan()
    return replace(config, method=CoGANConfig(noise="normal"), training=replace(config.training, batch_size=64))


def unit() -> RunConfig:
    """UNIT on two unpaired folders, with a shared latent space and the settings of the paper (Liu et al. 2017)."""
    return RunConfig(method=UNITConfig(), data=UnpairedData(), training=TrainingConfig(learning_rate=1e-4))


def unit_port() -> RunConfig:
    """UNIT as in the released code: no shared layers, smaller loss weights, least squares at three scales."""
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
    """SRResNet: 4x super-resolution with a squared-error loss (Ledig et al. 2017, Sec. 3.2).

    The million steps of the paper are 45.7 epochs of its 350,000 pictures; for fewer pictures, use more epochs.
    """
    return RunConfig(
        method=SRResNetConfig(),
        data=PairedData(layout="single", degrade="reduce", strength=(4.0, 4.0), resize="none", crop_size=(96, 96)),
        training=TrainingConfig(batch_size=16, learning_rate=1e-4, betas=(0.9, 0.999), epochs=45.7),
    )


def srgan() -> RunConfig:
    """SRGAN: 4x super-resolution with an adversarial loss, from an SRResNet: --start-from RUN (Ledig et al. 2017).

    200,000 steps, the second half at a tenth of the learning rate. Without the weights of VGG19, use --content
    vgg16-5,3.
    """
    training = replace(srresnet().training, epochs=9.14, constant_fraction=0.5, decay="tenth")
    return replace(srresnet(), method=SRGANConfig(), training=training)


def srresnet_modern() -> RunConfig:
    """SRResNet without batch norm, added to bicubic interpolation, with L1 and averaged weights; converges faster."""
    config = srresnet()
    return replace(
        config,
        method=SRResNetConfig(norm="none", residual=True, residual_scale=0.2, loss="l1"),
        training=replace(config.training, learning_rate=4e-4, constant_fraction=0.5, ema_half_life=10_000),
    )


def srgan_modern() -> RunConfig:
    """SRGAN from `srresnet_modern`: relativistic critic, spectral norm, features before the ReLU, a small L1 term."""
    method = SRGANConfig(
        norm="none", residual=True, residual_scale=0.2, loss="l1", pre_activation=True, pixel_weight=0.01,
        objective="relativistic", discriminator_norm="none", spectral=True,
    )  # fmt: skip
    return replace(srgan(), method=method, training=replace(srgan().training, ema_half_life=10_000))


def real_restoration_l1() -> RunConfig:
    """Restoration of photographs with unknown defects, four times larger, with L1 alone: start here (Wang et al. 2021).

    The first of the two stages of Real-ESRGAN, with its degradations and the fast generator of its release; sizes and
    rate suit a CPU. For the same size give --scale 1 --strength 1 1.
    """
    return RunConfig(
        method=SRResNetConfig(generator="compact", norm="none", loss="l1"),
        data=PairedData(
            layout="single", degrade="second_order", strength=(4.0, 4.0), resize="none", crop_size=(128, 128)
        ),
        training=TrainingConfig(
            batch_size=8, learning_rate=4e-4, betas=(0.9, 0.99), epochs=400, constant_fraction=0.5, ema_half_life=5000.0
        ),
    )


def real_restoration() -> RunConfig:
    """Real-ESRGAN: sharp restoration of photographs with unknown defects: --start-from the RUN of real_restoration_l1.

    The losses and weights of Wang et al. 2021. Give --perceptual vgg16 without weights of VGG19.
    """
    config = real_restoration_l1()
    method = RealESRGANConfig(generator="compact", norm="none", num_blocks=16, discriminator_width=32)
    training = replace(config.training, learning_rate=1e-4, epochs=160, constant_fraction=1.0)
    return replace(config, method=method, training=training)


Recipe = Callable[[], RunConfig]
RECIPES: dict[str, Recipe] = {
    "pix2pix": pix2pix,
    "facades": facades,
    "facades_port": facades_port,
    "pix2pix_hd": pix2pix_hd,
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
    "real_restoration_l1": real_restoration_l1,
    "real_restoration": real_restoration,
}
"""Name -> recipe of this package."""
ENTRY_POINT_GROUP = "ganvas.recipes"


def recipes() -> dict[str, Recipe]:
    """Return name -> recipe of `ganvas train` and `ganvas compare`: built-in recipes, then those of entry points.

    A recipe that cannot be imported is skipped with a warning, so that a broken package does not affect others.

    Raises:
        ConfigError: a recipe of a package has the name of a built-in recipe.
    """
    found = dict(RECIPES)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name in RECIPES:
            raise ConfigError(
                f"{entry.value} defines a recipe {entry.name!r}, which is built in: rename its entry point"
            )
        try:
            found[entry.name] = entry.load()
        except (ImportError, AttributeError) as error:
            warnings.warn(f"recipe {entry.name} is skipped: {entry.value}: {error}", stacklevel=2)
    return found


def recipe_summary(recipe: Recipe) -> str:
    """Return the first line of the recipe's docstring; empty if it has none."""
    return (recipe.__doc__ or "").strip().partition("\n")[0]
