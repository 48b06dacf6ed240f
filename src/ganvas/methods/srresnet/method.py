"""SRResNet: super-resolution by a residual network trained on squared error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn

from ganvas.losses import l1_loss, mse_loss
from ganvas.methods import SRResNetConfig
from ganvas.methods.architectures import adds_input, check_crop, check_residual, crop_multiple, make_restoration
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import RESTORATION, Direction
from ganvas.networks.blocks import Norm, PReLU, make_norm
from ganvas.networks.convolutions import Interval, before_convolution, before_nearest, bicubic, context
from ganvas.networks.generators import Generator, middle

Scale = Literal[1, 2, 3, 4, 8, 16]
STAGES: dict[Scale, tuple[int, ...]] = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2), 16: (2, 2, 2, 2)}
"""Scale -> factors of the successive upscaling layers."""


class ResidualBlock(nn.Module):
    """Residual block: k3, norm, PReLU, k3, norm, added to the input."""

    def __init__(self, channels: int, *, norm: Norm, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=norm != "batch"),
            make_norm(norm, channels),
            PReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=norm != "batch"),
            make_norm(norm, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        residual: Tensor = self.layers(features)
        return features + (residual if self.residual_scale == 1 else self.residual_scale * residual)


class SRResNet(Generator):
    """k9n64 PReLU, B residual blocks, k3n64 norm and a long skip, k3 and pixel shuffle for each upscaling, k9.

    The network's input is in [0, 1] and its output in [-1, 1] (Sec. 3.2); `forward` takes [-1, 1]. At test time batch
    norm uses the statistics of training, so that a pixel depends on its neighborhood only.

    Args:
        input_channels: channels of the input images.
        output_channels: channels of the output images.
        scale: upscaling factor along each side.
        width: channels of every layer before the upscaling.
        num_blocks: residual blocks; the paper's 16.
        norm: `batch`, the paper's, or `none`.
        residual_scale: factor of a block's output before it is added; the paper's 1.
        residual: add the bicubically upscaled input (with several frames, the middle one) to the output; the untrained
            network is then bicubic upscaling.
    """

    size_multiple = 1

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        scale: Scale = 4,
        width: int = 64,
        num_blocks: int = 16,
        norm: Norm = "batch",
        residual_scale: float = 1.0,
        residual: bool = False,
    ) -> None:
        super().__init__(norm=norm, residual=residual)
        self.scale, self.stages, self.num_blocks = scale, STAGES[scale], num_blocks
        self.first = nn.Sequential(nn.Conv2d(input_channels, width, 9, 1, 4), PReLU())
        self.trunk = nn.Sequential(
            *(ResidualBlock(width, norm=norm, residual_scale=residual_scale) for _ in range(num_blocks)),
            nn.Conv2d(width, width, 3, 1, 1, bias=norm != "batch"),
            make_norm(norm, width),
        )
        self.enlarge = nn.Sequential(*(layer for factor in self.stages for layer in enlargement(width, factor)))
        self.last = nn.Conv2d(width, output_channels, 9, 1, 4)
        if residual:
            for values in self.last.parameters():
                nn.init.zeros_(values)

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, scale H, scale W), not clamped."""
        features = self.first((images + 1) / 2)
        output: Tensor = self.last(self.enlarge(features + self.trunk(features)))
        return output + bicubic(middle(images, output.shape[1]), self.scale) if self.residual else output

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the input pixels that the output pixels `needed` depend on, as in `Generator`."""
        needed = before_convolution(needed, kernel=9, stride=1, padding=4)
        for factor in reversed(self.stages):
            needed = before_nearest(needed, factor=factor)  # a pixel shuffle
            needed = before_convolution(needed, kernel=3, stride=1, padding=1)
        for _ in range(2 * self.num_blocks + 1):
            needed = before_convolution(needed, kernel=3, stride=1, padding=1)
        return before_convolution(needed, kernel=9, stride=1, padding=4)

    @property
    def context(self) -> int | None:
        """Distance in input pixels up to which inputs influence an output pixel; None with an instance norm."""
        return None if self.norm == "instance" else context(self.needed_inputs, period=1, scale=self.scale)

    @property
    def last_layer(self) -> nn.Conv2d:
        """The last convolution."""
        return self.last


def enlargement(width: int, factor: int) -> Iterator[nn.Module]:
    """Yield k3n(width factor^2), pixel shuffle, PReLU: Shi et al. 2016, arXiv:1609.05158."""
    yield nn.Conv2d(width, width * factor**2, 3, 1, 1)
    yield nn.PixelShuffle(factor)
    yield PReLU()


def make_upscaler(config: SRResNetConfig, input_channels: int, output_channels: int) -> Generator:
    """Return the generator that `config` describes; `input_channels` counts all frames together."""
    if config.generator in RESTORATION:
        return make_restoration(
            config, input_channels, output_channels, scale=config.scale, num_blocks=config.num_blocks
        )
    return SRResNet(
        input_channels,
        output_channels,
        scale=config.scale,
        width=config.width,
        num_blocks=config.num_blocks,
        norm=config.norm,
        residual_scale=config.residual_scale,
        residual=config.residual,
    )


class SuperResolution(Method):
    """Super-resolution by one network that minimizes the squared error.

    Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
    arXiv:1609.04802: SRResNet, as in the paper, or a restoration network instead.
    """

    config_type = SRResNetConfig
    capturable = True
    generators = ("generator",)

    def __init__(
        self, config: SRResNetConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        check_residual(config, input_channels=input_channels, output_channels=output_channels)
        self.config = config
        self.players = {"generator": ("generator",)}
        self.generator = make_upscaler(config, config.frames * input_channels, output_channels)
        multiple = config.scale * side if (side := crop_multiple(self.generator)) > 1 else 1
        check_crop(image_size, multiple=multiple, network=config.generator)

    @classmethod
    def needs_equal_channels(cls, config: SRResNetConfig) -> bool:
        """Return whether the network adds its input to its output."""
        return adds_input(config)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of the generator (Eq. 1)."""
        del progress  # every step is identical
        yield Turn("generator", {self.config.loss: self.pixel_loss(self.generator(batch.a), batch.b)})

    def pixel_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return Eq. 4, or L1."""
        return mse_loss(output, target) if self.config.loss == "mse" else l1_loss(output, target)

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, scale H, scale W) in [-1, 1].

        Raises:
            ImageError: height or width is not a multiple of `size_multiple`.
            ConfigError: direction b_to_a.
        """
        self.check_direction(direction)
        self.generator.check_size(images)
        output: Tensor = self.generator(images)
        return output.clamp(-1, 1)

    @property
    def num_frames(self) -> int:
        """Number of frames in the input."""
        return self.config.frames

    @property
    def scale(self) -> int:
        """Upscaling factor along each side."""
        return self.config.scale

    @property
    def size_multiple(self) -> int:
        """Size multiple of the generator: 1, or that of `residual_unet`, or of `rrdb` with unshuffling."""
        return self.generator.size_multiple

    @property
    def context(self) -> int | None:
        """Context in input pixels; at test time batch norm is a fixed scale and offset."""
        return self.generator.context


METHOD = SuperResolution
