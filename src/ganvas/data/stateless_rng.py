"""Stateless random numbers: pure functions of a seed, a purpose and a counter.

Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") maps (key, counter) to 64 random bits.
NumPy guarantees that its raw output never changes, unlike that of `Generator`'s methods; so only that is used.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Purpose", "permutation", "seed_of_name", "uniforms"]


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
    counter = np.array([0, index, 0, 0], dtype=np.uint64)  # the lowest word counts the numbers drawn here
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
