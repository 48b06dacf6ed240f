"""Gray pictures among color ones are repeated, wherever they lie; what cannot be mended is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_sets import noise, save

from ganvas.data.agreement import agree_across_sides, agree_across_splits
from ganvas.data.cache import Cache, UnpairedCache, build_cache, build_unpaired_cache
from ganvas.data.config import PairedData, UnpairedData
from ganvas.data.loading import TrainLoader, evaluation_pairs
from ganvas.data.pairs import Split
from ganvas.errors import DataError


def pairs(root: Path, channels: dict[str, tuple[int, int]], dtypes: dict[str, str] | None = None) -> PairedData:
    """Split -> channels of sides a and b."""
    for split, (a, b) in channels.items():
        dtype = (dtypes or {}).get(split, "uint8")
        suffix = "png" if dtype == "uint8" else "tif"
        for index in range(2):
            save(root / split / "a" / f"p{index}.{suffix}", noise(12, 10, a, seed=index, dtype=dtype))
            save(root / split / "b" / f"p{index}.{suffix}", noise(12, 10, b, seed=9 + index, dtype=dtype))
    return PairedData(folder=root, resize="none", crop_size=(8, 8))


def agreed(config: PairedData, home: Path) -> dict[Split, Cache | UnpairedCache]:
    splits: tuple[Split, ...] = ("train", "val")
    caches: dict[Split, Cache | UnpairedCache] = {split: build_cache(config, split, home) for split in splits}
    agree_across_splits(caches)
    return caches


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        ((3, 3), (1, 1), (3, 3)),  # the whole validation split is gray
        ((1, 1), (3, 3), (3, 3)),  # the whole training split is gray
        ((3, 3), (3, 1), (3, 3)),  # one side of the validation split is gray
        ((1, 3), (1, 3), (1, 3)),  # gray to color, as it is meant
        ((1, 3), (3, 1), (3, 3)),
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_gray_splits_and_sides_are_repeated(
    tmp_path: Path, train: tuple[int, int], val: tuple[int, int], expected: tuple[int, int]
) -> None:
    config = pairs(tmp_path / "set", {"train": train, "val": val})
    for cache in agreed(config, tmp_path / "cache").values():
        assert isinstance(cache, Cache)
        assert (cache.input_spec.channels, cache.output_spec.channels) == expected
        batch = TrainLoader(cache, config, batch_size=2, seed=0).batch(0)
        assert (batch.a.shape[1], batch.b.shape[1]) == expected
        for _, given, made in evaluation_pairs(cache, config):
            assert (given.shape[1], made.shape[1]) == expected


def test_what_is_repeated_is_the_gray_picture(tmp_path: Path) -> None:
    config = pairs(tmp_path / "set", {"train": (3, 3), "val": (1, 1)})
    val = agreed(config, tmp_path / "cache")["val"]
    np.testing.assert_array_equal(val.sides["a"][0].transpose(1, 2, 0), np.repeat(noise(12, 10, 1, seed=0), 3, axis=2))


def test_the_direction_does_not_matter(tmp_path: Path) -> None:
    pairs(tmp_path / "set", {"train": (3, 1), "val": (1, 1)})
    config = PairedData(folder=tmp_path / "set", resize="none", crop_size=(8, 8), direction="b_to_a")
    val = agreed(config, tmp_path / "cache")["val"]
    assert isinstance(val, Cache)
    assert (val.input_spec.channels, val.output_spec.channels) == (1, 3)


def test_single_pictures_are_repeated(tmp_path: Path) -> None:
    for split, channels in (("train", 3), ("val", 1)):
        save(tmp_path / "set" / split / "p.png", noise(12, 10, channels))
    config = PairedData(folder=tmp_path / "set", degrade="blur", resize="none", crop_size=(8, 8))
    val = agreed(config, tmp_path / "cache")["val"]
    assert isinstance(val, Cache)
    assert {images.shape[1] for _, *images_of in evaluation_pairs(val, config) for images in images_of} == {3}


def test_unpaired_splits_are_repeated(tmp_path: Path) -> None:
    for folder, channels in {"trainA": 3, "trainB": 1, "valA": 1, "valB": 1}.items():
        save(tmp_path / "set" / folder / "p.png", noise(12, 10, channels))
    config = UnpairedData(folder=tmp_path / "set", resize="none", crop_size=(8, 8))
    splits: tuple[Split, ...] = ("train", "val")
    caches: dict[Split, Cache | UnpairedCache] = {
        split: build_unpaired_cache(config, split, tmp_path / "cache") for split in splits
    }
    agree_across_splits(caches)
    assert [[side.spec.channels for side in cache.sides.values()] for cache in caches.values()] == [[3, 1], [3, 1]]
    agree_across_sides(caches.values())  # for methods that need as many on both
    assert [[side.spec.channels for side in cache.sides.values()] for cache in caches.values()] == [[3, 3], [3, 3]]


@pytest.mark.parametrize(
    ("val", "dtype", "problem"),
    [
        ((5, 3), "uint8", "side a .* train is uint8 with 3 channels, val is uint8 with 5 channels; convert"),
        ((3, 3), "uint16", "side a .* train is uint8 with 3 channels, val is uint16 with 3 channels; convert"),
    ],
)
def test_what_cannot_be_mended_is_an_error(tmp_path: Path, val: tuple[int, int], dtype: str, problem: str) -> None:
    config = pairs(tmp_path / "set", {"train": (3, 3), "val": (3, 3)}, {"val": dtype})
    for index in range(2 * (val != (3, 3))):
        (tmp_path / f"set/val/a/p{index}.png").unlink()
        save(tmp_path / f"set/val/a/p{index}.tif", noise(12, 10, val[0]))
    with pytest.raises(DataError, match=problem):
        agreed(config, tmp_path / "cache")
