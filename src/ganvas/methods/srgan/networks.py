"""Discriminator and perceptual loss of SRGAN. Ledig et al. 2017, arXiv:1609.04802."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from ganvas.errors import WeightsError
from ganvas.methods.srgan.config import Content
from ganvas.networks.blocks import Norm, make_norm
from ganvas.networks.convolutions import WideConvolution
from ganvas.networks.feature_extractors import VGG
from ganvas.weights.find import find_weights
from ganvas.weights.known import VGG16, VGG19
from ganvas.weights.tensors import load_convolutions

SLOPE = 0.2
"""Of LeakyReLU."""
BLOCKS = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2))
"""The discriminator's convolutions: (width in units of the first, stride)."""


class SRDiscriminator(nn.Module):
    """k3 convolutions of 64 to 512 channels, every second of stride 2; then 1024 and 1 unit, for crops of one size.

    Args:
        channels: of the images scored.
        image_size: height and width of a crop; at least 16.
        width: channels of the first layer.
        norm: after all convolutions but the first.
        spectral: each layer divided by its largest singular value (Miyato et al. 2018, arXiv:1802.05957).
    """

    def __init__(
        self,
        channels: int,
        *,
        image_size: tuple[int, int],
        width: int = 64,
        norm: Norm = "batch",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        constrain = spectral_norm if spectral else nn.Identity()
        layers, before = list[nn.Module](), channels
        for index, (factor, stride) in enumerate(BLOCKS):
            own_norm: Norm = "none" if index == 0 else norm
            kind = WideConvolution if stride == 1 else nn.Conv2d
            convolution = kind(before, factor * width, 3, stride, 1, bias=own_norm != "batch")
            layers += [constrain(convolution), make_norm(own_norm, factor * width), nn.LeakyReLU(SLOPE)]
            before = factor * width
        height, breadth = (-(-side // 16) for side in image_size)
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            constrain(nn.Linear(before * height * breadth, 16 * width)),
            nn.LeakyReLU(SLOPE),
            constrain(nn.Linear(16 * width, 1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) in [-1, 1] -> (N, 1) raw scores, higher for more real."""
        scores: Tensor = self.head(self.features(images))
        return scores


class ContentLoss:
    """Mean squared difference of VGG's features: Ledig et al. 2017, arXiv:1609.04802, Eq. 5.

    The classifier is not part of the method: it is neither trained nor saved, and is loaded at the first call, so that
    inference with a trained run does not need it.

    Args:
        content: the classifier, its block and convolution.
        pre_activation: features before their ReLU.
    """

    def __init__(self, content: Content, *, pre_activation: bool = False) -> None:
        self._content, self._pre_activation = content, pre_activation
        self._network: VGG | None = None

    def __call__(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Two of (N, 3, H, W) in [-1, 1] -> a scalar, its gradient towards the first.

        Raises:
            WeightsError: the classifier's weights are nowhere, or others than their record says.
        """
        if self._network is None:
            self._network = load_vgg(self._content, pre_activation=self._pre_activation)
        network = self._network.to(made.device)
        (ours,) = network(made)
        with torch.no_grad():
            (theirs,) = network(wanted)
        return functional.mse_loss(ours.float(), theirs.float())


def load_vgg(content: Content, *, pre_activation: bool) -> VGG:
    """Return the classifier up to that place, with its published weights.

    Raises:
        WeightsError: they are nowhere, or others than their record says.
    """
    name, place = content.split("-")
    tap = f"{'conv' if pre_activation else 'relu'}{place.replace(',', '_')}"
    network, record = (VGG(depth=19, taps=(tap,)), VGG19) if name == "vgg19" else (VGG(depth=16, taps=(tap,)), VGG16)
    try:
        weights = find_weights(record)
    except WeightsError as error:
        others = "compare otherwise: --content vgg16-5,3, or --content pixels --content-weight 1"
        raise WeightsError(f"{error}\nOr {others}") from error
    network.load_convolutions(load_convolutions(weights))
    return network
