"""All pictures of one side of a data set, behind one memory map: nothing of them is kept in memory.

The file holds them one after the other as planes, (C, H, W), without a header: a crop is then read in whole rows, and
becomes what networks take in one pass.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import NATURAL_RANGE, PictureSpec, Pixels

__all__ = ["Side"]


class Side:
    """The pictures of one side, by index.

    Args:
        path: the file of planes.
        record: `names`, `dtype` and `shapes`, as index.json holds them.
        value_range: the values that become -1 and 1; None: the natural range of the type.

    Attributes:
        names: of the pictures, in order.
        sizes: (N, 2) heights and widths.
        spec: the numbers of every picture.
    """

    def __init__(self, path: Path, record: dict[str, Any], value_range: tuple[float, float] | None) -> None:
        self.names: list[str] = record["names"]
        shapes: NDArray[np.int64] = np.array(record["shapes"], dtype=np.int64).reshape(len(self.names), 3)
        self._channels, self.sizes = shapes[:, 0], shapes[:, 1:]
        self._ends = np.cumsum(shapes.prod(axis=1))
        dtype = record["dtype"]
        self._flat: Pixels = np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=(int(self._ends[-1]),)))
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
