"""Recognition of reference PyTorch networks of pix2pix, CycleGAN and CUT from parameter names and shapes.

Supported are U-Nets of any depth, residual generators with any number of blocks, including CUT's antialiased ones,
PatchGANs with any number of layers and the PixelGAN, with batch, instance or no norm. A file does not record three
properties: dropout in a U-Net, replication padding of residual blocks (reflection is assumed), and the last activation
(tanh is assumed).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ganvas.errors import RunError
from ganvas.interop.other_architectures import KNOWN, UNKNOWN, refuse_other_architecture
from ganvas.interop.reference_files import State, as_dense, read_states, without_prefix
from ganvas.methods.architectures import dropout_layers, has_biases
from ganvas.networks import PatchGAN, PixelGAN, ResNet, UNet
from ganvas.networks.blocks import Norm

ReferenceKind = Literal["unet", "resnet", "patchgan", "pixelgan"]
REFERENCE_DROPOUT = 0.5
DOWN, UP = [1.0, 2.0, 1.0], [1.0, 3.0, 3.0, 1.0]
"""Taps of the downsampling and upsampling filters of CUT's generator (Zhang 2019, arXiv:1904.11486)."""


@dataclass(frozen=True)
class Layer:
    """Names of a convolution and its norm: the ganvas block, and the two parts in the reference."""

    block: str
    conv: str
    norm: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReferenceNetwork:
    """Network recognized in a checkpoint."""

    kind: ReferenceKind
    input_channels: int
    output_channels: int
    """1 for a discriminator: its score."""
    width: int
    count: int
    """Depth of a U-Net, number of blocks (residual generator) or strided layers (PatchGAN); 0 for a PixelGAN."""
    norm: Norm
    dropout: float | None
    """None if the file does not determine it."""
    antialias: bool = False
    """Whether it is CUT's generator, which has filters in place of strides."""
    entry: str = ""
    """Entry of the file that contains the network; empty for the whole file."""
    weights: State
    """Weights by the parameter names of the ganvas network."""

    @property
    def is_generator(self) -> bool:
        """Whether it generates images, rather than scoring them."""
        return self.kind in ("unet", "resnet")

    def build(self) -> UNet | ResNet | PatchGAN | PixelGAN:
        """Build the ganvas network with these weights, in training mode."""
        network = build_network(self)
        network.load_state_dict(self.weights)
        return network


def describe(network: ReferenceNetwork) -> str:
    """Return a one-phrase description for the user."""
    counted = {"unet": "halvings", "resnet": "residual blocks", "patchgan": "strided layers", "pixelgan": ""}
    count = f", {network.count} {counted[network.kind]}" if network.count else ""
    dropout = f", dropout {network.dropout}" if network.dropout is not None and network.is_generator else ""
    channels = f"{network.input_channels} to {network.output_channels} channels"
    filters = ", antialiased" if network.antialias else ""
    source = f", from its entry '{network.entry}'" if network.entry else ""
    return f"{network.kind}, {channels}, width {network.width}{count}, norm {network.norm}{dropout}{filters}{source}"


def read_reference(path: Path) -> ReferenceNetwork:
    """Return the network of a checkpoint, ignoring wrapper dictionaries and name prefixes.

    Raises:
        RunError: no such file, not a file of weights only, no supported network, or several generators.
    """
    networks: dict[str, ReferenceNetwork] = {}
    problems: dict[str, str] = {}
    for entry, state in read_states(path).items():
        try:
            networks[entry] = replace(identify(state), entry=entry)
        except RunError as error:
            problems[entry] = str(error)
    if not networks:
        details = "; ".join(f"entry '{entry}': {problem}" if entry else problem for entry, problem in problems.items())
        raise RunError(f"{path}: {details}")
    # A file of a complete training state contains discriminators too; it must contain exactly one generator.
    chosen = [network for network in networks.values() if network.is_generator] or list(networks.values())
    if len(chosen) > 1:
        named = ", ".join(f"'{network.entry}' ({network.kind})" for network in chosen)
        raise RunError(f"{path}: holds several networks, {named}; save each state dict in a separate file")
    return chosen[0]


def identify(state: State) -> ReferenceNetwork:
    """Recognize the network of a state dict with the reference's names, ignoring a common prefix.

    Raises:
        RunError: it cannot be recognized; the message describes the closest candidate.
    """
    problem: RunError | None = None
    for candidate in without_prefix(state):
        try:
            return _identify(candidate)
        except RunError as error:
            # The message of a candidate whose kind was recognized is more specific than "not a supported network".
            if problem is None or UNKNOWN not in str(error):
                problem = error
    assert problem is not None
    raise problem


def _identify(state: State) -> ReferenceNetwork:
    refuse_other_architecture(state)
    if any("weight_orig" in key or "weight_g" in key or "parametrizations" in key for key in state):
        raise RunError("spectral or weight normalization, which the reference does not have; fold it into the weights")
    # 1. The parameter names determine kind and layers; every layer must then be present as a convolution.
    kind = kind_of(state)
    antialias = kind == "resnet" and check_filters(state)
    count, layers = layers_of(kind, state, antialias=antialias)
    missing = [f"{layer.conv}.weight" for layer in layers if f"{layer.conv}.weight" not in state]
    if missing:
        raise RunError(f"looks like a {kind}, but {missing[0]} is missing; {KNOWN}")
    flat = [layer.conv for layer in layers if state[f"{layer.conv}.weight"].ndim != 4]
    if flat:
        raise RunError(f"looks like a {kind}, but {flat[0]} is not a convolution; {KNOWN}")
    # 2. The shapes determine channels and width; the other parameters determine norm and dropout.
    norm = norm_of(state, layers)
    first, last = state[f"{layers[0].conv}.weight"], state[f"{layers[-1].conv}.weight"]
    draft = ReferenceNetwork(
        kind=kind,
        input_channels=first.shape[1],
        # A U-Net ends in a transposed convolution, whose second axis is the output channels.
        output_channels=last.shape[1] if kind == "unet" else last.shape[0],
        width=first.shape[0],
        count=count,
        norm=norm,
        dropout=dropout_of(kind, layers),
        antialias=antialias,
        weights={},
    )
    # 3. Build the network, which determines the names and shapes that the weights must have.
    return replace(draft, weights=convert_weights(state, layers, draft))


def kind_of(state: State) -> ReferenceKind:
    """Return the kind of a network by parameter names that are unique to it."""
    if "model.model.0.weight" in state:
        return "unet"
    if any(re.match(r"model\.\d+\.conv_block\.", key) for key in state):
        return "resnet"
    if any(re.match(r"mlp_\d+\.", key) for key in state):
        raise RunError(
            "the patch heads of CUT (its net_F), which are only needed for training; pass only its generator (net_G)"
        )
    if "model.0.weight" in state and any(key.endswith(".filt") for key in state):
        raise RunError("CUT's antialiased PatchGAN, which is not imported; pass only the generator (net_G)")
    if "net.0.weight" in state:
        return "pixelgan"
    if "model.0.weight" in state and "model.2.weight" in state:
        return "patchgan"
    raise RunError(f"its keys ({', '.join(list(state)[:3])}, ...) are {UNKNOWN}; {KNOWN}")


def layers_of(kind: ReferenceKind, state: State, *, antialias: bool) -> tuple[int, list[Layer]]:
    """Return the depth of the network, and its layers from the input to the output."""
    if kind == "unet":
        return unet_layers(sum(value.ndim == 4 for value in state.values()) // 2)
    if kind == "resnet":
        return resnet_layers(state, antialias=antialias)
    if kind == "pixelgan":
        return 0, [Layer("blocks.0", "net.0"), Layer("blocks.1", "net.2", "net.3"), Layer("blocks.2", "net.5")]
    return patchgan_layers(max(int(index) for index in re.findall(r"^model\.(\d+)\.weight$", "\n".join(state), re.M)))


def unet_layers(depth: int) -> tuple[int, list[Layer]]:
    """Return a U-Net's nested blocks: the outermost has conv 0, inner 1, up 3; the others conv 1, inner 3, up 5."""
    if depth < 2:
        raise RunError(f"a U-Net of depth {depth}; the reference's have at least 5")
    encoder, decoder, prefix = [Layer("encode_blocks.0", "model.model.0")], [], "model.model"
    decoder.append(Layer(f"decode_blocks.{depth - 1}", f"{prefix}.3"))
    for level in range(1, depth):
        prefix += ".1.model" if level == 1 else ".3.model"
        bottleneck = level == depth - 1
        up = 3 if bottleneck else 5
        encoder.append(Layer(f"encode_blocks.{level}", f"{prefix}.1", None if bottleneck else f"{prefix}.2"))
        decoder.append(Layer(f"decode_blocks.{depth - 1 - level}", f"{prefix}.{up}", f"{prefix}.{up + 1}"))
    return depth, encoder + decoder[::-1]


def block_places(state: State) -> list[int]:
    """Return the positions of the residual blocks among the layers."""
    return sorted({int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.conv_block\.", key))})


def check_filters(state: State) -> bool:
    """Return whether a residual generator is CUT's, with filters after each downsampling and before each upsampling.

    Raises:
        RunError: it has filters elsewhere, or filters other than Zhang's with 3 and 4 taps.
    """
    filters = {key.removesuffix(".filt"): value for key, value in state.items() if key.endswith(".filt")}
    if not filters:
        return False
    after = block_places(state)[-1] + 1
    taps = {"model.7": DOWN, "model.11": DOWN, f"model.{after}": UP, f"model.{after + 4}": UP}
    if filters.keys() != taps.keys():
        raise RunError(
            "looks like CUT's generator with filters in one half only (--no_antialias or --no_antialias_up), which is "
            f"not supported; {KNOWN}"
        )
    for name, row in taps.items():
        wanted = torch.outer(torch.tensor(row), torch.tensor(row)) / sum(row) ** 2
        own = filters[name].float()
        if own.shape[-2:] != wanted.shape or not torch.allclose(
            own / own.sum((-2, -1), keepdim=True), wanted, atol=1e-3
        ):
            raise RunError(f"looks like CUT's generator, but {name}.filt is not its filter of {len(row)} taps")
    return True


def resnet_layers(state: State, *, antialias: bool) -> tuple[int, list[Layer]]:
    """Return a ResNet's layers; dropout moves a block's second convolution from `conv_block.5` to `conv_block.6`.

    With antialiasing each downsampling and upsampling convolution has an additional layer without trainable weights.
    """
    blocks, start, more = block_places(state), 12 if antialias else 10, int(antialias)
    if blocks != list(range(start, start + len(blocks))):
        raise RunError(f"residual blocks at {blocks}, not from {start} on: not 2 downsampling layers")
    if f"model.{start}.conv_block.1.weight" not in state:
        raise RunError("residual blocks without a padding layer (zero padding); only reflection padding is supported")
    shifted = state.get(f"model.{start}.conv_block.5.weight", torch.empty(0)).ndim != 4
    second, after = 6 if shifted else 5, start + len(blocks) + more
    layers = [
        Layer("first", "model.1", "model.2"),
        Layer("encode_blocks.0", "model.4", "model.5"),
        Layer("encode_blocks.1", f"model.{7 + more}", f"model.{8 + more}"),
    ]
    for number, block in enumerate(f"model.{index}.conv_block" for index in blocks):
        layers.append(Layer(f"residual_blocks.{number}.first", f"{block}.1", f"{block}.2"))
        layers.append(Layer(f"residual_blocks.{number}.second", f"{block}.{second}", f"{block}.{second + 1}"))
    for number, index in enumerate((after, after + 3 + more)):
        layers.append(Layer(f"decode_blocks.{number}", f"model.{index}", f"model.{index + 1}"))
    return len(blocks), [*layers, Layer("last", f"model.{after + 7 + more}")]


def patchgan_layers(last: int) -> tuple[int, list[Layer]]:
    """Return a PatchGAN's layers: convolution, norm, activation, three indices each; the first has no norm."""
    count = (last - 2) // 3
    if count < 1 or last != 2 + 3 * count:
        raise RunError(f"looks like a PatchGAN, but its last layer is model.{last}; {KNOWN}")
    inner = [Layer(f"blocks.{n}", f"model.{3 * n - 1}", f"model.{3 * n}") for n in range(1, count + 1)]
    return count, [Layer("blocks.0", "model.0"), *inner, Layer(f"blocks.{count + 1}", f"model.{last}")]


def norm_of(state: State, layers: list[Layer]) -> Norm:
    """Return the norm: batch norm has weights; convolutions have a bias before instance norm and none without norm."""
    normed = [layer for layer in layers if layer.norm is not None]
    if f"{normed[0].norm}.weight" in state:
        if f"{normed[0].norm}.running_mean" not in state:
            raise RunError("a norm with a scale but no running statistics, which the reference does not have")
        return "batch"
    return "instance" if f"{normed[0].conv}.bias" in state else "none"


def dropout_of(kind: ReferenceKind, layers: list[Layer]) -> float | None:
    """Return the dropout rate, from the shifted names of a residual block; None for a U-Net."""
    if kind == "unet":
        return None
    return REFERENCE_DROPOUT if any(layer.conv.endswith("conv_block.6") for layer in layers) else 0.0


def build_network(network: ReferenceNetwork) -> UNet | ResNet | PatchGAN | PixelGAN:
    """Build the ganvas network of that kind with new weights."""
    channels = network.input_channels, network.output_channels
    width, norm, dropout = network.width, network.norm, network.dropout or 0.0
    bias = has_biases("pytorch", norm)
    if network.kind == "unet":
        return UNet(
            *channels,
            width=width,
            depth=network.count,
            norm=norm,
            dropout=dropout,
            dropout_layers=dropout_layers("pytorch", network.count),
            bias=bias,
        )
    if network.kind == "resnet":
        return ResNet(
            *channels,
            width=width,
            num_blocks=network.count,
            norm=norm,
            dropout=dropout,
            bias=bias,
            upsampling="bilinear" if network.antialias else "transposed",
            antialias=network.antialias,
        )
    if network.kind == "patchgan":
        return PatchGAN(channels[0], width=width, num_layers=network.count, norm=norm, bias=bias)
    return PixelGAN(channels[0], width=width, norm=norm, bias=bias)


def convert_weights(state: State, layers: list[Layer], network: ReferenceNetwork) -> State:
    """Return the weights by ganvas names; RunError names the first missing, unexpected or wrongly shaped one."""
    names = {f"{layer.block}.{part}": getattr(layer, part) for layer in layers for part in ("conv", "norm")}
    with torch.device("meta"):
        wanted = build_network(network).state_dict()
    weights, used = {}, set()
    for key, value in wanted.items():
        module, _, leaf = key.rpartition(".")
        theirs = f"{names[module]}.{leaf}"
        used.add(theirs)
        weights[key] = convert_weight(state, theirs, like=value)
    passive = {key for key in state if is_old_statistic(key, state) or (network.antialias and key.endswith(".filt"))}
    left = [key for key in state if key not in used | passive]
    if left:
        raise RunError(f"looks like a {describe(network)}, but it also holds {', '.join(left[:3])}; {KNOWN}")
    return weights


def convert_weight(state: State, key: str, *, like: Tensor) -> Tensor:
    """Return one weight in the type of `like`; 0 for the number of batches, which torch before 0.4.1 did not save."""
    if key not in state and key.endswith(".num_batches_tracked"):
        return torch.zeros(like.shape, dtype=like.dtype)
    if key not in state:
        raise RunError(f"{key} is missing; {KNOWN}")
    if state[key].shape != like.shape:
        raise RunError(f"{key} has shape {tuple(state[key].shape)} where {tuple(like.shape)} was expected; {KNOWN}")
    return as_dense(key, state[key]).to(like.dtype)


def is_old_statistic(key: str, state: State) -> bool:
    """Return whether a key is a running statistic of an instance norm, which torch before 0.4 saved unused."""
    module, _, leaf = key.rpartition(".")
    return leaf in ("running_mean", "running_var", "num_batches_tracked") and f"{module}.weight" not in state
