"""JPEG streams at the byte level: dimensions and number of scans, read before anything is decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ganvas.errors import ImageError

__all__ = ["MAX_SCANS", "check_scans", "jpeg_size"]

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
