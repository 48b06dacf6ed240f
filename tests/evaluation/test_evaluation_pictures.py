"""Which pictures are measured, and as what numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.data.config import PairedData, UnpairedData
from ganvas.errors import DataError
from ganvas.evaluation.pictures import as_picture, as_unit, choose_split, enlarged, evenly
from ganvas.image.files import write_image
from ganvas.image.picture import Picture


@pytest.mark.parametrize(
    ("total", "wanted", "expected"), [(10, 4, [0, 3, 6, 9]), (3, 8, [0, 1, 2]), (5, 1, [0]), (0, 4, [])]
)
def test_places_are_evenly_spread_with_both_ends(total: int, wanted: int, expected: list[int]) -> None:
    assert evenly(total, wanted) == expected


@pytest.mark.parametrize("split", ["test", "val"])
def test_the_split_measured_is_one_that_training_never_sees(tmp_path: Path, split: str) -> None:
    for folder in ("train", split, "trainA", f"{split}A", "trainB", f"{split}B"):
        write_image(tmp_path / folder / "one.png", Picture(np.zeros((8, 16, 3), np.uint8)))
    assert choose_split(PairedData(folder=tmp_path, layout="ab")) == split
    assert choose_split(UnpairedData(folder=tmp_path)) == split


def test_without_such_a_split_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="put pictures that training never sees"):
        choose_split(UnpairedData(folder=tmp_path))
    with pytest.raises(DataError, match="no such folder"):
        choose_split(UnpairedData(folder=tmp_path / "nowhere"))


@pytest.mark.parametrize("split", ["test", "val"])
def test_sides_are_no_targets_and_it_says_so(tmp_path: Path, split: str) -> None:
    for side in "AB":
        write_image(tmp_path / f"{split}{side}" / "one.png", Picture(np.zeros((8, 16, 3), np.uint8)))
    with pytest.raises(
        DataError, match=f"{split}A and {split}B are sides that need not .* give a folder of pairs"
    ) as raised:
        choose_split(PairedData(folder=tmp_path))
    assert "into testA" not in str(raised.value)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_signed_numbers_and_files_and_measures_agree(dtype: str) -> None:
    high = np.iinfo(dtype).max
    picture = Picture(np.array([[[0], [high]], [[high // 3], [high // 2]]], dtype))
    unit = as_unit(picture, picture.spec)
    assert unit.shape == (1, 1, 2, 2)
    assert (unit.min(), unit.max()) == (0, 1)
    assert np.array_equal(as_picture(2 * unit - 1, picture.spec).pixels, picture.pixels)


def test_enlarging_to_its_own_size_changes_nothing() -> None:
    images = torch.rand(1, 3, 5, 7)
    assert enlarged(images, (5, 7)) is images
    assert enlarged(images, (10, 14)).shape == (1, 3, 10, 14)
