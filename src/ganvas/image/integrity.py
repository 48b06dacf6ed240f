"""Integrity checks of encoded pictures before decoding: size limits, PNG chunks and scanlines, JPEG scans."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ganvas.errors import ImageError

__all__ = ["MAX_PIXELS", "MAX_SCANS", "check_png", "check_scans", "check_size", "jpeg_segments", "pixels_alone"]

MAX_PIXELS = 200_000_000
"""Largest number of pixels; larger pictures are refused before decoding, because a small file can unpack to more than
the memory."""
MAX_BYTES_PER_PIXEL = 8
"""Pictures of many channels may need as much memory as MAX_PIXELS with this many bytes per pixel."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Color type -> samples per pixel (PNG 3rd edition, 11.2.1)."""
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, row step and column step of each pass of an interlaced image (8.1)."""
NUM_FILTERS = 5
PIECE = 2**20
"""Number of bytes that are read or inflated at a time."""


COLOR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
SRGB_CICP = bytes([1, 13, 0, 1])
"""Primaries of BT.709, the transfer of sRGB, RGB, full range (11.3.2.6)."""
SRGB_GAMMA = 45455
SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""gAMA and cHRM of sRGB, in 1/100000 (11.3.2.1, 11.3.2.2)."""
NEARLY = 500
"""Largest difference by rounding in encoders, in 1/100000."""


def check_size(path: Path, *, height: int, width: int, bytes_per_pixel: int, max_pixels: int) -> None:
    """Raise if the header of a picture announces too large a size.

    Raises:
        ImageError: more pixels or memory than allowed.
    """
    if height * width > max_pixels or height * width * bytes_per_pixel > max_pixels * MAX_BYTES_PER_PIXEL:
        raise ImageError(
            path,
            f"{width} x {height} pixels of {bytes_per_pixel} bytes, over the limit of {max_pixels:,} pixels; "
            "reduce it, or increase max_pixels if you trust it",
        )


def check_png(file: BinaryIO, path: Path) -> str | None:
    """Verify all chunk checksums, the zlib checksum and the number of scanlines of a PNG file.

    Decoders skip some of these checks and would return wrong pixels.

    Returns:
        A note if chunks other than an ICC profile name a color space that is not sRGB, else None.

    Raises:
        ImageError: the file is truncated or damaged.
        zlib.error: the compressed data are damaged.
    """
    # Chunks are read and checked in pieces, because the file may be large; its pixels are not kept.
    file.seek(len(SIGNATURE))
    scanlines: _Scanlines | None = None
    kind, colors = b"", dict[bytes, bytes]()
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", _exactly(file, 8, path))
        checksum = zlib.crc32(kind)
        for piece in _pieces(file, length, path):
            checksum = zlib.crc32(piece, checksum)
            if kind == b"IHDR" and scanlines is None:
                scanlines = _Scanlines(piece, path)
            elif kind == b"IDAT" and scanlines is not None:
                scanlines.take(piece)
            elif kind in COLOR_CHUNKS:
                colors[kind] = piece
        if checksum != int.from_bytes(_exactly(file, 4, path), "big"):
            raise _damaged(path, f"the checksum of its {kind.decode('latin-1')!r} chunk does not match")
    if scanlines is None or not scanlines.are_complete:
        raise _damaged(path, "its pixel data end early")
    return _note_on_colors(colors)


def _note_on_colors(chunks: dict[bytes, bytes]) -> str | None:
    """Return a note on the color space, by precedence: cICP, iCCP, sRGB, gAMA with cHRM (PNG 3rd edition, 4.3)."""
    space = None
    if b"cICP" in chunks:
        if chunks[b"cICP"] != SRGB_CICP:
            space = f"cICP chunk ({', '.join(map(str, chunks[b'cICP'][:4]))})"
    elif not chunks.keys() & {b"iCCP", b"sRGB"}:
        space = next((f"{kind.decode()} chunk" for kind in (b"gAMA", b"cHRM") if _differs(kind, chunks)), None)
    return None if space is None else f"its {space} declares a color space other than sRGB and was ignored"


def _differs(kind: bytes, chunks: dict[bytes, bytes]) -> bool:
    """Return whether a gAMA or cHRM chunk is present and differs from that of sRGB."""
    wanted = (SRGB_GAMMA,) if kind == b"gAMA" else SRGB_PRIMARIES
    body = chunks.get(kind, b"")
    if len(body) != 4 * len(wanted):
        return False
    return any(
        abs(one - other) > NEARLY for one, other in zip(struct.unpack(f">{len(wanted)}I", body), wanted, strict=True)
    )


def pixels_alone(file: BinaryIO) -> bytes:
    """Return a checked PNG file reduced to the chunks that its pixels need.

    The decoder for 16-bit samples loses a reference each time it fails, which aborts the interpreter after some
    thousand broken files; it reads these chunks without an error from a file that passed `check_png`.
    """
    file.seek(0)
    data, kept = file.read(), [SIGNATURE]
    start = len(SIGNATURE)
    while start < len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind in (b"IHDR", b"IDAT", b"IEND") or (kind == b"tRNS" and length in (2, 6)):
            kept.append(data[start : start + 12 + length])
        if kind == b"IEND":
            break
        start += 12 + length
    return b"".join(kept)


class _Scanlines:
    """Checker of the inflated pixel data: counts scanlines and checks filter types.

    Args:
        header: the 13 bytes of the IHDR chunk.
        path: path for messages.
    """

    def __init__(self, header: bytes, path: Path) -> None:
        if len(header) != 13:
            raise _damaged(path, "its header has a wrong length")
        width, height, depth, color, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
        if color not in SAMPLES or compression or filtering or interlace > 1 or 0 in (width, height):
            raise _damaged(path, "its header is invalid")
        self._path, self._inflater = path, zlib.decompressobj()
        bits = depth * SAMPLES[color]
        passes = ADAM7 if interlace else ((0, 0, 1, 1),)
        sizes = [(-(-(height - top) // down), -(-(width - left) // right)) for top, left, down, right in passes]
        self._passes = [[rows, 1 + (columns * bits + 7) // 8] for rows, columns in sizes if rows > 0 and columns > 0]
        self._passes.reverse()  # the current pass is the last element
        self._column = 0

    @property
    def are_complete(self) -> bool:
        """Return whether all scanlines and the checksum after them have been read."""
        return not self._passes and self._inflater.eof

    def take(self, compressed: bytes) -> None:
        """Inflate and check a piece of the data."""
        block = self._inflater.decompress(compressed, PIECE)
        while block:
            self._check(block)
            block = self._inflater.decompress(self._inflater.unconsumed_tail, PIECE)

    def _check(self, block: bytes) -> None:
        while block:
            if not self._passes:
                raise _damaged(self._path, "it contains more pixel data than its header announces")
            rows, stride = self._passes[-1]
            part = block[: rows * stride - self._column]
            if any(kind >= NUM_FILTERS for kind in part[-self._column % stride :: stride]):
                raise _damaged(self._path, "a scanline has an unknown filter")
            done, self._column = divmod(self._column + len(part), stride)
            self._passes[-1][0] -= done
            if not self._passes[-1][0]:
                self._passes.pop()
            block = block[len(part) :]


def _pieces(file: BinaryIO, length: int, path: Path) -> Iterator[bytes]:
    while length > 0:
        piece = _exactly(file, min(length, PIECE), path)
        length -= len(piece)
        yield piece


def _exactly(file: BinaryIO, length: int, path: Path) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise ImageError(path, "truncated: the file ends inside its data; copy it again")
    return data


def _damaged(path: Path, problem: str) -> ImageError:
    return ImageError(path, f"damaged: {problem}; copy it again, or remove it")


MAX_SCANS = 64
"""Largest number of scans; a decoder processes the whole picture once per scan. Cameras write 1, progressive encoders
about 10."""
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment: TEM, RST0 to RST7, SOI (ITU-T T.81, table B.1)."""
_MARKER = re.compile(rb"\xff+([\x01\xc0-\xcf\xd8-\xfe])", re.DOTALL)
"""In entropy-coded data 0xFF is followed by 0x00 or RSTn only."""


def check_scans(data: bytes, path: Path) -> None:
    """Raise for a JPEG stream with more scans than any encoder writes, which would take minutes to decode.

    Raises:
        ImageError: it has more than MAX_SCANS scans.
    """
    if data.count(b"\xff\xda") <= MAX_SCANS:  # fast; may count too many (thumbnails), never too few
        return
    scans = sum(marker == START_OF_SCAN for marker, _ in jpeg_segments(data))
    if scans > MAX_SCANS:
        raise ImageError(
            path, f"a JPEG of {scans:,} scans, over the limit of {MAX_SCANS}; save it again as an ordinary JPEG or PNG"
        )


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker that has a segment and the offset of its length, up to the end of the first image."""
    start = 0
    while found := _MARKER.search(data, start):
        marker, start = found[1][0], found.end()
        if marker == END_OF_IMAGE:
            return
        if marker not in STANDALONE:
            yield marker, start
            start += max(2, int.from_bytes(data[start : start + 2], "big"))
