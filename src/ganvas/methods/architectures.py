"""Generators and discriminators built from method configs, and helpers shared by methods."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.errors import ConfigError
from ganvas.methods import CycleGANConfig, Pix2PixConfig, SRResNetConfig
from ganvas.methods.base import Method
from ganvas.methods.config import ADD_THEIR_INPUT, Direction, Norm, ReceptiveField, Variant
from ganvas.networks import (
    PAPER_DROPOUT_LAYERS,
    Compact,
    EncoderDecoder,
    Generator,
    NAFNet,
    PatchGAN,
    PixelGAN,
    ResidualUNet,
    ResNet,
    RRDBNet,
    UNet,
    UnitRangeGenerator,
    as_in_training,
)
from ganvas.networks.generators import NUM_HALVINGS

NUM_LAYERS = {16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
"""Receptive field of a PatchGAN -> number of its strided convolutions."""
MAX_DEPTH = 8
MAX_BOTTLENECK = 7
"""Largest smaller side in pixels of the bottleneck of a U-Net whose depth is not set; larger bottlenecks mean a U-Net
that is too shallow."""


class TwoWayMethod(Method):
    """Base class of unpaired methods with one generator for each direction, `a_to_b` and `b_to_a`."""

    directions = ("a_to_b", "b_to_a")
    paired = False
    generators = ("a_to_b", "b_to_a")
    a_to_b: Generator
    b_to_a: Generator

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1], as in training: see `translate`.

        For direction b_to_a the numbers of channels are swapped.

        Raises:
            ImageError: height or width is not a multiple of `size_multiple`.
        """
        return translate(self.generator_of(direction), images)

    def generator_of(self, direction: Direction) -> Generator:
        """Return the generator that translates in a direction."""
        self.check_direction(direction)
        return self.a_to_b if direction == "a_to_b" else self.b_to_a

    @property
    def size_multiple(self) -> int:
        """The product of a generator's strides."""
        return self.a_to_b.size_multiple

    @property
    def smallest_side(self) -> int:
        """Smallest side of a generator's input."""
        return self.a_to_b.smallest_side

    @property
    def context(self) -> int | None:
        """Context of a generator; None if a norm or dropout makes tiles differ from the whole picture."""
        return None if self.draws_noise else self.a_to_b.context


def make_generator(
    config: Pix2PixConfig | CycleGANConfig,
    input_channels: int,
    output_channels: int,
    *,
    image_size: tuple[int, int],
    residual_blocks: int,
    num_halvings: int = NUM_HALVINGS,
    residual: bool = False,
) -> Generator:
    """Return the generator that `config` describes, for crops of `image_size`; `num_halvings` are those of a ResNet."""
    bias = has_biases(config.variant, config.norm)
    if config.generator == "resnet":
        check_crop(image_size, multiple=2**num_halvings, smallest=2 ** (num_halvings + 1), network="the ResNet")
        return ResNet(
            input_channels,
            output_channels,
            width=config.width,
            num_blocks=residual_blocks,
            num_halvings=num_halvings,
            norm=config.norm,
            dropout=config.dropout,
            bias=bias,
            upsampling=config.upsampling,
            residual=residual,
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
        bias=bias,
        upsampling=config.upsampling,
        residual=residual,
    )


def make_restoration(
    config: Pix2PixConfig | SRResNetConfig,
    input_channels: int,
    output_channels: int,
    *,
    scale: int,
    num_blocks: int,
) -> UnitRangeGenerator:
    """Return the restoration network that `config` describes; `input_channels` counts all frames together."""
    width = config.width
    if config.generator == "rrdb":
        return RRDBNet(
            input_channels,
            output_channels,
            scale=scale,
            width=width,
            num_blocks=num_blocks,
            growth=config.growth,
            unshuffle=config.unshuffle,
            dense_skips=config.dense_skips,
            residual=config.residual,
        )
    if config.generator == "compact":
        activation = config.activation
        return Compact(
            input_channels, output_channels, scale=scale, width=width, num_blocks=num_blocks, activation=activation
        )
    return (NAFNet if config.generator == "nafnet" else ResidualUNet)(
        input_channels,
        output_channels,
        scale=scale,
        width=width,
        encoder_blocks=config.encoder_blocks,
        middle_blocks=config.middle_blocks,
        decoder_blocks=config.decoder_blocks,
        unshuffle=config.unshuffle,
    )


def adds_input(config: Pix2PixConfig | SRResNetConfig) -> bool:
    """Return whether the generator adds its input to its output."""
    return config.residual or config.generator in ADD_THEIR_INPUT


def make_discriminator(
    config: Pix2PixConfig | CycleGANConfig, input_channels: int, *, norm: Norm, image_size: tuple[int, int]
) -> PatchGAN | PixelGAN:
    """Return the PatchGAN or, for a receptive field of 1, the PixelGAN that `config` describes."""
    return patch_discriminator(
        input_channels,
        receptive_field=config.receptive_field,
        width=config.discriminator_width,
        norm=norm,
        bias=has_biases(config.variant, config.norm),
        image_size=image_size,
    )


def patch_discriminator(
    input_channels: int,
    *,
    receptive_field: ReceptiveField,
    width: int,
    norm: Norm,
    image_size: tuple[int, int],
    bias: bool | None = None,
    antialias: bool = False,
) -> PatchGAN | PixelGAN:
    """Return a PatchGAN or, for a receptive field of 1, a PixelGAN, for crops of `image_size`."""
    if receptive_field == 1:
        return PixelGAN(input_channels, width=width, norm=norm, bias=bias)
    num_layers = NUM_LAYERS[receptive_field]
    network = PatchGAN(input_channels, width=width, num_layers=num_layers, norm=norm, bias=bias, antialias=antialias)
    check_crop(image_size, smallest=network.smallest_input, network=f"receptive_field {receptive_field}")
    return network


def translate(generator: Generator, images: Tensor) -> Tensor:
    """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1], as in training: Isola et al. 2017, Sec. 3.3.

    Dropout samples from torch's global generator, and batch norm uses "the statistics of the test batch": one picture
    at a time, so that no picture depends on the others of a batch.

    Raises:
        ImageError: height or width is not a multiple of `size_multiple`.
    """
    generator.check_size(images)
    with as_in_training(generator):
        if generator.norm == "batch":
            output = torch.cat([generator(one) for one in torch.split(images, 1)])
        else:
            output = generator(images)
    return output.clamp(-1, 1)


def has_biases(variant: Variant, norm: Norm) -> bool | None:
    """Return whether convolutions before a norm have a bias; the PyTorch code has one before instance norm only."""
    return norm == "instance" if variant == "pytorch" else None


def dropout_layers(variant: Variant, depth: int) -> range:
    """Return the decoder layers with dropout, counted from the bottleneck: CD512-CD512-CD512 are the first three.

    The PyTorch code has dropout after the layers of eight times the width except the first: 2 to 4 of 8, 2 and 3 of 7.
    """
    return range(1, depth - 4) if variant == "pytorch" else PAPER_DROPOUT_LAYERS


def choose_blocks(residual_blocks: int | None, image_size: tuple[int, int]) -> int:
    """Return the number of residual blocks: the given one, or 6 for crops below 256 pixels, else 9 (Sec. 7.2)."""
    if residual_blocks is not None:
        return residual_blocks
    return 6 if min(image_size) < 256 else 9


def choose_depth(depth: int | None, image_size: tuple[int, int]) -> int:
    """Return the U-Net depth for crops of `image_size`: the given one, or the largest possible, at most 8."""
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


def check_crop(
    image_size: tuple[int, int], *, multiple: int = 1, smallest: int = 1, network: str, remedy: str = ""
) -> None:
    """Raise ConfigError unless both sides are multiples of `multiple` and at least `smallest`.

    Args:
        image_size: height and width of a training crop.
        multiple: number that both sides must be multiples of.
        smallest: smallest side.
        network: start of the message.
        remedy: what else helps if the crop is too small.
    """
    height, width = image_size
    if min(image_size) < smallest:
        raise ConfigError(
            f"{network} needs crops of at least {smallest} pixels a side, not {height}x{width}: set crop_size{remedy}"
        )
    if height % multiple or width % multiple:
        raise ConfigError(
            f"{network} needs crops that are multiples of {multiple}, not {height}x{width}: set crop_size, for example "
            f"to {nearest(image_size, multiple)}"
        )


def crop_multiple(generator: Generator) -> int:
    """Return what the sides of training crops, at the size of the input, must be multiples of.

    A NAFNet takes any size, but would see padding at the edges of each crop.
    """
    return generator.stride if isinstance(generator, NAFNet) else generator.size_multiple


def check_residual(config: Pix2PixConfig | SRResNetConfig, *, input_channels: int, output_channels: int) -> None:
    """Raise ConfigError if a network could not add its input to its output."""
    if not adds_input(config) or input_channels == output_channels:
        return
    if config.generator == "compact" and input_channels == config.frames == 1:
        return  # a single channel is added to each
    always = config.generator in ADD_THEIR_INPUT
    raise ConfigError(
        f"{config.generator if always else 'residual'} adds the input ({input_channels} channels) to the output "
        f"({output_channels}): use equal numbers of channels, or "
        f"{'another generator' if always else 'turn residual off'}"
    )


def check_batch(images: Tensor, *, network: str) -> None:
    """Raise ConfigError if batch norm would see a single value per channel."""
    if len(images) < 2:
        raise ConfigError(
            f"the batch norm of {network} needs at least two pictures in each part of a batch: "
            "raise batch_size, or lower accumulate or the number of processes"
        )


def nearest(image_size: tuple[int, int], multiple: int) -> str:
    """Return the nearest smaller size (at least one multiple) of which both sides are multiples."""
    height, width = (max(side // multiple, 1) * multiple for side in image_size)
    return f"{height}x{width}"


def at_size(translate: Callable[[Tensor], Tensor], images: Tensor, size: tuple[int, int]) -> Tensor:
    """Translate images (N, C, H, W) of any size at `size`, and resize the result back to H and W.

    The result has no more detail than a picture of `size`.
    """
    given = tuple(images.shape[-2:])
    # Resizing to the same size changes nothing. Under an exporter, comparing sizes would fix them to the example's.
    if not torch.compiler.is_exporting() and given == size:
        return translate(images)
    return resized(translate(resized(images, size)), given)


def resized(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize bilinearly, antialiased when shrinking; the value range is kept."""
    return functional.interpolate(images, size, mode="bilinear", antialias=True)
