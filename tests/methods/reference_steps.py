"""Comparison of weights after training steps of the reference and of ganvas.

The tolerance of correct implementations follows from the rounding of gradients and its effect on Adam's updates. A sum
of float32 products rounds differently on each processor, so each value of a gradient g has an error of about
d = GRADIENT_NOISE * rms(g), relative to the typical values of its tensor: float32 rounds to 6e-8, and the random errors
of some 10^4 products add up to 6e-8 * 10^2. Adam's update is a function of ratios of gradients, of size RATE, so this
error changes it by about RATE * d / |g|, and at most by 2 * RATE, a change of sign, if g itself is noise. With a factor
2 for the two moments, the difference of a weight is at most

    ROUNDING + sum over steps of 2 * RATE * min(1, d / |g|).

Few gradients are near zero, so the mean difference is much smaller: MEAN is RATE * d / |g| for |g| = rms(g) / 50.
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
"""Rounding error of a gradient, as a share of its tensor's root mean square."""
ROUNDING = 1e-6
"""Rounding error of the weights themselves, and of the forward pass."""
MEAN = 1e-7


@dataclass(frozen=True, eq=False)
class Played:
    """Reported losses of training steps, and allowed differences of the weights.

    Attributes:
        losses: losses of each step, as "player/loss".
        slack: allowed difference of each weight from that on another processor.
    """

    losses: list[dict[str, float]]
    slack: dict[nn.Parameter, Tensor]


def play_as_reference(
    method: Method, batches: list[Batch], *, rate: float = RATE, betas: tuple[float, float] = BETAS
) -> Played:
    """Train one step on each batch, by default with the reference's Adam."""
    slack = {parameter: torch.full_like(parameter, ROUNDING) for parameter in method.parameters()}

    def note(parameter: nn.Parameter) -> None:
        gradient = parameter.grad
        assert gradient is not None
        relative = GRADIENT_NOISE * gradient.square().mean().sqrt() / gradient.abs()
        slack[parameter] += 2 * RATE * relative.nan_to_num(0).clamp_max(1)  # a weight without a gradient has no noise

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
    """Return whether a parameter is such a bias: its gradient is rounding noise, which Adam turns into a full step."""
    block, _, leaf = key.rpartition(".conv.")
    return leaf == "bias" and isinstance(network.get_submodule(block).norm, nn.InstanceNorm2d)
