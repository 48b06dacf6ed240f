"""Integrity checks of TIFF files: problems that the reader only logs, missing strips, and headers of inner codecs."""

from __future__ import annotations

import logging
import math
import re
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tifffile import COMPRESSION, PHOTOMETRIC

from ganvas.errors import ImageError
from ganvas.image.integrity import check_scans, jpeg_segments

__all__ = ["check_contiguous", "check_page", "logged_problems"]

Size = tuple[int, int]
"""Height and width."""
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
"""Compressions whose decoders receive the size of the output and cannot exceed it."""
HARMLESS = re.compile(r"invalid ASCII|GDAL_NODATA|GeoKey|_metadata|_tags|get_resolution|estimating ByteCounts")
"""Log messages of tifffile about metadata that do not affect the pixels."""
_TAG = re.compile(r"TiffTag (\d+) ")
PRIVATE = 32768
"""Smallest number of a private tag; of these, only the color profile affects the pixels."""
PROFILE_TAG = 34675


class _Collector(logging.Handler):
    """Log handler that collects the messages of one thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread, self.messages = threading.get_ident(), list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())


@contextmanager
def logged_problems(path: Path) -> Iterator[None]:
    """Raise an error for problems that tifffile only logs, after which it would return other pages, tags or zeros.

    Raises:
        ImageError: the file is truncated or damaged.
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
            raise ImageError(path, f"truncated or damaged ({problem[:120]}); copy it again, or remove it")


def _is_harmless(message: str) -> bool:
    tag = _TAG.search(message)
    return bool(HARMLESS.search(message)) or (tag is not None and PROFILE_TAG != int(tag[1]) >= PRIVATE)


def check_page(page: Any, path: Path) -> None:
    """Verify that all strips or tiles of a page are present and have the size that the page announces.

    Raises:
        ImageError: some are missing, differ in size, or use an unsupported compression.
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
    """Verify that a contiguously stored series is completely inside the file.

    Raises:
        ImageError: bytes are missing.
    """
    missing = series.dataoffset + series.nbytes - series.parent.filehandle.size
    if missing > 0:
        raise ImageError(path, f"truncated: {missing} bytes are missing; copy it again")


def _check_segment(page: Any, index: int, path: Path) -> None:
    offset, count = page.dataoffsets[index], page.databytecounts[index]
    if not count:  # an intentional hole, read as zeros
        return
    missing = offset + count - page.parent.filehandle.size
    if missing > 0:
        raise ImageError(path, f"truncated: {missing} bytes are missing; copy it again")
    smallest, largest = _segment_sizes(page, index)
    if page.compression == COMPRESSION.NONE and page.photometric != PHOTOMETRIC.YCBCR:  # refused later
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
    """Return the smallest and largest (height, width) of a strip or tile: cropped at the picture's edges, and full."""
    height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    across, down = -(-page.imagewidth // width), -(-page.imagelength // height)
    row, column = index // across % down, index % across
    rows, columns = min(height, page.imagelength - row * height), min(width, page.imagewidth - column * width)
    return (rows, columns), (height if page.is_tiled else min(height, page.imagelength), width)


FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15, without DHT, JPG and DAC."""
MAX_INNER_TILES = 1024
"""Largest number of tiles in a JPEG 2000 stream; its decoder allocates kilobytes for each before it reads any."""
MAX_COMPONENTS = 33
XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, for ratio 1 to 7 (ISO/IEC 18181-1, SizeHeader)."""
XL_SIZE_BITS = (9, 13, 18, 30)


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width from the frame header of a JPEG stream; None if it has none."""
    for marker, start in jpeg_segments(data):
        if marker in FRAMES:
            # length (2), precision (1), lines (2), samples per line (2): ITU-T T.81, B.2.2
            return int.from_bytes(data[start + 3 : start + 5], "big"), int.from_bytes(
                data[start + 5 : start + 7], "big"
            )
    return None


def jpeg2000_size(data: bytes) -> Size | None:
    """Return the size of a JPEG 2000 code stream, bare or in JP2 boxes; None if it is missing or not plausible."""
    start = 0 if data.startswith(b"\xff\x4f") else next((at for kind, at in _boxes(data) if kind == b"jp2c"), None)
    if start is None or data[start : start + 4] != b"\xff\x4f\xff\x51" or len(data) < start + 42:
        return None
    # SIZ: length, capabilities, Xsiz, Ysiz, XOsiz, YOsiz, XTsiz, YTsiz, XTOsiz, YTOsiz, Csiz (ISO/IEC 15444-1, A.5.1)
    right, bottom, left, top, tile_width, tile_height, tiles_left, tiles_top, components = struct.unpack_from(
        ">8IH", data, start + 8
    )
    if not tile_width or not tile_height or right <= left or bottom <= top or components > MAX_COMPONENTS:
        return None
    num_tiles = -(-(right - tiles_left) // tile_width) * -(-(bottom - tiles_top) // tile_height)
    return (bottom - top, right - left) if 0 < num_tiles <= MAX_INNER_TILES else None


def webp_size(data: bytes) -> Size | None:
    """Return the size of a WebP picture; None if unknown, or for an animation."""
    kind, body = data[12:16], data[20:30]
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(body) < 10:
        return None
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
        is_animated = bool(body[0] & 0x02)
        return None if is_animated else (height, width)
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    if kind == b"VP8 ":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return height, width
    return None


def jpegxl_size(data: bytes) -> Size | None:
    """Return the size of a JPEG XL picture, bare or in boxes; None if unknown, or for an animation."""
    if not data.startswith(b"\xff\x0a"):
        # jxlc holds the code stream; jxlp parts of it, each behind a 32-bit number
        places = dict(reversed([*_boxes(data)]))
        start = places.get(b"jxlc", places[b"jxlp"] + 4 if b"jxlp" in places else None)
        data = b"" if start is None else data[start : start + 64]
    if not data.startswith(b"\xff\x0a") or len(data) < 12:
        return None
    bits = _Bits(data[2:64])
    size = _xl_size(bits)
    return size if _is_one_plain_frame(bits) else None


def _xl_size(bits: _Bits) -> Size:
    small = bits.take(1)

    def extent() -> int:
        return 8 * (1 + bits.take(5)) if small else 1 + bits.take(XL_SIZE_BITS[bits.take(2)])

    height, ratio = extent(), bits.take(3)
    if not ratio:
        return height, extent()
    numerator, denominator = XL_RATIOS[ratio - 1]
    return height, height * numerator // denominator


def _is_one_plain_frame(bits: _Bits) -> bool:
    """Return whether the following image metadata announce neither a preview nor an animation."""
    if bits.take(1) or not bits.take(1):  # all default; no extra fields
        return True
    bits.take(3)  # orientation
    if bits.take(1):  # an intrinsic size
        _xl_size(bits)
    has_preview, has_animation = bits.take(1), bits.take(1)
    return not has_preview and not has_animation


class _Bits:
    """Reader of the bits of a byte string, lowest bits first; returns zeros after its end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        found = self._value & ((1 << count) - 1)
        self._value >>= count
        return found


def _boxes(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the kind of each top-level box and the offset of its content (ISO/IEC 15444-1, I.4)."""
    start = 0
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1 and start + 16 <= len(data):
            length, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        yield kind, start + head
        if length < head:  # 0: up to the end
            return
        start += length


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
"""Compression whose streams contain dimensions -> function that reads them."""
