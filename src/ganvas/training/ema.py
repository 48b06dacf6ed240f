"""Exponential moving average of the generators' weights, used for validation, previews and snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ganvas.methods.base import Method
from ganvas.runs.snapshots import generator_weights


class Average:
    """Exponential moving average with a half-life in images, without bias towards the initial weights.

    After a batch of n images with N images seen in all, `average += (w - average) (1 - d(n)) / (1 - d(N))` with
    `d(n) = 0.5 ** (n / half_life)`: the exact weighted mean of all weights so far, at any batch size; the first batch
    sets it to the weights (the correction of Kingma & Ba 2015, Sec. 3, in images).

    Args:
        method: its generators are averaged.
        half_life: half-life in images; 0 turns the average off.
    """

    def __init__(self, method: Method, half_life: float) -> None:
        self.half_life = half_life
        live = averaged_parameters(method) if half_life else {}
        self.weights = {name: value.detach().clone() for name, value in live.items()}
        """`<network>.<key>` -> averaged parameter; empty where the average is off."""
        self._averaged, self._live = list(self.weights.values()), [value.detach() for value in live.values()]

    @torch.no_grad()
    def update(self, *, images: int, images_seen: int) -> None:
        """Update with the weights after a batch of `images`, with `images_seen` in all (this batch included)."""
        if not self.half_life:
            return
        share = (1 - 0.5 ** (images / self.half_life)) / (1 - 0.5 ** (images_seen / self.half_life))
        torch._foreach_lerp_(self._averaged, self._live, share)


def averaged_parameters(method: Method) -> dict[str, Tensor]:
    """Return `<network>.<key>` -> parameter of the generators; buffers are not averaged."""
    networks = {name: getattr(method, name) for name in method.generators}
    return {f"{name}.{key}": value for name, network in networks.items() for key, value in network.named_parameters()}


@contextmanager
def evaluating(method: Method, average: Average) -> Iterator[Method]:
    """Switch the method to inference: averaged weights, eval mode, no gradients. The state is restored afterwards."""
    live = generator_weights(method)
    kept = {name: value.detach().clone() for name, value in live.items()}
    was_training = method.training
    with torch.no_grad():
        for name, value in average.weights.items():
            live[name].copy_(value)
        try:
            yield method.eval()
        finally:
            for name, value in kept.items():
                live[name].copy_(value)
            method.train(was_training)
