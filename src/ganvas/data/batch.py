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

__all__ = ["Batch", "Loader", "Prefetched", "Shard"]


@dataclass(frozen=True)
class Batch:
    """One batch of `a` and `b`, (N, C, H, W) in [-1, 1]. In paired methods b[i] is the target of a[i]."""

    a: Tensor
    b: Tensor


class Loader(Protocol):
    """Source of batches, each a pure function of the number of images seen."""

    @property
    def batch_size(self) -> int:
        """Return the number of pictures in a step, over all processes."""

    @property
    def epoch_size(self) -> int:
        """Return the number of pictures in an epoch."""

    @property
    def device(self) -> torch.device:
        """Return the device of the batches."""

    def batch(self, images_seen: int) -> Batch:
        """Return this process's shard of the batch that follows `images_seen` pictures."""


class Shard:
    """Shard of every batch that one process loads.

    Args:
        batch_size: pictures in a step, over all processes.
        rank: index of this process.
        world: number of processes.

    Raises:
        ConfigError: the batch cannot be divided evenly.
    """

    def __init__(self, batch_size: int, *, rank: int, world: int) -> None:
        if batch_size % world:
            raise ConfigError(f"batch_size {batch_size} is not a multiple of the {world} processes that share it")
        self._size = batch_size // world
        self._offset = rank * self._size

    def positions(self, images_seen: int) -> range:
        """Return the positions in the endless stream of pictures, once all processes have seen `images_seen`."""
        first = images_seen + self._offset
        return range(first, first + self._size)


Ready = Callable[[], Batch]
"""Called in the thread, and on the CUDA stream, that uses the batch."""


class Prefetched:
    """Loader that prepares the next batch in a background thread.

    A batch depends on its position alone, so the batches equal those of the wrapped loader in any order of requests;
    only the batch after the last one is prefetched. On a GPU it is copied on a separate CUDA stream.
    `close`, or leaving the `with` block, ends the thread.

    Args:
        loader: the loader to wrap.
        enabled: whether to prefetch; if False, batches are loaded without a thread. On a CPU the step and the thread
            share the cores: see docs/data.md for the effect.
    """

    def __init__(self, loader: Loader, *, enabled: bool = True) -> None:
        self._loader = loader
        self._stream = torch.Stream(loader.device) if enabled and loader.device.type == "cuda" else None
        self._thread = ThreadPoolExecutor(1, "ganvas-batches", self._begin) if enabled else None
        self._ahead: tuple[int, Future[Ready]] | None = None

    @property
    def batch_size(self) -> int:
        """Return the number of pictures in a step, over all processes."""
        return self._loader.batch_size

    @property
    def epoch_size(self) -> int:
        """Return the number of pictures in an epoch."""
        return self._loader.epoch_size

    @property
    def device(self) -> torch.device:
        """Return the device of the batches."""
        return self._loader.device

    def batch(self, images_seen: int) -> Batch:
        """Return the loader's batch after `images_seen` pictures; errors of the loader are raised here."""
        if self._thread is None:
            return self._loader.batch(images_seen)
        if self._ahead is None or self._ahead[0] != images_seen:
            self._ahead = images_seen, self._thread.submit(self._make, images_seen)
        ready, self._ahead = self._ahead[1].result(), None
        following = images_seen + self.batch_size
        self._ahead = following, self._thread.submit(self._make, following)
        return ready()

    def close(self) -> None:
        """Stop the thread and discard the batch that it is loading."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _begin(self) -> None:
        """Initialize the thread."""
        if self._stream is not None:
            torch.accelerator.set_stream(self._stream)

    def _make(self, images_seen: int) -> Ready:
        """Load one batch, in the thread."""
        batch = self._loader.batch(images_seen)
        return (lambda: batch) if self._stream is None else partial(_handed_over, batch, self._stream.record_event())


def _handed_over(batch: Batch, copied: torch.Event) -> Batch:
    """Return the batch once the current stream waits for its copy; its memory is kept until that stream is done."""
    stream = torch.accelerator.current_stream(batch.a.device)
    stream.wait_event(copied)
    batch.a.record_stream(stream)
    batch.b.record_stream(stream)
    return batch
