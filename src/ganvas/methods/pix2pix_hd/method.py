"""pix2pixHD: pix2pix with multi-scale discriminators, feature matching and a perceptual loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganvas.errors import ConfigError
from ganvas.losses import Objective, fake_loss, generator_loss, gradient_penalty, l1_loss, real_loss
from ganvas.methods import Pix2PixHDConfig
from ganvas.methods.architectures import (
    NUM_LAYERS,
    check_crop,
    crop_multiple,
    has_biases,
    make_generator,
    patch_discriminator,
)
from ganvas.methods.perceptual import PerceptualLoss
from ganvas.methods.pix2pix.method import Pix2Pix, critic_norm
from ganvas.methods.pix2pix_hd.networks import LocalEnhancer, MultiScaleDiscriminator, halved_sizes, smallest_side
from ganvas.networks import Generator, PixelGAN, ResNet
from ganvas.networks.patchgan import smallest_input

Outputs = Sequence[Sequence[Tensor]]
"""For each discriminator, the outputs of its layers; the last are the scores."""
USUAL_LAYERS = 4
"""Number of hidden layers of a discriminator of 70 pixels, whose distances the released code adds."""
VGG_LAYERS = {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0}
"""Layer -> weight in the perceptual loss, as in the released code, which does not normalize the pictures for it."""


def feature_matching(made: Outputs, wanted: Outputs) -> Tensor:
    """Return the L1 distance of the discriminators' hidden layers: Wang et al. 2018, Eq. 4, weighted as in their code.

    The mean over discriminators of 4 / T times the sum over the T hidden layers. No gradient reaches `wanted`.
    """
    scales = []
    for fake, real in zip(made, wanted, strict=True):
        layers = [l1_loss(one, other.detach()) for one, other in zip(fake[:-1], real[:-1], strict=True)]
        scales.append(USUAL_LAYERS * torch.stack(layers).mean())
    return torch.stack(scales).mean()


def over_scales(loss: Callable[[Tensor, Objective], Tensor], outputs: Outputs, objective: Objective) -> Tensor:
    """Return the sum over the discriminators of a loss on their scores (Eq. 3)."""
    return torch.stack([loss(layers[-1], objective) for layers in outputs]).sum()


def all_scores(outputs: Outputs) -> Tensor:
    """Return the scores of all discriminators as one vector."""
    return torch.cat([layers[-1].flatten() for layers in outputs])


class Pix2PixHD(Pix2Pix):
    """Conditional GAN with discriminators at several scales, whose features of real and generated pictures must match.

    Wang et al. 2018, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
    arXiv:1711.11585. The weights of feature matching are the released code's. It deviates in the order (D first, as
    pix2pix; theirs updates G first) and in the padding of the discriminators (1, as pix2pix; theirs 2). Instance maps,
    their encoder and the training of the global generator before the enhancers are not included.
    """

    config_type = Pix2PixHDConfig
    config: Pix2PixHDConfig
    discriminator: MultiScaleDiscriminator

    def __init__(
        self, config: Pix2PixHDConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        self._perceptual = None if config.perceptual == "none" else PerceptualLoss(config.perceptual, VGG_LAYERS)
        if output_channels not in (1, 3) and config.has_perceptual_loss:
            raise ConfigError(
                f"the features of {config.perceptual} need RGB or gray, but the outputs have {output_channels} "
                "channels: use --perceptual none"
            )

    def _make_generator(self, input_channels: int, output_channels: int, image_size: tuple[int, int]) -> Generator:
        """Return the global generator, inside local enhancers if there are any, or another network."""
        config = self.config
        if config.generator != "resnet":
            return super()._make_generator(input_channels, output_channels, image_size)
        multiple = 2 ** (config.halvings + config.enhancers)
        check_crop(image_size, multiple=multiple, smallest=2 * multiple, network="the ResNet")
        height, width = image_size
        network = make_generator(
            config,
            input_channels,
            output_channels,
            image_size=(height // 2**config.enhancers, width // 2**config.enhancers),
            residual_blocks=config.residual_blocks,
            num_halvings=config.halvings,
            residual=config.residual,
        )
        for _ in range(config.enhancers):
            assert isinstance(network, ResNet | LocalEnhancer)
            network = LocalEnhancer(
                network,
                input_channels,
                output_channels,
                num_blocks=config.enhancer_blocks,
                norm=config.norm,
                dropout=config.dropout,
                bias=has_biases(config.variant, config.norm),
                upsampling=config.upsampling,
                residual=config.residual,
            )
        return network

    def _make_discriminator(self, channels: int, image_size: tuple[int, int]) -> MultiScaleDiscriminator:
        """Return the discriminators of all scales, which have the same architecture and separate weights."""
        config, field = self.config, self.config.receptive_field
        least = PixelGAN.smallest_input if field == 1 else smallest_input(NUM_LAYERS[field])
        multiple = crop_multiple(self.generator)
        check_crop(
            image_size,
            smallest=-(-smallest_side(least, config.discriminator_scales) // multiple) * multiple,
            network=f"discriminator_scales {config.discriminator_scales} with receptive_field {field}",
            remedy=", or fewer discriminator_scales" * (config.discriminator_scales > 1),
        )
        return MultiScaleDiscriminator(
            [
                patch_discriminator(
                    channels,
                    receptive_field=field,
                    width=config.discriminator_width,
                    norm=critic_norm(config),
                    bias=has_biases(config.variant, config.norm),
                    image_size=size,
                )
                for size in halved_sizes(image_size, config.discriminator_scales)
            ]
        )

    def _discriminator_losses(self, a: Tensor, *, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Return the maximum of Eq. 3 as least squares, over all scales, halved as in the released code."""
        config = self.config
        losses = {
            "fake": 0.5 * over_scales(fake_loss, self._outputs(a, fake_b), config.objective),
            "real": 0.5 * over_scales(real_loss, self._outputs(a, real_b), config.objective),
        }
        if config.objective == "wasserstein" and config.gradient_penalty > 0:
            penalty = gradient_penalty(lambda b: all_scores(self._outputs(a, b)), real=real_b, fake=fake_b)
            losses["gradient_penalty"] = 0.5 * config.gradient_penalty * penalty
        return losses

    def _generator_losses(self, a: Tensor, *, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Return Eq. 5, with the perceptual and the L1 loss if they are set; losses of weight 0 are omitted."""
        config, losses = self.config, {}
        if config.adversarial_weight > 0:
            fake = self._outputs(a, fake_b)
            losses["adversarial"] = config.adversarial_weight * over_scales(generator_loss, fake, config.objective)
            if config.feature_weight > 0:
                with torch.no_grad():  # after a pass with gradients: autocast caches the weights of the first cast
                    real = self._outputs(a, real_b)
                losses["feature_matching"] = config.feature_weight * feature_matching(fake, real)
        if self._perceptual is not None and config.has_perceptual_loss:
            losses["perceptual"] = config.perceptual_weight * self._perceptual(fake_b, real_b)
        if config.l1_weight > 0:
            losses["l1"] = config.l1_weight * l1_loss(fake_b, real_b)
        return losses

    def _outputs(self, a: Tensor, b: Tensor) -> Outputs:
        """Return the outputs of D(x, y), which sees input and output concatenated along the channels."""
        outputs: Outputs = self.discriminator(torch.cat([a, b], dim=1))
        return outputs


METHOD = Pix2PixHD
