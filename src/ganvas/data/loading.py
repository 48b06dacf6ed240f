"""Batches as a pure function of the seed and of how many pictures were seen: nothing to save, so a resume is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganvas.data.batch import Batch
from ganvas.data.cache import Cache
from ganvas.data.config import PairedData
from ganvas.data.degrade import degrade_each, strength_at
from ganvas.data.draws import Purpose, permutation, seed_of_name, uniforms
from ganvas.data.pairs import some_names
from ganvas.errors import ConfigError, DataError
from ganvas.image.picture import PictureSpec, Pixels
from ganvas.image.ranges import signed_from_value

__all__ = ["Cut", "TrainLoader", "evaluation_pairs"]


@dataclass(frozen=True)
class Cut:
    """What happens to one pair on its way into a batch; both sides alike.

    Attributes:
        index: which pair of the cache.
        top, left: the corner of the crop, in pixels.
        mirror: left and right change places.
        brightness, contrast: factors about black and about mid-grey.
        strength: of the degradation.
    """

    index: int
    top: int
    left: int
    mirror: bool
    brightness: float
    contrast: float
    strength: float


class TrainLoader:
    """Random crops of a cache, mirrored, jittered, brought to [-1, 1] and degraded on the device.

    Every epoch goes through all pairs once, in an order of its own; a batch may reach into the next epoch.
    """

    def __init__(
        self,
        cache: Cache,
        config: PairedData,
        *,
        batch_size: int,
        seed: int,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Make a loader.

        Args:
            cache: of the split to train on.
            config: crop size, mirror, jitter, degradation.
            batch_size: pictures a step, over all processes together.
            seed: of order, crops and strengths.
            device: where batches are wanted.
            rank: which share of each batch this process takes.
            world: how many processes share each batch.

        Raises:
            DataError: pictures are smaller than the crop.
            ConfigError: the batch cannot be shared evenly.
        """
        if batch_size % world:
            raise ConfigError(f"batch_size {batch_size} is no multiple of the {world} processes that share it")
        _require_crops(cache, config)
        self._cache, self._config, self._seed, self._device = cache, config, seed, torch.device(device)
        self._share = batch_size // world
        self._offset = rank * self._share

    @property
    def epoch_size(self) -> int:
        """Pairs in an epoch."""
        return len(self._cache)

    def batch(self, images_seen: int) -> Batch:
        """This process's share of the batch that follows after `images_seen` pictures (over all processes)."""
        first = images_seen + self._offset
        cuts = [self.cut(position) for position in range(first, first + self._share)]
        pairs = [self._cache[cut.index] for cut in cuts]
        made = self._crops([pair[1] for pair in pairs], cuts, self._cache.output_spec)
        if self._cache.degraded:
            return _degraded(made, [cut.strength for cut in cuts], self._config)
        return Batch(self._crops([pair[0] for pair in pairs], cuts, self._cache.input_spec), made)

    def cut(self, position: int) -> Cut:
        """What is drawn for the picture at that position of the endless stream."""
        epoch, place = divmod(position, len(self._cache))
        index = int(permutation(self._seed, epoch, len(self._cache))[place])
        drawn = uniforms(self._seed, Purpose.CROP, position, 6).tolist()
        height, width = self._cache.sizes[index].tolist()
        return Cut(
            index=index,
            top=int(drawn[0] * (height - self._config.crop_size[0] + 1)),
            left=int(drawn[1] * (width - self._config.crop_size[1] + 1)),
            mirror=self._config.mirror and drawn[2] < 0.5,
            brightness=1 + self._config.jitter * (2 * drawn[3] - 1),
            contrast=1 + self._config.jitter * (2 * drawn[4] - 1),
            strength=strength_at(self._config.degrade, self._config.strength, drawn[5]),
        )

    def _crops(self, pictures: Sequence[Pixels], cuts: Sequence[Cut], spec: PictureSpec) -> Tensor:
        """(N, C, H, W) float32 in [-1, 1] on the device: one side of the batch, not degraded."""
        height, width = self._config.crop_size
        cropped = np.empty((len(cuts), height, width, spec.channels), dtype=spec.dtype)
        for row, picture, cut in zip(cropped, pictures, cuts, strict=True):
            row[...] = picture[cut.top : cut.top + height, cut.left : cut.left + width]
        images = _signed(cropped, spec, self._device, mirror=[cut.mirror for cut in cuts])
        return images if self._config.jitter == 0 else _jittered(images, cuts)


def _require_crops(cache: Cache, config: PairedData) -> None:
    small = np.flatnonzero((cache.sizes < config.crop_size).any(axis=1)).tolist()
    if not small:
        return
    listed = some_names([f"{cache.name(row)} ({cache.sizes[row][1]}x{cache.sizes[row][0]})" for row in small])
    crop = f"{config.crop_size[1]}x{config.crop_size[0]}"
    mend = "make crop_size smaller, or resize 'stretch' or 'shorter_side', or remove them"
    raise DataError(f"{len(small)} pictures are smaller than the crop of {crop}; {mend}: {listed}")


def _signed(pixels: Pixels, spec: PictureSpec, device: torch.device, *, mirror: Sequence[bool]) -> Tensor:
    """(N, H, W, C) of a file's type -> (N, C, H, W) float32 in [-1, 1] on the device; the small type travels.

    On a CPU one picture at a time, which stays in its cache: twice as fast as all at once.
    """
    levels = torch.from_numpy(pixels)
    if device.type == "cuda":
        levels = levels.pin_memory()
    levels = levels.to(device, non_blocking=True).permute(0, 3, 1, 2)
    images = torch.empty(levels.shape, device=device)
    step = 1 if device.type == "cpu" else len(levels)
    for first in range(0, len(levels), step):
        part = slice(first, first + step)
        values = levels[part].to(torch.float32, memory_format=torch.contiguous_format)
        images[part] = _mirrored(signed_from_value(values, spec.value_range), mirror[part])
    return images


def _mirrored(images: Tensor, mirror: Sequence[bool]) -> Tensor:
    """Left and right change places, in place, where asked."""
    for row in np.flatnonzero(mirror).tolist():
        images[row] = images[row].flip(-1)
    return images


def _jittered(images: Tensor, cuts: Sequence[Cut]) -> Tensor:
    """Brightness scales the distance from -1, contrast the distance from 0; the result is cut to [-1, 1]."""
    factors = torch.tensor([[cut.brightness, cut.contrast] for cut in cuts], dtype=images.dtype).to(images.device)
    brightness, contrast = factors[:, :, None, None, None].unbind(1)
    return (((images + 1) * brightness - 1) * contrast).clamp(-1, 1)


def _degraded(images: Tensor, strengths: Sequence[float], config: PairedData) -> Batch:
    """Pairs made of single pictures, turned as the direction says."""
    poorer = degrade_each(config.degrade, images, strengths)
    return Batch(images, poorer) if config.direction == "b_to_a" else Batch(poorer, images)


def evaluation_pairs(
    cache: Cache, config: PairedData, *, device: torch.device | str = "cpu", every: int = 1
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, given and made side of the pairs in order: whole pictures, (1, C, H, W) float32 in [-1, 1].

    Nothing is random: a degradation's strength belongs to the name. `every` 3 gives the first, fourth, seventh pair...
    """
    device = torch.device(device)
    for index in range(0, len(cache), every):
        name = cache.name(index)
        given, made = cache[index]
        images = _signed(made[None].copy(), cache.output_spec, device, mirror=[False])
        if not cache.degraded:
            yield name, _signed(given[None].copy(), cache.input_spec, device, mirror=[False]), images
            continue
        uniform = uniforms(seed_of_name(name), Purpose.EVALUATION, 0, 1).item()
        pair = _degraded(images, [strength_at(config.degrade, config.strength, uniform)], config)
        yield name, pair.a, pair.b
