"""Weights that the reference's training steps left behind, compared with ours.

How far two right implementations may lie apart is derived from what rounding does to a gradient and Adam to a weight.
A sum of float32 products rounds differently on each processor, so each value of a gradient g is uncertain by a part of
what its tensor's values typically are, d = GRADIENT_NOISE * rms(g): float32 rounds to 6e-8, and errors of some 10^4
products add up at random to 6e-8 * 10^2. Adam's update is a function of ratios of gradients, of size RATE, so that
this error moves it by about RATE * d / |g|, and by no more than its change of sign, 2 * RATE, where g itself is noise.
With a factor 2 for the two moments, a weight may lie apart by

    ROUNDING + sum over steps of 2 * RATE * min(1, d / |g|).

Few gradients are near zero, so on average a weight lies much nearer: MEAN is RATE * d / |g| for |g| = rms(g) / 50.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ganvas.interop.reference_checkpoint import read_reference
from ganvas.methods.base import Batch, Method
from ganvas.testing import play

RATE, BETAS = 2e-4, (0.5, 0.999)
GRADIENT_NOISE = 1e-5
"""Rounding error of a gradient, as a part of its tensor's root mean square."""
ROUNDING = 1e-6
"""Of the weights themselves, and of the forward pass through them."""
MEAN = 1e-7


@dataclass(frozen=True, eq=False)
class Played:
    """What steps of training reported and what may differ elsewhere.

    Attributes:
        losses: of each step, as "player/loss".
        slack: of each weight, how far it may lie from another processor's.
    """

    losses: list[dict[str, float]]
    slack: dict[nn.Parameter, Tensor]


def play_as_reference(
    method: Method, batches: list[Batch], *, rate: float = RATE, betas: tuple[float, float] = BETAS
) -> Played:
    """Train a step on each batch, by default with the reference's Adam."""
    slack = {parameter: torch.full_like(parameter, ROUNDING) for parameter in method.parameters()}

    def note(parameter: nn.Parameter) -> None:
        gradient = parameter.grad
        assert gradient is not None
        relative = GRADIENT_NOISE * gradient.square().mean().sqrt() / gradient.abs()
        slack[parameter] += 2 * RATE * relative.nan_to_num(0).clamp_max(1)  # no gradient at all is no noise either

    hooks = [parameter.register_post_accumulate_grad_hook(note) for parameter in slack]
    losses = play(method, batches, rate=rate, betas=betas)
    for hook in hooks:
        hook.remove()
    return Played(losses, slack)


def compare_weights(network: nn.Module, path: Path, played: Played) -> None:
    """Raise unless a trained network's weights agree with a checkpoint of the reference."""
    after = read_reference(path).weights
    for key, parameter in network.named_parameters():
        if not is_bias_before_a_norm(network, key):
            apart = (parameter.detach() - after[key]).abs()
            outside = (apart > played.slack[parameter]).sum().item()
            assert not outside, f"{key}: {outside} of {apart.numel()} weights, by up to {apart.max():.1e}"
            assert apart.mean() <= MEAN, f"{key}: {apart.mean():.1e} apart on average"


def is_bias_before_a_norm(network: nn.Module, key: str) -> bool:
    """Its gradient is rounding noise, which Adam turns into a full step."""
    block, _, leaf = key.rpartition(".conv.")
    return leaf == "bias" and isinstance(network.get_submodule(block).norm, nn.InstanceNorm2d)
