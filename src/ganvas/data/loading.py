"""Loaders of paired and unpaired training batches, and iterators over evaluation pictures.

A batch is a pure function of the seed and the number of images seen: there is no state to save, and resume is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ganvas.data.batch import Batch, Shard
from ganvas.data.cache import Cache
from ganvas.data.config import DataConfig, PairedData
from ganvas.data.crops import Crop, require_crops, signed_crops, signed_picture
from ganvas.data.degradations import degrade_each, strength_at
from ganvas.data.memmap import Side
from ganvas.data.stateless_rng import Purpose, permutation, seed_of_name, uniforms

__all__ = [
    "PairCrop",
    "Sides",
    "TrainLoader",
    "UnpairedCrop",
    "UnpairedLoader",
    "evaluation_pairs",
    "evaluation_pictures",
]


@dataclass(frozen=True)
class PairCrop(Crop):
    """Random parameters of one pair in a batch, the same for both sides.

    Attributes:
        index: index of the pair in the cache.
        brightness, contrast: factors about black and about mid-gray.
        strength: strength of the degradation.
        chance: in [0, 1), seed of all other random choices of a degradation.
    """

    index: int
    brightness: float
    contrast: float
    strength: float
    chance: float


class TrainLoader:
    """Loader of random crops of pairs: mirrored, jittered, scaled to [-1, 1] and degraded on the device.

    Every epoch visits all pairs once, in a new order; a batch may extend into the next epoch.

    Attributes:
        batch_size: pictures in a step, over all processes.
        epoch_size: pairs in an epoch.
        device: device of the batches.
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
        """Create a loader.

        Args:
            cache: the cache of the training split.
            config: crop size, mirror, jitter, degradation.
            batch_size: pictures in a step, over all processes.
            seed: seed of order, crops and strengths.
            device: device of the batches.
            rank: index of this process.
            world: number of processes.

        Raises:
            DataError: pictures are smaller than the crop.
            ConfigError: the batch cannot be divided evenly.
        """
        require_crops(cache.b, config.crop_size)
        self._cache, self._config, self._seed = cache, config, seed
        self.batch_size, self.epoch_size, self.device = batch_size, len(cache), torch.device(device)
        self._shard = Shard(batch_size, rank=rank, world=world)

    def batch(self, images_seen: int) -> Batch:
        """Return this process's shard of the batch that follows `images_seen` pictures (over all processes)."""
        crops = [self.crop_at(position) for position in self._shard.positions(images_seen)]
        b = self._crops(self._cache.b, crops)
        if self._cache.degraded:
            return _degraded(b, [crop.strength for crop in crops], [crop.chance for crop in crops], self._config)
        return Batch(self._crops(self._cache.a, crops), b)

    def crop_at(self, position: int) -> PairCrop:
        """Return the random parameters of the picture at a position of the endless stream."""
        epoch, place = divmod(position, len(self._cache))
        index = int(permutation(self._seed, epoch, len(self._cache))[place])
        drawn = uniforms(self._seed, Purpose.CROP, position, 6).tolist()
        height, width = self._cache.sizes[index].tolist()
        return PairCrop(
            index=index,
            top=int(drawn[0] * (height - self._config.crop_size[0] + 1)),
            left=int(drawn[1] * (width - self._config.crop_size[1] + 1)),
            mirror=self._config.mirror and drawn[2] < 0.5,
            brightness=1 + self._config.jitter * (2 * drawn[3] - 1),
            contrast=1 + self._config.jitter * (2 * drawn[4] - 1),
            strength=strength_at(self._config.degrade, self._config.strength, drawn[5]),
            chance=drawn[5],
        )

    def _crops(self, side: Side, crops: Sequence[PairCrop]) -> Tensor:
        """Return one side of the batch, not degraded: (N, C, H, W) float32 in [-1, 1] on the device."""
        pictures = [side[crop.index] for crop in crops]
        images = signed_crops(pictures, crops, self._config.crop_size, side.spec, self.device)
        return images if self._config.jitter == 0 else _jittered(images, crops)


def _jittered(images: Tensor, crops: Sequence[PairCrop]) -> Tensor:
    """Scale the distance from -1 by the brightness, from 0 by the contrast, and clip to [-1, 1]."""
    factors = torch.tensor([[crop.brightness, crop.contrast] for crop in crops], dtype=images.dtype).to(images.device)
    brightness, contrast = factors[:, :, None, None, None].unbind(1)
    return (((images + 1) * brightness - 1) * contrast).clamp(-1, 1)


def _degraded(images: Tensor, strengths: Sequence[float], chances: Sequence[float], config: PairedData) -> Batch:
    """Return pairs made from single pictures, oriented by `direction`."""
    degraded = degrade_each(config.degrade, images, strengths, chances)
    return Batch(images, degraded) if config.direction == "b_to_a" else Batch(degraded, images)


def evaluation_pairs(
    cache: Cache, config: PairedData, *, device: torch.device | str = "cpu", every: int = 1
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield name, a and b of the pairs in order: whole pictures, (1, C, H, W) float32 in [-1, 1].

    Nothing is random: the strength of a degradation depends on the name. With `every` 3: pairs 1, 4, 7, ...
    """
    device = torch.device(device)
    for index in range(0, len(cache), every):
        name, images = cache.name(index), signed_picture(cache.b[index], cache.output_spec, device)
        if not cache.degraded:
            yield name, signed_picture(cache.a[index], cache.input_spec, device), images
            continue
        uniform = uniforms(seed_of_name(name), Purpose.EVALUATION, 0, 1).item()
        height, width = (side // config.scale * config.scale for side in images.shape[-2:])
        strength = strength_at(config.degrade, config.strength, uniform)
        pair = _degraded(images[..., :height, :width], [strength], [uniform], config)
        yield name, pair.a, pair.b


class Sides(Protocol):
    """Two sides: an `UnpairedCache`, or the sides of pairs that are loaded independently."""

    @property
    def a(self) -> Side:
        """Return the source domain."""
        ...

    @property
    def b(self) -> Side:
        """Return the target domain."""
        ...


@dataclass(frozen=True)
class UnpairedCrop(Crop):
    """Random parameters of one picture of one side; `index` is its index in the side."""

    index: int


class UnpairedLoader:
    """Loader of random crops of two sides, each with its own order, crops and mirroring.

    Each side visits all its pictures before it repeats one; the combinations of the two sides differ from pass to
    pass. An epoch is one pass of the longer side; a batch may extend into the next.

    Attributes:
        batch_size: pictures of each side in a step, over all processes.
        epoch_size: pictures of the longer side.
        device: device of the batches.
    """

    def __init__(
        self,
        sides: Sides,
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
            sides: the sides of the training split.
            config: crop size and mirror.
            batch_size: pictures of each side in a step, over all processes.
            seed: seed of orders and crops.
            device: device of the batches.
            rank: index of this process.
            world: number of processes.

        Raises:
            DataError: pictures are smaller than the crop.
            ConfigError: the batch cannot be divided evenly.
        """
        for side in (sides.a, sides.b):
            require_crops(side, config.crop_size)
        self._config, self._seed = config, seed
        self._a = _Stream(sides.a, Purpose.ORDER_A, Purpose.CROP_A)
        self._b = _Stream(sides.b, Purpose.ORDER_B, Purpose.CROP_B)
        self.batch_size, self.device = batch_size, torch.device(device)
        self.epoch_size = max(len(sides.a), len(sides.b))
        self._shard = Shard(batch_size, rank=rank, world=world)

    def batch(self, images_seen: int) -> Batch:
        """Return this process's shard of the batch that follows `images_seen` pictures (over all processes)."""
        positions = self._shard.positions(images_seen)
        return Batch(self._crops(self._a, positions), self._crops(self._b, positions))

    def crops_at(self, position: int) -> tuple[UnpairedCrop, UnpairedCrop]:
        """Return the random parameters of sides a and b at a position of the endless stream."""
        return self._crop_of(self._a, position), self._crop_of(self._b, position)

    def _crop_of(self, stream: _Stream, position: int) -> UnpairedCrop:
        passes, place = divmod(position, len(stream.side))
        index = int(permutation(self._seed, passes, len(stream.side), stream.order)[place])
        drawn = uniforms(self._seed, stream.crop, position, 3).tolist()
        height, width = stream.side.sizes[index].tolist()
        return UnpairedCrop(
            index=index,
            top=int(drawn[0] * (height - self._config.crop_size[0] + 1)),
            left=int(drawn[1] * (width - self._config.crop_size[1] + 1)),
            mirror=self._config.mirror and drawn[2] < 0.5,
        )

    def _crops(self, stream: _Stream, positions: range) -> Tensor:
        """Return (N, C, H, W) float32 in [-1, 1] on the device."""
        crops = [self._crop_of(stream, position) for position in positions]
        pictures = [stream.side[crop.index] for crop in crops]
        return signed_crops(pictures, crops, self._config.crop_size, stream.side.spec, self.device)


@dataclass(frozen=True)
class _Stream:
    """One side and the random streams that belong to it."""

    side: Side
    order: Purpose
    crop: Purpose


def evaluation_pictures(
    side: Side, *, device: torch.device | str = "cpu", every: int = 1
) -> Iterator[tuple[str, Tensor]]:
    """Yield names and whole pictures of one side in order, (1, C, H, W) float32 in [-1, 1].

    With `every` 3: pictures 1, 4, 7, ...
    """
    device = torch.device(device)
    for index in range(0, len(side), every):
        yield side.names[index], signed_picture(side[index], side.spec, device)
