"""The networks of CoGAN: two generators and two discriminators that share all but the layers nearest the pictures."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ganvas.networks.blocks import PReLU, at_least_float

Size = tuple[int, int]
SMALLEST_PICTURE = 12
"""Pixels a side."""
LARGEST_START = 4
"""Pixels a side, of the smaller side, that the first layer of a generator makes."""
LARGEST_END = 6
"""Pixels a side, of the smaller side, that the last hidden layer of a discriminator sees whole."""


class CoupledGenerator(nn.Module):
    """Pairs of pictures from one z: all layers are shared but the last, of which each domain has its own.

    For 28 and 32 pixels 1024-512-256-128 and a transposed 6x6 convolution (Liu and Tuzel 2016, arXiv:1606.07536, the
    digits); larger pictures have more layers, to 32 channels at 128 pixels as for the faces.

    Args:
        channels: of the pictures of a and of b.
        size: height and width of the pictures, at least 12.
        z_size: numbers in a z.
        width: channels of the first layer; each further one has half as many.
    """

    def __init__(self, channels: tuple[int, int], *, size: Size, z_size: int = 100, width: int = 1024) -> None:
        super().__init__()
        sizes = sizes_made(size)
        layers = _finished(nn.ConvTranspose2d(z_size, width, sizes[0]))
        for before, after in pairwise(sizes):
            rows, columns = (int(new == 2 * old) for old, new in zip(before, after, strict=True))
            half = max(width // 2, 1)
            layers += _finished(nn.ConvTranspose2d(width, half, 3, 2, 1, output_padding=(rows, columns)))
            width = half
        self.shared = nn.Sequential(*layers)
        self.last = nn.ModuleDict(
            {domain: nn.ConvTranspose2d(width, made, 6, 1, 1) for domain, made in zip("ab", channels, strict=True)}
        )
        initialize(self)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(N, z_size) -> corresponding pictures of a and of b, (N, C, H, W) in [-1, 1]."""
        features = self.shared(z[:, :, None, None])
        return self._finish(features, "a"), self._finish(features, "b")

    def picture(self, z: Tensor, domain: str) -> Tensor:
        """(N, z_size) -> pictures of one domain, (N, C, H, W) in [-1, 1]."""
        return self._finish(self.shared(z[:, :, None, None]), domain)

    def _finish(self, features: Tensor, domain: str) -> Tensor:
        raw: Tensor = self.last[domain](features)
        return 2 * torch.sigmoid(at_least_float(raw)) - 1


class CoupledDiscriminator(nn.Module):
    """Scores of whole pictures: each domain has its own first convolution, all else is shared.

    For 28 pixels 20-50-500: 5x5 convolutions, each with a 2x2 maximum, and a layer that sees all that is left (Liu and
    Tuzel 2016, the digits); larger pictures have more convolutions. What it convolves lies in [0, 1], as the paper's
    digits: the ground that most of a digit is then says nothing.

    Args:
        channels: of the pictures of a and of b.
        size: height and width of the pictures, at least 12.
        width: channels of the first convolution; the second has 2.5 times as many, each further one twice as many as
            the one before, and the last hidden layer 25 times as many as the first.
    """

    def __init__(self, channels: tuple[int, int], *, size: Size, width: int = 20) -> None:
        super().__init__()
        self.first = nn.ModuleDict(
            {domain: nn.Conv2d(given, width, 5) for domain, given in zip("ab", channels, strict=True)}
        )
        layers: list[nn.Module] = [nn.MaxPool2d(2)]
        sizes, before, after = sizes_seen(size), width, 5 * width // 2
        for _ in sizes[1:]:
            layers += [nn.Conv2d(before, after, 5), nn.MaxPool2d(2)]
            before, after = after, 2 * after
        layers += [nn.Conv2d(before, 25 * width, sizes[-1]), PReLU()]
        self.shared = nn.Sequential(*layers)
        self.num_features = 25 * width
        self.last = nn.Conv2d(self.num_features, 1, 1)
        initialize(self)

    def features(self, images: Tensor, domain: str) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> the last hidden layer, (N, num_features)."""
        hidden: Tensor = self.shared(self.first[domain]((images + 1) / 2))
        return hidden.flatten(1)

    def forward(self, images: Tensor, domain: str) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, 1, 1, 1), any real number, higher is more real."""
        scores: Tensor = self.last(self.features(images, domain)[:, :, None, None])
        return scores


def sizes_made(size: Size) -> list[Size]:
    """Return the heights and widths that the layers of a generator produce, from the first to the one before the last.

    The last adds 3 pixels; each before it makes twice as many as it is given, or one fewer.
    """
    made = [(size[0] - 3, size[1] - 3)]
    while min(made[0]) > LARGEST_START:
        made.insert(0, (-(-made[0][0] // 2), -(-made[0][1] // 2)))
    return made


def sizes_seen(size: Size) -> list[Size]:
    """Return the heights and widths after each convolution and its max pooling in a discriminator."""
    seen = [_after_pooling(size)]
    while min(seen[-1]) > LARGEST_END:
        seen.append(_after_pooling(seen[-1]))
    return seen


def _after_pooling(size: Size) -> Size:
    return (size[0] - 4) // 2, (size[1] - 4) // 2


def _finished(layer: nn.ConvTranspose2d) -> list[nn.Module]:
    """Return the layer, a batch norm without scale and offset of its own, PReLU."""
    return [layer, nn.BatchNorm2d(layer.out_channels, affine=False), PReLU()]


def initialize(network: nn.Module) -> None:
    """Initialize weights from N(0, 2 / fan-in) (He et al. 2015) and biases to 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # a transposed kernel lies (input channels, output channels, rows, columns)
            nn.init.kaiming_normal_(layer.weight, mode="fan_out" if layer.transposed else "fan_in")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
