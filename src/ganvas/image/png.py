"""Text in PNG files that any encoder wrote."""

from __future__ import annotations

import struct
import zlib

__all__ = ["insert_text"]

HEADER_END = 8 + 25
"""The signature and the IHDR chunk, which always comes first (PNG 3rd edition, 5.6)."""


def insert_text(data: bytes, texts: dict[str, str], xmp: bytes) -> bytes:
    """A PNG file with text chunks (keyword -> text) and an XMP packet put in after its header."""
    notes = b"".join(_text_chunk(keyword, text.encode()) for keyword, text in texts.items())
    return data[:HEADER_END] + notes + _text_chunk("XML:com.adobe.xmp", xmp) + data[HEADER_END:]


def _text_chunk(keyword: str, text: bytes) -> bytes:
    """An iTXt chunk: UTF-8, not compressed, no language (PNG 3rd edition, 11.3.3.4)."""
    return _chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
