"""Networks of pix2pixHD: sizes at all scales, and the layers of the generators."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganvas.methods.pix2pix_hd.networks import (
    LocalEnhancer,
    MultiScaleDiscriminator,
    halve,
    halved_sizes,
    smallest_side,
)
from ganvas.networks import PatchGAN, PixelGAN, ResNet


def test_halving_leaves_the_padding_out_of_the_mean() -> None:
    images = torch.arange(20.0).view(1, 1, 4, 5)
    halved = halve(images)[0, 0]
    assert halved.shape == (2, 3)
    assert halved[0, 0] == images[0, 0, :2, :2].mean()
    assert halved[0, 1] == images[0, 0, :2, 1:4].mean()
    assert halved[1, 1] == images[0, 0, 1:4, 1:4].mean()
    assert halved[0, 2] == images[0, 0, :2, 3:].mean()


def test_each_scale_sees_half_of_the_one_before() -> None:
    """For 256 x 256 pixels: the 30 x 30 scores of pix2pix, then 14 x 14 and 6 x 6; four hidden layers each."""
    with torch.device("meta"):
        discriminator = MultiScaleDiscriminator([PatchGAN(6, norm="instance") for _ in range(3)])
        outputs = discriminator(torch.zeros(1, 6, 256, 256))
    assert [tuple(layers[-1].shape) for layers in outputs] == [(1, 1, 30, 30), (1, 1, 14, 14), (1, 1, 6, 6)]
    assert [[layer.shape[1] for layer in layers] for layers in outputs] == [[64, 128, 256, 512, 1]] * 3
    assert [layer.shape[2] for layer in outputs[1]] == [64, 32, 16, 15, 14]


@pytest.mark.parametrize("size", [(33, 28), (64, 41)])
def test_the_coarser_scales_get_the_halved_picture(size: tuple[int, int]) -> None:
    discriminator = MultiScaleDiscriminator([PatchGAN(2, width=2, num_layers=1), PixelGAN(2, width=2)])
    images = torch.rand(1, 2, *size)
    outputs = discriminator(images)
    torch.testing.assert_close(outputs[0][-1], discriminator.scales[0](images))
    torch.testing.assert_close(outputs[1][-1], discriminator.scales[1](halve(images)))
    assert halved_sizes(size, 2) == [size, tuple(halve(images).shape[2:])]


@pytest.mark.parametrize("scales", [1, 2, 3, 4])
def test_the_smallest_side_is_just_enough(scales: int) -> None:
    side = smallest_side(24, scales)
    assert halved_sizes((side, side - 1), scales)[-1] == (24, 23)


def test_the_papers_global_generator_has_as_many_weights_as_the_released_codes() -> None:
    """36 input channels: 35 classes and the instance boundaries, as on Cityscapes."""
    with torch.device("meta"):
        generator = ResNet(36, 3, num_halvings=4)
    assert sum(one.numel() for one in generator.parameters()) == 182_546_755
    assert [block.conv.out_channels for block in generator.encode_blocks] == [128, 256, 512, 1024]
    assert generator.size_multiple == 16
    small = ResNet(3, 3, width=2, num_blocks=1, num_halvings=4)
    assert small.features(torch.rand(1, 3, 32, 64)).shape == (1, 2, 32, 64)


def enhancer(**options: object) -> LocalEnhancer:
    return LocalEnhancer(
        ResNet(3, 3, width=8, num_blocks=1, num_halvings=1, norm="none"), 3, 3, num_blocks=1, norm="none", **options
    )


def test_an_enhancer_adds_the_features_of_the_coarse_generator() -> None:
    generator, images = enhancer(), torch.rand(1, 3, 32, 40)
    own = generator.encode_block(generator.first(images))
    block = generator.residual_blocks[0]
    summed = own + generator.coarse.features(halve(images))
    expected = torch.tanh(generator.last(generator.decode_block(block(summed))))
    torch.testing.assert_close(generator(images), expected)
    assert (generator.width, generator.size_multiple) == (4, 4)
    assert own.shape == (1, 8, 16, 20)


def test_every_weight_of_the_coarse_generator_learns() -> None:
    generator = enhancer()
    generator(torch.rand(1, 3, 16, 16)).sum().backward()
    assert [name for name, one in generator.named_parameters() if one.grad is None] == []


def test_enhancers_nest() -> None:
    generator = LocalEnhancer(enhancer(), 3, 2, num_blocks=1, norm="none")
    assert (generator.width, generator.size_multiple) == (2, 8)
    assert generator(torch.rand(1, 3, 32, 16)).shape == (1, 2, 32, 16)
    generator(torch.rand(1, 3, 16, 16)).sum().backward()
    assert [name for name, one in generator.named_parameters() if one.grad is None] == []


def test_a_residual_enhancer_starts_as_the_identity() -> None:
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    assert torch.equal(enhancer(residual=True)(images), images)


def test_the_context_of_an_enhancer_is_that_of_both_paths() -> None:
    generator = enhancer(residual=True).double()  # without tanh, which saturates
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=0.3)
    reach, size = generator.context, 128
    assert reach is not None
    images = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    generator(images)[..., 64, 64].sum().backward()
    assert images.grad is not None
    rows = images.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    far = max(64 - rows.min().item(), rows.max().item() - 64)
    assert far <= reach <= far + 8
