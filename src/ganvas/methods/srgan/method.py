"""SRGAN: super-resolution with an adversarial and a perceptual loss."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from ganvas.errors import ConfigError
from ganvas.losses import (
    fake_loss,
    generator_loss,
    real_loss,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
)
from ganvas.methods import SRGANConfig
from ganvas.methods.architectures import check_crop
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.methods.perceptual import load_vgg
from ganvas.methods.srgan.config import Content
from ganvas.methods.srresnet.method import SuperResolution
from ganvas.networks.blocks import Norm, make_norm
from ganvas.networks.convolutions import WideConvolution
from ganvas.networks.feature_extractors import VGG

SLOPE = 0.2
"""Negative slope of LeakyReLU."""
BLOCKS = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2))
"""The discriminator's convolutions: (channels as a multiple of the first, stride)."""


class SRDiscriminator(nn.Module):
    """Discriminator of fixed-size crops: 3x3 convolutions, 64 to 512 channels, every second of stride 2; 1024 units.

    Args:
        channels: channels of the images scored.
        image_size: height and width of a crop; at least 16.
        width: channels of the first layer.
        norm: after all convolutions but the first.
        spectral: spectral normalization of each layer (Miyato et al. 2018, arXiv:1802.05957).
    """

    def __init__(
        self,
        channels: int,
        *,
        image_size: tuple[int, int],
        width: int = 64,
        norm: Norm = "batch",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        constrain = spectral_norm if spectral else nn.Identity()
        layers, before = list[nn.Module](), channels
        for index, (factor, stride) in enumerate(BLOCKS):
            own_norm: Norm = "none" if index == 0 else norm
            kind = WideConvolution if stride == 1 else nn.Conv2d
            convolution = kind(before, factor * width, 3, stride, 1, bias=own_norm != "batch")
            layers += [constrain(convolution), make_norm(own_norm, factor * width), nn.LeakyReLU(SLOPE)]
            before = factor * width
        height, breadth = (-(-side // 16) for side in image_size)
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            constrain(nn.Linear(before * height * breadth, 16 * width)),
            nn.LeakyReLU(SLOPE),
            constrain(nn.Linear(16 * width, 1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) in [-1, 1] -> (N, 1) raw scores, higher for more real."""
        scores: Tensor = self.head(self.features(images))
        return scores


class ContentLoss:
    """Mean squared difference of VGG's features: Ledig et al. 2017, arXiv:1609.04802, Eq. 5.

    The classifier is not part of the method: it is neither trained nor saved, and is loaded at the first call, so that
    inference with a trained run does not need it.

    Args:
        content: the classifier, its block and convolution.
        pre_activation: compare features before their ReLU.
    """

    def __init__(self, content: Content, *, pre_activation: bool = False) -> None:
        self._content, self._pre_activation = content, pre_activation
        self._network: VGG | None = None

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar, of two batches (N, 3 or 1, H, W) in [-1, 1]; gradients flow to the first.

        Raises:
            WeightsError: the classifier's weights are not found, or differ from their record.
        """
        if self._network is None:
            self._network = load_content_features(self._content, pre_activation=self._pre_activation)
        network = self._network.to(output.device)
        (ours,) = network(output.expand(-1, 3, -1, -1))
        with torch.no_grad():
            (theirs,) = network(target.expand(-1, 3, -1, -1))
        return functional.mse_loss(ours.float(), theirs.float())


def load_content_features(content: Content, *, pre_activation: bool) -> VGG:
    """Return the classifier up to a layer, with its published weights.

    Raises:
        WeightsError: they are not found, or differ from their record.
    """
    name, place = content.split("-")
    tap = f"{'conv' if pre_activation else 'relu'}{place.replace(',', '_')}"
    otherwise = "--content vgg16-5,3, or --content pixels --content-weight 1"
    return load_vgg("vgg19" if name == "vgg19" else "vgg16", (tap,), otherwise=otherwise)


Losses = dict[str, Tensor]
SMALLEST = 17
"""Smallest side in pixels; with 16 the discriminator's last batch norm would see a single position."""


class SRGAN(SuperResolution):
    """SRResNet trained against a discriminator, with a content loss on classifier features.

    Ledig et al. 2017, arXiv:1609.04802. Follows the paper, which starts from a trained SRResNet: recipe `srgan`.
    Further options are those of ESRGAN (Wang et al. 2018, arXiv:1809.00219).
    """

    config_type = SRGANConfig
    config: SRGANConfig

    def __init__(
        self, config: SRGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        if output_channels not in (1, 3) and config.content != "pixels" and config.content_weight > 0:
            raise ConfigError(
                f"the features of {config.content} need RGB or gray, but the outputs have {output_channels} channels: "
                "use --content pixels --content-weight 1"
            )
        check_crop(image_size, smallest=SMALLEST, network="SRGAN's discriminator")
        if config.adversarial_weight > 0:
            self.players = {"discriminator": ("discriminator",), "generator": ("generator",)}
            self.discriminator = SRDiscriminator(
                output_channels,
                image_size=image_size,
                width=config.discriminator_width,
                norm=config.discriminator_norm,
                spectral=config.spectral,
            )
        self._features = ContentLoss(config.content, pre_activation=config.pre_activation)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of D, if it has a weight, then one of G against the updated D (Eq. 2)."""
        del progress  # every step is identical
        output, target = self.generator(batch.a), batch.b
        if self.config.adversarial_weight > 0:
            yield Turn("discriminator", self._discriminator_losses(real=target, fake=output.detach()))
        yield Turn("generator", self._content(output, target) | self._adversarial_losses(real=target, fake=output))

    def _discriminator_losses(self, *, real: Tensor, fake: Tensor) -> Losses:
        """Return Eq. 2, real and fake in separate batches."""
        real_scores, fake_scores = self.discriminator(real), self.discriminator(fake)
        if self.config.objective == "relativistic":
            return {"relativistic": relativistic_discriminator_loss(real=real_scores, fake=fake_scores)}
        objective = self.config.objective
        return {"real": real_loss(real_scores, objective), "fake": fake_loss(fake_scores, objective)}

    def _content(self, output: Tensor, target: Tensor) -> Losses:
        """Return Eq. 5, or Eq. 4 where the content is pixels."""
        config, losses = self.config, dict[str, Tensor]()
        if config.content_weight > 0:
            away = self.pixel_loss if config.content == "pixels" else self._features
            losses["content"] = config.content_weight * away(output, target)
        if config.pixel_weight > 0:
            losses["pixels"] = config.pixel_weight * self.pixel_loss(output, target)
        return losses

    def _adversarial_losses(self, *, real: Tensor, fake: Tensor) -> Losses:
        """Return Eq. 6."""
        config = self.config
        if config.adversarial_weight == 0:
            return {}
        scores = self.discriminator(fake)
        if config.objective != "relativistic":
            return {"adversarial": config.adversarial_weight * generator_loss(scores, config.objective)}
        with torch.no_grad():
            real_scores = self.discriminator(real)
        loss = relativistic_generator_loss(real=real_scores, fake=scores)
        return {"adversarial": config.adversarial_weight * loss}


METHOD = SRGAN
