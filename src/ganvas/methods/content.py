"""The distance of two pictures in the features of a frozen classifier: the perceptual loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.errors import WeightsError
from ganvas.methods.srresnet.config import Content
from ganvas.networks.vgg import VGG
from ganvas.weights.find import find_weights
from ganvas.weights.known import VGG16, VGG19
from ganvas.weights.tensors import load_convolutions


class ContentLoss:
    """Mean squared difference of VGG's features: Ledig et al. 2017, arXiv:1609.04802, Eq. 5.

    The classifier is no part of the method that asks it: it is not trained, not saved, and read when it is first asked,
    so that a trained run needs none.

    Args:
        content: the classifier and the place, block and convolution.
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
    """The classifier up to that place, with its published weights.

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
