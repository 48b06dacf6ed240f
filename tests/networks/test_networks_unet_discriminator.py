"""U-Net discriminator: layers, sizes, spectral norms and receptive field."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ganvas.networks import UNetDiscriminator


def constrained_weights(network: UNetDiscriminator) -> list[torch.Tensor]:
    return [layer.weight for layer in [*network.encoder, *network.decoder, *network.refinement]]


@pytest.mark.parametrize("size", [(32, 32), (48, 40), (17, 23), (8, 8)])
def test_there_is_a_score_for_each_pixel(size: tuple[int, int]) -> None:
    assert UNetDiscriminator(3, width=4)(torch.zeros(2, 3, *size)).shape == (2, 1, *size)


def test_the_layers_of_the_release() -> None:
    network = UNetDiscriminator(3)
    found = [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0], layer.bias is not None)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert found == [
        (3, 64, 3, 1, True),
        (64, 128, 4, 2, False), (128, 256, 4, 2, False), (256, 512, 4, 2, False),
        (512, 256, 3, 1, False), (256, 128, 3, 1, False), (128, 64, 3, 1, False),
        (64, 64, 3, 1, False), (64, 64, 3, 1, False),
        (64, 1, 3, 1, True),
    ]  # fmt: skip
    assert sum(value.numel() for value in network.parameters()) == 4_376_897  # as in the released model


@pytest.mark.slow
def test_sigma_is_one_after_power_iterations() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(3, width=4)
    for weight in (network.first.weight, network.last.weight):
        assert torch.linalg.matrix_norm(weight.flatten(1).detach(), 2) != pytest.approx(1, abs=1e-3)
    with torch.no_grad():
        for _ in range(200):
            network(torch.zeros(1, 3, 8, 8))
        for weight in constrained_weights(network.eval()):
            assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


def test_in_evaluation_nothing_is_updated() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(1, width=4).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(images), network(images))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_it_is_the_network_written_out() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(3, width=4).eval()
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    weights = constrained_weights(network)

    def active(features: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(features, 0.2)

    def enlarged(features: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)

    with torch.no_grad():
        x0 = active(network.first(images))
        x1 = active(functional.conv2d(x0, weights[0], stride=2, padding=1))
        x2 = active(functional.conv2d(x1, weights[1], stride=2, padding=1))
        x3 = active(functional.conv2d(x2, weights[2], stride=2, padding=1))
        x4 = active(functional.conv2d(enlarged(x3), weights[3], padding=1)) + x2
        x5 = active(functional.conv2d(enlarged(x4), weights[4], padding=1)) + x1
        x6 = active(functional.conv2d(enlarged(x5), weights[5], padding=1)) + x0
        out = active(functional.conv2d(x6, weights[6], padding=1))
        expected = network.last(active(functional.conv2d(out, weights[7], padding=1)))
        torch.testing.assert_close(network(images), expected, atol=1e-6, rtol=1e-5)
