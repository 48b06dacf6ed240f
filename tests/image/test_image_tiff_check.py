"""Damaged TIFF files, and files whose pictures differ from what they declare: refused before decoding."""

import logging
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image import tiff_check
from ganvas.image.files import read_image, read_size
from ganvas.image.tiff_check import jpeg2000_size, jpegxl_size, webp_size

INNER = ("jpeg", "jpeg2000", "webp", "jpegxl")


def colors(height=24, width=20, channels=3, dtype="uint8"):
    y, x = np.mgrid[0:height, 0:width]
    planes = [(3 * x + 5 * y + 40 * c) % 251 for c in range(channels)]
    return np.stack(planes, 2).astype(dtype) * (257 if dtype == "uint16" else 1)


def with_tags(path, **values):
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in values.items():
            tiff.pages.first.tags[name].overwrite(value)


def with_stream(path, stream, **tags):
    """Append another compressed stream to a file, and let its only strip point there."""
    with path.open("ab") as file:
        place = file.tell()
        file.write(stream)
    with_tags(path, **tags)
    kinds = ("TileOffsets", "TileByteCounts") if "TileWidth" in tags else ("StripOffsets", "StripByteCounts")
    with_tags(path, **dict(zip(kinds, (place, len(stream)), strict=True)))


# Damage


@pytest.mark.parametrize("missing", range(1, 10))
@pytest.mark.parametrize("writer", ["pillow", "tifffile"])
def test_a_deflate_file_without_its_last_bytes(tmp_path, writer, missing):
    path = tmp_path / "a.tif"
    if writer == "pillow":  # strips first, tags last
        Image.fromarray(colors(200, 90)).save(path, compression="tiff_adobe_deflate")
    else:
        tifffile.imwrite(path, colors(200, 90), photometric="rgb", compression="zlib", rowsperstrip=16)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(ImageError, match=r"truncated|damaged"):
        read_image(path)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"imagej": True, "metadata": {"axes": "CYX"}}])
def test_a_stack_cut_short_is_no_smaller_stack(tmp_path, share, options):
    planes = np.random.default_rng(0).integers(0, 65000, (5, 64, 60)).astype(np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes, photometric="minisblack", **options)
    assert np.array_equal(read_image(path).pixels, np.moveaxis(planes, 0, -1))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ImageError, match=r"truncated|damaged|missing|several pages"):
        read_image(path)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_more_rows_than_strips(tmp_path, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, colors(64), photometric="rgb", rowsperstrip=8, compression=compression)
    with_tags(path, ImageLength=4000)
    with pytest.raises(ImageError, match=r"damaged|truncated"):
        read_image(path)


def test_more_columns_than_tiles(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, colors(64, 64), photometric="rgb", tile=(16, 16), compression="zlib")
    with_tags(path, ImageWidth=400)
    with pytest.raises(ImageError, match="16 strips or tiles where 100 are needed"):
        read_image(path)


def test_a_strip_with_too_few_bytes(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, colors(24, 20, 1)[..., 0], photometric="minisblack", rowsperstrip=8)
    with_tags(path, StripByteCounts=(160, 100, 160))
    with pytest.raises(ImageError, match="a strip of 100 bytes where 160 are needed"):
        read_image(path)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "lzma"])
def test_damage_in_the_tags_gives_the_picture_or_an_error(tmp_path, compression):
    path, rng = tmp_path / "a.tif", np.random.default_rng(0)
    tifffile.imwrite(path, colors(40, 30), photometric="rgb", rowsperstrip=8, compression=compression, metadata=None)
    data = path.read_bytes()
    expected = read_image(path).pixels
    with tifffile.TiffFile(path) as tiff:
        places = [
            tag.offset + 8 + at
            for tag in tiff.pages.first.tags.values()
            for at in range(4)
            if tag.name in ("StripOffsets", "StripByteCounts", "ImageLength", "RowsPerStrip")
        ]
    for place in places:
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            found = read_image(path).pixels
        except ImageError:
            continue
        # missing rows look like a lower picture; all that is shown must be right
        assert np.array_equal(found, expected[: len(found)]), place


def test_the_readers_complaints_are_errors_and_do_not_reach_the_terminal(tmp_path, capfd):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, colors(), photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        first = tiff.pages.first
        next_page = first.offset + 2 + 12 * len(first.tags)
    with path.open("r+b") as file:
        file.seek(next_page)
        file.write((10**6).to_bytes(4, "little"))
    with pytest.raises(ImageError, match=r"a\.tif: truncated or damaged \(invalid page offset"):
        read_image(path)
    assert capfd.readouterr() == ("", "")
    assert not any(isinstance(handler, tiff_check._Collector) for handler in logging.getLogger("tifffile").handlers)


def test_a_side_note_that_is_no_text_spoils_no_picture(tmp_path, capfd):
    path = tmp_path / "a.tif"
    notes = [(315, 2, 4, b"\xff\xfe\xfd\0", True), (65123, 2, 5, b"\xff\xfe\xfd\xfc\0", True)]
    tifffile.imwrite(path, colors(), photometric="rgb", metadata=None, extratags=notes)
    assert np.array_equal(read_image(path).pixels, colors())
    assert capfd.readouterr().err == ""


# Streams with dimensions of their own


@pytest.mark.parametrize("compression", INNER)
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 8}])
def test_streams_of_the_right_size_are_read(tmp_path, compression, options):
    path, pixels = tmp_path / "a.tif", np.full((64, 50, 3), 100, np.uint8)
    tifffile.imwrite(path, pixels, compression=compression, photometric="rgb", **options)
    assert np.abs(read_image(path).pixels.astype(int) - pixels).max() <= 2


@pytest.mark.parametrize("compression", INNER)
@pytest.mark.parametrize("inner", [(600, 700), (24, 21), (25, 20), (23, 20)])
def test_streams_of_another_size_are_refused(tmp_path, compression, inner):
    other, path = tmp_path / "other.tif", tmp_path / "a.tif"
    tifffile.imwrite(
        other, np.zeros((*inner, 3), np.uint8), compression=compression, photometric="rgb", rowsperstrip=inner[0]
    )
    with tifffile.TiffFile(other) as tiff:
        page = tiff.pages.first
        stream = other.read_bytes()[page.dataoffsets[0] :][: page.databytecounts[0]]
    tifffile.imwrite(path, np.zeros((24, 20, 3), np.uint8), compression=compression, photometric="rgb", rowsperstrip=24)
    with_stream(path, stream)
    assert read_size(path) == (24, 20)
    with pytest.raises(ImageError, match=rf"holds a \w+ picture whose header says {inner[1]} x {inner[0]} pixels"):
        read_image(path)


@pytest.mark.parametrize("compression", INNER)
def test_streams_without_a_header_are_refused(tmp_path, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((24, 20, 3), np.uint8), compression=compression, photometric="rgb", rowsperstrip=24)
    with_stream(path, b"\0" * 40)
    with pytest.raises(ImageError, match="header cannot be read"):
        read_image(path)


def test_compressions_whose_size_cannot_be_checked_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((24, 20, 3), np.uint8), compression="png", photometric="rgb")
    with pytest.raises(ImageError, match="compressed as PNG, which is not supported; save it with deflate"):
        read_image(path)


def test_a_huge_tile_of_a_small_picture_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, colors(), photometric="rgb", tile=(16, 16), compression="zlib")
    with_tags(path, TileWidth=60_000, TileLength=60_000)
    with pytest.raises(ImageError, match="60000 x 60000"):
        read_image(path)


@pytest.mark.parametrize("size", [(1, 1), (8, 16), (37, 19), (300, 200), (513, 8200), (9000, 3)])
def test_sizes_in_headers(size):
    import imagecodecs

    picture = np.zeros((*size, 3), np.uint8)
    assert jpeg2000_size(imagecodecs.jpeg2k_encode(picture, codecformat="j2k")) == size
    assert jpeg2000_size(imagecodecs.jpeg2k_encode(picture, codecformat="jp2")) == size
    assert jpegxl_size(imagecodecs.jpegxl_encode(picture, effort=1)) == size
    assert jpegxl_size(imagecodecs.jpegxl_encode(picture, effort=1, usecontainer=True)) == size
    for lossless in (True, False):
        assert webp_size(imagecodecs.webp_encode(picture, lossless=lossless)) == size


def test_an_animation_inside_is_refused():
    stream = BytesIO()
    frames = [Image.new("RGB", (20, 24), level) for level in ("red", "blue")]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:])
    assert webp_size(stream.getvalue()) is None


def test_thousands_of_tiles_inside_a_stream_are_refused():
    import imagecodecs

    stream = bytearray(imagecodecs.jpeg2k_encode(np.zeros((256, 256), np.uint8), codecformat="j2k"))
    stream[24:32] = (1).to_bytes(4, "big") * 2
    assert jpeg2000_size(bytes(stream)) is None
