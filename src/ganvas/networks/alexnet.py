"""AlexNet's convolutions, in the one-column variant of Krizhevsky 2014, arXiv:1404.5997, that torchvision trained."""

from __future__ import annotations

from collections.abc import Sequence

from ganvas.networks.feature_stack import FeatureStack, Layer

LAYERS = (
    Layer(name="1", channels=64, kernel=11, stride=4, padding=2),
    Layer(name="2", channels=192, kernel=5, padding=2, pool=3),
    Layer(name="3", channels=384, pool=3),
    Layer(name="4", channels=256),
    Layer(name="5", channels=256),
)
ALEXNET_ACTIVATIONS = tuple(f"relu{layer.name}" for layer in LAYERS)
"""After each convolution: the places of LPIPS."""


class AlexNet(FeatureStack):
    """Five convolutions.

    Args:
        taps: places, `conv1` to `conv5` before and `relu1` to `relu5` after the activation.

    Raises:
        ConfigError: there is no such place.
    """

    def __init__(self, *, taps: Sequence[str] = ALEXNET_ACTIVATIONS) -> None:
        super().__init__(LAYERS, taps)
