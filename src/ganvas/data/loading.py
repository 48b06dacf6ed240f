"""Batches as a pure function of the seed and of how many pictures were seen: nothing to save, so a resume is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ganvas.data.batch import Batch, Share
from ganvas.data.cache import Cache
from ganvas.data.config import DataConfig, PairedData
from ganvas.data.crops import Crop, require_crops, signed_crops, signed_picture
from ganvas.data.degradations import degrade_each, strength_at
from ganvas.data.memmap import Side
from ganvas.data.stateless_rng import Purpose, permutation, seed_of_name, uniforms

__all__ = ["Cut", "Sides", "TrainLoader", "UnpairedCut", "UnpairedLoader", "evaluation_pairs", "evaluation_pictures"]


@dataclass(frozen=True)
class Cut(Crop):
    """What happens to one pair on its way into a batch; both sides alike.

    Attributes:
        index: which pair of the cache.
        brightness, contrast: factors about black and about mid-grey.
        strength: of the degradation.
        chance: in [0, 1), what else a degradation leaves to chance follows from it.
    """

    index: int
    brightness: float
    contrast: float
    strength: float
    chance: float


class TrainLoader:
    """Random crops of a cache, mirrored, jittered, brought to [-1, 1] and degraded on the device.

    Every epoch goes through all pairs once, in an order of its own; a batch may reach into the next epoch.

    Attributes:
        batch_size: pictures a step, over all processes together.
        epoch_size: pairs in an epoch.
        device: where batches are wanted.
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
        require_crops(cache.made, config.crop_size)
        self._cache, self._config, self._seed = cache, config, seed
        self.batch_size, self.epoch_size, self.device = batch_size, len(cache), torch.device(device)
        self._share = Share(batch_size, rank=rank, world=world)

    def batch(self, images_seen: int) -> Batch:
        """This process's share of the batch that follows after `images_seen` pictures (over all processes)."""
        cuts = [self.cut(position) for position in self._share.positions(images_seen)]
        made = self._crops(self._cache.made, cuts)
        if self._cache.degraded:
            return _degraded(made, [cut.strength for cut in cuts], [cut.chance for cut in cuts], self._config)
        return Batch(self._crops(self._cache.given, cuts), made)

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
            chance=drawn[5],
        )

    def _crops(self, side: Side, cuts: Sequence[Cut]) -> Tensor:
        """(N, C, H, W) float32 in [-1, 1] on the device: one side of the batch, not degraded."""
        pictures = [side[cut.index] for cut in cuts]
        images = signed_crops(pictures, cuts, self._config.crop_size, side.spec, self.device)
        return images if self._config.jitter == 0 else _jittered(images, cuts)


def _jittered(images: Tensor, cuts: Sequence[Cut]) -> Tensor:
    """Brightness scales the distance from -1, contrast the distance from 0; the result is cut to [-1, 1]."""
    factors = torch.tensor([[cut.brightness, cut.contrast] for cut in cuts], dtype=images.dtype).to(images.device)
    brightness, contrast = factors[:, :, None, None, None].unbind(1)
    return (((images + 1) * brightness - 1) * contrast).clamp(-1, 1)


def _degraded(images: Tensor, strengths: Sequence[float], chances: Sequence[float], config: PairedData) -> Batch:
    """Pairs made of single pictures, turned as the direction says."""
    poorer = degrade_each(config.degrade, images, strengths, chances)
    return Batch(images, poorer) if config.direction == "b_to_a" else Batch(poorer, images)


def evaluation_pairs(
    cache: Cache, config: PairedData, *, device: torch.device | str = "cpu", every: int = 1
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, given and made side of the pairs in order: whole pictures, (1, C, H, W) float32 in [-1, 1].

    Nothing is random: a degradation's strength belongs to the name. `every` 3 gives the first, fourth, seventh pair...
    """
    device = torch.device(device)
    for index in range(0, len(cache), every):
        name, images = cache.name(index), signed_picture(cache.made[index], cache.output_spec, device)
        if not cache.degraded:
            yield name, signed_picture(cache.given[index], cache.input_spec, device), images
            continue
        uniform = uniforms(seed_of_name(name), Purpose.EVALUATION, 0, 1).item()
        height, width = (side // config.scale * config.scale for side in images.shape[-2:])
        strength = strength_at(config.degrade, config.strength, uniform)
        pair = _degraded(images[..., :height, :width], [strength], [uniform], config)
        yield name, pair.a, pair.b


class Sides(Protocol):
    """Two sides: an `UnpairedCache`, or those of pairs that are shown apart."""

    @property
    def a(self) -> Side:
        """What is translated."""
        ...

    @property
    def b(self) -> Side:
        """What it shall look like."""
        ...


@dataclass(frozen=True)
class UnpairedCut(Crop):
    """What happens to one picture of one side on its way into a batch; `index` says which picture."""

    index: int


class UnpairedLoader:
    """Random crops of two sides, each in an order of its own, cropped and mirrored on its own.

    Each side goes through all its pictures before one of them comes again; what it meets on the other side differs
    from pass to pass. An epoch is one pass of the longer side; a batch may reach into the next.

    Attributes:
        batch_size: pictures of each side a step, over all processes together.
        epoch_size: pictures of the longer side.
        device: where batches are wanted.
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
        """Make a loader.

        Args:
            sides: of the split to train on.
            config: crop size and mirror.
            batch_size: pictures of each side a step, over all processes together.
            seed: of orders and crops.
            device: where batches are wanted.
            rank: which share of each batch this process takes.
            world: how many processes share each batch.

        Raises:
            DataError: pictures are smaller than the crop.
            ConfigError: the batch cannot be shared evenly.
        """
        for side in (sides.a, sides.b):
            require_crops(side, config.crop_size)
        self._config, self._seed = config, seed
        self._a = _Stream(sides.a, Purpose.ORDER_A, Purpose.CROP_A)
        self._b = _Stream(sides.b, Purpose.ORDER_B, Purpose.CROP_B)
        self.batch_size, self.device = batch_size, torch.device(device)
        self.epoch_size = max(len(sides.a), len(sides.b))
        self._share = Share(batch_size, rank=rank, world=world)

    def batch(self, images_seen: int) -> Batch:
        """This process's share of the batch that follows after `images_seen` pictures (over all processes)."""
        positions = self._share.positions(images_seen)
        return Batch(self._crops(self._a, positions), self._crops(self._b, positions))

    def cuts(self, position: int) -> tuple[UnpairedCut, UnpairedCut]:
        """What is drawn for sides a and b at that position of the endless stream."""
        return self._cut(self._a, position), self._cut(self._b, position)

    def _cut(self, stream: _Stream, position: int) -> UnpairedCut:
        passes, place = divmod(position, len(stream.side))
        index = int(permutation(self._seed, passes, len(stream.side), stream.order)[place])
        drawn = uniforms(self._seed, stream.crop, position, 3).tolist()
        height, width = stream.side.sizes[index].tolist()
        return UnpairedCut(
            index=index,
            top=int(drawn[0] * (height - self._config.crop_size[0] + 1)),
            left=int(drawn[1] * (width - self._config.crop_size[1] + 1)),
            mirror=self._config.mirror and drawn[2] < 0.5,
        )

    def _crops(self, stream: _Stream, positions: range) -> Tensor:
        """(N, C, H, W) float32 in [-1, 1] on the device."""
        cuts = [self._cut(stream, position) for position in positions]
        pictures = [stream.side[cut.index] for cut in cuts]
        return signed_crops(pictures, cuts, self._config.crop_size, stream.side.spec, self.device)


@dataclass(frozen=True)
class _Stream:
    """One side, and which random numbers belong to it."""

    side: Side
    order: Purpose
    crop: Purpose


def evaluation_pictures(
    side: Side, *, device: torch.device | str = "cpu", every: int = 1
) -> Iterator[tuple[str, Tensor]]:
    """Names and whole pictures of one side in order, (1, C, H, W) float32 in [-1, 1].

    `every` 3 gives the first, fourth, seventh picture...
    """
    device = torch.device(device)
    for index in range(0, len(side), every):
        yield side.names[index], signed_picture(side[index], side.spec, device)
