"""Networks of CoGAN: layers, and accepted sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganvas.methods.cogan.method import SMALLEST_PICTURE, CoupledDiscriminator, CoupledGenerator, layer_sizes
from ganvas.networks import in_evaluation


def kinds(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def test_the_papers_generator_of_digits() -> None:
    generator = CoupledGenerator((1, 1), size=(28, 28))
    layers = kinds(generator.shared, nn.ConvTranspose2d)
    assert [(layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0]) for layer in layers] == [
        (100, 1024, 4, 1), (1024, 512, 3, 2), (512, 256, 3, 2), (256, 128, 3, 2),
    ]  # fmt: skip
    assert all(layer.output_padding == (0, 0) for layer in layers)
    assert not any(layer.affine for layer in kinds(generator, nn.BatchNorm2d))
    assert len(kinds(generator, nn.PReLU)) == 4
    assert generator.last["a"].weight.shape == (128, 1, 6, 6)


def test_the_papers_discriminator_of_digits() -> None:
    discriminator = CoupledDiscriminator((1, 3), size=(28, 28))
    assert discriminator.first["b"].weight.shape == (20, 3, 5, 5)
    shapes = [tuple(layer.weight.shape) for layer in kinds(discriminator.shared, nn.Conv2d)]
    assert shapes == [(50, 20, 5, 5), (500, 50, 4, 4)]
    assert discriminator.num_features == 500
    assert discriminator.features(torch.zeros(2, 1, 28, 28), "a").shape == (2, 500)


def test_the_ground_of_digits_is_nothing_to_a_discriminator() -> None:
    """The paper's digits are in [0, 1], and biases start at 0, so a black background contributes nothing."""
    features = CoupledDiscriminator((1, 1), size=(28, 28)).features
    assert not features(torch.full((1, 1, 28, 28), -1.0), "a").any()
    assert features(torch.ones(1, 1, 28, 28), "a").any()


@pytest.mark.parametrize("size", [(28, 28), (32, 32), (64, 64), (128, 128), (SMALLEST_PICTURE, 57), (33, 32), (96, 20)])
def test_any_size_can_be_made_and_scored(size: tuple[int, int]) -> None:
    generator, discriminator = (
        CoupledGenerator((1, 2), size=size, width=16),
        CoupledDiscriminator((1, 2), size=size, width=2),
    )
    a, b = generator(torch.zeros(3, 100))
    assert (a.shape, b.shape) == ((3, 1, *size), (3, 2, *size))
    assert discriminator(a, "a").shape == discriminator(b, "b").shape == (3, 1, 1, 1)


def test_larger_pictures_have_more_layers() -> None:
    assert layer_sizes((28, 28)) == [(4, 4), (7, 7), (13, 13), (25, 25)]
    assert layer_sizes((32, 32)) == [(4, 4), (8, 8), (15, 15), (29, 29)]
    assert [len(layer_sizes((side, side))) for side in (28, 64, 128)] == [4, 5, 6]
    layers = kinds(CoupledGenerator((3, 3), size=(128, 128)), nn.ConvTranspose2d)
    assert [layer.out_channels for layer in layers] == [1024, 512, 256, 128, 64, 32, 3, 3]


def test_pictures_lie_in_range_and_are_neither_flat_nor_saturated_at_the_start() -> None:
    torch.manual_seed(0)
    for width in (64, 1024):
        pictures = CoupledGenerator((1, 1), size=(28, 28), width=width)(torch.rand(16, 100) * 2 - 1)[0]
        assert pictures.abs().max() <= 1
        assert 0.1 < pictures.std() < 0.8


def test_evaluation_uses_running_statistics_and_restores_modes() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1, affine=False), nn.BatchNorm2d(1).eval())
    with in_evaluation(network):
        assert network(torch.full((2, 1, 2, 2), 3.0)).mean() > 2.9
    assert [layer.training for layer in network.modules()] == [True, True, False]


def test_it_runs_in_bfloat16() -> None:
    generator = CoupledGenerator((1, 1), size=(28, 28), width=16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pictures = generator(torch.rand(4, 100))[0]
    assert pictures.dtype == torch.float32
    assert pictures.isfinite().all()
