"""U-Net discriminator with spectral normalization: a score for each pixel, from features of four sizes."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from ganvas.networks.convolutions import WideConvolution

SLOPE = 0.2
"""Negative slope of LeakyReLU."""
NUM_HALVINGS = 3
SMALLEST = 2**NUM_HALVINGS
"""Smallest side in pixels, of which one position is left at the smallest size."""


class UNetDiscriminator(nn.Module):
    """U-Net that scores each pixel: Wang et al. 2021, arXiv:2107.10833, Sec. 3.4, with the layers of the release.

    Three 4x4 convolutions of stride 2 double the channels; bilinear enlargement and a 3x3 convolution go back, and the
    features of the same size are added. All but the first and the last convolution have spectral normalization (Miyato
    et al. 2018, arXiv:1802.05957) and no bias, so that the discriminator stays smooth where photographs vary widely.

    Args:
        channels: of the images scored.
        width: channels of the first layer.
    """

    def __init__(self, channels: int, *, width: int = 64) -> None:
        super().__init__()
        sizes = [width * 2**level for level in range(NUM_HALVINGS + 1)]
        self.first = WideConvolution(channels, width, 3, 1, 1)
        self.encoder = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, 2, 1, bias=False)) for before, after in pairwise(sizes)
        )
        self.decoder = nn.ModuleList(constrained(before, before // 2) for before in sizes[:0:-1])
        self.refinement = nn.ModuleList(constrained(width, width) for _ in range(2))
        self.last = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) in [-1, 1] -> (N, 1, H, W) raw scores, higher for more real."""
        # 1. Halve, and keep the features of each size.
        features = leaky_relu(self.first(images))
        skips = []
        for layer in self.encoder:
            skips.append(features)
            features = leaky_relu(layer(features))
        # 2. Enlarge to the size of the features before, and add them.
        for layer in self.decoder:
            skip = skips.pop()
            features = functional.interpolate(features, skip.shape[-2:], mode="bilinear")
            features = leaky_relu(layer(features)) + skip
        # 3. Score each pixel.
        for layer in self.refinement:
            features = leaky_relu(layer(features))
        scores: Tensor = self.last(features)
        return scores


def constrained(before: int, after: int) -> nn.Module:
    """Return a 3x3 convolution with spectral normalization."""
    return spectral_norm(WideConvolution(before, after, 3, 1, 1, bias=False))


def leaky_relu(features: Tensor) -> Tensor:
    """Apply LeakyReLU; not in place, as the output of a `WideConvolution` may be a view."""
    return functional.leaky_relu(features, SLOPE)
