"""PNG files with wrong checksums, lengths or scanlines: they are refused even if a decoder would accept them."""

import re
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image.files import encode_image, read_image
from ganvas.image.picture import Picture


def png(dtype="uint8", channels=3, has_alpha=False) -> bytes:
    levels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (24, 20, channels)).astype(dtype)
    return encode_image(Picture(levels, has_alpha), ".png")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def made_of(raw: bytes, *, width=4, height=3, depth=16, color=0, interlace=0) -> bytes:
    """Return a PNG file with these scanlines, including filter types."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    body = zlib.compress(raw) if raw else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_flipped_bit_is_noticed(tmp_path, dtype):
    data, path = png(dtype), tmp_path / "a.png"
    rng = np.random.default_rng(1)
    path.write_bytes(data)
    expected = read_image(path).pixels
    for place in rng.choice(len(data) - 16, 150, replace=False) + 8:
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            found = read_image(path).pixels
        except ImageError:
            continue
        assert np.array_equal(found, expected), place


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("missing", [1, 3, 9, 13, 40])
def test_missing_bytes_are_noticed(tmp_path, dtype, missing):
    (tmp_path / "a.png").write_bytes(png(dtype)[:-missing])
    with pytest.raises(ImageError, match="truncated"):
        read_image(tmp_path / "a.png")


def test_a_wrong_zlib_checksum_is_noticed_behind_right_chunk_checksums(tmp_path):
    raw = b"".join(b"\0" + bytes(range(8)) for _ in range(3))
    good = made_of(raw)
    body = zlib.compress(raw)
    (tmp_path / "good.png").write_bytes(good)
    assert read_image(tmp_path / "good.png").pixels[0, 1, 0] == 0x0203
    for wrong in (body[:-1] + bytes([body[-1] ^ 1]), body[:-4]):
        broken = good.replace(chunk(b"IDAT", body), chunk(b"IDAT", wrong))
        (tmp_path / "a.png").write_bytes(broken)
        with pytest.raises(ImageError, match=r"incorrect data check|end early"):
            read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (made_of(b"\0" * 18), "end early"),
        (made_of(b"\0" * 36), "more pixel data"),
        (made_of(b"\5" + b"\0" * 26), "unknown filter"),
        (made_of(b"\0" * 27, color=5), "is invalid"),
        (made_of(b""), "end early"),
    ],
)
def test_scanlines_that_do_not_fit_the_header(tmp_path, data, problem):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match=rf"{problem}|cannot be decoded"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 17), (33, 8)])
def test_interlaced_pictures_are_counted_right(tmp_path, mode, size):
    """Pillow cannot write them, so the test creates the scanlines of all passes: filter 0, samples 0."""
    depth, color, channels = {"1": (1, 0, 1), "L": (8, 0, 1), "P": (8, 3, 1), "RGB": (8, 2, 3), "RGBA": (8, 6, 4)}[mode]
    raw = b""
    for top, left, down, right in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)
    ):  # fmt: skip
        columns, rows = len(range(left, size[0], right)), len(range(top, size[1], down))
        raw += (b"\0" * (1 + (columns * depth * channels + 7) // 8)) * rows if columns else b""
    data = made_of(raw, width=size[0], height=size[1], depth=depth, color=color, interlace=1)
    if mode == "P":
        data = data[:33] + chunk(b"PLTE", bytes(3)) + data[33:]
    (tmp_path / "a.png").write_bytes(data)
    assert read_image(tmp_path / "a.png").pixels.shape[:2] == (size[1], size[0])


@pytest.mark.parametrize("color", [0, 2, 4, 6])
def test_broken_16_bit_files_lose_no_reference(tmp_path, color):
    """Regression in imagecodecs: each failure drops one reference to None, and the interpreter aborts at none."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    good = made_of((b"\0" + bytes(8 * samples)) * 3, color=color)
    path, before = tmp_path / "a.png", sys.getrefcount(None)
    for number in range(240):
        broken = bytearray(good)
        broken[33 + number % (len(good) - 33)] ^= 0x10
        path.write_bytes(bytes(broken[: len(broken) - number % 3]))
        with pytest.raises(ImageError):
            read_image(path)
    # Other code changes the count by some tens; one reference per failure would be 240.
    assert before - sys.getrefcount(None) < 120


def test_notes_between_the_chunks_do_not_reach_the_16_bit_decoder(tmp_path):
    data = png("uint16")
    odd = chunk(b"iCCP", b"x\0\0garbage") + chunk(b"sBIT", b"\x99") + chunk(b"zzZz", bytes(9))
    (tmp_path / "a.png").write_bytes(data[:33] + odd + data[33:])
    (tmp_path / "b.png").write_bytes(data)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, read_image(tmp_path / "b.png").pixels)


def test_real_encoders_pass(tmp_path):
    y, x = np.mgrid[0:200, 0:300]
    pixels = np.stack([x % 256, y, x + y], 2).astype(np.uint8)
    for name, options in {"a": {}, "b": {"optimize": True}, "c": {"compress_level": 0}}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png", **options)
        assert np.array_equal(read_image(tmp_path / f"{name}.png").pixels, pixels)


P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
"""Chromaticities of Display P3, in 1/100000."""
SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@pytest.mark.parametrize(
    ("chunks", "named"),
    [
        ([], None),
        ([(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", struct.pack(">8I", *SRGB))], None),
        ([(b"gAMA", struct.pack(">I", 100000))], "gAMA"),
        ([(b"cHRM", struct.pack(">8I", *P3))], "cHRM"),
        ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100000))], None),
        ([(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100000))], None),
        ([(b"cICP", bytes([12, 13, 0, 1]))], r"cICP chunk \(12, 13, 0, 1\)"),
        ([(b"cICP", bytes([9, 16, 0, 1])), (b"sRGB", b"\0")], "cICP"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_chunks_that_name_other_colors_are_told(tmp_path, dtype, chunks, named):
    """In the order of precedence of the specification; no sample is changed."""
    data, path = png(dtype), tmp_path / "a.png"
    path.write_bytes(data)
    plain = read_image(path)
    path.write_bytes(data[:33] + b"".join(chunk(*one) for one in chunks) + data[33:])
    picture = read_image(path)
    np.testing.assert_array_equal(picture.pixels, plain.pixels)
    told = [note for note in picture.notes if "color space other than sRGB" in note]
    assert len(told) == (named is not None)
    assert named is None or re.search(named, told[0])
