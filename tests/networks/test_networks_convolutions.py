"""Convolutions and their gradients compared with torch's layers, and receptive fields."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks import EncoderDecoder, PatchGAN, PixelGAN, ResNet, UNet, blocks, convolutions
from ganvas.networks.blocks import InstanceNorm
from ganvas.networks.convolutions import (
    BilinearConvolution,
    Blur,
    DoublingConvolution,
    HalvingConvolution,
    ReflectConvolution,
    ScoreConvolution,
    before_convolution,
    before_transposed,
    convolve_to_few,
    reflect,
)


def with_gradients(layer: nn.Module, features: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of its square with respect to features and weights."""
    features = features.clone().requires_grad_()
    made = layer(features)
    return [made.detach(), *torch.autograd.grad(made.square().sum(), [features, *layer.parameters()])]


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("channels", "kernel"), [(3, 7), (1, 4), (2, 1)])
def test_few_channels_are_torchs(channels: int, kernel: int, order: torch.memory_format) -> None:
    features = torch.randn(2, 5, 11, 13, dtype=torch.float64).contiguous(memory_format=order)
    weight, bias = torch.randn(channels, 5, kernel, kernel, dtype=torch.float64), torch.randn(channels).double()
    for given in (bias, None):
        torch.testing.assert_close(
            convolve_to_few(features, weight, given), functional.conv2d(features, weight, given), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_reflected_border_is_torchs(stride: int) -> None:
    ours = ReflectConvolution(4, 3, 7, stride, 3).double()
    theirs = nn.Conv2d(4, 3, 7, stride, 3, padding_mode="reflect").double()
    theirs.load_state_dict(ours.state_dict())
    features = torch.randn(2, 4, 12, 9, dtype=torch.float64)
    torch.testing.assert_close(with_gradients(ours, features), with_gradients(theirs, features))


@pytest.mark.parametrize("border", [1, 3])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_mirrored_borders_gradient_is_torchs(border: int, order: torch.memory_format) -> None:
    features = torch.randn(2, 3, 7, 4, dtype=torch.float64).contiguous(memory_format=order).requires_grad_()
    padded, wanted = reflect(features, border), functional.pad(features, [border] * 4, mode="reflect")
    assert torch.equal(padded, wanted)
    gradient = torch.randn_like(padded)
    theirs = torch.autograd.grad(wanted, features, gradient)
    torch.testing.assert_close(torch.autograd.grad(padded, features, gradient), theirs)


def test_a_mirrored_border_as_wide_as_the_picture_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Padding size"):
        reflect(torch.zeros(1, 1, 3, 8), 3)


@pytest.mark.parametrize("stride", [1, 2])
def test_scores_are_torchs(stride: int) -> None:
    ours, theirs = ScoreConvolution(6, 1, 4, stride, 1).double(), nn.Conv2d(6, 1, 4, stride, 1).double()
    theirs.load_state_dict(ours.state_dict())
    features = torch.randn(2, 6, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(with_gradients(ours, features), with_gradients(theirs, features))


@pytest.mark.parametrize(
    ("ours", "theirs"), [(HalvingConvolution, nn.Conv2d), (DoublingConvolution, nn.ConvTranspose2d)]
)
@pytest.mark.parametrize("bias", [True, False])
def test_matrix_products_in_bfloat16_are_torchs(ours: type[nn.Module], theirs: type[nn.Module], bias: bool) -> None:
    layer, wanted = ours(8, 4, bias=bias), theirs(8, 4, 4, 2, 1, bias=bias)
    wanted.load_state_dict(layer.state_dict())
    features = torch.randn(2, 8, 4, 6)
    made, exact = layer.bfloat16()(features.bfloat16()), wanted(features)
    torch.testing.assert_close(made.float(), exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("large", [1, blocks.LARGE])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_is_torchs_and_keeps_the_order_of_memory(
    count: int, large: int, order: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "LARGE", large)
    features = torch.randn(count, 4, 6, 5, dtype=torch.float64).contiguous(memory_format=order).requires_grad_()
    gradient = torch.randn(count, 4, 6, 5, dtype=torch.float64)
    made, plain = InstanceNorm(4)(features), functional.instance_norm(features)
    torch.testing.assert_close(made, plain)
    assert made.is_contiguous(memory_format=order)
    torch.testing.assert_close(*(torch.autograd.grad(result, features, gradient)[0] for result in (made, plain)))


def test_instance_norm_of_one_pixel_is_refused_as_torch_does() -> None:
    with pytest.raises(ValueError, match="more than 1"):
        InstanceNorm(4).train()(torch.randn(1, 4, 1, 1))


def test_a_large_instance_norm_of_one_pixel_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGE", 1)
    with pytest.raises(ValueError, match="more than 1"):
        InstanceNorm(4).train()(torch.randn(1, 4, 1, 1))


def test_a_blur_is_zhangs_filter_on_every_second_pixel():
    images = torch.randn(2, 3, 7, 10)
    row = torch.tensor([1.0, 2.0, 1.0])
    kernel = (torch.outer(row, row) / 16).expand(3, 1, 3, 3)
    padded = functional.pad(images, [1] * 4, mode="reflect")
    torch.testing.assert_close(Blur()(images), functional.conv2d(padded, kernel, groups=3)[..., ::2, ::2])


def test_a_bilinear_convolution_enlarges_by_zhangs_filter():
    """The kernel [1, 3, 3, 1] / 4 in both axes, transposed, with replicated borders."""
    layer, images = BilinearConvolution(3, 2, bias=True), torch.randn(2, 3, 5, 4)
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = torch.outer(row, row).expand(3, 1, 4, 4)
    padded = functional.pad(images, [1] * 4, mode="replicate")
    larger = functional.conv_transpose2d(padded, kernel, stride=2, padding=3, groups=3)
    torch.testing.assert_close(layer(images), functional.conv2d(larger, layer.weight, layer.bias, padding=1))


@pytest.mark.parametrize(("num_layers", "pixels"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_a_patchgan_sees_what_the_paper_says(num_layers, pixels):
    assert convolutions.receptive_field([(4, 2)] * num_layers + [(4, 1), (4, 1)]) == pixels
    assert PatchGAN(6, width=1, num_layers=num_layers).receptive_field == pixels


def test_a_pixelgan_sees_one_pixel():
    assert PixelGAN(6, width=1).receptive_field == convolutions.receptive_field([(1, 1)] * 3) == 1


def test_a_score_depends_on_exactly_its_receptive_field():
    images = torch.zeros(1, 1, 64, 64, requires_grad=True)
    scores = PatchGAN(1, width=4, num_layers=2, norm="none")(images)
    scores[0, 0, 7, 7].backward()
    rows = images.grad[0, 0].abs().sum(dim=1).nonzero()
    assert rows.max() - rows.min() + 1 == 34


def test_intervals_through_single_layers():
    assert before_convolution((0, 0), kernel=4, stride=2, padding=1) == (-1, 2)
    assert before_transposed((0, 0), kernel=4, stride=2, padding=1) == (-1, 0)
    assert before_transposed((1, 1), kernel=4, stride=2, padding=1) == (0, 1)
    assert before_transposed((4, 4), kernel=3, stride=2, padding=1) == (2, 2)
    assert before_transposed((5, 5), kernel=3, stride=2, padding=1) == (2, 3)


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **options: UNet(1, 1, width=2, depth=1, **options),
        lambda **options: UNet(1, 1, width=2, depth=3, **options),
        lambda **options: EncoderDecoder(1, 1, width=2, depth=2, **options),
        lambda **options: ResNet(1, 1, width=2, num_blocks=2, **options),
    ],
    ids=["unet1", "unet3", "encoder_decoder", "resnet"],
)
def test_context_is_the_farthest_pixel_that_reaches(make, upsampling):
    network = make(norm="none", dropout=0.0, upsampling=upsampling)
    for parameter in network.parameters():  # with positive weights every path counts
        torch.nn.init.constant_(parameter, 0.01)
    size = 4 * (network.context // network.size_multiple + 2) * network.size_multiple
    distances = []
    for pixel in range(size // 2, size // 2 + network.size_multiple):
        images = torch.rand(1, 1, size, size, requires_grad=True)
        network(images)[0, 0, pixel, pixel].backward()
        reached = images.grad[0, 0].abs().sum(dim=1).nonzero()
        distances += [pixel - reached.min().item(), reached.max().item() - pixel]
    assert max(distances) == network.context


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_with_a_norm_the_context_is_the_whole_picture(norm):
    assert UNet(1, 1, width=2, depth=3, norm=norm).context is None
