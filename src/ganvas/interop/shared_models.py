"""Import of community restoration models: ESRGAN, Real-ESRGAN, Compact and NAFNet.

Parameter names and shapes identify a model. Each becomes an SRResNet config whose `generator` is the network, and
weights by the names of that network, which are those of the Real-ESRGAN release and of NAFNet's. A file does not record
the activation of a Compact without PReLU, nor whether an ESRGAN with a single upsampling has scale 2 or 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import torch
from torch import Tensor

from ganvas.errors import ConfigError, RunError
from ganvas.interop.esrgan_layouts import find_layout, numbers, release_names
from ganvas.interop.other_architectures import refuse_other_architecture
from ganvas.interop.reference_files import State, as_dense, read_states, without_prefix
from ganvas.interop.reference_methods import ImportedMethod
from ganvas.methods import SRResNetConfig
from ganvas.methods.base import build
from ganvas.methods.srresnet.method import SuperResolution, make_upscaler

UNTRAINED = ("num_batches_tracked", "total_ops", "total_params", "n_averaged")
"""Last parts of the names of counters in files."""
SEVERAL = (3, 4)
"""Output channels to try for a Compact of one input channel, if one output channel does not fit."""
UNSHUFFLES: tuple[Literal[2, 4], ...] = (2, 4)
KERNEL = (3, 3)
CROP = 96
"""Smallest side of a training crop that an imported run records."""


@dataclass(frozen=True, kw_only=True)
class SharedModel:
    """Restoration model recognized in a file.

    Attributes:
        name: name of the architecture, for the user.
        config: config of the generator.
        input_channels: input channels of a picture.
        output_channels: output channels of a picture.
        weights: float32 weights by the parameter names of the generator.
        entry: entry of the file; empty for the whole file.
    """

    name: str
    config: SRResNetConfig
    input_channels: int
    output_channels: int
    weights: State
    entry: str = ""

    def __str__(self) -> str:
        config = self.config
        sizes = [
            f"x{config.scale}",
            f"{self.input_channels} to {self.output_channels} channels",
            f"width {config.width}",
        ]
        if config.generator == "rrdb":
            sizes.append(f"{config.num_blocks} blocks of growth {config.growth}")
            sizes += [f"pixel-unshuffle {config.unshuffle}"] if config.unshuffle > 1 else []
            sizes += ["ESRGAN+ skips"] if config.dense_skips else []
        elif config.generator == "compact":
            sizes.append(f"{config.num_blocks} inner convolutions, {config.activation}")
        else:
            levels = "-".join(str(count) for count in config.encoder_blocks)
            back = "-".join(str(count) for count in config.decoder_blocks)
            sizes.append(f"blocks {levels}, {config.middle_blocks}, {back}")
        source = f", from its entry '{self.entry}'" if self.entry else ""
        return f"{self.name}, {', '.join(sizes)}{source}"


@dataclass(frozen=True, kw_only=True)
class NotRecorded:
    """Properties of a model that its file does not record, as specified by the user."""

    scale: int | None = None
    activation: Literal["relu", "leaky_relu"] | None = None


UNSPECIFIED = NotRecorded()
Recognizer = Callable[[State, NotRecorded], SharedModel]
"""Function from the weights of one architecture to the model; raises RunError for a variant that is not supported."""


def read_shared_model(path: Path, specified: NotRecorded = UNSPECIFIED) -> SharedModel | None:
    """Return the restoration model of a file, or None if it contains none.

    Wrapper dictionaries, name prefixes and counters are ignored; averaged weights take precedence.

    Raises:
        RunError: no such file, not a file of weights only, a damaged or unsupported variant, or several models.
        ConfigError: the user's scale or activation contradicts the file, or the activation is needed.
    """
    found, states = [], read_states(path)
    try:
        for entry, state in states.items():
            if (model := find_shared_model(state, specified)) is not None:
                found.append(replace(model, entry=entry))
    except (RunError, ConfigError) as error:
        raise type(error)(f"{path}: {error}") from error
    if len(found) > 1:
        entries = ", ".join(f"'{model.entry}' ({model.name})" for model in found)
        raise RunError(f"{path}: holds several models, {entries}; save each state dict in a file of its own")
    return found[0] if found else None


def import_shared_model(model: SharedModel, path: Path) -> ImportedMethod:
    """Build the SRResNet of a model read from `path`."""
    multiple = model.config.scale * strides(model.config)
    side = -(-CROP // multiple) * multiple
    channels = {"input_channels": model.input_channels, "output_channels": model.output_channels}
    method = build(model.config, **channels, image_size=(side, side))
    assert isinstance(method, SuperResolution)
    method.generator.load_state_dict(model.weights)
    return ImportedMethod(
        config=model.config, method=method, **channels, image_size=(side, side), notes=(f"{path.name}: {model}",)
    )


def strides(config: SRResNetConfig) -> int:
    """Return the number of which the sides of training crops, at the size of the input, must be multiples."""
    return 2 ** len(config.encoder_blocks) if config.generator == "nafnet" else config.unshuffle


def find_shared_model(state: State, specified: NotRecorded = UNSPECIFIED) -> SharedModel | None:
    """Return the restoration model of a state dict, ignoring a common prefix and counters; None for other networks.

    Raises:
        RunError: it looks like one, but a weight is missing, unexpected, misshapen or NaN.
        ConfigError: see `read_shared_model`.
    """
    weights = {name: value for name, value in state.items() if not _is_counter(name, value)}
    for candidate in without_prefix(weights):
        for is_kind, recognize in KINDS:
            if is_kind(candidate):
                return recognize_only(recognize, candidate, specified)
    return None


def _is_counter(name: str, value: Tensor) -> bool:
    """Return whether an entry counts something, such as batches or steps."""
    return name.rpartition(".")[2] in UNTRAINED or (value.numel() == 1 and not value.is_floating_point())


def recognize_only(recognize: Recognizer, state: State, specified: NotRecorded) -> SharedModel:
    """Recognize a state dict; where that fails, name the architecture that shares names with it."""
    try:
        return recognize(state, specified)
    except RunError:
        refuse_other_architecture(state)
        raise


def recognize_rrdb(state: State, specified: NotRecorded) -> SharedModel:
    """Return an ESRGAN or Real-ESRGAN."""
    layout, state = find_layout(state), release_names(state)
    first, last = (convolution(state, name, "an ESRGAN") for name in ("conv_first", "conv_last"))
    ups = count(state, r"conv_up(\d+)\.weight")
    factor = 3 if specified.scale == 3 and ups == 1 else 2**ups
    output_channels, given = last.shape[0], first.shape[1]
    shuffled = [f for f in UNSHUFFLES if given == output_channels * f**2 and factor % f == 0]
    unshuffle: Literal[1, 2, 4] = shuffled[0] if shuffled else 1
    config = make_config(
        generator="rrdb",
        scale=factor // unshuffle,
        width=first.shape[0],
        num_blocks=count(state, r"body\.(\d+)\..*"),
        growth=convolution(state, "body.0.rdb1.conv1", "an ESRGAN").shape[0],
        unshuffle=unshuffle,
        dense_skips=any(".conv1x1." in name for name in state),
    )
    check_specified(config, specified)
    return assemble(f"ESRGAN ({layout})", config, state, given // unshuffle**2, output_channels)


def is_compact(state: State) -> bool:
    """Return whether a state dict looks like a Compact's: convolutions and slopes numbered in one body."""
    shapes = {name: value.ndim for name, value in state.items()}
    alone = all(re.fullmatch(r"body\.\d+\.(weight|bias)", name) for name in state)
    return alone and shapes.get("body.0.weight") == 4 and (shapes.get("body.2.weight") == 4)


def recognize_compact(state: State, specified: NotRecorded) -> SharedModel:
    """Return a Compact."""
    what = "a Compact"
    first, last_place = convolution(state, "body.0", what), max(numbers(state, r"body\.(\d+)\..*"))
    last = convolution(state, f"body.{last_place}", what)
    if any(re.fullmatch(r"body\.\d*[13579]\..*", name) for name in state):
        activation: Literal["prelu", "relu", "leaky_relu"] = "prelu"
    elif specified.activation is None:
        raise ConfigError(
            "a Compact without PReLU: its file does not record the activation; pass --activation relu or --activation "
            "leaky_relu"
        )
    else:
        activation = specified.activation
    input_channels = first.shape[1]
    scale, output_channels = shuffled_channels(last.shape[0], input_channels)
    config = make_config(
        generator="compact",
        scale=scale,
        width=first.shape[0],
        num_blocks=last_place // 2 - 1,
        activation=activation,
    )
    check_specified(config, specified)
    return assemble("Compact (Real-ESRGAN)", config, state, input_channels, output_channels)


def shuffled_channels(channels: int, input_channels: int) -> tuple[int, int]:
    """Return scale and output channels of a Compact's pixel shuffle; one input channel may give several outputs."""
    candidates = (1, *SEVERAL) if input_channels == 1 else (input_channels,)
    for output_channels in candidates:
        scale = isqrt(channels // output_channels)
        if scale and scale**2 * output_channels == channels:
            return scale, output_channels
    raise RunError(
        f"looks like a Compact, but its last {channels} channels are no square number of pixels of "
        f"{' or '.join(map(str, candidates))} channels"
    )


def is_nafnet(state: State) -> bool:
    """Return whether a state dict looks like a NAFNet's."""
    return {"intro.weight", "ending.weight"} <= state.keys() and any(name.endswith(".sca.1.weight") for name in state)


def recognize_nafnet(state: State, specified: NotRecorded) -> SharedModel:
    """Return a NAFNet."""
    first, last = (convolution(state, name, "a NAFNet") for name in ("intro", "ending"))
    if first.shape[1] != last.shape[0]:
        raise RunError(f"looks like a NAFNet, but takes {first.shape[1]} channels and returns {last.shape[0]}")
    levels = range(count(state, r"downs\.(\d+)\.weight"))
    config = make_config(
        generator="nafnet",
        scale=1,
        width=first.shape[0],
        encoder_blocks=tuple(count(state, rf"encoders\.{level}\.(\d+)\..*") for level in levels),
        middle_blocks=count(state, r"middle_blks\.(\d+)\..*"),
        decoder_blocks=tuple(count(state, rf"decoders\.{level}\.(\d+)\..*") for level in levels),
    )
    check_specified(config, specified)
    return assemble("NAFNet", config, state, first.shape[1], last.shape[0])


KINDS: tuple[tuple[Callable[[State], object], Recognizer], ...] = (
    (find_layout, recognize_rrdb),
    (is_nafnet, recognize_nafnet),
    (is_compact, recognize_compact),
)
"""Name test and recognition function of each architecture."""


def count(state: State, pattern: str) -> int:
    """Return how many different numbers the group of a pattern matches among the names."""
    return len(numbers(state, pattern))


def convolution(state: State, name: str, what: str) -> Tensor:
    """Return the weight of a 3x3 convolution."""
    weight = state.get(f"{name}.weight")
    if weight is None:
        raise RunError(f"looks like {what}, but {name}.weight is missing")
    if weight.ndim != 4 or tuple(weight.shape[2:]) != KERNEL:
        raise RunError(f"looks like {what}, but {name}.weight {tuple(weight.shape)} is not a 3x3 convolution")
    return weight


SCALES = get_args(get_type_hints(SRResNetConfig)["scale"])


def make_config(**sizes: Any) -> SRResNetConfig:
    """Return a config of these sizes, for further training with L1.

    Raises:
        RunError: the network does not support these sizes.
    """
    if sizes["scale"] not in SCALES:
        raise RunError(f"upscales {sizes['scale']} times; supported are {', '.join(map(str, SCALES))}")
    try:
        return SRResNetConfig(norm="none", loss="l1", **sizes)
    except ConfigError as error:
        raise RunError(f"{sizes['generator']}: {error}") from error


def check_specified(config: SRResNetConfig, specified: NotRecorded) -> None:
    """Raise ConfigError if the user's settings contradict the file."""
    if specified.scale not in (None, config.scale):
        raise ConfigError(f"its layers upscale {config.scale} times, not {specified.scale}: omit --scale")
    if specified.activation not in (None, config.activation if config.generator == "compact" else None):
        raise ConfigError("its activation follows from its layers: omit --activation")


def assemble(name: str, config: SRResNetConfig, state: State, input_channels: int, output_channels: int) -> SharedModel:
    """Return the model after checking that its weights match its generator exactly."""
    with torch.device("meta"):
        wanted = make_upscaler(config, input_channels, output_channels).state_dict()
    if missing := sorted(wanted.keys() - state.keys()):
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise RunError(f"looks like {name}, but {missing[0]} is missing{more}: it is incomplete; download it again")
    if left := sorted(state.keys() - wanted.keys()):
        raise RunError(f"looks like {name}, but also holds {', '.join(left[:3])}: a variant that is not supported")
    return SharedModel(
        name=name,
        config=config,
        input_channels=input_channels,
        output_channels=output_channels,
        weights={key: as_float32(key, state[key], like=value) for key, value in wanted.items()},
    )


def as_float32(name: str, value: Tensor, *, like: Tensor) -> Tensor:
    """Return a weight of any floating-point type in float32.

    Raises:
        RunError: it has another shape than `like`, is of an integer type, or contains NaN or infinite values.
    """
    if value.shape != like.shape:
        raise RunError(f"{name} has shape {tuple(value.shape)} where {tuple(like.shape)} was expected")
    if not value.is_floating_point():
        kind = "complex" if value.is_complex() else "quantized"
        raise RunError(f"{name} holds {value.dtype}: {kind} weights are not supported")
    return as_dense(name, value).float().contiguous()
