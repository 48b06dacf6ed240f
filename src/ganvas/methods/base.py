"""Base class of translation methods, and their registry, which builds a method from its config.

A method owns networks and yields the losses that each player minimizes, in the paper's order. It never sees an
optimizer, a device, a process or a logger. Each `yield` in `training_step` passes one player's losses to the trainer,
which updates that player before the next line runs.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from ganvas.data.loader import Batch as Batch
from ganvas.errors import ConfigError
from ganvas.methods import MethodConfig
from ganvas.methods.config import RESTORATION, Direction, Domain


@dataclass(frozen=True)
class Progress:
    """Training progress, for losses that depend on it."""

    images_seen: int
    step: int


@dataclass(frozen=True)
class Turn:
    """Weighted losses of one player; the trainer minimizes their sum over that player's parameters."""

    player: str
    losses: dict[str, Tensor]


class Method(nn.Module, ABC):
    """Translation method; `build` creates one from its config.

    Args:
        config: an instance of `config_type`.
        input_channels: channels of an input picture, even if the input has several frames.
        output_channels: channels of the output pictures.
        image_size: height and width of a training crop.

    Raises:
        ConfigError: the config does not suit the channels or the size.
    """

    config_type: ClassVar[type[Any]]
    """Class of its config."""
    directions: ClassVar[tuple[Direction, ...]] = ("a_to_b",)
    """Directions in which it learns to translate."""
    paired: ClassVar[bool] = True
    """Whether a batch's b[i] must belong to its a[i]."""
    samples: ClassVar[tuple[Domain, ...]] = ()
    """Domains of which `sample` generates pictures; empty if the method only translates."""
    translates_by_search: ClassVar[bool] = False
    """Whether `translate` computes gradients through its networks, whose layers must then remain PyTorch's own."""
    resizes: ClassVar[bool] = False
    """Whether `translate` resizes a picture to a training crop's size and back, so that its scale does not matter."""
    fixed_size: ClassVar[tuple[int | None, int | None]] = (None, None)
    """The only height and width that `translate` accepts; None for each that may be any multiple."""
    blend_reason: ClassVar[str] = (
        "every output pixel depends on the whole picture (a normalization, channel attention or noise)"
    )
    """Reason why tiles are not exact if `context` is None."""
    capturable: ClassVar[bool] = False
    """Whether every step is identical, so that a CUDA graph can record it: it uses no progress and does not synchronize
    with the device."""
    players: Mapping[str, tuple[str, ...]]
    """Player -> the attribute names of its networks. Every trainable parameter belongs to one player."""
    generators: tuple[str, ...]
    """Attribute names of the networks that a snapshot for inference must contain."""

    @abstractmethod
    def __init__(self, config: Any, *, input_channels: int, output_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()

    @classmethod
    def needs_equal_channels(cls, config: Any) -> bool:
        """Return whether both sides must have the same number of channels; a gray side is then repeated to RGB."""
        del config  # most methods accept any two numbers
        return False

    @abstractmethod
    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield each player's losses in the paper's order."""

    @abstractmethod
    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, scale H, scale W) in [-1, 1], as the paper does at test time.

        For direction b_to_a the numbers of channels are swapped. With several frames, C_in is `num_frames` times the
        channels of a picture.

        Raises:
            ConfigError: a direction that is not among `directions`.
        """

    def sample(self, count: int) -> tuple[Tensor, ...]:
        """`count` pictures of each domain of `samples`, from torch's global generator: (count, C, H, W) in [-1, 1].

        Pictures at the same index of two domains correspond. H and W are those of a training crop.
        """
        raise ConfigError(
            f"{type(self).__name__} translates pictures and does not sample {count} from noise: use translate"
        )

    @property
    @abstractmethod
    def size_multiple(self) -> int:
        """Number of which height and width of `translate` must be multiples (1: any size)."""

    @property
    def smallest_side(self) -> int:
        """Smallest height and width of `translate`, apart from `size_multiple`."""
        return 1

    @property
    @abstractmethod
    def context(self) -> int | None:
        """Distance in pixels up to which inputs influence an output pixel.

        None if the result of a tile differs from that of the whole picture, because of norm statistics or noise that
        depends on position. Otherwise a tile must start at a multiple of `size_multiple` to match the whole picture.
        """

    @property
    def draws_noise(self) -> bool:
        """Whether `translate` samples from torch's global generator: dropout, or the starting points of a search."""
        layers = (layer for name in self.generators for layer in getattr(self, name).modules())
        return self.translates_by_search or any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in layers)

    @property
    def scale(self) -> int:
        """Upscaling factor of `translate` along each side; more than 1 is super-resolution."""
        return 1

    @property
    def num_frames(self) -> int:
        """Number of frames that `translate` expects along the channels, with the one to translate in the middle."""
        return 1

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """Return the parameters that a turn of `player` updates."""
        return [p for name in self.players[player] for p in getattr(self, name).parameters() if p.requires_grad]

    def left_untrained(self, images: int) -> str | None:
        """Return a warning with the remedy if `images` images leave a network untrained, else None."""
        del images  # most methods train all networks in each step
        return None

    def check_direction(self, direction: Direction) -> None:
        """Raise ConfigError unless the method translates in that direction."""
        if direction not in self.directions:
            raise ConfigError(
                f"{type(self).__name__} learns {' and '.join(self.directions)} only: omit direction {direction}, or "
                "train another run with the sides swapped"
            )


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
        ConfigError: no method has such a config, or it does not suit the channels or the size.
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
        raise ConfigError(f"no method has the config {name}; known: {', '.join(sorted(methods()))}")
    return methods()[name]


USUAL = 256
"""Width and count up to which networks need no check (sides: 16 times as many)."""
MOST_LAYERS = 1000
"""Largest number of blocks or levels of a network."""
UNKNOWN_MEMORY = 1 << 37
"""Largest size of weights in bytes if the machine does not report its memory."""


def check_size(config: object, image_size: Sequence[int], make: Callable[[], nn.Module]) -> None:
    """Raise if the networks exceed the machine's memory; unusually large ones are first built on the meta device.

    Args:
        config: the method's config.
        image_size: (height, width) of a training crop.
        make: function that builds the method.

    Raises:
        ConfigError: names the settings, or the size of the weights.
    """
    numbers = {name: value for name, value in vars(config).items() if type(value) is int}
    if deep := [name for name, value in numbers.items() if _counts_layers(name) and value > MOST_LAYERS]:
        raise ConfigError(f"{deep[0]} {numbers[deep[0]]} is more than {MOST_LAYERS}")
    if min(image_size) < 1 or max(image_size) > 16 * USUAL * USUAL:
        raise ConfigError(f"image_size {tuple(image_size)} must lie in 1..{16 * USUAL * USUAL}")
    generator = getattr(config, "generator", None)
    # Numbers that multiply each other, so usual values can exceed the memory.
    multiplies = generator in RESTORATION or "halvings" in numbers
    if max(numbers.values(), default=0) <= USUAL and max(image_size) <= 16 * USUAL and not multiplies:
        return
    unusual = [f"{name} {value}" for name, value in numbers.items() if value > USUAL]
    large = ", ".join(unusual) or (f"generator {generator}" if multiplies else f"size {image_size}")
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
            "memory: use smaller numbers"
        )


def _counts_layers(name: str) -> bool:
    return "block" in name or "depth" in name or "layers" in name or "scales" in name


def _memory() -> int:
    """Return the machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return UNKNOWN_MEMORY
