"""The size of a pixel goes from TIFF to TIFF, whoever states it."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import tifffile

from ganvas.image.cover import Cover, cover_picture
from ganvas.image.files import encode_image, read_image, write_image
from ganvas.image.picture import Box, Picture, Resolution

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
