"""What the steps of the reference left behind, compared with ours."""

import torch
from contract import play

from ganvas.methods.base import Batch, Method
from ganvas.methods.reference_checkpoint import read_reference


def play_as_reference(method: Method, batches: list[Batch]) -> list[dict[str, float]]:
    """Each step's losses as "player/loss", with the reference's Adam."""
    return play(method, batches, rate=2e-4, betas=(0.5, 0.999))


def compare_weights(network, path):
    """Raise unless they agree to 1e-6."""
    after = read_reference(path).weights
    for key, value in network.state_dict().items():
        if not is_bias_before_a_norm(network, key):
            torch.testing.assert_close(value, after[key], atol=1e-6, rtol=0, msg=key)


def is_bias_before_a_norm(network: torch.nn.Module, key: str) -> bool:
    """Its gradient is rounding noise, which Adam turns into a full step."""
    block, _, leaf = key.rpartition(".conv.")
    return leaf == "bias" and isinstance(network.get_submodule(block).norm, torch.nn.InstanceNorm2d)
