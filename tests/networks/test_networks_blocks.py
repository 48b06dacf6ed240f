"""Building blocks shared by the networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganvas.networks.blocks import MLP, ResizeConvolution


@pytest.mark.parametrize("bias", [True, False])
def test_resize_convolution_is_nearest_then_3x3(bias: bool) -> None:
    layer = ResizeConvolution(5, 4, bias=bias).double()
    features = torch.randn(2, 5, 6, 7, dtype=torch.float64)
    enlarged = torch.nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
    expected = torch.nn.functional.conv2d(enlarged, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(features), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hidden_layers", [0, 1, 3])
def test_layers_and_shapes(hidden_layers: int) -> None:
    network = MLP(5, 2, width=7, hidden_layers=hidden_layers)
    assert network(torch.zeros(4, 5)).shape == (4, 2)
    assert sum(isinstance(layer, nn.ReLU) for layer in network) == hidden_layers
    assert isinstance(network[-1], nn.Linear)
