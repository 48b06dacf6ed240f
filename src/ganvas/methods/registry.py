"""From a method's settings to the method."""

from __future__ import annotations

from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points

from ganvas.errors import ConfigError
from ganvas.methods import METHODS
from ganvas.methods.base import Method
from ganvas.methods.sizes import check_size

ENTRY_POINT_GROUP = "ganvas.methods"


@cache
def methods() -> dict[str, type[Method]]:
    """Name of the settings' class -> method: those of this package, then those of installed entry points."""
    built_in = [import_module(f"ganvas.methods.{name}.method").METHOD for name in METHODS]
    installed = [entry.load() for entry in entry_points(group=ENTRY_POINT_GROUP)]
    return {method.config_type.__name__: method for method in [*built_in, *installed]}


def build(config: object, *, input_channels: int, output_channels: int, image_size: tuple[int, int]) -> Method:
    """The untrained method that `config` describes, its weights drawn from torch's global generator.

    Args:
        config: one of the method settings, such as `Pix2PixConfig`.
        input_channels: channels of the pictures given.
        output_channels: channels of the pictures made.
        image_size: height and width of a training crop.

    Raises:
        ConfigError: no method has such settings, or they do not fit the channels or the size.
    """
    method = method_type(config)
    make = partial(method, config, input_channels=input_channels, output_channels=output_channels)
    make = partial(make, image_size=image_size)
    check_size(config, image_size, make)
    return make()


def method_type(config: object) -> type[Method]:
    """The method that `config` describes.

    Raises:
        ConfigError: no method has such settings.
    """
    name = type(config).__name__
    if name not in methods():
        raise ConfigError(f"no method takes {name}; known: {', '.join(sorted(methods()))}")
    return methods()[name]
