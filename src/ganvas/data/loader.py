"""Loader of training batches, paired or unpaired, with prefetching, and iterators over evaluation pictures.

A batch is a pure function of the seed and the number of images seen: no state needs to be saved, and resuming is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ganvas.data.cache import Cache, Side
from ganvas.data.config import DataConfig
from ganvas.data.degradations import degrade_each, strength_at
from ganvas.data.sampler import Crop, Purpose, RandomCrop, Sampler, seed_of_name, uniforms
from ganvas.errors import ConfigError
from ganvas.image.picture import PictureSpec, Pixels
from ganvas.image.ranges import make_signed

__all__ = [
    "Batch",
    "Prefetched",
    "TrainLoader",
    "evaluation_pairs",
    "evaluation_pictures",
    "signed_crops",
    "signed_picture",
]


@dataclass(frozen=True)
class Batch:
    """One batch of `a` and `b`, (N, C, H, W) in [-1, 1]. In paired methods b[i] is the target of a[i].

    For windows, `a` contains successive frames along the channels, with the target's own frame in the middle.
    """

    a: Tensor
    b: Tensor


class TrainLoader:
    """Loader of random crops: mirrored, jittered, scaled to [-1, 1] and, for single pictures, degraded.

    Each side visits all its pictures once, in a new order each time, before it repeats one. An epoch is one pass of the
    longer side; a batch may extend into the next epoch.

    Attributes:
        batch_size: number of pictures of each side in a step, over all processes.
        epoch_size: number of pairs in an epoch, or of pictures of the longer side.
        device: device of the batches.
        sampler: sampler of the pictures at each position.
    """

    def __init__(
        self,
        cache: Cache,
        config: DataConfig,
        *,
        batch_size: int,
        seed: int,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Create a loader.

        Args:
            cache: the cache of the training split.
            config: pairing, crop size, mirror, jitter, degradation.
            batch_size: number of pictures of each side in a step, over all processes.
            seed: seed of order, crops and strengths.
            device: device of the batches.
            rank: index of this process.
            world: number of processes.

        Raises:
            DataError: pictures are smaller than the crop.
            ConfigError: the batch cannot be divided evenly.
        """
        if batch_size % world:
            raise ConfigError(f"batch_size {batch_size} is not a multiple of the {world} processes that share it")
        self._cache, self._config, self.sampler = cache, config, Sampler(cache, config, seed=seed)
        self.batch_size, self.epoch_size, self.device = batch_size, len(cache), torch.device(device)
        self._shard = range(rank * batch_size // world, (rank + 1) * batch_size // world)

    def batch(self, images_seen: int) -> Batch:
        """Return this process's shard of the batch that follows `images_seen` pictures (over all processes)."""
        # A batch consists of the next positions of one endless stream, whatever the batch size; processes divide them
        # in order.
        crops_a, crops_b = zip(*(self.sampler.at(images_seen + place) for place in self._shard), strict=True)
        b = self._crops(self._cache.b, crops_b)
        # Single pictures are degraded after crop, rotation and jitter, so that both sides show the same picture: on the
        # device, except for the second-order degradation and JPEG.
        if self._cache.degraded:
            strengths, chances = [crop.strength for crop in crops_b], [crop.chance for crop in crops_b]
            num_frames = self._cache.b.num_frames
            return _degraded(b, strengths, chances, self._config, num_frames=num_frames, are_crops=True)
        return Batch(self._crops(self._cache.a, crops_a), b)

    def _crops(self, side: Side, crops: Sequence[RandomCrop]) -> Tensor:
        """Return one side of the batch, not degraded: (N, C, H, W) float32 in [-1, 1] on the device."""
        pictures = [side[crop.index] for crop in crops]
        images = signed_crops(pictures, crops, self._config.crop_size, side.stored_spec, self.device)
        if self._config.rotate:
            images = torch.stack([image.rot90(crop.turns, (1, 2)) for image, crop in zip(images, crops, strict=True)])
        return images if self._config.jitter == 0 else _jittered(images, crops)


def _jittered(images: Tensor, crops: Sequence[RandomCrop]) -> Tensor:
    """Scale the distance from -1 by the brightness, from 0 by the contrast, and clip to [-1, 1]."""
    factors = torch.tensor([[crop.brightness, crop.contrast] for crop in crops], dtype=images.dtype).to(images.device)
    brightness, contrast = factors[:, :, None, None, None].unbind(1)
    return (((images + 1) * brightness - 1) * contrast).clamp(-1, 1)


def _degraded(
    images: Tensor,
    strengths: Sequence[float],
    chances: Sequence[float],
    config: DataConfig,
    *,
    num_frames: int,
    are_crops: bool = False,
) -> Batch:
    """Return pairs made from single pictures, oriented by `direction`, or from windows, whose middle is the target.

    Each frame of a window is degraded separately with the same parameters; only noise differs.
    """
    if num_frames == 1:
        degraded = degrade_each(config.degrade, images, strengths, chances, are_crops=are_crops)
        return Batch(images, degraded) if config.direction == "b_to_a" else Batch(degraded, images)
    count, channels, height, width = images.shape
    frames = images.reshape(count, num_frames, channels // num_frames, height, width)
    alike = ([value for value in values for _ in range(num_frames)] for values in (strengths, chances))
    degraded = degrade_each(
        config.degrade, frames.flatten(0, 1), *alike, num_frames=num_frames, are_crops=are_crops
    )  # fmt: skip
    return Batch(degraded.reshape(count, channels, *degraded.shape[-2:]), frames[:, num_frames // 2].contiguous())


def evaluation_pairs(
    cache: Cache,
    config: DataConfig,
    *,
    device: torch.device | str = "cpu",
    every: int = 1,
    indices: Sequence[int] | None = None,
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield name, a and b of the pairs in order: whole pictures, (1, C, H, W) float32 in [-1, 1].

    For windows, a contains all frames along the channels. Nothing is random: the strength of a degradation depends on
    the name. With `every` 3: pairs 1, 4, 7, ...; with `indices` only those pairs.
    """
    if not cache.degraded:
        sides = [evaluation_pictures(side, device=device, every=every, indices=indices) for side in (cache.a, cache.b)]
        yield from ((name, a, b) for (name, a), (_, b) in zip(*sides, strict=True))
        return
    for name, images in evaluation_pictures(cache.b, device=device, every=every, indices=indices):
        uniform = uniforms(seed_of_name(name), Purpose.EVALUATION, 0, 1).item()
        height, width = (side // config.scale * config.scale for side in images.shape[-2:])
        strength = strength_at(config.degrade, config.strength, uniform)
        whole = images[..., :height, :width]
        pair = _degraded(whole, [strength], [uniform], config, num_frames=cache.b.num_frames)
        yield name, pair.a, pair.b


def evaluation_pictures(
    side: Side, *, device: torch.device | str = "cpu", every: int = 1, indices: Sequence[int] | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Yield names and whole pictures of one side in order, (1, C, H, W) float32 in [-1, 1].

    With `every` 3: pictures 1, 4, 7, ...; `indices` gives those pictures alone.
    """
    device = torch.device(device)
    for index in range(0, len(side), every) if indices is None else indices:
        yield side.names[index], signed_picture(side[index], side.stored_spec, device)


def signed_crops(
    pictures: Sequence[Pixels], crops: Sequence[Crop], size: tuple[int, int], spec: PictureSpec, device: torch.device
) -> Tensor:
    """Return crops as (N, C, height, width) float32 in [-1, 1] on the device.

    On a CPU each channel of a crop is converted while it is in the core's cache, in one thread, which is several times
    faster than successive passes over the batch. To a GPU the pixel values are copied in their original, smaller type.

    Args:
        pictures: N pictures (C, H, W) of the type of `spec`.
        crops: one for each picture, inside it.
        size: height and width of every crop.
        spec: type and value range of the samples.
        device: device of the result.
    """
    shape = (len(pictures), spec.channels, *size)
    if device.type == "cpu":
        images = torch.empty(shape)
        for image, picture, crop in zip(images.numpy(), pictures, crops, strict=True):
            for signed, channel in zip(image, _crop_view(picture, crop, size), strict=True):
                np.copyto(signed, channel)
                make_signed(signed, spec.value_range)
        return images
    levels = torch.empty(shape, dtype=getattr(torch, spec.dtype), pin_memory=device.type == "cuda")
    for level, picture, crop in zip(levels.numpy(), pictures, crops, strict=True):
        np.copyto(level, _crop_view(picture, crop, size))
    images = levels.to(device, non_blocking=True).to(torch.float32)
    make_signed(images, spec.value_range)
    return images


def signed_picture(picture: Pixels, spec: PictureSpec, device: torch.device) -> Tensor:
    """Return a whole picture (C, H, W) as (1, C, H, W) float32 in [-1, 1] on the device."""
    _, height, width = picture.shape
    return signed_crops([picture], [Crop(0, 0, mirror=False)], (height, width), spec, device)


def _crop_view(picture: Pixels, crop: Crop, size: tuple[int, int]) -> Pixels:
    """Return a crop (..., height, width) of a picture (..., H, W): a view, or a mirrored copy."""
    height, width = size
    part = picture[..., crop.top : crop.top + height, crop.left : crop.left + width]
    if not crop.mirror:
        return part
    if part.dtype != np.uint8 or width % 8 or part.strides[-1] != 1:
        return np.ascontiguousarray(part[..., ::-1])  # conversion from a mirrored view is slow
    turned = np.empty(part.shape, np.uint8)  # reverse eight bytes at a time: many times faster
    np.copyto(turned.view(">u8"), part.view("<u8")[..., ::-1])
    return turned


Ready = Callable[[], Batch]
"""Function to call in the thread, and on the CUDA stream, that uses the batch; it returns the batch."""


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

    def __init__(self, loader: TrainLoader, *, enabled: bool = True) -> None:
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
        # Use the prefetched batch if it is the requested one; otherwise, when starting or resuming, load the requested
        # one.
        if self._ahead is None or self._ahead[0] != images_seen:
            self._ahead = images_seen, self._thread.submit(self._make, images_seen)
        # Start loading the next batch now, so that the thread works while the step runs.
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
        """Load one batch in the background thread."""
        batch = self._loader.batch(images_seen)
        return (lambda: batch) if self._stream is None else partial(_handed_over, batch, self._stream.record_event())


def _handed_over(batch: Batch, copied: torch.Event) -> Batch:
    """Return a batch for use in the current stream, which waits for its copy and keeps its memory until it is done."""
    stream = torch.accelerator.current_stream(batch.a.device)
    stream.wait_event(copied)
    batch.a.record_stream(stream)
    batch.b.record_stream(stream)
    return batch
