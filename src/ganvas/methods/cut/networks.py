"""Networks of CUT: a ResNet with encoder features, and MLP heads that project them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganvas.networks.blocks import MLP, ConvBlock
from ganvas.networks.resnet import ResNet

SEEN_BLOCKS = (1, 5)
"""Residual blocks after which features are taken, counted from 1."""


class ContrastiveResNet(ResNet):
    """A ResNet whose encoder half gives features. Park et al. 2020, arXiv:2007.15651.

    They are the picture itself, what the two halving convolutions make, before their norm, and what comes out of the
    first and the fifth residual block, or the last where there are fewer. Antialiased, one place of them sees 1, 9, 15,
    35 and 99 pixels a side.
    """

    @property
    def feature_channels(self) -> list[int]:
        """Channels of each of the features."""
        convolutions = [module for module in self.encode_blocks.modules() if isinstance(module, nn.Conv2d)]
        halved = [convolution.out_channels for convolution in convolutions]
        return [self.first.conv.in_channels, *halved, *[halved[-1]] * len(self._seen)]

    @property
    def _seen(self) -> list[int]:
        return sorted({min(block, len(self.residual_blocks)) for block in SEEN_BLOCKS})

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return features (N, C, h, w) of pictures (N, input_channels, H, W) in [-1, 1], by the encoder half alone."""
        return self._encode(images)[1]

    def with_features(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what `forward` makes of the pictures, and what `encode` does, in one pass."""
        hidden, features = self._encode(images)
        for block in [*self.residual_blocks[self._seen[-1] :], *self.decode_blocks]:
            hidden = block(hidden)
        return self.finish(images, self.last(hidden)), features

    def _encode(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what comes out of the last block whose features are taken, and all features."""
        hidden, features = self.first(images), [images]
        for halve in self.encode_blocks:
            assert isinstance(halve, ConvBlock)
            raw = halve.conv(hidden)
            features.append(raw.clone() if self.norm == "none" else raw)  # without a norm, ReLU writes over it
            hidden = halve.after_convolution(raw)
        for number, block in enumerate(self.residual_blocks[: self._seen[-1]], start=1):
            hidden = block(hidden)
            if number in self._seen:
                features.append(hidden)
        return hidden, features


class PatchHeads(nn.Module):
    """For each feature map, two linear layers with a ReLU between.

    Args:
        channels: of each feature map.
        size: of each layer.
    """

    def __init__(self, channels: Sequence[int], *, size: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(MLP(count, size, width=size, hidden_layers=1) for count in channels)

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Project features (N, C, h, w) at places from `draw_places`: (N, places, size) each."""
        return [
            head(values.flatten(2)[..., where].transpose(1, 2))
            for head, values, where in zip(self.heads, features, places, strict=True)
        ]


def draw_places(features: Sequence[Tensor], count: int) -> list[Tensor]:
    """Sample for each feature map (N, C, h, w) `count` different places out of h * w, or all where there are fewer.

    The same in each picture of the batch, from torch's global generator.
    """
    sizes = (values.shape[2] * values.shape[3] for values in features)
    device = features[0].device
    return [torch.rand(size, device=device).topk(min(count, size)).indices for size in sizes]


def initialize_xavier(network: nn.Module, *, gain: float = 0.02) -> None:
    """Initialize weights from N(0, gain^2 * 2 / (fan-in + fan-out)) and biases to 0, as the released code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_normal_(module.weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
