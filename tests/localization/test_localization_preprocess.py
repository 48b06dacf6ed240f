"""What a classifier is shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image.picture import Box
from ganvas.localization import preprocess
from ganvas.localization.preprocess import (
    LONGEST_SIDE,
    Preprocessing,
    center_square,
    dense_shape,
    require_rgb,
    resize,
)

side = st.integers(1, 5000)


@given(side, side)
def test_dense_shape_is_a_limited_multiple_of_32(height, width):
    rows, columns = dense_shape(height, width, shorter=384)
    assert rows % 32 == columns % 32 == 0
    assert min(rows, columns) >= 32
    assert max(rows, columns) <= LONGEST_SIDE


def test_dense_shape_keeps_the_aspect():
    assert dense_shape(1000, 1500, shorter=384) == (384, 576)
    assert dense_shape(1500, 1000, shorter=384) == (576, 384)
    assert dense_shape(100, 1000, shorter=384) == (96, 1024)


@given(side, side)
def test_centre_square_lies_inside(height, width):
    box = center_square(height, width, share=0.875)
    assert box.clip(height, width) == box
    assert box.right - box.left == box.bottom - box.top


def test_centre_and_whole_say_what_they_show(rng):
    rgb = rng.integers(0, 256, (80, 120, 3), dtype=np.uint8)
    prepared = Preprocessing(size=32, dense_size=64)
    image, extent = prepared.center(rgb)
    assert (image.shape, image.dtype, extent) == ((32, 32, 3), np.float32, Box(25, 5, 95, 75))
    image, extent = prepared.whole(rgb)
    assert (image.shape, extent) == ((64, 96, 3), Box(0, 0, 120, 80))


def test_normalising_subtracts_divides_and_turns_round():
    red = np.full((1, 1, 3), (255, 0, 0), np.uint8)
    prepared = Preprocessing(mean=(5, 10, 20), deviation=(2, 1, 1), blue_first=True)
    assert prepared.normalize(red).tolist() == [[[-20, -10, 125]]]


def test_resize_of_a_part_sees_only_the_part():
    rgb = np.zeros((10, 10, 3), np.uint8)
    rgb[2:6, 3:7] = 200
    assert (resize(rgb, 4, 4, part=Box(3, 2, 7, 6)) == 200).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_pixels_are_refused_with_the_mend(wrong):
    with pytest.raises(ImageError, match="as_rgb8"):
        require_rgb(wrong)


@pytest.mark.parametrize("bicubic", [False, True])
@pytest.mark.parametrize("shape", [(60, 41), (7, 90), (1, 1), (33, 32)])
@pytest.mark.parametrize("part", [None, Box(3, 2, 20, 7), Box(0, 0, 1, 1)])
@pytest.mark.parametrize("strip", [5, 256])
def test_resizing_in_strips_is_pillows_across_then_down_to_the_bit(monkeypatch, rng, bicubic, shape, part, strip):
    monkeypatch.setattr(preprocess, "STRIP", strip)
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    part = part and part.clip(*shape)
    box = part or Box(0, 0, *shape[::-1])
    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    for height, width in ((16, 24), shape, (200, 50)):
        narrow = Image.fromarray(rgb).resize((width, shape[0]), how, box=(box.left, 0, box.right, shape[0]))
        expected = narrow.resize((width, height), how, box=(0, box.top, width, box.bottom))
        np.testing.assert_array_equal(resize(rgb, height, width, part=part, bicubic=bicubic), np.asarray(expected))


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (300, 300)])
def test_resizing_is_pillows_own_where_that_goes_across_first(rng, shape):
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = Image.fromarray(rgb).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(rgb, 224, 224), np.asarray(expected))
