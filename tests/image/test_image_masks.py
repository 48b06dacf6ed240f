"""Masks: what they mark is certain, or they are refused."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from ganvas.errors import ImageError
from ganvas.image.files import write_image
from ganvas.image.masks import read_mask
from ganvas.image.picture import Picture
from redact_command import redact_files


@pytest.fixture
def marked() -> np.ndarray:
    mask = np.zeros((24, 30), bool)
    mask[5:15, 7:20] = True
    return mask


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_a_mask_whose_zero_is_white_never_covers_the_complement(
    tmp_path: Path, marked: np.ndarray, dtype: type
) -> None:
    """`tifffile.imwrite` tags every boolean array so, and its own reader gives the array back as it was."""
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
