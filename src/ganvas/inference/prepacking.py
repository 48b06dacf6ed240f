"""Weight prepacking and operator fusion of generators for inference on a CPU.

PyTorch reorders a convolution's weights at every call, which for one picture can take longer than the convolution
itself. A prepacked network stores them in oneDNN's own layout, folds batch norms into the preceding weights, and fuses
activations into convolutions. Results equal those of the original network up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import nn

from ganvas.hardware import Precision
from ganvas.inference.prepacked import (
    NO_ACTIVATION,
    OPERATORS,
    Activation,
    Packed,
    PackedBlock,
    PictureNorm,
    PlainDropout,
)
from ganvas.methods.base import Method
from ganvas.networks import Generator
from ganvas.networks.blocks import ConvBlock, DecodeBlock, EncodeBlock, InstanceNorm, UpsampleBlock
from ganvas.networks.convolutions import (
    DoublingConvolution,
    HalvingConvolution,
    ReflectConvolution,
    ResizeConvolution,
    ScoreConvolution,
    WideConvolution,
)
from ganvas.networks.residual_unet import PlainBlock
from ganvas.networks.rrdb import DenseBlock

CONVOLUTIONS = (nn.Conv2d, HalvingConvolution, ReflectConvolution, ScoreConvolution, WideConvolution)
TRANSPOSED = (nn.ConvTranspose2d, DoublingConvolution)
NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, InstanceNorm)
CHAINS: dict[type[nn.Module], tuple[str, ...]] = {
    ConvBlock: ("conv", "norm", "activation"),
    UpsampleBlock: ("conv", "norm", "activation"),
    EncodeBlock: ("conv", "norm"),
    DecodeBlock: ("conv", "norm"),
    DenseBlock: tuple(f"{layer}{number}" for number in range(1, 5) for layer in ("conv", "activation")),
}
"""Block -> attributes of its successive layers."""


def make_ready(method: Method, *, precision: Precision) -> None:
    """Prepare a method's generators in place: set the precision of convolutions, and prepack them if possible.

    Norms, the last activation and the sum of a residual generator stay in float32.
    """
    for name in method.generators:
        network = getattr(method, name)
        # Lower first: packed weights are in oneDNN's layout, which depends on their data type
        if precision == "bfloat16":
            lower(network)
        if can_pack(network) and not method.translates_by_search:  # prepacked layers do not support gradients
            pack(network)


def lower(network: nn.Module) -> None:
    """Convert convolutions to bfloat16 and channels-last."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(torch.bfloat16)
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
            layer.register_forward_pre_hook(lambda _, features: features[0].bfloat16())
    if isinstance(network, Generator):
        network.last_layer.register_forward_hook(lambda _layer, _features, output: output.float())


def can_pack(network: nn.Module) -> bool:
    """Return whether this PyTorch has oneDNN for this processor and the network's precision."""
    weights = list(network.parameters())
    has_onednn: Callable[[], bool] = torch.backends.mkldnn.is_available
    if not has_onednn() or any(weight.device.type != "cpu" for weight in weights):
        return False
    if not all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS):
        return False
    lowered = any(weight.dtype == torch.bfloat16 for weight in weights)
    return not lowered or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pack(network: nn.Module) -> None:
    """Replace the layers of a network in place, except layers of unknown types."""
    last = network.last_layer if isinstance(network, Generator) else None
    for parent in list(network.modules()):
        # Fuse each convolution with the norm and the activation that follow it
        for chain in _chains(parent):
            _pack_chain(parent, chain, last)
        # Then replace the remaining single layers
        for name, layer in list(parent.named_children()):
            setattr(parent, name, _packed(layer, last))


def _chains(parent: nn.Module) -> Iterator[tuple[str, ...]]:
    """Yield chains of names of children applied in sequence, each from one convolution to before the next."""
    if type(parent) is nn.Sequential:
        names = [name for name, _ in parent.named_children()]
    else:
        names = list(CHAINS.get(type(parent), ()))
    starts = [at for at, name in enumerate(names) if isinstance(getattr(parent, name), nn.Conv2d | nn.ConvTranspose2d)]
    for start, stop in pairwise([*starts, len(names)]):
        yield tuple(names[start:stop])


def _pack_chain(parent: nn.Module, chain: Sequence[str], last: nn.Module | None) -> None:
    """Pack the convolution that begins the chain together with the norm and the activation after it."""
    following = {name: getattr(parent, name) for name in chain[1:] if type(getattr(parent, name)) is not nn.Identity}
    norm = next(iter(following), None)
    if norm is not None and type(following[norm]) not in NORMS:
        norm = None
    # A pixel shuffle only moves values, so the activation that follows it may be applied before it
    kinds = {name: layer for name, layer in following.items() if name != norm and type(layer) is not nn.PixelShuffle}
    after, activation = next(iter(kinds), None), NO_ACTIVATION
    if after is not None:
        activation = Activation.of(kinds[after])
    convolution, before = getattr(parent, chain[0]), None if norm is None else following[norm]
    packed = _packed(convolution, last, norm=before, activation=activation)
    setattr(parent, chain[0], packed)
    if isinstance(packed, Packed):
        taken_in = [norm] if norm else []
        if after and activation != NO_ACTIVATION:
            taken_in.append(after)
        for name in taken_in:
            setattr(parent, name, nn.Identity().train(convolution.training))


def _packed(
    layer: nn.Module,
    last: nn.Module | None,
    *,
    norm: nn.Module | None = None,
    activation: Activation = NO_ACTIVATION,
) -> nn.Module:
    """Return the layer's replacement in the same mode, or the layer itself if there is none."""
    kind = type(layer)
    if isinstance(layer, PlainBlock):
        first, second = Packed.of(layer.first, activation=Activation.of(layer.activation)), Packed.of(layer.second)
        return PackedBlock(first, second).train(layer.training)
    if kind is ResizeConvolution or kind in CONVOLUTIONS or kind in TRANSPOSED:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            return layer
        return Packed.of(layer, is_last=layer is last, norm=norm, activation=activation).train(layer.training)
    if kind in NORMS:
        assert isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d)
        return PictureNorm(layer).train(layer.training)
    if isinstance(layer, nn.Dropout) and kind is nn.Dropout:
        return PlainDropout(layer.p).train(layer.training)
    return layer
