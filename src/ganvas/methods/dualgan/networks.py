"""Global critic of DualGAN: one score per picture."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from ganvas.networks.blocks import ConvBlock, Norm, initialize

WIDTHS = (1, 2, 4, 8, 8)
"""Channels of the layers, in units of the first one's."""
SMALLEST = 2 ** (len(WIDTHS) + 1)
"""Pixels a side that leave 2x2 values to the last norm."""


class GlobalCritic(nn.Module):
    """Five convolutions of stride 2, the first 5x5 and the others 3x3, then one linear layer over all places.

    As the released code of DualGAN (Yi et al. 2017, arXiv:1704.02510).

    Args:
        input_channels: of the images scored.
        image_size: their height and width, always the same.
        width: channels of the first layer.
        norm: after every convolution but the first.
    """

    def __init__(
        self, input_channels: int, *, image_size: tuple[int, int], width: int = 64, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        channels = [input_channels, *(width * times for times in WIDTHS)]
        self.blocks = nn.Sequential(
            *(
                ConvBlock(
                    before,
                    after,
                    kernel=3 if level else 5,
                    stride=2,
                    padding=1 if level else 2,
                    norm=norm if level else "none",
                    activation=nn.LeakyReLU(0.2, inplace=True),
                )
                for level, (before, after) in enumerate(pairwise(channels))
            )
        )
        height, width_left = (-(-side // 2 ** len(WIDTHS)) for side in image_size)
        self.last = nn.Linear(channels[-1] * height * width_left, 1)
        initialize(self)
        nn.init.normal_(self.last.weight, 0.0, 0.02)
        nn.init.zeros_(self.last.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, 1), any real number, higher is more real."""
        scores: Tensor = self.last(self.blocks(images).flatten(1))
        return scores
