"""Batches, the loader protocol, sharding over processes and prefetching."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Protocol, Self

import torch
from torch import Tensor

from ganvas.errors import ConfigError

__all__ = ["Batch", "Loader", "Prefetched", "Share"]


@dataclass(frozen=True)
class Batch:
    """One batch. `a` and `b`: (N, C, H, W) in [-1, 1]; paired methods: a[i] is given, and b[i] is to be made of it."""

    a: Tensor
    b: Tensor


class Loader(Protocol):
    """Batches as a pure function of how many pictures were seen."""

    @property
    def batch_size(self) -> int:
        """Pictures a step, over all processes together."""

    @property
    def epoch_size(self) -> int:
        """Pictures in an epoch."""

    @property
    def device(self) -> torch.device:
        """Where batches are wanted."""

    def batch(self, images_seen: int) -> Batch:
        """This process's share of the batch that follows after `images_seen` pictures."""


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


Ready = Callable[[], Batch]
"""Called by the thread that uses the batch, on the stream that it uses it on."""


class Prefetched:
    """A loader that is one batch ahead of its user.

    A batch depends on its position alone, so what comes out is what the loader itself gives, whatever is asked for
    in whatever order; only the batch that follows the last one is ready. On a GPU it is copied on a stream of its own.
    `close`, or leaving the `with` block, ends the thread.

    Args:
        loader: whose batches.
        enabled: off, the loader is asked directly and there is no thread. On a CPU the step and the thread share
            the cores: docs/data.md says what it brings.
    """

    def __init__(self, loader: Loader, *, enabled: bool = True) -> None:
        self._loader = loader
        self._stream = torch.Stream(loader.device) if enabled and loader.device.type == "cuda" else None
        self._thread = ThreadPoolExecutor(1, "ganvas-batches", self._begin) if enabled else None
        self._ahead: tuple[int, Future[Ready]] | None = None

    @property
    def batch_size(self) -> int:
        """Pictures a step, over all processes together."""
        return self._loader.batch_size

    @property
    def epoch_size(self) -> int:
        """Pictures in an epoch."""
        return self._loader.epoch_size

    @property
    def device(self) -> torch.device:
        """Where batches are wanted."""
        return self._loader.device

    def batch(self, images_seen: int) -> Batch:
        """The loader's own batch after `images_seen` pictures; an error of the loader is raised here."""
        if self._thread is None:
            return self._loader.batch(images_seen)
        if self._ahead is None or self._ahead[0] != images_seen:
            self._ahead = images_seen, self._thread.submit(self._make, images_seen)
        ready, self._ahead = self._ahead[1].result(), None
        following = images_seen + self.batch_size
        self._ahead = following, self._thread.submit(self._make, following)
        return ready()

    def close(self) -> None:
        """End the thread; a batch that it is making is let go."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _begin(self) -> None:
        """In the thread, before its first batch."""
        if self._stream is not None:
            torch.accelerator.set_stream(self._stream)

    def _make(self, images_seen: int) -> Ready:
        """In the thread: one batch."""
        batch = self._loader.batch(images_seen)
        return (lambda: batch) if self._stream is None else partial(_handed_over, batch, self._stream.record_event())


def _handed_over(batch: Batch, copied: torch.Event) -> Batch:
    """The user's stream waits for the copy, not the user; the memory is kept until that stream is done with it."""
    stream = torch.accelerator.current_stream(batch.a.device)
    stream.wait_event(copied)
    batch.a.record_stream(stream)
    batch.b.record_stream(stream)
    return batch
