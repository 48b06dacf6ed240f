"""Convolutions whose weights' gradient is computed on planes agree with PyTorch's, once and twice differentiated."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ganvas.networks import convolutions
from ganvas.networks.convolutions import (
    Convolution,
    DoublingConvolution,
    HalvingConvolution,
    ReflectConvolution,
    ResizeConvolution,
    TransposedConvolution,
    gains_from_planes,
)

LAYERS = {
    "plain": Convolution(4, 6, 3, 1, 1),
    "grouped": Convolution(4, 6, 3, 2, 1, groups=2, bias=False),
    "transposed": TransposedConvolution(4, 6, 3, 2, 1, output_padding=1),
    "halving": HalvingConvolution(4, 6, bias=True),
    "doubling": DoublingConvolution(4, 6, bias=False),
    "mirrored": ReflectConvolution(4, 40, 3, 1, 1),
    "resizing": ResizeConvolution(4, 6, bias=True),
}


@pytest.fixture(autouse=True)
def narrow_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolutions, "has_avx512", lambda: False)
    monkeypatch.setattr(convolutions, "WIDE", 4)


def differentiated(layer: nn.Module, features: Tensor) -> list[Tensor]:
    """The result, its gradients, and those of the norm of the features' gradient, as a gradient penalty has them."""
    features = features.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    made = layer(features)
    weights = torch.linspace(-1, 1, made.numel()).view(made.shape)
    first = torch.autograd.grad((made.square() * weights).sum(), [features, *layer.parameters()], create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), list(layer.parameters()), allow_unused=True)
    return [made, *first, *(gradient for gradient in second if gradient is not None)]


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_on_planes_are_the_convolutions(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, features = copy.deepcopy(LAYERS[kind]), torch.randn(2, 4, 8, 6)
    last = features.contiguous(memory_format=torch.channels_last)
    on_planes = differentiated(layer, last)
    monkeypatch.setattr(convolutions, "has_avx512", lambda: True)
    expected = differentiated(layer, features)
    assert len(on_planes) == len(expected)
    for made, wanted in zip(on_planes, expected, strict=True):
        torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)


def test_only_what_learns_with_channels_last_goes_through_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.zeros(6, 4, 3, 3, requires_grad=True)
    planes = torch.zeros(2, 4, 8, 6)
    last = planes.contiguous(memory_format=torch.channels_last)
    assert gains_from_planes(last, weight)
    assert not gains_from_planes(planes, weight)
    assert not gains_from_planes(last, weight.detach())
    assert not gains_from_planes(last.bfloat16(), weight)
    with torch.no_grad():
        assert not gains_from_planes(last, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not gains_from_planes(last, weight)
    assert not gains_from_planes(last, weight[:3])
    monkeypatch.setattr(convolutions, "has_avx512", lambda: True)
    assert not gains_from_planes(last, weight)


@pytest.mark.parametrize("shape", [(1, 4, 8, 6), (3, 70, 9, 80), (2, 1, 5, 5), (2, 5, 1, 1)])
def test_planes_hold_the_same(shape: tuple[int, ...]) -> None:
    features = torch.randn(shape)
    for given in (features, features.contiguous(memory_format=torch.channels_last), features.transpose(2, 3)):
        made = convolutions.as_planes(given)
        assert made.is_contiguous()
        assert torch.equal(made, given)
