"""The convolutions of VGG16 and VGG19. Simonyan & Zisserman 2015, arXiv:1409.1556, Table 1, columns D and E."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ganvas.networks.feature_stack import FeatureStack, Layer

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""How many each block has; between two blocks, maximum pooling."""
VGG16_ACTIVATIONS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
"""The last of each block: the places of LPIPS."""


class VGG(FeatureStack):
    """Thirteen or sixteen 3x3 convolutions in five blocks.

    "VGG-i,j" of Ledig et al. 2017 (arXiv:1609.04802, Sec. 2.2.1) is `relu<i>_<j>`: VGG19's `relu5_4`, `relu2_2`.

    Args:
        depth: 16 or 19.
        taps: places, `conv<block>_<index>` before and `relu<block>_<index>` after the activation.

    Raises:
        ConfigError: there is no such place.
    """

    def __init__(self, *, depth: Literal[16, 19] = 16, taps: Sequence[str] = VGG16_ACTIVATIONS) -> None:
        super().__init__(_layers(depth), taps)


def _layers(depth: Literal[16, 19]) -> list[Layer]:
    return [
        Layer(name=f"{block}_{index}", channels=channels, pool=2 if index == 1 and block > 1 else 0)
        for block, (channels, count) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), start=1)
        for index in range(1, count + 1)
    ]
