"""MNIST and USPS as inputs of CoGAN and UNIT: 28x28, gray, in [-1, 1]."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch import Tensor
from torch.nn import functional

from ganvas.errors import InputError

SIZE = 28
IMAGES, LABELS, USPS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "usps_all.mat"
UNSIGNED_BYTES = 0x08
USPS_SIDE, USPS_BORDER = 16, 3
"""In pixels. With this border the mean USPS digit is closest to MNIST's: the authors' own alignment of the two sets
(github.com/mingyuliutw/CoGAN, cogan/data)."""


@dataclass(frozen=True)
class Digits:
    """Pictures (N, 1, 28, 28) in [-1, 1] and their labels, (N,) in 0..9."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, places: Tensor) -> Digits:
        """Return the digits at these indices."""
        return Digits(self.images[places], self.labels[places])


def read_mnist(folder: Path) -> Digits:
    """Read the 10,000 digits of `t10k`.

    Raises:
        InputError: a file is missing or has another format.
    """
    images, labels = read_idx(folder / IMAGES), read_idx(folder / LABELS)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(f"{folder}: {IMAGES} is {images.shape} and {LABELS} is {labels.shape}; give files that match")
    return Digits(_signed(torch.from_numpy(images)[:, None]), torch.from_numpy(labels.astype(np.int64)))


def read_usps(folder: Path) -> Digits:
    """Read the 9,298 digits of `usps_all.mat`, add a border, and enlarge them to 28x28.

    Raises:
        InputError: the file is missing or has another format.
    """
    path = folder / USPS
    try:
        table = loadmat(path)["usps_all"]
    except (OSError, ValueError, KeyError, MatReadError) as error:
        raise InputError(f"{path} cannot be read as USPS ({error}); give a folder with the digits") from error
    pixels, numbers = table[:, :-1], table[:, -1].astype(np.int64)
    if pixels.shape[1] != USPS_SIDE**2 or numbers.min() != 1 or numbers.max() != 10:
        raise InputError(f"{path}: expected rows of 256 pixels and a number 1..10, got {table.shape}")
    images = torch.from_numpy(pixels.reshape(-1, 1, USPS_SIDE, USPS_SIDE))
    padded = functional.pad(_signed(images), [USPS_BORDER] * 4, value=-1.0)
    enlarged = functional.interpolate(padded, (SIZE, SIZE), mode="bilinear", align_corners=False)
    return Digits(enlarged, torch.from_numpy(numbers - 1))


def read_idx(path: Path) -> np.ndarray:
    """Read an array of unsigned bytes in the gzipped idx format of MNIST.

    Raises:
        InputError: it cannot be read in this format.
    """
    try:
        content = gzip.decompress(path.read_bytes())
        kind, dimensions = content[2], content[3]
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, IndexError, ValueError, struct.error) as error:
        raise InputError(f"{path} cannot be read as a gzipped idx file ({error}); give a folder with it") from error
    if kind != UNSIGNED_BYTES:
        raise InputError(f"{path} holds numbers of kind {kind:#x}, not bytes; give MNIST's own files")
    return values.copy()


def draw(digits: Digits, count: int, *, seed: int) -> tuple[Digits, Digits]:
    """Draw `count` digits without replacement; return them and the rest."""
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
    return digits.at(order[:count]), digits.at(order[count:])


def _signed(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1
