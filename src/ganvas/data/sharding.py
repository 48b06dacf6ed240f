"""Which pictures of a batch one of several processes takes."""

from __future__ import annotations

from ganvas.errors import ConfigError

__all__ = ["Share"]


class Share:
    """One process's part of every batch.

    Args:
        batch_size: pictures a step, over all processes together.
        rank: which part.
        world: how many processes share a batch.

    Raises:
        ConfigError: the batch cannot be shared evenly.
    """

    def __init__(self, batch_size: int, *, rank: int, world: int) -> None:
        if batch_size % world:
            raise ConfigError(f"batch_size {batch_size} is no multiple of the {world} processes that share it")
        self._size = batch_size // world
        self._offset = rank * self._size

    def positions(self, images_seen: int) -> range:
        """The places in the endless stream of pictures, when all processes together have seen so many."""
        first = images_seen + self._offset
        return range(first, first + self._size)
