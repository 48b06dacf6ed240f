"""Networks of UNIT: their layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganvas.methods.unit.networks import (
    DiscriminatorPyramid,
    SharedDecoder,
    SharedEncoder,
    StridedDiscriminator,
    num_strides,
)


def geometry(network: nn.Module) -> list[tuple[int, int, int, int]]:
    """Return (input channels, output channels, kernel, stride) of each convolution."""
    return [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0])
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]


def test_the_papers_encoder() -> None:
    encoder = SharedEncoder((3, 1))
    own = geometry(encoder.own["a"])
    assert own[:3] == [(3, 64, 7, 1), (64, 128, 3, 2), (128, 256, 3, 2)]
    assert own[3:] == [(256, 256, 3, 1)] * 6
    assert geometry(encoder.shared) == [(256, 256, 3, 1)] * 2
    assert geometry(encoder.own["b"])[0] == (1, 64, 7, 1)


def test_the_papers_generator() -> None:
    decoder = SharedDecoder((3, 1))
    own = geometry(decoder.own["a"])
    assert geometry(decoder.shared) == [(256, 256, 3, 1)] * 2
    assert own[:6] == [(256, 256, 3, 1)] * 6
    assert own[6:] == [(256, 128, 3, 2), (128, 64, 3, 2), (64, 3, 1, 1)]


def test_the_papers_discriminator() -> None:
    discriminator = StridedDiscriminator((3, 1), size=(256, 256))
    strided = [(3, 64, 3, 2), (64, 128, 3, 2), (128, 256, 3, 2), (256, 512, 3, 2), (512, 1024, 3, 2)]
    assert geometry(discriminator.own["a"]) == strided
    assert geometry(discriminator.last["a"]) == [(1024, 1, 2, 1)]
    assert discriminator(torch.zeros(1, 1, 256, 256), "b").shape == (1, 1, 7, 7)


@pytest.mark.parametrize(("side", "strides"), [(4, 1), (5, 2), (28, 4), (32, 4), (33, 5), (64, 5), (256, 5)])
def test_as_many_strides_as_leave_something_to_score(side: int, strides: int) -> None:
    assert num_strides((side, 2 * side)) == strides
    discriminator = StridedDiscriminator((1, 1), size=(side, side), width=1)
    assert min(discriminator(torch.zeros(1, 1, side, side), "a").shape[2:]) >= 1
    assert discriminator.features(torch.zeros(2, 1, side, side), "a").flatten(1).shape == (
        2,
        discriminator.num_features,
    )


def test_there_and_back_in_any_size() -> None:
    encoder, decoder = SharedEncoder((3, 1), width=2, num_blocks=1), SharedDecoder((3, 1), width=2, num_blocks=1)
    latent = encoder(torch.rand(2, 3, 20, 36), "a")
    assert latent.shape == (2, 8, 5, 9)
    pictures = decoder(latent, "b")
    assert pictures.shape == (2, 1, 20, 36)
    assert pictures.abs().max() <= 1


def test_a_pyramid_halves_the_picture() -> None:
    pyramid = DiscriminatorPyramid((1, 1), size=(33, 28), scales=3, width=2, num_shared=1)
    images = torch.rand(2, 1, 33, 28)
    assert len(pyramid(images, "a")) == 3
    assert pyramid.features(images, "b").shape == (2, pyramid.num_features)
    halved = nn.functional.avg_pool2d(images, 2, ceil_mode=True)
    torch.testing.assert_close(pyramid(images, "a")[1], pyramid.scales[1](halved, "a"))


def test_it_runs_in_bfloat16() -> None:
    decoder = SharedDecoder((1, 1), width=2, num_blocks=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pictures = decoder(torch.randn(1, 8, 4, 4), "a")
    assert pictures.dtype == torch.float32
