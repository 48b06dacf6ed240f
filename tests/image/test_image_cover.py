"""None"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ganvas.errors import ConfigError, ImageError
from ganvas.image.cover import (
    Cover,
    bicubic_resize,
    block_means,
    cover,
    cover_picture,
    gaussian_blur,
    mosaic,
    read_mask,
)
from ganvas.image.files import write_image
from ganvas.image.picture import Box, Picture
from redact_command import redact_files

STYLES = [Cover(), Cover(style="mosaic", block_size=3), Cover(style="mosaic"), Cover(style="blur", sigma=2)]
DTYPES = ["uint8", "uint16", "float32"]


def noise(shape=(20, 24, 3), dtype="uint8", seed=0):
    high = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    values = np.random.default_rng(seed).random(shape) * high
    return values.astype(np.float32) if dtype == "float32" else np.rint(values).astype(dtype)


def whole_pictures(max_channels=3):
    shapes = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, max_channels))
    return st.sampled_from([np.uint8, np.uint16]).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


@pytest.mark.parametrize("how", STYLES, ids=lambda how: how.style)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("box", [Box(4, 5, 15, 12), Box(-7, -3, 6, 8), Box(18, 15, 99, 99), Box(-9, -9, 99, 99)])
def test_inside_changes_and_outside_does_not(how, dtype, channels, box):
    pixels = noise((20, 24, channels), dtype)
    before = pixels.copy()
    covered = cover(pixels, box, how)
    inside = box.mask(20, 24)
    assert np.array_equal(pixels, before)
    assert covered.dtype == pixels.dtype
    assert np.array_equal(covered[~inside], pixels[~inside])
    assert (covered[inside] != pixels[inside]).mean() > 0.8


@pytest.mark.parametrize("how", STYLES, ids=lambda how: how.style)
@pytest.mark.parametrize("box", [Box(24, 0, 30, 5), Box(-5, 0, 0, 5), Box(0, 20, 5, 21), Box(3, -9, 5, 0)])
def test_a_box_wholly_off_the_picture_is_an_error(how, box):
    with pytest.raises(ImageError, match="is outside a picture"):
        cover(noise(), box, how)


@pytest.mark.parametrize("how", STYLES, ids=lambda how: how.style)
def test_a_mask_covers_what_it_marks(how):
    pixels, mask = noise(), np.zeros((20, 24), bool)
    mask[3:9, 2:11] = mask[8:18, 9:20] = True
    covered = cover(pixels, mask, how)
    assert np.array_equal(covered[~mask], pixels[~mask])
    assert (covered[mask] != pixels[mask]).mean() > 0.8


def test_masks_that_cannot_be_meant():
    with pytest.raises(ImageError, match="no pixel"):
        cover(noise(), np.zeros((20, 24), bool), Cover())
    with pytest.raises(ImageError, match="shape"):
        cover(noise(), np.ones((24, 20), bool), Cover())


@pytest.mark.parametrize(("dtype", "level"), [("uint8", 128), ("uint16", 32768), ("float32", 0.5)])
def test_a_color_means_the_same_in_every_type(dtype, level):
    covered = cover(noise(dtype=dtype), Box(0, 0, 2, 2), Cover(color=(0.5,)))
    assert covered[0, 0].tolist() == pytest.approx([level] * 3, abs=1)


def test_colors():
    assert cover(noise(), Box(0, 0, 2, 2), Cover(color=(1, 0, 0.2)))[0, 0].tolist() == [255, 0, 51]
    assert cover(noise((9, 9, 1)), Box(0, 0, 2, 2), Cover(color=(1, 0, 0)))[0, 0].tolist() == [76]
    with pytest.raises(ImageError, match="5 channels"):
        cover(noise((9, 9, 5)), Box(0, 0, 2, 2), Cover(color=(1, 0, 0)))


@pytest.mark.parametrize(
    "settings_",
    [
        {"color": (255, 0, 0)},
        {"color": ()},
        {"blocks": 3, "block_size": 3},
        {"sigma": 0},
        {"blocks": -1},
        {"block_size": 1},
        {"style": "gray"},
    ],
)
def test_settings_out_of_range(settings_):
    with pytest.raises(ConfigError):
        Cover(**settings_)


@pytest.mark.slow
@given(whole_pictures(), st.integers(1, 15))
def test_mosaic_is_the_rounded_mean_of_each_block(pixels, size):
    result, means = mosaic(pixels, size), block_means(pixels, size)
    for row in range(means.shape[0]):
        for column in range(means.shape[1]):
            block = np.s_[row * size : (row + 1) * size, column * size : (column + 1) * size]
            expected = np.rint(pixels[block].astype(np.float64).mean(axis=(0, 1)))
            assert np.array_equal(means[row, column], expected)
            assert (result[block] == expected).all()


@given(whole_pictures(), st.integers(2, 15), st.data())
def test_mosaic_again_changes_nothing(pixels, size, data):
    once = mosaic(pixels, size)
    assert np.array_equal(mosaic(once, size), once)
    mask = data.draw(hnp.arrays(bool, pixels.shape[:2]))
    if mask.any():
        how = Cover(style="mosaic", block_size=size)
        masked = cover(pixels, mask, how)
        assert np.array_equal(cover(masked, mask, how), masked)


def test_a_masked_mosaic_tells_nothing_of_what_it_leaves():
    pixels = noise()
    mask = np.zeros((20, 24), bool)
    mask[::2] = True
    other = pixels.copy()
    other[~mask] = 0
    how = Cover(style="mosaic", block_size=5)
    assert np.array_equal(cover(pixels, mask, how)[mask], cover(other, mask, how)[mask])


def test_blocks_count_across_the_longer_side():
    covered = cover(noise((64, 64, 1)), Box(0, 10, 60, 40), Cover(style="mosaic", blocks=4))
    row = covered[10, :60, 0].astype(int)
    assert np.flatnonzero(np.diff(row)).tolist() == [14, 29, 44]


def test_part_of_a_box_is_covered_as_strongly_as_all_of_it():
    pixels = noise((64, 64, 1))
    how = Cover(style="mosaic", blocks=4)
    assert len(np.unique(cover(pixels, Box(-56, 0, 8, 64), how)[:, :8])) <= 4
    assert (cover(pixels, Box(-63, -63, 3, 3), how)[:3, :3] == block_means(pixels[:3, :3], 3)).all()


def test_float_mosaic_keeps_the_mean():
    pixels = noise((16, 16, 2), "float32")
    assert block_means(pixels, 8)[0, 0] == pytest.approx(pixels[:8, :8].mean(axis=(0, 1)), abs=1e-6)


def test_blur_of_a_window_is_the_blur_of_the_whole():
    pixels, box = noise((60, 80, 3)), Box(30, 20, 50, 45)
    covered = cover(pixels, box, Cover(style="blur", sigma=3))
    whole = gaussian_blur(pixels, 3)
    assert np.array_equal(covered[20:45, 30:50], whole[20:45, 30:50])


@pytest.mark.parametrize("dtype", DTYPES)
def test_blur_and_resize_keep_a_constant(dtype):
    pixels = np.full((9, 11, 5), noise((1, 1, 1), dtype)[0, 0, 0])
    assert gaussian_blur(pixels, 3) == pytest.approx(pixels, rel=1e-6)
    for size in ((4, 5), (30, 20)):
        resized = bicubic_resize(pixels, *size)
        assert resized.shape == (*size, 5)
        assert resized.dtype == pixels.dtype
        assert resized == pytest.approx(pixels[0, 0, 0], rel=1e-6)


def test_blur_spreads_as_a_gaussian():
    pixels = np.zeros((41, 41, 1), np.float32)
    pixels[20, 20] = 1
    at = np.arange(41) - 20.0
    expected = np.exp(-(at**2) / 18)
    assert gaussian_blur(pixels, 3)[:, :, 0] == pytest.approx(
        np.outer(expected, expected) / expected.sum() ** 2, abs=1e-4
    )


def test_resize_to_the_same_size_is_a_copy():
    pixels = noise()
    same = bicubic_resize(pixels, 20, 24)
    assert np.array_equal(same, pixels)
    assert not np.shares_memory(same, pixels)


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 255
    assert bicubic_resize(stripes, 16, 16)[4:-4, 4:-4] == pytest.approx(127.5, abs=8)


def test_covering_a_picture_makes_it_opaque_there():
    picture = Picture(noise((9, 9, 4)), has_alpha=True, source=None)
    covered = cover_picture(picture, Box(2, 2, 5, 5), Cover(style="mosaic", block_size=2))
    assert covered.has_alpha
    assert (covered.pixels[2:5, 2:5, 3] == 255).all()
    assert np.array_equal(covered.pixels[:2], picture.pixels[:2])


def test_a_grid_goes_through_a_given_point() -> None:
    """Blocks start at the point, on both sides of it, wherever it is; those at the region's edge are smaller."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)
    how = Cover(style="mosaic", block_size=5)
    for origin in ((3, 2), (-7, 12), (103, -98)):
        covered = cover(pixels, Box(0, 0, 17, 12), how, origin=origin)
        for rows in (slice(0, 2), slice(2, 7), slice(7, 12)):
            for columns in (slice(0, 3), slice(3, 8), slice(8, 13), slice(13, 17)):
                mean = np.rint(pixels[rows, columns].mean(axis=(0, 1)))
                assert (covered[rows, columns] == mean).all()
    corner = cover(pixels, Box(4, 3, 17, 12), how, origin=(4, 3))
    assert (corner == cover(pixels, Box(4, 3, 17, 12), how)).all()


@pytest.fixture
def marked() -> np.ndarray:
    mask = np.zeros((24, 30), bool)
    mask[5:15, 7:20] = True
    return mask


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_a_mask_whose_zero_is_white_never_covers_the_complement(
    tmp_path: Path, marked: np.ndarray, dtype: type
) -> None:
    """`tifffile.imwrite` tags every boolean array this way, and its own reader returns the array unchanged."""
    path, like = tmp_path / "mask.tif", Picture(np.full((24, 30, 3), 90, np.uint8))
    tifffile.imwrite(path, marked.astype(dtype), photometric=None if dtype is bool else "miniswhite")
    problem = r"mask\.tif: the mask declares that 0 is white.*save it with 8 bits.*mask\.astype\('uint8'\) \* 255"
    with pytest.raises(ImageError, match=problem):
        read_mask(path, like)
    write_image(tmp_path / "x.png", like)
    with pytest.raises(ImageError, match=problem):
        redact_files(tmp_path / "x.png", tmp_path / "out", mask=path)
    assert not (tmp_path / "out").exists()


def test_the_remedy_of_the_message_works(tmp_path: Path, marked: np.ndarray) -> None:
    like = Picture(np.full((24, 30, 3), 90, np.uint8))
    tifffile.imwrite(tmp_path / "a.tif", marked.astype("uint8") * 255)
    tifffile.imwrite(tmp_path / "b.tif", marked, photometric="minisblack")
    for name in ("a.tif", "b.tif"):
        np.testing.assert_array_equal(read_mask(tmp_path / name, like), marked)
