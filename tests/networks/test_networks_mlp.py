"""The layers of an MLP."""

import pytest
import torch
from torch import nn

from ganvas.networks.mlp import MLP


@pytest.mark.parametrize("hidden_layers", [0, 1, 3])
def test_layers_and_shapes(hidden_layers: int) -> None:
    network = MLP(5, 2, width=7, hidden_layers=hidden_layers)
    assert network(torch.zeros(4, 5)).shape == (4, 2)
    assert sum(isinstance(layer, nn.ReLU) for layer in network) == hidden_layers
    assert isinstance(network[-1], nn.Linear)
