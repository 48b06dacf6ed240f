"""Integrity checks of TIFF files: what the reader only logs, missing strips, and the headers of inner codecs."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tifffile import COMPRESSION, PHOTOMETRIC

from ganvas.errors import ImageError
from ganvas.image.codestream import Size, check_scans, jpeg2000_size, jpeg_size, jpegxl_size, webp_size

__all__ = ["check_contiguous", "check_page", "logged_problems"]

PLAIN: Final = {
    COMPRESSION.NONE,
    COMPRESSION.CCITTRLE,
    COMPRESSION.CCITTFAX3,
    COMPRESSION.CCITTFAX4,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
    COMPRESSION.LZMA,
    COMPRESSION.ZSTD,
}
"""Compressions whose decoders are told how much they may return."""
SELF_DESCRIBING: Final[dict[int, Callable[[bytes], Size | None]]] = {
    COMPRESSION.JPEG: jpeg_size,
    COMPRESSION.APERIO_JP2000_YCBC: jpeg2000_size,
    COMPRESSION.JPEG_2000_LOSSY: jpeg2000_size,
    COMPRESSION.APERIO_JP2000_RGB: jpeg2000_size,
    COMPRESSION.JPEG2000: jpeg2000_size,
    COMPRESSION.WEBP: webp_size,
    COMPRESSION.JPEGXL: jpegxl_size,
    COMPRESSION.JPEGXL_DNG: jpegxl_size,
}
"""Compressions whose streams have dimensions of their own -> how to read these."""
HARMLESS = re.compile(r"invalid ASCII|GDAL_NODATA|GeoKey|_metadata|_tags|get_resolution|estimating ByteCounts")
"""In what the reader logs about side notes."""
_TAG = re.compile(r"TiffTag (\d+) ")
PRIVATE = 32768
"""Tags from here on say nothing about the samples, but for the profile."""
PROFILE_TAG = 34675


class _Collector(logging.Handler):
    """Keeps what one thread logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread, self.messages = threading.get_ident(), list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())


@contextmanager
def logged_problems(path: Path) -> Iterator[None]:
    """Make an error of what tifffile only logs inside the block; it would go on with other pages, tags or zeros.

    Raises:
        ImageError: the file is cut short or damaged.
    """
    collector, logger = _Collector(), logging.getLogger("tifffile")
    logger.addHandler(collector)
    try:
        yield
    finally:
        logger.removeHandler(collector)
    for message in collector.messages:
        if not _is_harmless(message):
            problem = re.sub(r"<tifffile\.\w+( \d+)? ?@?\d*>|<tifffile\.\w+ '[^']*'>", "", message).strip()
            raise ImageError(path, f"cut short or damaged ({problem[:120]}); copy it again, or leave it out")


def _is_harmless(message: str) -> bool:
    tag = _TAG.search(message)
    return bool(HARMLESS.search(message)) or (tag is not None and PROFILE_TAG != int(tag[1]) >= PRIVATE)


def check_page(page: Any, path: Path) -> None:
    """Verify that all strips or tiles of a page are there and are of the size that the page announces.

    Raises:
        ImageError: some are missing, differ in size, or are compressed in a way that is not supported.
    """
    if page.compression not in PLAIN and page.compression not in SELF_DESCRIBING:
        name = getattr(page.compression, "name", page.compression)
        raise ImageError(path, f"compressed as {name}, which is not supported; save it with deflate compression")
    expected = math.prod(page.chunked)
    if len(page.dataoffsets) != expected or len(page.databytecounts) != expected:
        found = min(len(page.dataoffsets), len(page.databytecounts))
        raise ImageError(path, f"damaged: {found} strips or tiles where {expected} are needed; copy it again")
    for index in range(expected):
        _check_segment(page, index, path)


def check_contiguous(series: Any, path: Path) -> None:
    """Verify that a series stored in one piece lies within the file.

    Raises:
        ImageError: bytes are missing.
    """
    missing = series.dataoffset + series.nbytes - series.parent.filehandle.size
    if missing > 0:
        raise ImageError(path, f"cut short: {missing} bytes are missing; copy it again")


def _check_segment(page: Any, index: int, path: Path) -> None:
    offset, count = page.dataoffsets[index], page.databytecounts[index]
    if not count:  # a hole left on purpose, read as zeros
        return
    missing = offset + count - page.parent.filehandle.size
    if missing > 0:
        raise ImageError(path, f"cut short: {missing} bytes are missing; copy it again")
    smallest, largest = _segment_sizes(page, index)
    if page.compression == COMPRESSION.NONE and page.photometric != PHOTOMETRIC.YCBCR:  # that one is refused later
        samples = page.samplesperpixel if page.planarconfig == 1 else 1
        bits = sum(page.bitspersample) if isinstance(page.bitspersample, tuple) else page.bitspersample * samples
        needed = smallest[0] * math.ceil(smallest[1] * bits / 8)
        if count < needed:
            raise ImageError(path, f"damaged: a strip of {count} bytes where {needed} are needed; copy it again")
    elif page.compression in SELF_DESCRIBING:
        filehandle = page.parent.filehandle
        filehandle.seek(offset)
        stream = filehandle.read(count)
        size = SELF_DESCRIBING[page.compression](stream)
        if size is None or not all(
            low <= side <= high for low, side, high in zip(smallest, size, largest, strict=True)
        ):
            raise ImageError(path, _size_problem(page, size, largest))
        if page.compression == COMPRESSION.JPEG:
            check_scans(stream, path)


def _size_problem(page: Any, size: Size | None, expected: Size) -> str:
    name, wanted = page.compression.name, f"{expected[1]} x {expected[0]} pixels"
    found = "cannot be read" if size is None else f"says {size[1]} x {size[0]} pixels"
    return f"damaged: a strip or tile of {wanted} holds a {name} picture whose header {found}; write it again"


def _segment_sizes(page: Any, index: int) -> tuple[Size, Size]:
    """Smallest and largest (height, width) that a strip or tile may have: up to the picture's edges, and in full."""
    height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    across, down = -(-page.imagewidth // width), -(-page.imagelength // height)
    row, column = index // across % down, index % across
    rows, columns = min(height, page.imagelength - row * height), min(width, page.imagewidth - column * width)
    return (rows, columns), (height if page.is_tiled else min(height, page.imagelength), width)
