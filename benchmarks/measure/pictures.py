"""Pictures of the benchmarks: real ones from a folder, or else generated smooth color patterns."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE = 256
NUM_MADE = 64
"""Number of patterns that replace a data set."""


@dataclass(frozen=True)
class Pictures:
    """Source of pictures.

    Attributes:
        data: folder that contains facades, horse2zebra and flowers, or None.
        work: a temporary folder.
    """

    data: Path | None
    work: Path

    @property
    def origin(self) -> str:
        """Return the origin for the notes of a table."""
        return "real pictures" if self.data else "smooth color patterns, since no --data was given"

    def facades(self) -> Path:
        """Return a folder with `train`: pictures of 512x256 with two halves side by side."""
        if self.data:
            return self.data / "facades"
        return self._made("made", 2 * SIDE, SIDE).parent

    def large_facades(self, count: int, side: int = 1024) -> Path:
        """Return the same, upsampled to halves of `side` pixels, as JPEG of quality 95."""
        folder = self.work / f"large-{side}" / "train"
        if not folder.exists():
            folder.mkdir(parents=True)
            for path in sorted((self.facades() / "train").iterdir())[:count]:
                opened(path).resize((2 * side, side), Image.Resampling.BICUBIC).save(
                    folder / f"{path.stem}.jpg", quality=95
                )
        return folder.parent

    def halves(self, count: int) -> Path:
        """Return a folder of at most `count` PNG files of 256x256: both halves of facades, one after the other."""
        folder = self.work / f"halves-{count}"
        if not folder.exists():
            folder.mkdir()
            for path, half in list(self._all_halves())[:count]:
                opened(path).crop((half * SIDE, 0, (half + 1) * SIDE, SIDE)).save(folder / f"{path.stem}-{half}.png")
        return folder

    def _all_halves(self) -> Iterator[tuple[Path, int]]:
        paths = sorted(path for path in (self.facades() / "train").iterdir() if path.is_file())
        for half in (0, 1):
            yield from ((path, half) for path in paths)

    def photographs(self, name: str, count: int) -> Path:
        """Return a folder with copies of the first `count` pictures of DATA/`name`."""
        folder = self.work / f"{name.replace('/', '-')}-{count}"
        if self.data is None:
            return self._made(folder.name, SIDE, SIDE, count)
        if not folder.exists():
            folder.mkdir()
            for path in sorted(path for path in (self.data / name).iterdir() if path.is_file())[:count]:
                shutil.copy(path, folder)
        return folder

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Return `size` pairs as input of a training step: (N, 3, 256, 256) in [-1, 1] each."""
        paths = sorted((self.facades() / "train").iterdir())[:size]
        pairs = np.stack([np.asarray(opened(path).resize((2 * SIDE, SIDE))) for path in paths])
        signed = torch.from_numpy(pairs).permute(0, 3, 1, 2).float() / 127.5 - 1
        return signed[..., SIDE:].contiguous(), signed[..., :SIDE].contiguous()

    def _made(self, name: str, width: int, height: int, count: int = NUM_MADE) -> Path:
        folder = self.work / name / "train"
        if not folder.exists():
            folder.mkdir(parents=True)
            for index in range(count):
                pattern(width, height, seed=index).save(folder / f"{index:05d}.png")
        return folder


def pattern(width: int, height: int, *, seed: int) -> Image.Image:
    """Return a smooth color pattern with a little noise, determined by the seed."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = draw.integers(-6, 7, smooth.shape, dtype=np.int16)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def opened(path: Path) -> Image.Image:
    """Open a picture in RGB."""
    with Image.open(path) as picture:
        return picture.convert("RGB")
