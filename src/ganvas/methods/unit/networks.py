"""Networks of UNIT: encoders into one latent space, generators out of it, and their discriminators."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks.blocks import (
    ConvBlock,
    Norm,
    ResidualBlock,
    at_least_float,
    initialize_he,
    make_norm,
    needs_bias,
    upsampling_layer,
)

NUM_HALVINGS = 2
MOST_STRIDES = 5
"""Largest number of strided convolutions of a discriminator (Liu et al. 2017, appendix)."""
SLOPE = 0.01
"""Negative slope of LeakyReLU; PyTorch's default, since the paper gives none."""


class SharedEncoder(nn.Module):
    """Encoder from pictures of a or b to latent means: 3 convolutions, then residual blocks, the last ones shared.

    Liu et al. 2017, arXiv:1703.00848, appendix: 7x7 of stride 1, two 3x3 of stride 2, 4 blocks.

    Args:
        channels: channels of the pictures of a and of b.
        width: channels of the first convolution; the latent space has 4 times as many.
        num_blocks: residual blocks of each domain, including the shared ones.
        num_shared: number of the last blocks that are shared.
        norm: norm of all layers.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        *,
        width: int = 64,
        num_blocks: int = 4,
        num_shared: int = 1,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.own = nn.ModuleDict(
            {
                domain: nn.Sequential(
                    _convolution(inputs, width, kernel=7, stride=1, norm=norm),
                    _convolution(width, 2 * width, kernel=3, stride=2, norm=norm),
                    _convolution(2 * width, 4 * width, kernel=3, stride=2, norm=norm),
                    _residual(4 * width, num_blocks - num_shared, norm=norm),
                )
                for domain, inputs in zip("ab", channels, strict=True)
            }
        )
        self.shared = _residual(4 * width, num_shared, norm=norm)
        initialize_he(self)

    def forward(self, images: Tensor, domain: str) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> E_mu, (N, 4 width, H / 4, W / 4); H, W multiples of 4, at least 8."""
        mean: Tensor = self.shared(self.own[domain](images))
        return mean


class SharedDecoder(nn.Module):
    """Decoder to pictures of a or b: residual blocks, the first ones shared, then 3 transposed convolutions.

    Liu et al. 2017, appendix: two 3x3 of stride 2, one 1x1, tanh.

    Args:
        channels: channels of the pictures of a and of b.
        width: channels before the last layer; the latent space has 4 times as many.
        num_blocks: residual blocks of each domain, including the shared ones.
        num_shared: number of the first blocks that are shared.
        norm: norm of all layers but the last.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        *,
        width: int = 64,
        num_blocks: int = 4,
        num_shared: int = 1,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.shared = _residual(4 * width, num_shared, norm=norm)
        self.own = nn.ModuleDict(
            {
                domain: nn.Sequential(
                    _residual(4 * width, num_blocks - num_shared, norm=norm),
                    _doubling(4 * width, 2 * width, norm=norm),
                    _doubling(2 * width, width, norm=norm),
                    nn.ConvTranspose2d(width, outputs, 1),
                )
                for domain, outputs in zip("ab", channels, strict=True)
            }
        )
        initialize_he(self)

    def forward(self, latent: Tensor, domain: str) -> Tensor:
        """(N, 4 width, h, w) -> pictures (N, C, 4 h, 4 w) in [-1, 1]."""
        raw: Tensor = self.own[domain](self.shared(latent))
        return torch.tanh(at_least_float(raw))


class StridedDiscriminator(nn.Module):
    """Discriminator of pictures of a or b: up to five 3x3 convolutions of stride 2, then one 2x2, without norm.

    Liu et al. 2017, appendix. Small pictures have fewer convolutions.

    Args:
        channels: channels of the pictures of a and of b.
        size: height and width of the pictures, at least 4.
        width: channels of the first layer; they double each layer.
        num_shared: number of the last strided layers that both domains share; if any, the scoring layer is shared too.
    """

    def __init__(
        self, channels: tuple[int, int], *, size: tuple[int, int], width: int = 64, num_shared: int = 0
    ) -> None:
        super().__init__()
        strides = num_strides(size)
        num_own = max(strides - num_shared, 1)
        widths = [width * 2**layer for layer in range(strides)]
        self.own = nn.ModuleDict(
            {domain: _strided([inputs, *widths[:num_own]]) for domain, inputs in zip("ab", channels, strict=True)}
        )
        self.shared = _strided(widths[num_own - 1 :])
        scored = {"ab": _scoring(widths[-1])} if num_shared else {domain: _scoring(widths[-1]) for domain in "ab"}
        self.last = nn.ModuleDict(scored)
        height, across = (-(-side // 2**strides) for side in size)
        self.num_features = widths[-1] * height * across
        initialize_he(self)

    def features(self, images: Tensor, domain: str) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> the last hidden layer, (N, channels, h, w)."""
        hidden: Tensor = self.shared(self.own[domain](images))
        return hidden

    def forward(self, images: Tensor, domain: str) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, 1, h, w), any real number, higher is more real."""
        last = self.last["ab" if "ab" in self.last else domain]
        scores: Tensor = last(self.features(images, domain))
        return scores


class DiscriminatorPyramid(nn.Module):
    """Multi-scale discriminator of the released code: one discriminator for each scale of the picture.

    Args:
        channels: channels of the pictures of a and of b.
        size: height and width of the pictures, at least 4 at the smallest scale.
        scales: number of discriminators; each sees half the height and width of the previous one.
        width: width of each `StridedDiscriminator`.
        num_shared: number of shared of each `StridedDiscriminator`.
    """

    def __init__(
        self, channels: tuple[int, int], *, size: tuple[int, int], scales: int = 1, width: int = 64, num_shared: int = 0
    ) -> None:
        super().__init__()
        sizes = [(-(-size[0] // 2**scale), -(-size[1] // 2**scale)) for scale in range(scales)]
        self.scales = nn.ModuleList(
            StridedDiscriminator(channels, size=seen, width=width, num_shared=num_shared) for seen in sizes
        )

    def forward(self, images: Tensor, domain: str) -> list[Tensor]:
        """(N, C, H, W) in [-1, 1] -> scores (N, 1, h, w) at each scale, the finest first."""
        scores = []
        for discriminator in self.scales:
            scores.append(discriminator(images, domain))
            images = functional.avg_pool2d(images, 2, ceil_mode=True)
        return scores

    @property
    def num_features(self) -> int:
        """Size of the feature vector of a picture."""
        return sum(discriminator.num_features for discriminator in self._discriminators())

    def features(self, images: Tensor, domain: str) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> the last hidden layers of all scales, (N, num_features)."""
        hidden = []
        for discriminator in self._discriminators():
            hidden.append(discriminator.features(images, domain).flatten(1))
            images = functional.avg_pool2d(images, 2, ceil_mode=True)
        return torch.cat(hidden, dim=1)

    def _discriminators(self) -> list[StridedDiscriminator]:
        return [scale for scale in self.scales if isinstance(scale, StridedDiscriminator)]


def num_strides(size: tuple[int, int]) -> int:
    """Return the number of strided layers that leaves 2 pixels to the scoring layer, at most 5."""
    return min(MOST_STRIDES, (min(size) - 1).bit_length() - 1)


def _convolution(inputs: int, outputs: int, *, kernel: int, stride: int, norm: Norm) -> ConvBlock:
    activation = nn.LeakyReLU(SLOPE, inplace=True)
    return ConvBlock(
        inputs,
        outputs,
        kernel=kernel,
        stride=stride,
        padding=kernel // 2,
        norm=norm,
        bias=needs_bias(norm),
        activation=activation,
    )


def _residual(channels: int, count: int, *, norm: Norm) -> nn.Sequential:
    bias = needs_bias(norm)
    return nn.Sequential(*(ResidualBlock(channels, norm=norm, bias=bias, dropout=0.0) for _ in range(count)))


def _doubling(inputs: int, outputs: int, *, norm: Norm) -> nn.Sequential:
    layer = upsampling_layer(inputs, outputs, kernel=3, bias=needs_bias(norm), upsampling="transposed")
    return nn.Sequential(layer, make_norm(norm, outputs), nn.LeakyReLU(SLOPE, inplace=True))


def _strided(widths: list[int]) -> nn.Sequential:
    """Build 3x3 convolutions of stride 2 from each of these numbers of channels to the next."""
    layers = (_convolution(inputs, outputs, kernel=3, stride=2, norm="none") for inputs, outputs in pairwise(widths))
    return nn.Sequential(*layers)


def _scoring(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, 1, 2)
