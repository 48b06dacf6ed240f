"""Small data sets of seeded noise on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image

from ganvas.data.loader import TrainLoader


def noise(height: int, width: int, channels: int = 3, *, seed: int = 0, dtype: str = "uint8") -> NDArray[np.generic]:
    random = np.random.default_rng(seed)
    return random.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype, endpoint=True)


def save(path: Path, pixels: NDArray[np.generic]) -> None:
    """Save 8-bit gray and RGB as PNG, anything else as TIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(path)
    else:
        tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")


def folders(root: Path, count: int = 5, height: int = 12, width: int = 10, *, split: str = "train") -> Path:
    """Write two folders; each b is its a upside down."""
    for index in range(count):
        pixels = noise(height, width, seed=index)
        save(root / split / "a" / f"p{index}.png", pixels)
        save(root / split / "b" / f"p{index}.png", pixels[::-1])
    return root


def side_by_side(root: Path, count: int = 3, side: int = 8, *, split: str = "train") -> Path:
    """Write pairs with a dark half on the left and a bright one on the right."""
    for index in range(count):
        pixels = noise(side, 2 * side, seed=index) // 4
        pixels[:, side:] += 128
        save(root / split / f"p{index}.png", pixels)
    return root


def photographs(root: Path, count: int = 4, height: int = 20, width: int = 24, *, split: str = "train") -> Path:
    """Write single pictures."""
    for index in range(count):
        save(root / split / f"p{index}.png", noise(height, width, seed=index))
    return root


def unpaired(root: Path, counts: tuple[int, int] = (3, 5), side: int = 12, *, split: str = "train") -> Path:
    """Write dark pictures to trainA and bright ones to trainB, in the numbers of `counts`."""
    for letter, count, floor in (("A", counts[0], 0), ("B", counts[1], 128)):
        for index in range(count):
            save(root / f"{split}{letter}" / f"{index}.png", noise(side, side, seed=index + floor) // 4 + floor)
    return root


def assert_batch_is_function_of_position(open_loader: Callable[[int], TrainLoader], seen: int, batch_size: int) -> None:
    """Check that neither earlier batches nor the batch size change the pictures at a position."""
    together, alone = open_loader(batch_size).batch(seen), open_loader(1)
    for row in range(batch_size):
        one = alone.batch(seen + row)
        assert torch.equal(one.a[0], together.a[row])
        assert torch.equal(one.b[0], together.b[row])
