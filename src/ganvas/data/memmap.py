"""Memory-mapped pictures of one side of a data set, each checked against its checksum when it is first read.

The file holds the pictures one after the other as planes, (C, H, W), without a header: a crop is read in whole rows
and converted to network input in one pass.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import DataError
from ganvas.image.picture import NATURAL_RANGE, DType, PictureSpec, Pixels

__all__ = ["CHECKSUM_TYPE", "SHAPE_TYPE", "Side", "checksum"]

SHAPE_TYPE = "<i4"
"""Type of the numbers in a file of shapes."""
CHECKSUM_TYPE = "<u4"
"""Type of the numbers in a file of checksums."""


def checksum(planes: Pixels) -> int:
    """Return the CRC-32 of one picture's shape and samples (C, H, W), as they lie in memory."""
    return zlib.crc32(planes.data, zlib.crc32(repr(planes.shape).encode()))


class Side:
    """Memory-mapped pictures of one side, by index.

    Args:
        folder: folder of the cache.
        side: name of the side and of its files.
        names: names of the pictures, in order.
        dtype: type of the samples.
        value_range: the values that become -1 and 1; None: the natural range of the type.

    Attributes:
        names: names of the pictures, in order.
        sizes: (N, 2) heights and widths.
        spec: type, channels and value range of every picture.

    Raises:
        ValueError: the files are inconsistent.
        OSError: a file is missing or cannot be read.
    """

    def __init__(
        self, folder: Path, side: str, *, names: list[str], dtype: DType, value_range: tuple[float, float] | None
    ) -> None:
        self.names, self._folder = names, folder
        shapes = np.fromfile(folder / f"{side}.shapes", dtype=SHAPE_TYPE).reshape(len(names), 3)
        self._sums = np.fromfile(folder / f"{side}.sums", dtype=CHECKSUM_TYPE).reshape(len(names))
        self._verified = np.zeros(len(names), dtype=bool)
        path = folder / f"{side}.bin"
        self._ends = _ends(shapes, total=path.stat().st_size // np.dtype(dtype).itemsize)
        self._channels, self.sizes = shapes[:, 0], shapes[:, 1:]
        self._flat: Pixels = np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=(int(self._ends[-1]),)))
        value_range = value_range or NATURAL_RANGE[dtype]
        self.spec = PictureSpec(dtype=dtype, channels=int(self._channels.max()), value_range=value_range)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pixels:
        """Return one picture (C, H, W) as a read-only view of the file; a gray one is repeated to the side's channels.

        Raises:
            DataError: the file no longer holds what was written. The cache is removed.
        """
        height, width = self.sizes[index].tolist()
        channels, end = int(self._channels[index]), int(self._ends[index])
        planes = self._flat[end - channels * height * width : end].reshape(channels, height, width)
        if not self._verified[index]:
            self._verify(index, planes)
        return (
            planes if channels == self.spec.channels else np.broadcast_to(planes, (self.spec.channels, height, width))
        )

    def repeat_gray(self, channels: int) -> None:
        """Show gray pictures with `channels` equal channels, as a side that holds color pictures as well does."""
        assert self.spec.channels in (1, channels), self.spec
        self.spec = replace(self.spec, channels=channels)

    def _verify(self, index: int, planes: Pixels) -> None:
        if checksum(planes) != self._sums[index]:
            for path in self._folder.glob("*.json"):  # without its index the cache is rebuilt
                path.unlink(missing_ok=True)
            raise DataError(
                f"{self._folder}: the cached picture {self.names[index]} is damaged (its checksum differs); the cache "
                "is made anew when you give the command again (`ganvas resume RUN` for a training); check the disk"
            )
        self._verified[index] = True


def _ends(shapes: NDArray[np.int32], *, total: int) -> NDArray[np.int64]:
    """Return (N,): where each picture ends in the file, in samples.

    Raises:
        ValueError: the shapes do not fill a file of `total` samples.
    """
    if not len(shapes) or shapes.min() < 1 or shapes.astype(np.float64).prod(axis=1).sum() != total:
        raise ValueError("the shapes do not fill the file")
    return np.cumsum(shapes.prod(axis=1, dtype=np.int64))
