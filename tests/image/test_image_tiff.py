"""TIFF files as microscopes, scanners and printing software write them."""

from dataclasses import replace
from fractions import Fraction
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image.cover import Cover, cover_picture
from ganvas.image.files import encode_image, read_image, write_image
from ganvas.image.picture import Box, Picture, Resolution


def noise(shape, dtype="uint16"):
    values = np.random.default_rng(0).random(shape)
    return (values * 250).astype(dtype) if dtype == "uint8" else (values * 65000).astype(dtype)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd"])
@pytest.mark.parametrize(("channels", "dtype"), [(5, "uint16"), (32, "float32"), (2, "uint8")])
def test_layouts(tmp_path, planar, compression, channels, dtype):
    pixels = noise((40, 50, channels), dtype)
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    options = {"planarconfig": planar, "compression": compression, "photometric": "minisblack", "rowsperstrip": 7}
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    picture = read_image(tmp_path / "a.tif")
    assert np.array_equal(picture.pixels, pixels)
    assert not picture.has_alpha


@pytest.mark.parametrize("options", [{"tile": (16, 32)}, {"bigtiff": True}, {"byteorder": ">"}, {"predictor": True}])
def test_tiles_byte_orders_and_predictors(tmp_path, options):
    pixels = noise((40, 50, 3))
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression="zlib", **options)
    again = read_image(tmp_path / "a.tif").pixels
    assert again.dtype.isnative
    assert np.array_equal(again, pixels)


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 9, 3), (9, 1, 4), (2, 2, 2), (3, 4, 3), (4, 3, 32)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_small_pictures_keep_their_shape(tmp_path, shape, dtype):
    write_image(tmp_path / "a.tif", Picture(noise(shape, dtype)))
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, noise(shape, dtype))


def test_what_we_write_is_contiguous_deflate_with_opacity_marked():
    data = encode_image(Picture(noise((8, 9, 6)), has_alpha=True), ".tif")
    with tifffile.TiffFile(BytesIO(data)) as tiff:
        page = tiff.pages.first
        assert (len(tiff.pages), page.planarconfig, page.compression) == (1, 1, 8)
        assert [int(extra) for extra in page.extrasamples] == [0, 0, 0, 0, 2]
        assert not {"Software", "DateTime", "ImageDescription", "XMP"} & {tag.name for tag in page.tags.values()}


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA"), (2, "LA")])
def test_other_programs_read_what_we_write(channels, mode):
    pixels = noise((8, 9, channels), "uint8")
    image = Image.open(BytesIO(encode_image(Picture(pixels, has_alpha=channels in (2, 4)), ".tif")))
    assert image.mode == mode
    assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


# Channels as pages


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("axis", [0, -1], ids=["first", "last"])
def test_a_bare_array_of_channels(tmp_path, axis):
    pixels = noise((64, 60, 5))
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(pixels, -1, axis))
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_a_bare_array_whose_channels_may_be_either_axis_is_refused(tmp_path, dtype):
    planes = noise((5, 20, 30), "uint8") > 127
    tifffile.imwrite(tmp_path / "a.tif", planes.astype(dtype))
    with pytest.raises(
        ImageError, match=r"\(5, 20, 30\), whose first or last axis may be .*: 'CYX'} or {'axes': 'YXC'}"
    ):
        read_image(tmp_path / "a.tif")
    for axes, axis in (("CYX", 0), ("YXC", 2)):
        tifffile.imwrite(tmp_path / "a.tif", planes.astype(dtype), metadata={"axes": axes})
        read = read_image(tmp_path / "a.tif").pixels
        assert np.array_equal(read > 0, np.moveaxis(planes, axis, -1))


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_named_channels(tmp_path, kind):
    pixels = noise((33, 20, 3))
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    options = {"photometric": "minisblack", "metadata": {"axes": "CYX"}, kind: True}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


def test_an_imagej_stack_behind_a_single_page(tmp_path):
    pixels = noise((33, 20, 4))
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    tifffile.imwrite(tmp_path / "a.tif", planes, imagej=True, metadata={"axes": "CYX"}, photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        assert len(tiff.pages) == 4
        count_at = tiff.pages.first.offset
        size = 2 + 12 * len(tiff.pages.first.tags)
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(count_at + size)
        file.write(b"\0\0\0\0")  # no next page
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_volumes_and_films_are_refused(tmp_path, axes):
    tifffile.imwrite(tmp_path / "a.tif", noise((4, 30, 20)), imagej=True, metadata={"axes": axes})
    with pytest.raises(ImageError, match="several pages; keep one"):
        read_image(tmp_path / "a.tif")


def test_pages_of_a_document_are_refused(tmp_path):
    pages = [Image.new("L", (40, 30), level) for level in (0, 255)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match="several pages"):
        read_image(tmp_path / "a.tif")


def test_a_stack_counts_towards_the_limit(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise((5, 64, 60)), photometric="minisblack")
    with pytest.raises(ImageError, match="60 x 64 pixels of 10 bytes"):
        read_image(tmp_path / "a.tif", max_pixels=1000)


def test_thumbnails_are_passed_over(tmp_path):
    pixels = noise((40, 50, 3), "uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(pixels[::4, ::4], subfiletype=1, photometric="rgb", metadata=None)
        tiff.write(pixels, photometric="rgb", metadata=None)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


def test_files_named_inside_a_file_are_not_opened(tmp_path, monkeypatch):
    uuid = "urn:uuid:00000000-0000-0000-0000-00000000000"
    pixel = 'SizeX="20" SizeY="30" SizeC="2" SizeZ="1" SizeT="1" Type="uint16" DimensionOrder="XYCZT" ID="Pixels:0"'
    blocks = "".join(
        f'<TiffData FirstC="{c}" FirstT="0" FirstZ="0" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{uuid}{c}</UUID></TiffData>'
        for c, name in enumerate(["a.tif", "secret.tif"])
    )
    ome = f'<OME UUID="{uuid}0" xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    ome += f"<Pixels {pixel}>{blocks}</Pixels></Image></OME>"
    tifffile.imwrite(tmp_path / "secret.tif", noise((30, 20)))
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(noise((30, 20)), description=ome, metadata=None)
    opened = []
    real_open = tifffile.FileHandle.open
    monkeypatch.setattr(tifffile.FileHandle, "open", lambda self: opened.append(self.name) or real_open(self))
    assert read_image(tmp_path / "a.tif").pixels.shape == (30, 20, 1)
    assert "secret.tif" not in opened


# Meanings of samples


def test_one_bit(tmp_path):
    bits = noise((9, 13), "uint8") > 120
    tifffile.imwrite(tmp_path / "a.tif", bits, photometric="minisblack")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels[:, :, 0], bits * 255)
    tifffile.imwrite(tmp_path / "a.tif", bits, photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels[:, :, 0], ~bits * 255)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_as_zero(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", noise((9, 13), dtype), photometric="miniswhite")
    expected = np.iinfo(dtype).max - noise((9, 13), dtype)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels[:, :, 0], expected)


def test_four_bits_spread_and_twelve_stay(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.arange(16, dtype=np.uint8)[None], bitspersample=4, photometric="minisblack")
    assert read_image(tmp_path / "a.tif").pixels[0, :, 0].tolist() == list(range(0, 256, 17))
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    tifffile.imwrite(tmp_path / "b.tif", levels, bitspersample=12, photometric="minisblack")
    assert np.array_equal(read_image(tmp_path / "b.tif").pixels[:, :, 0], levels)


def test_cmyk(tmp_path):
    inks = np.zeros((8, 8, 4), np.uint8)
    inks[:4] = (0, 255, 255, 0)
    inks[4:] = (0, 0, 0, 51)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated")
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[7, 7].tolist() == [204, 204, 204]
    tifffile.imwrite(tmp_path / "b.tif", inks.astype(np.uint16) * 257, photometric="separated")
    assert np.array_equal(read_image(tmp_path / "b.tif").pixels, pixels.astype(np.uint16) * 257)


@pytest.mark.parametrize("shift", [0, 8])
def test_color_maps_of_8_and_16_bits(tmp_path, shift):
    colors = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 128)]).astype(np.uint16)
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colors << shift)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels.reshape(256, 3), colors.T)


@pytest.mark.parametrize("bits", [1, 4])
def test_palettes_of_few_colors(tmp_path, bits):
    colors = (np.arange(3 * 2**bits, dtype=np.uint16) * 1000).reshape(3, 2**bits) + 300
    indices = (np.arange(63).reshape(7, 9) % 2**bits).astype(np.uint8)
    stored, depth = (indices.astype(bool), {}) if bits == 1 else (indices, {"bitspersample": bits})
    color_map = [(320, 3, colors.size, colors.ravel().tolist(), True)]
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", extratags=color_map, **depth)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages.first.tags["PhotometricInterpretation"].overwrite(3)  # tifffile itself writes only 8 bits
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, (colors.T >> 8)[indices])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_internal_mask_is_opacity(tmp_path, dtype):
    """As GDAL writes it, also in cloud-optimized files, where downsampled copies of both follow."""
    pixels, inside = noise((32, 48, 3), dtype), noise((32, 48)) > 20000
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(pixels, photometric="rgb", tile=(16, 16), compression="zlib", metadata=None)
        tiff.write(inside, photometric="mask", subfiletype=4, tile=(16, 16), compression="zlib", metadata=None)
        tiff.write(pixels[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
        tiff.write(inside[::2, ::2], photometric="mask", subfiletype=5, metadata=None)
    picture = read_image(tmp_path / "a.tif")
    assert picture.has_alpha
    assert np.array_equal(picture.color, pixels)
    assert np.array_equal(picture.pixels[:, :, 3], inside * np.iinfo(dtype).max)


def test_an_internal_mask_of_another_size_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(noise((32, 48, 3)), photometric="rgb", metadata=None)
        tiff.write(np.ones((16, 16), bool), photometric="mask", subfiletype=4, metadata=None)
    with pytest.raises(ImageError, match="internal masks that do not match"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("contiguous", [True, False])
def test_the_orientation_of_a_stack_is_applied(tmp_path, contiguous):
    planes = noise((5, 40, 50))
    options = {} if contiguous else {"compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", extratags=[(274, 3, 1, 6, True)], **options)
    expected = np.moveaxis(planes, 0, -1).swapaxes(0, 1)[:, ::-1]
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, expected)


def test_the_exif_of_a_stack_spoils_no_picture(tmp_path):
    planes = noise((5, 40, 50))
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", compression="zlib")
    for page in range(5):  # an invalid EXIF pointer, which the reader only logs
        with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
            tag = tiff.pages[page].tags["ResolutionUnit"]
            tiff.filehandle.seek(tag.offset)
            tiff.filehandle.write(np.array([34665, 4], "<u2").tobytes() + np.array([1, 2**31], "<u4").tobytes())
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, np.moveaxis(planes, 0, -1))


def test_jpeg_inside(tmp_path):
    colors = np.empty((32, 32, 3), np.uint8)
    colors[:] = (200, 40, 90)
    for subsampling in ((1, 1), (2, 2)):
        tifffile.imwrite(
            tmp_path / "a.tif", colors, photometric="rgb", compression="jpeg", tile=(16, 16), subsampling=subsampling
        )
        assert np.abs(read_image(tmp_path / "a.tif").pixels.astype(int) - colors).max() <= 3


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_colors_that_we_do_not_convert_are_refused(tmp_path, mode):
    Image.merge(mode, [Image.new("L", (8, 8), 90)] * 3).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="convert the picture to RGB"):
        read_image(tmp_path / "a.tif")


def test_opacity_multiplied_into_the_colors_is_taken_out(tmp_path):
    stored = np.array([[[50, 25, 0, 128], [0, 0, 0, 0], [9, 99, 255, 255]]], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    picture = read_image(tmp_path / "a.tif")
    assert picture.has_alpha
    assert picture.pixels[0].tolist() == [[100, 50, 0, 128], [0, 0, 0, 0], [9, 99, 255, 255]]


def test_a_fourth_channel_that_is_not_opacity(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise((9, 9, 4)), photometric="rgb", extrasamples=["unspecified"])
    picture = read_image(tmp_path / "a.tif")
    assert (picture.spec.channels, picture.has_alpha) == (4, False)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((4, 4), np.uint32), "uint32 samples"),
        (np.full((4, 4), -1, np.int16), "int16 samples"),
        (np.full((4, 4), np.nan, np.float32), "NaN"),
        (np.zeros((4, 4, 40), np.uint8), "40 channels"),
    ],
)
def test_samples_that_are_no_picture(tmp_path, array, problem):
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", planarconfig="contig")
    with pytest.raises(ImageError, match=problem):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_a_file_cut_between_two_strips_is_refused(tmp_path, compression):
    data = BytesIO()
    tifffile.imwrite(data, noise((40, 50, 3)), photometric="rgb", rowsperstrip=8, compression=compression)
    with tifffile.TiffFile(BytesIO(data.getvalue())) as tiff:
        cut = tiff.pages.first.dataoffsets[3]
    (tmp_path / "a.tif").write_bytes(data.getvalue()[:cut])
    with pytest.raises(ImageError, match="bytes are missing; copy it again"):
        read_image(tmp_path / "a.tif")


def test_a_circle_of_pages_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise((9, 9)), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        first = tiff.pages.first
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(first.offset + 2 + 12 * len(first.tags))
        file.write(first.offset.to_bytes(4, "little"))
    with pytest.raises(ImageError, match="circle"):
        read_image(tmp_path / "a.tif")


def test_a_bomb_is_refused_by_its_header(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), np.uint8), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength"):
            tiff.pages.first.tags[name].overwrite(60_000)
    with pytest.raises(ImageError, match="60000 x 60000"):
        read_image(tmp_path / "a.tif")


PIXELS = np.full((24, 30), 90, np.uint16)
PIXEL_TYPE = 'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="24"'
OME = f'<?xml version="1.0"?><OME><Image><Pixels {PIXEL_TYPE} {{}}/></Image></OME>'


def tags(path) -> tuple:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        return tuple(page.tags.valueof(code) for code in (282, 283, 296))


def test_dots_per_inch_stay_exact(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(300, 600), resolutionunit="INCH")
    picture = read_image(tmp_path / "a.tif")
    assert picture.resolution == Resolution(Fraction(300), Fraction(600), "inch")
    write_image(tmp_path / "b.tif", picture)
    assert tags(tmp_path / "b.tif") == ((300, 1), (600, 1), 2)
    assert read_image(tmp_path / "b.tif").resolution == picture.resolution


@pytest.mark.parametrize(("unit", "per_centimeter"), [("um", 10_000), ("micron", 10_000), ("mm", 10), ("nm", 10**7)])
def test_imagej_units(tmp_path, unit, per_centimeter):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, resolution=(4, 5), metadata={"unit": unit})
    found = read_image(tmp_path / "a.tif").resolution
    assert found == Resolution(Fraction(4 * per_centimeter), Fraction(5 * per_centimeter), "centimeter")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('PhysicalSizeX="0.5" PhysicalSizeY="0.25"', (20_000, 40_000)),
        ('PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="5e-1" PhysicalSizeYUnit="µm"', (20_000, 20_000)),
        ('PhysicalSizeX="0.5"', None),
        ('PhysicalSizeX="0" PhysicalSizeY="0"', None),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1" PhysicalSizeYUnit="pixel"', None),
    ],
)
def test_ome_sizes(tmp_path, attributes, expected):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, description=OME.format(attributes).encode(), metadata=None)
    found = read_image(tmp_path / "a.tif").resolution
    assert found == (expected and Resolution(Fraction(expected[0]), Fraction(expected[1]), "centimeter"))


@pytest.mark.parametrize(
    "options", [{}, {"resolution": (3, 4), "resolutionunit": 1}, {"resolution": ((0, 1), (5, 1)), "resolutionunit": 2}]
)
def test_no_unit_or_no_sense_is_none(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, metadata=None, **options)
    assert read_image(tmp_path / "a.tif").resolution is None


def test_it_turns_with_the_picture(tmp_path):
    turned = [(274, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(300, 600), resolutionunit="INCH", extratags=turned)
    assert read_image(tmp_path / "a.tif").resolution == Resolution(Fraction(600), Fraction(300), "inch")


def test_covering_keeps_it_and_other_formats_drop_it(tmp_path):
    picture = Picture(PIXELS[:, :, None], resolution=Resolution(Fraction(300), Fraction(300), "inch"))
    write_image(tmp_path / "b.tif", cover_picture(picture, Box(2, 2, 9, 9), Cover()))
    assert tags(tmp_path / "b.tif") == ((300, 1), (300, 1), 2)
    bare = replace(picture, resolution=None)
    assert encode_image(picture, ".png") == encode_image(bare, ".png")


@pytest.mark.parametrize("value", [Fraction(2**40), Fraction(1, 10**30)])
def test_what_a_tag_cannot_hold_is_left_out(tmp_path, value):
    write_image(tmp_path / "a.tif", Picture(PIXELS[:, :, None], resolution=Resolution(value, value, "inch")))
    assert read_image(tmp_path / "a.tif").resolution is None
