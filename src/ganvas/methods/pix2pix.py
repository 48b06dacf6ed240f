"""pix2pix: a conditional GAN that learns from pairs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganvas.errors import ConfigError
from ganvas.losses import fake_loss, generator_loss, gradient_penalty, l1_loss, real_loss
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import Norm, Pix2PixConfig, Variant
from ganvas.networks import (
    PAPER_DROPOUT_LAYERS,
    EncoderDecoder,
    Generator,
    PatchGAN,
    PixelGAN,
    ResNet,
    UNet,
    as_in_training,
)

NUM_LAYERS = {16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
"""Receptive field of a PatchGAN -> its strided convolutions."""
MAX_DEPTH = 8
MAX_BOTTLENECK = 7
"""Pixels: above this on the smaller side, a U-Net whose depth was not asked for would be too shallow."""


class Pix2Pix(Method):
    """A U-Net fools a PatchGAN that sees input and output, and stays near the target in L1.

    Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", arXiv:1611.07004.
    As the paper, but for biases: none before a batch norm, as in the released PyTorch code, which `variant` follows
    further.
    """

    config_type = Pix2PixConfig
    generators = ("generator",)

    def __init__(
        self, config: Pix2PixConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        if config.residual and input_channels != output_channels:
            raise ConfigError(
                f"residual adds the input ({input_channels} channels) to the output ({output_channels}): "
                "give both as many channels, or turn residual off"
            )
        self.config = config
        self.players = {"generator": ("generator",)}
        self.generator = build_generator(config, input_channels, output_channels, image_size=image_size)
        if config.adversarial_weight > 0:
            self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
            self.discriminator = build_discriminator(config, input_channels + output_channels, image_size=image_size)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """One step of D, then one of G against the updated D (Sec. 3.3)."""
        del progress  # every step is alike
        fake_b = self.generator(batch.a)  # G(x, z): the noise z is dropout
        if self.config.adversarial_weight > 0:
            yield Turn("discriminator", self._tell_apart(batch.a, real_b=batch.b, fake_b=fake_b.detach()))
        yield Turn("generator", self._fool_and_match(batch.a, real_b=batch.b, fake_b=fake_b))

    def _tell_apart(self, a: Tensor, *, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Eq. 1, halved "which slows down the rate at which D learns relative to G" (Sec. 3.3)."""
        objective = self.config.objective
        losses = {
            "fake": 0.5 * fake_loss(self._judge(a, fake_b), objective),
            "real": 0.5 * real_loss(self._judge(a, real_b), objective),
        }
        if objective == "wasserstein" and self.config.gradient_penalty > 0:
            penalty = gradient_penalty(lambda b: self._judge(a, b), real=real_b, fake=fake_b)
            losses["gradient_penalty"] = 0.5 * self.config.gradient_penalty * penalty
        return losses

    def _fool_and_match(self, a: Tensor, *, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Eq. 4: the adversarial loss, and lambda times L1; a loss of weight 0 is left out."""
        config, losses = self.config, {}
        if config.adversarial_weight > 0:
            fooled = generator_loss(self._judge(a, fake_b), config.objective)
            losses["adversarial"] = config.adversarial_weight * fooled
        if config.l1_weight > 0:
            losses["l1"] = config.l1_weight * l1_loss(fake_b, real_b)
        return losses

    def _judge(self, a: Tensor, b: Tensor) -> Tensor:
        """D(x, y): the discriminator sees input and output as the channels of one image."""
        scores: Tensor = self.discriminator(torch.cat([a, b], dim=1))
        return scores

    def translate(self, images: Tensor) -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1], in evaluation mode too as the paper at test time.

        Dropout draws, from torch's global generator, and batch norm uses "the statistics of the test batch"
        (Sec. 3.3): one picture at a time, so that no picture depends on its neighbours.

        Raises:
            ImageError: height or width is no multiple of `size_multiple`.
        """
        self.generator.check_size(images)
        alone = self.config.norm == "batch"
        with as_in_training(self.generator):
            made = [self.generator(part) for part in torch.split(images, 1 if alone else len(images))]
        return torch.cat(made).clamp(-1, 1)

    @property
    def size_multiple(self) -> int:
        """The product of the generator's strides."""
        return self.generator.size_multiple

    @property
    def context(self) -> int | None:
        """None where a norm, or noise drawn by place, makes a tile differ from the whole picture."""
        return None if self.config.dropout > 0 else self.generator.context


METHOD = Pix2Pix


def build_generator(
    config: Pix2PixConfig, input_channels: int, output_channels: int, *, image_size: tuple[int, int]
) -> Generator:
    """The generator that `config` describes, for crops of `image_size`."""
    if config.generator == "resnet":
        check_crop(image_size, multiple=ResNet.size_multiple, smallest=2 * ResNet.size_multiple, network="the ResNet")
        return ResNet(
            input_channels,
            output_channels,
            width=config.width,
            num_blocks=config.residual_blocks,
            norm=config.norm,
            dropout=config.dropout,
            bias=has_biases(config.variant, config.norm),
            upsampling=config.upsampling,
            residual=config.residual,
        )
    depth = choose_depth(config.depth, image_size)
    network = UNet if config.generator == "unet" else EncoderDecoder
    return network(
        input_channels,
        output_channels,
        width=config.width,
        depth=depth,
        norm=config.norm,
        dropout=config.dropout,
        dropout_layers=dropout_layers(config.variant, depth),
        bias=has_biases(config.variant, config.norm),
        upsampling=config.upsampling,
        residual=config.residual,
    )


def build_discriminator(
    config: Pix2PixConfig, input_channels: int, *, image_size: tuple[int, int]
) -> PatchGAN | PixelGAN:
    """The PatchGAN or, for a receptive field of 1, the PixelGAN that `config` describes."""
    norm, bias = critic_norm(config), has_biases(config.variant, config.norm)
    if config.receptive_field == 1:
        return PixelGAN(input_channels, width=config.discriminator_width, norm=norm, bias=bias)
    num_layers = NUM_LAYERS[config.receptive_field]
    network = PatchGAN(input_channels, width=config.discriminator_width, num_layers=num_layers, norm=norm, bias=bias)
    check_crop(image_size, smallest=network.smallest_input, network=f"receptive_field {config.receptive_field}")
    return network


def critic_norm(config: Pix2PixConfig) -> Norm:
    """The discriminator's norm."""
    if config.objective == "wasserstein" and config.norm == "batch" and config.variant == "paper":
        return "instance"  # batch norm would tie the gradients of a batch together (Gulrajani et al. 2017, Sec. 4)
    return config.norm


def has_biases(variant: Variant, norm: Norm) -> bool | None:
    """Biases of convolutions that a norm may follow; the PyTorch code has them before instance norm alone."""
    return norm == "instance" if variant == "pytorch" else None


def dropout_layers(variant: Variant, depth: int) -> range:
    """Decoder layers with dropout, from the bottleneck: the paper's CD512-CD512-CD512 are the first three.

    The PyTorch code has it after those that make eight times the width, but for the first: 2 to 4 of 8, 2 and 3 of 7.
    """
    return range(1, depth - 4) if variant == "pytorch" else PAPER_DROPOUT_LAYERS


def choose_depth(depth: int | None, image_size: tuple[int, int]) -> int:
    """Halvings for crops of `image_size`: as asked, or as many as both sides allow, at most 8."""
    if depth is not None:
        check_crop(image_size, multiple=2**depth, network=f"depth {depth}")
        return depth
    height, width = image_size
    chosen = max(d for d in range(MAX_DEPTH + 1) if height % 2**d == 0 and width % 2**d == 0)
    smaller = min(image_size)
    if chosen == 0 or (chosen < MAX_DEPTH and smaller > MAX_BOTTLENECK * 2**chosen):
        wanted = 2 ** min(MAX_DEPTH, (smaller // (MAX_BOTTLENECK + 1)).bit_length() or 1)
        raise ConfigError(
            f"a crop of {height}x{width} can be halved only {chosen} times, too few for a U-Net: "
            f"make both sides multiples of {wanted}, for example {nearest(image_size, wanted)}, or set depth"
        )
    return chosen


def check_crop(image_size: tuple[int, int], *, multiple: int = 1, smallest: int = 1, network: str) -> None:
    """Raise ConfigError unless both sides are multiples of `multiple` and at least `smallest`."""
    height, width = image_size
    if min(image_size) < smallest:
        raise ConfigError(f"{network} needs crops of at least {smallest} pixels a side, not {height}x{width}")
    if height % multiple or width % multiple:
        raise ConfigError(
            f"{network} needs crops that are multiples of {multiple}, not {height}x{width}: "
            f"for example {nearest(image_size, multiple)}"
        )


def nearest(image_size: tuple[int, int], multiple: int) -> str:
    """The nearest smaller size (at least one multiple) of which both sides are multiples."""
    height, width = (max(side // multiple, 1) * multiple for side in image_size)
    return f"{height}x{width}"
