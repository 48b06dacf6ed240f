"""The discriminator that UNIT adapts a classifier of digits with."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

NUM_HALVINGS = 4
LEFT_OUT = (0.0, 0.1, 0.3, 0.5, 0.5)
"""Share of the features before each layer, and before what follows the last, that a pass leaves out."""


class DigitDiscriminator(nn.Module):
    """5x5 convolutions, ReLU and 2x2 maxima, four times; each domain has its own first layer, all else is shared.

    Widths and shares left out as in the released code for digits (github.com/mingyuliutw/UNIT, version_01,
    CoDis32x32: 64-128-256-512 on 32 pixels), by `width` 64. What is left out changes from pass to pass while it trains.

    Args:
        size: height and width of the digits, in pixels.
        width: channels of the first layer; they double each layer.
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
        """(N, 1, H, W) in [-1, 1] -> what the last layer sees, (N, num_features)."""
        hidden = images
        for layer, share in zip([self.own[domain], *self.shared, nn.Flatten()], LEFT_OUT, strict=True):
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
    """Where the domains a and b have layers of their own, b's begin as a's: what one network makes, both do."""
    for part in networks.modules():
        if isinstance(part, nn.ModuleDict) and set(part) == {"a", "b"}:
            part["b"].load_state_dict(part["a"].state_dict())
