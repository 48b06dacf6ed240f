"""PNG files at the byte level: integrity checks before decoding, and text put into finished files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ganvas.errors import ImageError

__all__ = ["check_png", "insert_text", "pixels_alone"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_END = 8 + 25
"""The signature and the IHDR chunk, which always comes first (PNG 3rd edition, 5.6)."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Color type -> samples per pixel (PNG 3rd edition, 11.2.1)."""
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, row step and column step of each pass of an interlaced image (8.1)."""
NUM_FILTERS = 5
PIECE = 2**20
"""Bytes that are read or inflated at a time."""


COLOR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
SRGB_CICP = bytes([1, 13, 0, 1])
"""Primaries of BT.709, the transfer of sRGB, RGB, full range (11.3.2.6)."""
SRGB_GAMMA = 45455
SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""gAMA and cHRM of sRGB, in 1/100000 (11.3.2.1, 11.3.2.2)."""
NEARLY = 500
"""Difference that rounding in encoders explains, in 1/100000."""


def check_png(file: BinaryIO, path: Path) -> str | None:
    """Verify all chunk checksums, the zlib checksum and the number of scanlines of a PNG file.

    Decoders skip some of these checks and would return other pixels.

    Returns:
        A note if chunks other than an ICC profile name a color space that is not sRGB, else None.

    Raises:
        ImageError: the file is cut short or damaged.
        zlib.error: the compressed data are damaged.
    """
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
    """In the order of precedence: cICP, iCCP, sRGB, then gAMA with cHRM (PNG 3rd edition, 4.3)."""
    space = None
    if b"cICP" in chunks:
        if chunks[b"cICP"] != SRGB_CICP:
            space = f"cICP chunk ({', '.join(map(str, chunks[b'cICP'][:4]))})"
    elif not chunks.keys() & {b"iCCP", b"sRGB"}:
        space = next((f"{kind.decode()} chunk" for kind in (b"gAMA", b"cHRM") if _differs(kind, chunks)), None)
    return None if space is None else f"its {space} names other colors than sRGB's and was ignored"


def _differs(kind: bytes, chunks: dict[bytes, bytes]) -> bool:
    """Return whether a chunk of numbers is there and is not sRGB's."""
    wanted = (SRGB_GAMMA,) if kind == b"gAMA" else SRGB_PRIMARIES
    body = chunks.get(kind, b"")
    if len(body) != 4 * len(wanted):
        return False
    return any(
        abs(one - other) > NEARLY for one, other in zip(struct.unpack(f">{len(wanted)}I", body), wanted, strict=True)
    )


def pixels_alone(file: BinaryIO) -> bytes:
    """Return a PNG file of a checked one, reduced to what its pixels need.

    The decoder for 16-bit samples loses a reference each time it fails, which aborts the interpreter after some
    thousand broken files; of a file that `check_png` has passed it reads these chunks without an error.
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


def insert_text(data: bytes, texts: dict[str, str], xmp: bytes) -> bytes:
    """Return a PNG file with text chunks (keyword -> text) and an XMP packet inserted after its header."""
    notes = b"".join(_text_chunk(keyword, text.encode()) for keyword, text in texts.items())
    return data[:HEADER_END] + notes + _text_chunk("XML:com.adobe.xmp", xmp) + data[HEADER_END:]


class _Scanlines:
    """Checker of the inflated pixel data: counts scanlines and checks filter types.

    Args:
        header: the 13 bytes of the IHDR chunk.
        path: for messages.
    """

    def __init__(self, header: bytes, path: Path) -> None:
        if len(header) != 13:
            raise _damaged(path, "its header has another length")
        width, height, depth, color, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
        if color not in SAMPLES or compression or filtering or interlace > 1 or 0 in (width, height):
            raise _damaged(path, "its header makes no sense")
        self._path, self._inflater = path, zlib.decompressobj()
        bits = depth * SAMPLES[color]
        passes = ADAM7 if interlace else ((0, 0, 1, 1),)
        sizes = [(-(-(height - top) // down), -(-(width - left) // right)) for top, left, down, right in passes]
        self._passes = [[rows, 1 + (columns * bits + 7) // 8] for rows, columns in sizes if rows > 0 and columns > 0]
        self._passes.reverse()  # the one under way is last
        self._column = 0

    @property
    def are_complete(self) -> bool:
        """Return whether all scanlines were there, and the checksum behind them."""
        return not self._passes and self._inflater.eof

    def take(self, compressed: bytes) -> None:
        """Inflate and check a piece."""
        block = self._inflater.decompress(compressed, PIECE)
        while block:
            self._check(block)
            block = self._inflater.decompress(self._inflater.unconsumed_tail, PIECE)

    def _check(self, block: bytes) -> None:
        while block:
            if not self._passes:
                raise _damaged(self._path, "it holds more pixel data than its header announces")
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
        raise ImageError(path, "cut short: the file ends inside its data; copy it again")
    return data


def _damaged(path: Path, problem: str) -> ImageError:
    return ImageError(path, f"damaged: {problem}; copy it again, or leave it out")


def _text_chunk(keyword: str, text: bytes) -> bytes:
    """Return an iTXt chunk: UTF-8, not compressed, no language (PNG 3rd edition, 11.3.3.4)."""
    return _chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
