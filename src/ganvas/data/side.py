"""All pictures of one side of a data set, behind one memory map: nothing of them is kept in memory.

The file holds them one after the other as planes, (C, H, W), without a header: a crop is then read in whole rows, and
becomes what networks take in one pass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganvas.image.picture import NATURAL_RANGE, DType, PictureSpec, Pixels

__all__ = ["SHAPE_TYPE", "Side"]

SHAPE_TYPE = "<i4"
"""Of the numbers in a file of shapes."""


class Side:
    """The pictures of one side, by index.

    Args:
        folder: of the cache.
        side: whose files they are.
        names: of the pictures, in order.
        dtype: of the samples.
        value_range: the values that become -1 and 1; None: the natural range of the type.

    Attributes:
        names: of the pictures, in order.
        sizes: (N, 2) heights and widths.
        spec: the numbers of every picture.
    """

    def __init__(
        self, folder: Path, side: str, *, names: list[str], dtype: DType, value_range: tuple[float, float] | None
    ) -> None:
        self.names = names
        shapes = np.fromfile(folder / f"{side}.shapes", dtype=SHAPE_TYPE).reshape(len(names), 3)
        self._channels, self.sizes = shapes[:, 0], shapes[:, 1:]
        self._ends = np.cumsum(shapes.prod(axis=1, dtype=np.int64))
        path, samples = folder / f"{side}.bin", int(self._ends[-1])
        self._flat: Pixels = np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=(samples,)))
        value_range = value_range or NATURAL_RANGE[dtype]
        self.spec = PictureSpec(dtype=dtype, channels=int(self._channels.max()), value_range=value_range)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pixels:
        """(C, H, W), a read-only view of the file; grey among coloured ones repeated."""
        height, width = self.sizes[index].tolist()
        channels, end = int(self._channels[index]), int(self._ends[index])
        planes = self._flat[end - channels * height * width : end].reshape(channels, height, width)
        return (
            planes if channels == self.spec.channels else np.broadcast_to(planes, (self.spec.channels, height, width))
        )
