"""None"""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import CHANNEL_GAP, GAP, Box, Picture, PictureSpec, all_channels, make_grid


@pytest.mark.parametrize(
    ("shape", "dtype", "has_alpha", "problem"),
    [
        ((4, 4), np.uint8, False, "expected pixels"),
        ((0, 4, 3), np.uint8, False, "none of them 0"),
        ((4, 4, 33), np.uint8, False, "33 channels"),
        ((4, 4, 1), np.uint8, True, "opacity without color"),
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


def test_cells_lie_where_they_should(rng):
    cells = [rng.integers(0, 256, (8, 6, 3), dtype=np.uint8) for _ in range(4)]
    grid = make_grid([cells[:2], cells[2:]])
    assert grid.shape == (2 * 8 + GAP, 2 * 6 + GAP, 3)
    assert np.array_equal(grid[:8, :6], cells[0])
    assert np.array_equal(grid[8 + GAP :, 6 + GAP :], cells[3])
    assert (grid[:, 6 : 6 + GAP] == 255).all()


def test_any_kind_of_cell():
    grid = make_grid(
        [
            [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1), np.uint8), None],
            [Picture(np.full((3, 5, 3), 65535, np.uint16)), Picture(np.zeros((2, 2, 4), np.float32), has_alpha=True)],
        ]
    )
    assert grid.shape == (4 + 3 + GAP, 5 + 4 + 2 * GAP, 3)
    assert grid.dtype == np.uint8


def test_scale_repeats_pixels(rng):
    cell = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    assert np.array_equal(make_grid([[cell]], scale=3), cell.repeat(3, axis=0).repeat(3, axis=1))


def test_captions_and_labels_take_room_and_hide_no_picture():
    cell = np.full((30, 40, 3), 100, np.uint8)
    plain = make_grid([[cell, cell]])
    grid = make_grid([[cell, cell]], captions=["mosaic", "a caption much too long for it"], row_labels=["photograph 1"])
    assert grid.shape[0] > plain.shape[0]
    assert grid.shape[1] > plain.shape[1]
    assert np.array_equal(grid[-30:, -84:], plain)
    assert (grid[:-30, -84:] < 100).any()
    assert (grid[-30:, :-84] < 100).any()


def test_captions_in_any_script_are_drawn():
    cell = np.zeros((9, 200, 3), np.uint8)
    accents, plain = (make_grid([[cell]], captions=[caption]) for caption in ("déjà", "deja"))
    assert np.array_equal(accents, plain)
    assert make_grid([[cell]], captions=["日本語"]).shape == plain.shape


def test_an_empty_grid_is_an_error():
    with pytest.raises(ImageError, match="at least one"):
        make_grid([[None]])


@pytest.mark.parametrize(("count", "rows", "columns"), [(2, 1, 2), (4, 2, 2), (5, 2, 3), (7, 3, 3)])
def test_all_channels_are_shown(count, rows, columns):
    levels = np.zeros((6, 4, count), np.uint8)
    levels[:] = 10 * (1 + np.arange(count))
    sheet = all_channels(Picture(levels))
    assert sheet.shape == (rows * 6 + (rows - 1) * CHANNEL_GAP, columns * 4 + (columns - 1) * CHANNEL_GAP, 3)
    for channel in range(count):
        top, left = channel // columns * (6 + CHANNEL_GAP), channel % columns * (4 + CHANNEL_GAP)
        assert (sheet[top : top + 6, left : left + 4] == 10 * (1 + channel)).all()
    assert make_grid([[Picture(levels)]]).shape == sheet.shape


@pytest.mark.parametrize(("count", "has_alpha"), [(1, False), (3, False), (2, True), (4, True)])
def test_gray_and_rgb_are_shown_as_they_are(count, has_alpha):
    picture = Picture(np.random.default_rng(0).integers(0, 256, (6, 4, count)).astype(np.uint8), has_alpha)
    np.testing.assert_array_equal(all_channels(picture), picture.as_rgb8())
