"""Base class of translation methods: networks, and the losses that each player minimizes, in the paper's order.

A method never sees an optimizer, a device, a process or a logger. Each `yield` in `training_step` hands one player's
losses to the trainer, which updates that player before the next line runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ganvas.data.loader import Batch as Batch
from ganvas.errors import ConfigError
from ganvas.methods.config import Direction, Domain


@dataclass(frozen=True)
class Progress:
    """Training progress, for losses that depend on it."""

    images_seen: int
    step: int


@dataclass(frozen=True)
class Turn:
    """One player's losses, weighted; the trainer minimizes their sum over that player's parameters."""

    player: str
    losses: dict[str, Tensor]


class Method(nn.Module, ABC):
    """A translation method; `registry.build` builds one from its config.

    Args:
        config: an instance of `config_type`.
        input_channels: channels of an input picture, also where several frames are given.
        output_channels: channels of the output pictures.
        image_size: height and width of a training crop.

    Raises:
        ConfigError: the config does not fit the channels or the size.
    """

    config_type: ClassVar[type[Any]]
    """The class of its config."""
    directions: ClassVar[tuple[Direction, ...]] = ("a_to_b",)
    """The directions it learns to translate in."""
    paired: ClassVar[bool] = True
    """Whether a batch's b[i] must belong to its a[i]."""
    samples: ClassVar[tuple[Domain, ...]] = ()
    """The domains that `sample` generates pictures of; none where the method only translates."""
    translates_by_search: ClassVar[bool] = False
    """Whether `translate` computes gradients through its networks, whose layers must then stay PyTorch's own."""
    resizes: ClassVar[bool] = False
    """Whether `translate` resizes a picture to a training crop's size and back, so that its scale does not matter."""
    capturable: ClassVar[bool] = False
    """Whether every step is identical, so that a CUDA graph can record it: no use of progress, no device sync."""
    players: Mapping[str, tuple[str, ...]]
    """Player -> the attribute names of its networks. Every trainable parameter belongs to one player."""
    generators: tuple[str, ...]
    """Attribute names of the networks that a snapshot for inference must hold."""

    @abstractmethod
    def __init__(self, config: Any, *, input_channels: int, output_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()

    @classmethod
    def needs_equal_channels(cls, config: Any) -> bool:
        """Return whether both sides must have the same number of channels; a gray side is then repeated to RGB."""
        del config  # most methods take any two numbers
        return False

    @abstractmethod
    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield each player's losses in the paper's order."""

    @abstractmethod
    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, scale H, scale W) in [-1, 1], as the paper does at test time.

        For direction b_to_a the numbers of channels are exchanged. Of several frames, C_in is `num_frames` times the
        channels of a picture.

        Raises:
            ConfigError: a direction that is not among `directions`.
        """

    def sample(self, count: int) -> tuple[Tensor, ...]:
        """`count` pictures of each domain of `samples`, from torch's global generator: (count, C, H, W) in [-1, 1].

        Pictures at the same index of two domains correspond. H and W are those of a training crop.
        """
        raise ConfigError(
            f"{type(self).__name__} translates pictures and draws none from noise, so no {count} of them: use translate"
        )

    @property
    @abstractmethod
    def size_multiple(self) -> int:
        """Height and width given to `translate` must be multiples of this (1: any size)."""

    @property
    @abstractmethod
    def context(self) -> int | None:
        """Distance in pixels up to which inputs influence an output pixel.

        None where a tile's result differs from the whole picture's: norm statistics, or noise that depends on position.
        Otherwise a tile must start at a multiple of `size_multiple` to agree with the whole picture.
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
        """Frames of a film that `translate` takes along the channels, the one to translate in the middle."""
        return 1

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """Return the parameters that a turn of `player` updates."""
        return [p for name in self.players[player] for p in getattr(self, name).parameters() if p.requires_grad]

    def left_untrained(self, images: int) -> str | None:
        """Return a warning with the remedy if `images` images leave a network untrained, else None."""
        del images  # most methods train all they have in each step
        return None

    def check_direction(self, direction: Direction) -> None:
        """Raise ConfigError unless the method translates in that direction."""
        if direction not in self.directions:
            raise ConfigError(
                f"{type(self).__name__} learns {' and '.join(self.directions)} only: leave direction {direction} out, "
                "or train another run with the sides exchanged"
            )
