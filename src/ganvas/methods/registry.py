"""Registry of methods: from a config to a method whose networks fit the machine's memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import get_args

import torch
from torch import nn

from ganvas.errors import ConfigError
from ganvas.methods import MethodConfig
from ganvas.methods.base import Method

ENTRY_POINT_GROUP = "ganvas.methods"


@cache
def methods() -> dict[str, type[Method]]:
    """Return config class name -> method: those of this package, then those of installed entry points."""
    packages = [config.__module__.rpartition(".")[0] for config in get_args(MethodConfig)]
    built_in = [import_module(f"{package}.method").METHOD for package in packages]
    installed = [entry.load() for entry in entry_points(group=ENTRY_POINT_GROUP)]
    return {method.config_type.__name__: method for method in [*built_in, *installed]}


def build(config: object, *, input_channels: int, output_channels: int, image_size: tuple[int, int]) -> Method:
    """Return the untrained method that `config` describes, its weights drawn from torch's global generator.

    Args:
        config: a method config, such as `Pix2PixConfig`.
        input_channels: channels of the input pictures.
        output_channels: channels of the output pictures.
        image_size: height and width of a training crop.

    Raises:
        ConfigError: no method has such a config, or it does not fit the channels or the size.
    """
    method = method_type(config)
    make = partial(method, config, input_channels=input_channels, output_channels=output_channels)
    make = partial(make, image_size=image_size)
    check_size(config, image_size, make)
    return make()


def method_type(config: object) -> type[Method]:
    """Return the method that `config` describes.

    Raises:
        ConfigError: no method has such a config.
    """
    name = type(config).__name__
    if name not in methods():
        raise ConfigError(f"no method takes {name}; known: {', '.join(sorted(methods()))}")
    return methods()[name]


USUAL = 256
"""Up to these widths and counts (sides: 16 times as many) the networks need no check."""
MOST_LAYERS = 1000
"""Blocks or levels of a network."""
UNKNOWN_MEMORY = 1 << 37
"""Bytes that weights may take where the machine does not report its memory."""


def check_size(config: object, image_size: Sequence[int], make: Callable[[], nn.Module]) -> None:
    """Raise if the networks exceed the machine's memory; unusually large ones are first built on the meta device.

    Args:
        config: the method's config.
        image_size: (height, width) of a training crop.
        make: builds the method.

    Raises:
        ConfigError: names the settings, or the size of the weights.
    """
    numbers = {name: value for name, value in vars(config).items() if type(value) is int}
    if deep := [name for name, value in numbers.items() if _counts_layers(name) and value > MOST_LAYERS]:
        raise ConfigError(f"{deep[0]} {numbers[deep[0]]} is more than {MOST_LAYERS}")
    if min(image_size) < 1 or max(image_size) > 16 * USUAL * USUAL:
        raise ConfigError(f"image_size {tuple(image_size)} must lie in 1..{16 * USUAL * USUAL}")
    if max(numbers.values(), default=0) <= USUAL and max(image_size) <= 16 * USUAL:
        return
    large = ", ".join(f"{name} {value}" for name, value in numbers.items() if value > USUAL) or f"size {image_size}"
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            built = make()
    except ConfigError:
        raise
    except (RuntimeError, OverflowError, TypeError, ValueError, MemoryError) as error:
        raise ConfigError(f"networks with {large} cannot be built: {str(error).splitlines()[0]}") from error
    needed = sum(value.numel() * value.element_size() for value in (*built.parameters(), *built.buffers()))
    if needed > (available := _memory()):
        raise ConfigError(
            f"networks with {large} have {needed / 1e9:,.0f} GB of weights, the machine {available / 1e9:,.0f} GB of "
            "memory: give smaller numbers"
        )


def _counts_layers(name: str) -> bool:
    return "block" in name or "depth" in name or "layers" in name or "scales" in name


def _memory() -> int:
    """Return the machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return UNKNOWN_MEMORY
