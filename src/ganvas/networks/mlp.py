"""Layers that connect everything to everything, for points."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


class MLP(nn.Sequential):
    """(N, input_size) -> (N, output_size): hidden layers with ReLU, a linear one at the end.

    Args:
        input_size: numbers of a point given.
        output_size: numbers of a point made, or 1 for a score.
        width: of each hidden layer.
        hidden_layers: how many.
    """

    def __init__(self, input_size: int, output_size: int, *, width: int = 128, hidden_layers: int = 2) -> None:
        sizes = [input_size, *[width] * hidden_layers]
        hidden = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        super().__init__(*hidden, nn.Linear(sizes[-1], output_size))
