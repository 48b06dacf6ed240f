"""Dimensions in the headers of JPEG, JPEG 2000, WebP and JPEG XL streams, and JPEG scan counts, before decoding.

TIFF files hold such streams as strips and tiles. Each stream has dimensions of its own, and a decoder believes those.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from ganvas.errors import ImageError

__all__ = ["MAX_SCANS", "check_scans", "jpeg2000_size", "jpeg_size", "jpegxl_size", "webp_size"]

MAX_SCANS = 64
"""A decoder goes through the whole picture once a scan. Cameras write 1, progressive encoders about 10."""
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment: TEM, RST0 to RST7, SOI (ITU-T T.81, table B.1)."""
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15, without DHT, JPG and DAC."""
_MARKER = re.compile(rb"\xff+([\x01\xc0-\xcf\xd8-\xfe])", re.DOTALL)
"""In entropy-coded data 0xFF is followed by 0x00 or RSTn only."""


def check_scans(data: bytes, path: Path) -> None:
    """Refuse a JPEG stream of more scans than any encoder writes, which takes minutes to decode.

    Raises:
        ImageError: more than MAX_SCANS.
    """
    if data.count(b"\xff\xda") <= MAX_SCANS:  # quick; may count too many (thumbnails), never too few
        return
    scans = sum(marker == START_OF_SCAN for marker, _ in _segments(data))
    if scans > MAX_SCANS:
        raise ImageError(
            path, f"a JPEG of {scans:,} scans, over the limit of {MAX_SCANS}; save it again as an ordinary JPEG or PNG"
        )


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width as the frame header of a JPEG stream gives them, or None where it has none."""
    for marker, start in _segments(data):
        if marker in FRAMES:
            # length (2), precision (1), lines (2), samples per line (2): ITU-T T.81, B.2.2
            return int.from_bytes(data[start + 3 : start + 5], "big"), int.from_bytes(
                data[start + 5 : start + 7], "big"
            )
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers that have a segment, and where its length stands, up to the end of the first image."""
    start = 0
    while found := _MARKER.search(data, start):
        marker, start = found[1][0], found.end()
        if marker == END_OF_IMAGE:
            return
        if marker not in STANDALONE:
            yield marker, start
            start += max(2, int.from_bytes(data[start : start + 2], "big"))


MAX_INNER_TILES = 1024
"""Tiles inside one JPEG 2000 stream; its decoder sets up kilobytes for each before it reads any."""
MAX_COMPONENTS = 33
XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, for ratio 1 to 7 (ISO/IEC 18181-1, SizeHeader)."""
XL_SIZE_BITS = (9, 13, 18, 30)

Size = tuple[int, int]
"""Height and width."""


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
    """Return whether the image metadata that follow announce neither a preview nor an animation."""
    if bits.take(1) or not bits.take(1):  # all default; no extra fields
        return True
    bits.take(3)  # orientation
    if bits.take(1):  # an intrinsic size
        _xl_size(bits)
    has_preview, has_animation = bits.take(1), bits.take(1)
    return not has_preview and not has_animation


class _Bits:
    """Bits of a byte string, the lowest of each byte first; zeros behind its end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        found = self._value & ((1 << count) - 1)
        self._value >>= count
        return found


def _boxes(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Kind and place of the content of each box on the top level (ISO/IEC 15444-1, I.4)."""
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
