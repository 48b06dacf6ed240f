"""Discriminator of UNIT for the domain adaptation of a digit classifier."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

NUM_HALVINGS = 4
DROPOUT = (0.0, 0.1, 0.3, 0.5, 0.5)
"""Dropout rate of the input of each layer, and of the output layer."""


class DigitDiscriminator(nn.Module):
    """Four times 5x5 convolution, ReLU and 2x2 max pooling; each domain has its own first layer, the rest is shared.

    Widths (for `width` 64) and dropout rates as in the released code for digits (github.com/mingyuliutw/UNIT,
    version_01, CoDis32x32: 64-128-256-512 on 32 pixels).

    Args:
        size: height and width of the digits, in pixels.
        width: channels of the first layer; each further layer doubles them.
    """

    def __init__(self, size: int, *, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**layer for layer in range(NUM_HALVINGS)]
        self.own = nn.ModuleDict({domain: _halving(1, width) for domain in "ab"})
        self.shared = nn.ModuleList(_halving(given, made) for given, made in pairwise(widths))
        for _ in range(NUM_HALVINGS):
            size = -(-size // 2)
        self.num_features = widths[-1] * size**2
        self.last = nn.Linear(self.num_features, 1)

    def features(self, images: Tensor, domain: str, *, leaving_out: bool = False) -> Tensor:
        """(N, 1, H, W) in [-1, 1] -> the input of the output layer, (N, num_features); dropout only in training."""
        hidden = images
        for layer, share in zip([self.own[domain], *self.shared, nn.Flatten()], DROPOUT, strict=True):
            hidden = layer(functional.dropout(hidden, share, training=leaving_out and self.training))
        return hidden

    def forward(self, images: Tensor, domain: str) -> list[Tensor]:
        """(N, 1, H, W) in [-1, 1] -> one scale's scores (N, 1, 1, 1), any real number, higher is more real."""
        scores: Tensor = self.last(self.features(images, domain, leaving_out=True))
        return [scores[:, :, None, None]]


def _halving(given: int, made: int) -> nn.Sequential:
    convolution = nn.Conv2d(given, made, 5, padding=2)
    nn.init.xavier_uniform_(convolution.weight, gain=nn.init.calculate_gain("relu"))
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True))


def start_alike(networks: nn.Module) -> None:
    """Copy the weights of the layers of domain a to those of domain b, so that both compute the same."""
    for part in networks.modules():
        if isinstance(part, nn.ModuleDict) and set(part) == {"a", "b"}:
            part["b"].load_state_dict(part["a"].state_dict())
