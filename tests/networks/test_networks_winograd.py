"""Winograd convolution compared with PyTorch's: results, gradients and second derivatives, shapes, memory formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from ganvas.networks import ResidualUNet, UNetDiscriminator, convolutions, winograd
from ganvas.networks.convolutions import ReflectConvolution, WideConvolution
from ganvas.networks.winograd import convolve_winograd, suits_winograd

Layout = torch.memory_format
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def layer(
    count: int, size: tuple[int, int], kernel: int, *, channels: tuple[int, int] = (5, 3), dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, weights and bias that require gradients."""
    torch.manual_seed(count + sum(size) + kernel)
    shapes = ((count, channels[0], *size), (channels[1], channels[0], kernel, kernel), (channels[1],))
    features, weight, bias = (torch.randn(shape, dtype=dtype) for shape in shapes)
    return features.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


def both(features: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> list[tuple[Tensor, Tensor]]:
    """Return (ours, PyTorch's): the result, and the gradient with respect to every argument."""
    given = [one for one in (features, weight, bias) if one is not None]
    made = convolve_winograd(features, weight, bias, padding)
    wanted = functional.conv2d(features, weight, bias, padding=padding)
    gradient = torch.randn_like(wanted)
    ours, theirs = (torch.autograd.grad(result, given, gradient) for result in (made, wanted))
    return [(made, wanted), *zip(ours, theirs, strict=True)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("size", [(4, 4), (6, 18), (13, 7), (31, 32)])
def test_results_and_gradients_are_the_convolutions(
    layout: Layout, kernel: int, padding: int, size: tuple[int, int]
) -> None:
    features, weight, bias = layer(2, size, kernel, dtype=torch.float64)
    features = features.detach().contiguous(memory_format=layout).requires_grad_()
    for ours, theirs in both(features, weight, bias, padding):
        torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=0)
    assert convolve_winograd(features, weight, bias, padding).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("strip", [1, 3, 7, 1000])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_strips_of_any_length(monkeypatch: pytest.MonkeyPatch, strip: int, layout: Layout) -> None:
    monkeypatch.setattr(winograd, "STRIP", strip)
    features, weight, _ = layer(5, (11, 15), 3, dtype=torch.float64)
    features = features.detach().contiguous(memory_format=layout).requires_grad_()
    for ours, theirs in both(features, weight, None, 1):
        torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=0)


@pytest.mark.parametrize("kernel", [3, 4])
def test_rounding_in_float32_stays_small(kernel: int) -> None:
    """A direct convolution has an error of 1e-6 of the largest float64 value, tiles of 6 up to ten times that."""
    features, weight, bias = layer(1, (32, 32), kernel, channels=(256, 128), dtype=torch.float32)
    exact = [one.detach().double().requires_grad_() for one in (features, weight, bias)]
    made = convolve_winograd(features, weight, bias, 1)
    wanted = functional.conv2d(*exact, padding=1)
    gradient = torch.randn_like(made)
    ours = torch.autograd.grad(made, (features, weight, bias), gradient)
    theirs = torch.autograd.grad(wanted, exact, gradient.double())
    for one, other in zip((made, *ours), (wanted, *theirs), strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5 * other.abs().max().item(), rtol=0)


def test_the_gradient_of_a_gradient() -> None:
    """As needed for a gradient penalty."""
    features, weight, bias = layer(2, (9, 9), 4, dtype=torch.float64)
    penalties = []
    for convolve in (convolve_winograd, lambda *given: functional.conv2d(*given[:3], padding=given[3])):
        made = convolve(features, weight, bias, 1).tanh().sum()
        (slope,) = torch.autograd.grad(made, features, create_graph=True)
        penalties.append(torch.autograd.grad(slope.square().sum(), (features, weight, bias)))
    for ours, theirs in zip(*penalties, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


def test_what_is_not_asked_for_is_not_computed() -> None:
    features, weight, bias = layer(1, (8, 8), 3, dtype=torch.float64)
    convolve_winograd(features, weight.detach(), bias.detach()).sum().backward()
    convolve_winograd(features.detach(), weight, None).sum().backward()
    assert features.grad is not None
    assert weight.grad is not None
    assert bias.grad is None


def test_where_it_is_faster() -> None:
    """Wide layers, many positions, float32, stride 1, a square kernel of 3 or 4."""
    features, weight = torch.empty(1, 128, 64, 64), torch.empty(256, 128, 3, 3)
    assert suits_winograd(features, weight)
    assert not suits_winograd(features.double(), weight.double())
    assert not suits_winograd(features, weight, (2, 2))
    assert not suits_winograd(features[:, :64], weight[:, :64])
    assert not suits_winograd(features, weight[:64])
    assert not suits_winograd(features, weight[..., :1])
    assert not suits_winograd(features[..., :16, :16], weight)
    assert not suits_winograd(features.to("meta"), weight.to("meta"))
    with torch.autocast("cpu"):
        assert not suits_winograd(features, weight)


def test_a_wide_convolution_reads_its_weight_once() -> None:
    """Spectral norm makes a power iteration at each access in training."""
    layer = spectral_norm(WideConvolution(4, 4, 3, padding=1))
    norm = layer.parametrizations.weight[0]
    iterations, step = [], norm._power_method
    norm._power_method = lambda *given: (iterations.append(1), step(*given))
    layer(torch.rand(1, 4, 8, 8))
    assert len(iterations) == 1


@pytest.mark.parametrize("kind", [WideConvolution, ReflectConvolution])
def test_layers_use_it_and_stay_what_they_are(monkeypatch: pytest.MonkeyPatch, kind: type[nn.Conv2d]) -> None:
    torch.manual_seed(0)
    wide = kind(128, 128, 3, padding=1)
    features = torch.randn(1, 128, 40, 28)
    with torch.no_grad():
        quick = wide(features)
        monkeypatch.setattr(winograd, "WIDE", 1000)
        direct = wide(features)
    assert not torch.equal(quick, direct)
    torch.testing.assert_close(quick, direct, atol=1e-5, rtol=0)


def test_it_is_left_out_of_compiled_and_exported_networks() -> None:
    """They need PyTorch's operators, which other runtimes support."""
    wide = WideConvolution(128, 128, 3, padding=1)
    program = torch.export.export(wide, (torch.randn(1, 128, 64, 64),))
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert targets == ["aten.conv2d.default"]


def test_counting_operations_and_inference_mode_leave_no_trace() -> None:
    """Buffers that are kept between calls, and the transforms, remain ordinary tensors."""
    winograd.winograd.cache_clear()
    wide = WideConvolution(128, 128, 3, padding=1)
    features = torch.randn(1, 128, 40, 40)
    with FakeTensorMode(allow_non_fake_inputs=True):
        wide(torch.empty(1, 128, 40, 40))
    with torch.inference_mode():
        made = wide(features)
    torch.testing.assert_close(wide(features).detach(), made.clone(), atol=0, rtol=0)
    wide(features).sum().backward()
    assert wide.weight.grad is not None


@pytest.mark.parametrize(
    "network",
    [
        lambda: UNetDiscriminator(3, width=4),
        lambda: ResidualUNet(3, 3, width=4, encoder_blocks=(1,), middle_blocks=0, decoder_blocks=(0,)),
    ],
    ids=["UNetDiscriminator", "ResidualUNet"],
)
def test_networks_with_wide_convolutions_train(
    network: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their in-place activations would fail if the output of a Winograd convolution were a view."""
    monkeypatch.setattr(winograd, "WIDE", 4)
    made, used = network(), []
    convolve = convolutions.convolve_winograd

    def noted(*given: Any) -> Tensor:
        used.append(given[1].shape)
        return convolve(*given)

    monkeypatch.setattr(convolutions, "convolve_winograd", noted)
    made(torch.rand(2, 3, 32, 32)).square().mean().backward()
    assert used
    assert all(value.grad is not None for value in made.parameters())


@pytest.mark.parametrize("size", [10, 11, 12])
def test_an_activation_may_change_the_output_in_place(size: int) -> None:
    """Also if the output consists of complete tiles."""
    features, weight, _ = layer(1, (size, size), 3, channels=(4, 4), dtype=torch.float32)
    made = functional.leaky_relu(convolve_winograd(features, weight, None, 1), 0.2, inplace=True)
    assert not made._is_view()
    made.sum().backward()
    assert features.grad is not None
