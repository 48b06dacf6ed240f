"""Cache of decoded pictures at training size, memory-mapped by every process.

    FOLDER/<key>/index.json          names and sample type of each side; refusals
    FOLDER/<key>/a.bin b.bin         all pictures of one side, (C, H, W) one after the other, no header
    FOLDER/<key>/a.shapes b.shapes   their (C, H, W), three 32-bit numbers each
    FOLDER/<key>/a.sums b.sums       their CRC-32, checked when a picture is first read
    FOLDER/<key>/checks.json         CRC-32 of the small files, checked when the cache is opened

Pictures are stored as planes, so that a crop is read in whole rows and converted to network input in one pass.
`ganvas.data.cache_writer` builds caches and finds existing ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.data.config import DataConfig
from ganvas.data.layouts import Split, some_names
from ganvas.errors import DataError, PolicyRefusal
from ganvas.filesystem.paths import using_cache
from ganvas.image.picture import NATURAL_RANGE, DType, PictureSpec, Pixels
from ganvas.image.ranges import Transfer, describe_transfer
from ganvas.serialization import read_json

__all__ = [
    "CHECKSUM_TYPE",
    "CHECKS_NAME",
    "FORMAT",
    "INDEX_NAME",
    "SHAPE_TYPE",
    "Cache",
    "Side",
    "agree_across_sides",
    "agree_across_splits",
    "checksum",
    "repeat_gray",
]

FORMAT = 6
"""Version of the format, increased whenever the meaning of the content changes."""
INDEX_NAME = "index.json"
CHECKS_NAME = "checks.json"
"""CRC-32 of every file of a cache except the pictures, which have their own checksums."""
SHAPE_TYPE = "<i4"
"""Type of the numbers in a file of shapes."""
CHECKSUM_TYPE = "<u4"
"""Type of the numbers in a file of checksums."""
COLOR = 3
"""Number of channels to which gray is repeated."""


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
        value_range: the values that map to -1 and 1; None: the natural range of the type.
        transfer: HDR transfer function of the frames of films; None: standard range.
        num_frames: number of pictures in a window, stacked along the channels; 1: no windows.

    Attributes:
        names: names of the pictures, in order.
        sizes: (N, 2) heights and widths.
        num_frames: number of pictures in a window.
        spec: type, channels and value range of every picture.

    Raises:
        ValueError: the files are inconsistent.
        OSError: a file is missing or cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        side: str,
        *,
        names: list[str],
        dtype: DType,
        value_range: tuple[float, float] | None,
        transfer: Transfer | None = None,
        num_frames: int = 1,
    ) -> None:
        self.names, self._folder, self.num_frames = names, folder, num_frames
        shapes = np.fromfile(folder / f"{side}.shapes", dtype=SHAPE_TYPE).reshape(len(names), 3)
        self._sums = np.fromfile(folder / f"{side}.sums", dtype=CHECKSUM_TYPE).reshape(len(names))
        self._verified = np.zeros(len(names), dtype=bool)
        path = folder / f"{side}.bin"
        self._ends = _ends(shapes, total=path.stat().st_size // np.dtype(dtype).itemsize)
        self._channels, self.sizes = shapes[:, 0], shapes[:, 1:]
        self._flat: Pixels = np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=(int(self._ends[-1]),)))
        value_range = value_range or NATURAL_RANGE[dtype]
        channels = int(self._channels.max()) // num_frames
        self.spec = PictureSpec(dtype=dtype, channels=channels, value_range=value_range, transfer=transfer)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pixels:
        """Return one picture (C, H, W), or window (num_frames C, H, W); a gray one is repeated to the side's channels.

        It is a read-only view of the file, except for gray windows.

        Raises:
            DataError: the picture is damaged. The cache is removed.
            InputError: it is damaged, and the cache cannot be removed.
        """
        height, width = self.sizes[index].tolist()
        channels, end = int(self._channels[index]), int(self._ends[index])
        planes = self._flat[end - channels * height * width : end].reshape(channels, height, width)
        # Verified once per process at the first read: opening stays fast, and no network trains on a damaged picture.
        if not self._verified[index]:
            self._verify(index, planes)
        if channels == self.num_frames * self.spec.channels:
            return planes
        if self.num_frames == 1:
            return np.broadcast_to(planes, (self.spec.channels, height, width))
        return np.repeat(planes, self.spec.channels, axis=0)

    @property
    def stored_spec(self) -> PictureSpec:
        """Return the specification of an item: that of the pictures, with the channels of a whole window."""
        return replace(self.spec, channels=self.num_frames * self.spec.channels)

    def repeat_gray(self, channels: int) -> None:
        """Repeat gray pictures to `channels` equal channels in all later reads."""
        assert self.spec.channels in (1, channels), self.spec
        self.spec = replace(self.spec, channels=channels)

    def require_sizes(self, size: tuple[int, int], what: str, remedy: str) -> None:
        """Require that every picture has at least this height and width, those of `what`.

        Raises:
            DataError: some are smaller; the message names them and the remedy.
        """
        small = np.flatnonzero((self.sizes < size).any(axis=1)).tolist()
        if small:
            listed = some_names([f"{self.names[row]} ({self.sizes[row][1]}x{self.sizes[row][0]})" for row in small])
            raise DataError(f"{len(small)} pictures are smaller than {what}; {remedy}: {listed}")

    def _verify(self, index: int, planes: Pixels) -> None:
        if checksum(planes) != self._sums[index]:
            with using_cache(self._folder):
                for path in self._folder.glob("*.json"):  # without its index the cache is rebuilt
                    path.unlink(missing_ok=True)
            raise DataError(
                f"{self._folder}: the cached picture {self.names[index]} is damaged (its checksum differs); run the "
                "command again to rebuild the cache (`ganvas resume RUN` for training), and check the disk"
            )
        self._verified[index] = True


def _ends(shapes: NDArray[np.int32], *, total: int) -> NDArray[np.int64]:
    """Return the end of each picture in the file, in pixel values: (N,).

    Raises:
        ValueError: the shapes do not fill a file of `total` pixel values.
    """
    if not len(shapes) or shapes.min() < 1 or shapes.astype(np.float64).prod(axis=1).sum() != total:
        raise ValueError("the shapes do not fill the file")
    return np.cumsum(shapes.prod(axis=1, dtype=np.int64))


class Cache:
    """Cached pictures of one split, oriented by `direction`; they stay in the files.

    Pairs have the same names and sizes on both sides, at the same index; unpaired sides may differ in length.

    Attributes:
        a, b: source and target side, picture by picture; exchanged for direction b_to_a.
        refusals: pairs, or pictures of either side, refused by the content gate.
        degraded: whether the pairs are single pictures, so that both sides are equal and the loader degrades a (b for
            direction b_to_a).
        sides: the sides by their names on disk, regardless of direction; `b` alone for single pictures.
    """

    def __init__(self, folder: Path, config: DataConfig) -> None:
        sides, self.refusals = _read_index(folder, config)
        self.degraded = len(sides) == 1
        first, last = sides[0], sides[-1]
        self.a, self.b = (last, first) if config.direction == "b_to_a" else (first, last)
        self.sides = {"a": first, "b": last} if len(sides) == 2 else {"b": last}

    def __len__(self) -> int:
        """Return the number of pairs, or of pictures of the longer side."""
        return max(len(self.a), len(self.b))

    def require_reducible(self, config: DataConfig) -> None:
        """Require that a degradation that reduces pictures leaves at least one pixel of each.

        Raises:
            DataError: some pictures are smaller than its factor; the message names them.
        """
        what = f"the factor {config.scale} of {config.degrade}"
        remedy = "remove them, set resize to stretch or shorter_side, or set a larger evaluation_size"
        self.b.require_sizes((config.scale, config.scale), what, remedy)


def _read_index(folder: Path, config: DataConfig) -> tuple[list[Side], list[PolicyRefusal]]:
    checks = read_json(folder / CHECKS_NAME)
    if any(zlib.crc32((folder / name).read_bytes()) != known for name, known in checks.items()):
        raise ValueError(f"{folder} is damaged")
    record = read_json(folder / INDEX_NAME)
    recorded = record["sides"]
    names: dict[str, list[str]] = {side: kept["names"] for side, kept in recorded.items() if "names" in kept}
    settings = {"value_range": config.value_range, "num_frames": record.get("num_frames", 1)}
    sides = [
        Side(
            folder,
            side,
            names=names[kept.get("names_of", side)],
            dtype=kept["dtype"],
            transfer=kept.get("transfer"),
            **settings,
        )
        for side, kept in recorded.items()
    ]
    return sides, [PolicyRefusal(kept["refused"], kept["reason"], kept["score"]) for kept in record["refusals"]]


def agree_across_splits(splits: Mapping[Split, Cache]) -> None:
    """Give each side the same channels in all splits, by repeating gray pictures in place.

    Raises:
        DataError: a side differs in sample type or channels between splits.
    """
    caches = list(splits.values())
    for name in caches[0].sides:
        sides = [cache.sides[name] for cache in caches]
        repeat_gray(sides)
        if len({side.spec for side in sides}) > 1:
            described = ", ".join(
                f"{split} is {_describe(side.spec)}" for split, side in zip(splits, sides, strict=True)
            )
            raise DataError(f"the splits of side {name} differ: {described}; convert the pictures of one split")


def agree_across_sides(caches: Iterable[Cache]) -> None:
    """Give both sides the same channels if one is gray, for methods that need equal channels."""
    repeat_gray([side for cache in caches for side in cache.sides.values()])


def repeat_gray(sides: Iterable[Side], *, like: int | None = None) -> None:
    """Repeat gray sides to three channels if other sides have three, or if `like` is three."""
    sides = list(sides)
    if {side.spec.channels for side in sides} | ({like} if like else set()) == {1, COLOR}:
        for side in sides:
            side.repeat_gray(COLOR)


def _describe(spec: PictureSpec) -> str:
    transfer = f", {describe_transfer(spec.transfer)}" if spec.transfer else ""
    return f"{spec.dtype} with {spec.channels} channel{'s' * (spec.channels > 1)}{transfer}"
