"""Perceptual loss: the distance of two pictures in the features of a VGG classifier, which several papers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from ganvas.errors import WeightsError
from ganvas.losses import l1_loss
from ganvas.networks.feature_extractors import VGG
from ganvas.weights.find import find_weights
from ganvas.weights.known import VGG16, VGG19
from ganvas.weights.tensors import load_convolutions

__all__ = ["PerceptualLoss", "load_vgg"]


class PerceptualLoss:
    """Weighted sum of the mean absolute differences of a classifier's features.

    The classifier is not part of the method: it is neither trained nor saved, and is loaded at the first call, so that
    inference with a trained run does not need it.

    Args:
        classifier: vgg19, which the papers use, or vgg16.
        weights: name of an output of the classifier, see `VGG` -> weight of its difference.
    """

    def __init__(self, classifier: Literal["vgg16", "vgg19"], weights: Mapping[str, float]) -> None:
        self._classifier: Literal["vgg16", "vgg19"] = classifier
        self._weights = weights
        self._network: VGG | None = None

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar, of two batches (N, 3 or 1, H, W) in [-1, 1]; gradients flow to the first.

        Raises:
            WeightsError: the classifier's weights are not found, or differ from their record.
        """
        if self._network is None:
            otherwise = "--perceptual vgg16, or --perceptual none"
            self._network = load_vgg(self._classifier, tuple(self._weights), otherwise=otherwise)
        network = self._network.to(output.device)
        ours = network(output.expand(-1, 3, -1, -1))
        with torch.no_grad():
            theirs = network(target.expand(-1, 3, -1, -1))
        weighted = zip(self._weights.values(), ours, theirs, strict=True)
        return torch.stack([weight * l1_loss(one, other) for weight, one, other in weighted]).sum()


def load_vgg(name: Literal["vgg16", "vgg19"], taps: Sequence[str], *, otherwise: str) -> VGG:
    """Return a classifier up to its last tap, frozen, with its published weights.

    Args:
        name: the classifier.
        taps: names of the outputs, see `VGG`.
        otherwise: the settings to give where its weights are missing, for the error.

    Raises:
        WeightsError: the weights are not found, or differ from their record.
    """
    network, record = (VGG(depth=19, taps=taps), VGG19) if name == "vgg19" else (VGG(depth=16, taps=taps), VGG16)
    try:
        weights = find_weights(record)
    except WeightsError as error:
        raise WeightsError(f"{error}\n  - train with another classifier, or without one: {otherwise}") from error
    network.load_convolutions(load_convolutions(weights))
    return network
