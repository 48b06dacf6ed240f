"""Batches of two sides that need not correspond, as a pure function of the seed and of how many pictures were seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ganvas.data.batch import Batch
from ganvas.data.config import DataConfig
from ganvas.data.crops import Crop, require_crops, signed_crops, signed_picture
from ganvas.data.memmap import Side
from ganvas.data.sharding import Share
from ganvas.data.stateless_rng import Purpose, permutation, uniforms

__all__ = ["Sides", "UnpairedCut", "UnpairedLoader", "evaluation_pictures"]


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
