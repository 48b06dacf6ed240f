import numpy as np
import pytest

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Box, Picture, PictureSpec


@pytest.mark.parametrize(
    ("shape", "dtype", "has_alpha", "problem"),
    [
        ((4, 4), np.uint8, False, "expected pixels"),
        ((0, 4, 3), np.uint8, False, "none of them 0"),
        ((4, 4, 33), np.uint8, False, "33 channels"),
        ((4, 4, 1), np.uint8, True, "opacity alone"),
        ((4, 4, 3), np.float64, False, "float64 samples"),
    ],
)
def test_pixels_that_are_no_picture(shape, dtype, has_alpha, problem):
    with pytest.raises(ImageError, match=problem):
        Picture(np.zeros(shape, dtype), has_alpha)


def test_color_and_opacity_apart(rng):
    pixels = rng.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    picture = Picture(pixels, has_alpha=True)
    assert (picture.height, picture.width) == (3, 5)
    assert np.array_equal(picture.color, pixels[:, :, :3])
    assert np.array_equal(picture.alpha, pixels[:, :, 3:])
    assert picture.spec == PictureSpec(channels=3)
    assert Picture(pixels).alpha is None
    assert Picture(pixels).spec.channels == 4


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_for_screens(dtype, channels):
    high = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    rgb = Picture(np.full((2, 3, channels), high, dtype)).as_rgb8()
    assert rgb.shape == (2, 3, 3)
    assert rgb.dtype == np.uint8
    assert (rgb == 255).all()


def test_boxes():
    assert Box(-3, 2, 5, 9).clip(6, 4) == Box(0, 2, 4, 6)
    assert Box(4, 0, 5, 1).clip(6, 4) is None
    assert np.argwhere(Box(-3, 2, 1, 4).mask(6, 4)).tolist() == [[2, 0], [3, 0]]
    with pytest.raises(ImageError, match="left < right"):
        Box(3, 0, 3, 1)


@pytest.mark.parametrize(("dtype", "high"), [("uint8", 255.0), ("uint16", 65535.0), ("float32", 1.0)])
def test_the_value_range_follows_the_type(dtype, high):
    assert PictureSpec(dtype=dtype).value_range == (0.0, high)
    assert PictureSpec(dtype=dtype) == PictureSpec(dtype=dtype, value_range=(0, high))


@pytest.mark.parametrize("value_range", [(5.0, 5.0), (1.0, 0.0), (0.0, float("nan"))])
def test_value_ranges_out_of_order(value_range):
    with pytest.raises(ConfigError, match="in order"):
        PictureSpec(value_range=value_range)
