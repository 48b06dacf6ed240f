"""Deterministic sampler of training pictures and crops, for paired and unpaired data.

The picture and the crop at a position are pure functions of the seed and the position. A resumed run, any number of
processes and any batch size therefore see the same pictures, and no state needs to be saved.

Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") maps (key, counter) to 64 random bits. NumPy
guarantees that its raw output never changes, unlike that of `Generator`'s methods, so only the raw output is used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ganvas.data.cache import Cache, Side
from ganvas.data.config import DataConfig
from ganvas.data.degradations import strength_at

__all__ = [
    "ALIGNED",
    "UNALIGNED",
    "Crop",
    "Pairing",
    "Purpose",
    "RandomCrop",
    "Sampler",
    "permutation",
    "seed_of_name",
    "uniforms",
]


class Purpose(IntEnum):
    """Independent random streams, so that a new use of randomness never changes an existing one."""

    ORDER = 0
    CROP = 1
    EVALUATION = 2
    ORDER_A = 3
    ORDER_B = 4
    CROP_A = 5
    CROP_B = 6


def _raw(seed: int, purpose: Purpose, index: int, count: int) -> NDArray[np.uint64]:
    key = np.array([seed % 2**64, purpose], dtype=np.uint64)
    # Philox increments the lowest word for each number drawn here.
    counter = np.array([0, index, 0, 0], dtype=np.uint64)
    return np.asarray(np.random.Philox(key=key, counter=counter).random_raw(count))


def uniforms(seed: int, purpose: Purpose, index: int, count: int) -> NDArray[np.float64]:
    """Return (count,) uniform numbers in [0, 1), the same for the same arguments on every machine."""
    return (_raw(seed, purpose, index, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, count: int, purpose: Purpose = Purpose.ORDER) -> NDArray[np.int64]:
    """Return the order of one epoch, (count,) read-only."""
    order = np.argsort(_raw(seed, purpose, epoch, count), kind="stable").astype(np.int64)
    order.flags.writeable = False
    return order


def seed_of_name(name: str) -> int:
    """Return a seed in [0, 2^64) for a name, the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


Stream = tuple[Purpose, Purpose]
"""Random streams of one side: of its order, and of its crops."""
Pairing = tuple[Stream, Stream]
"""Index policy: the random streams from which sides a and b take the picture at a position, and its crop."""
ALIGNED: Pairing = ((Purpose.ORDER, Purpose.CROP), (Purpose.ORDER, Purpose.CROP))
"""Both sides use one stream: a[i] is paired with b[i], in the same crop."""
UNALIGNED: Pairing = ((Purpose.ORDER_A, Purpose.CROP_A), (Purpose.ORDER_B, Purpose.CROP_B))
"""Each side uses its own streams: in the long run, every picture of a is combined with every picture of b."""


@dataclass(frozen=True)
class Crop:
    """Position of a crop in pixels, and whether it is mirrored left to right."""

    top: int
    left: int
    mirror: bool


@dataclass(frozen=True)
class RandomCrop(Crop):
    """Random parameters of one picture of a batch.

    Attributes:
        index: index of the picture in its side.
        turns: number of quarter turns counterclockwise, after mirroring.
        brightness, contrast: factors relative to black and to mid-gray.
        strength: strength of the degradation.
        chance: in [0, 1), seed of all other random choices of a degradation.
    """

    index: int
    turns: int
    brightness: float
    contrast: float
    strength: float
    chance: float


class Sampler:
    """Sampler of the endless stream of training pictures: position -> picture and crop of each side.

    Args:
        cache: the cache of the training split.
        config: pairing, crop size, mirror, jitter, degradation.
        seed: seed of order, crops and strengths.

    Raises:
        DataError: pictures are smaller than the crop.
    """

    def __init__(self, cache: Cache, config: DataConfig, *, seed: int) -> None:
        height, width = config.crop_size
        remedy = "set a smaller crop_size, set resize to stretch or shorter_side, or remove them"
        for side in (cache.a, cache.b):
            side.require_sizes(config.crop_size, f"the crop of {width}x{height}", remedy)
        self._cache, self._config, self._seed = cache, config, seed
        self._pairing = ALIGNED if config.aligned else UNALIGNED

    def at(self, position: int) -> tuple[RandomCrop, RandomCrop]:
        """Return the random parameters of sides a and b at a position, the number of pictures before it."""
        a, b = self._pairing
        crop = self._crop(position, self._cache.a, a)
        return crop, crop if b == a else self._crop(position, self._cache.b, b)

    def _crop(self, position: int, side: Side, stream: Stream) -> RandomCrop:
        order, crops = stream
        # 1. Choose the picture: the n-th pass over the side uses the n-th permutation, so no picture repeats within a
        #    pass.
        passes, place = divmod(position, len(side))
        index = int(permutation(self._seed, passes, len(side), order)[place])
        # 2. Draw by the position, not by the picture, so that its crop differs from pass to pass. All numbers are drawn
        #    even if few are used, so that switching jitter on does not move the crops.
        drawn = uniforms(self._seed, crops, position, 7).tolist()
        # 3. Scale the numbers to the possible positions of a crop in a picture of this size.
        height, width = side.sizes[index].tolist()
        return RandomCrop(
            index=index,
            top=int(drawn[0] * (height - self._config.crop_size[0] + 1)),
            left=int(drawn[1] * (width - self._config.crop_size[1] + 1)),
            mirror=self._config.mirror and drawn[2] < 0.5,
            turns=int(4 * drawn[6]) if self._config.rotate else 0,
            brightness=1 + self._config.jitter * (2 * drawn[3] - 1),
            contrast=1 + self._config.jitter * (2 * drawn[4] - 1),
            strength=strength_at(self._config.degrade, self._config.strength, drawn[5]),
            chance=drawn[5],
        )
