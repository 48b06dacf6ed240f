import pytest
import torch
from torch import nn

from ganvas.methods.dualgan.method import GlobalCritic


def test_its_layers():
    with torch.device("meta"):
        critic = GlobalCritic(3, image_size=(256, 256))
    layers = [
        (layer.out_channels, layer.kernel_size[0], layer.stride[0])
        for layer in critic.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert layers == [(64, 5, 2), (128, 3, 2), (256, 3, 2), (512, 3, 2), (512, 3, 2)]
    assert critic.last.in_features == 512 * 8 * 8
    assert sum(isinstance(module, nn.InstanceNorm2d) for module in critic.modules()) == 4


@pytest.mark.parametrize("size", [(64, 64), (70, 96)])
def test_one_score_a_picture(size):
    assert GlobalCritic(2, image_size=size, width=2)(torch.zeros(3, 2, *size)).shape == (3, 1)


def test_initial_weights_are_small_and_normal():
    torch.manual_seed(0)
    critic = GlobalCritic(3, image_size=(64, 64), width=16)
    assert abs(critic.last.weight.std().item() - 0.02) < 2e-3
    assert critic.last.bias.abs().max() == 0
