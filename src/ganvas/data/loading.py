"""Loader of training batches, paired or unpaired, and iterators over evaluation pictures.

A batch is a pure function of the seed and the number of images seen: there is no state to save, and resume is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganvas.data.batch import Batch, Shard
from ganvas.data.cache import Cache
from ganvas.data.config import DataConfig
from ganvas.data.crops import Crop, require_crops, signed_crops, signed_picture
from ganvas.data.degradations import degrade_each, strength_at
from ganvas.data.memmap import Side
from ganvas.data.stateless_rng import Purpose, permutation, seed_of_name, uniforms

__all__ = ["ALIGNED", "UNALIGNED", "Pairing", "RandomCrop", "TrainLoader", "evaluation_pairs", "evaluation_pictures"]

Stream = tuple[Purpose, Purpose]
"""Random streams of one side: of its order, and of its crops."""
Pairing = tuple[Stream, Stream]
"""Index policy: the random streams from which sides a and b take the picture at a position, and its crop."""
ALIGNED: Pairing = ((Purpose.ORDER, Purpose.CROP), (Purpose.ORDER, Purpose.CROP))
"""Both sides follow one stream: a[i] meets b[i], in the same crop."""
UNALIGNED: Pairing = ((Purpose.ORDER_A, Purpose.CROP_A), (Purpose.ORDER_B, Purpose.CROP_B))
"""Each side follows its own streams: in the long run, every picture of a meets every picture of b."""


@dataclass(frozen=True)
class RandomCrop(Crop):
    """Random parameters of one picture of a batch.

    Attributes:
        index: index of the picture in its side.
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
    """Loader of random crops: mirrored, jittered, scaled to [-1, 1] and, for single pictures, degraded on the device.

    Each side visits all its pictures once, in a new order each time, before it repeats one. An epoch is one pass of the
    longer side; a batch may extend into the next epoch.

    Attributes:
        batch_size: pictures of each side in a step, over all processes.
        epoch_size: pairs in an epoch, or pictures of the longer side.
        device: device of the batches.
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
            batch_size: pictures of each side in a step, over all processes.
            seed: seed of order, crops and strengths.
            device: device of the batches.
            rank: index of this process.
            world: number of processes.

        Raises:
            DataError: pictures are smaller than the crop.
            ConfigError: the batch cannot be divided evenly.
        """
        for side in (cache.a, cache.b):
            require_crops(side, config.crop_size)
        self._cache, self._config, self._seed = cache, config, seed
        self._pairing = ALIGNED if config.aligned else UNALIGNED
        self.batch_size, self.epoch_size, self.device = batch_size, len(cache), torch.device(device)
        self._shard = Shard(batch_size, rank=rank, world=world)

    def batch(self, images_seen: int) -> Batch:
        """Return this process's shard of the batch that follows `images_seen` pictures (over all processes)."""
        crops_a, crops_b = zip(*map(self.crops_at, self._shard.positions(images_seen)), strict=True)
        b = self._crops(self._cache.b, crops_b)
        if self._cache.degraded:
            return _degraded(b, [crop.strength for crop in crops_b], [crop.chance for crop in crops_b], self._config)
        return Batch(self._crops(self._cache.a, crops_a), b)

    def crops_at(self, position: int) -> tuple[RandomCrop, RandomCrop]:
        """Return the random parameters of sides a and b at a position of the endless stream."""
        a, b = self._pairing
        crop = self._crop_at(position, self._cache.a, a)
        return crop, crop if b == a else self._crop_at(position, self._cache.b, b)

    def _crop_at(self, position: int, side: Side, stream: Stream) -> RandomCrop:
        # The n-th pass over the side is the n-th order; the position itself numbers the crops, which never repeat.
        order, crops = stream
        passes, place = divmod(position, len(side))
        index = int(permutation(self._seed, passes, len(side), order)[place])
        drawn = uniforms(self._seed, crops, position, 6).tolist()
        height, width = side.sizes[index].tolist()
        return RandomCrop(
            index=index,
            top=int(drawn[0] * (height - self._config.crop_size[0] + 1)),
            left=int(drawn[1] * (width - self._config.crop_size[1] + 1)),
            mirror=self._config.mirror and drawn[2] < 0.5,
            brightness=1 + self._config.jitter * (2 * drawn[3] - 1),
            contrast=1 + self._config.jitter * (2 * drawn[4] - 1),
            strength=strength_at(self._config.degrade, self._config.strength, drawn[5]),
            chance=drawn[5],
        )

    def _crops(self, side: Side, crops: Sequence[RandomCrop]) -> Tensor:
        """Return one side of the batch, not degraded: (N, C, H, W) float32 in [-1, 1] on the device."""
        pictures = [side[crop.index] for crop in crops]
        images = signed_crops(pictures, crops, self._config.crop_size, side.spec, self.device)
        return images if self._config.jitter == 0 else _jittered(images, crops)


def _jittered(images: Tensor, crops: Sequence[RandomCrop]) -> Tensor:
    """Scale the distance from -1 by the brightness, from 0 by the contrast, and clip to [-1, 1]."""
    factors = torch.tensor([[crop.brightness, crop.contrast] for crop in crops], dtype=images.dtype).to(images.device)
    brightness, contrast = factors[:, :, None, None, None].unbind(1)
    return (((images + 1) * brightness - 1) * contrast).clamp(-1, 1)


def _degraded(images: Tensor, strengths: Sequence[float], chances: Sequence[float], config: DataConfig) -> Batch:
    """Return pairs made from single pictures, oriented by `direction`."""
    degraded = degrade_each(config.degrade, images, strengths, chances)
    return Batch(images, degraded) if config.direction == "b_to_a" else Batch(degraded, images)


def evaluation_pairs(
    cache: Cache, config: DataConfig, *, device: torch.device | str = "cpu", every: int = 1
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield name, a and b of the pairs in order: whole pictures, (1, C, H, W) float32 in [-1, 1].

    Nothing is random: the strength of a degradation depends on the name. With `every` 3: pairs 1, 4, 7, ...
    """
    if not cache.degraded:
        sides = [evaluation_pictures(side, device=device, every=every) for side in (cache.a, cache.b)]
        yield from ((name, a, b) for (name, a), (_, b) in zip(*sides, strict=True))
        return
    for name, images in evaluation_pictures(cache.b, device=device, every=every):
        uniform = uniforms(seed_of_name(name), Purpose.EVALUATION, 0, 1).item()
        height, width = (side // config.scale * config.scale for side in images.shape[-2:])
        strength = strength_at(config.degrade, config.strength, uniform)
        pair = _degraded(images[..., :height, :width], [strength], [uniform], config)
        yield name, pair.a, pair.b


def evaluation_pictures(
    side: Side, *, device: torch.device | str = "cpu", every: int = 1
) -> Iterator[tuple[str, Tensor]]:
    """Yield names and whole pictures of one side in order, (1, C, H, W) float32 in [-1, 1].

    With `every` 3: pictures 1, 4, 7, ...
    """
    device = torch.device(device)
    for index in range(0, len(side), every):
        yield side.names[index], signed_picture(side[index], side.spec, device)
