import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_sets import folders, noise, photographs, save, side_by_side

from ganvas.data.config import PairedData, UnpairedData
from ganvas.data.films import held_out_split
from ganvas.data.layouts import Entry, find_entries, find_layout, has_split, some_names
from ganvas.data.splits import evenly
from ganvas.errors import DataError
from ganvas.image.files import write_image
from ganvas.image.picture import Picture


def names(config: PairedData, split: str = "train") -> list[str]:
    return [entry.name for entry in find_entries(config, split)]


def test_two_folders_are_matched_by_stem(tmp_path: Path) -> None:
    folders(tmp_path, count=2)
    (tmp_path / "train/b/p1.png").rename(tmp_path / "train/b/p1.bmp")
    config = PairedData(folder=tmp_path)
    assert find_layout(config, "train") == "folders"
    train = tmp_path / "train"
    assert list(find_entries(config, "train")) == [
        Entry("p0", "p0", ("a", "b"), (train / "a/p0.png", train / "b/p0.png")),
        Entry("p1", "p1", ("a", "b"), (train / "a/p1.png", train / "b/p1.bmp")),
    ]


def test_capital_folder_names_do(tmp_path: Path) -> None:
    folders(tmp_path)
    for side in ("a", "b"):
        (tmp_path / "train" / side).rename(tmp_path / "train" / f"_{side}")
        (tmp_path / "train" / f"_{side}").rename(tmp_path / "train" / side.upper())
    assert len(names(PairedData(folder=tmp_path))) == 5


def test_files_without_a_partner_are_named_ten_and_a_count(tmp_path: Path) -> None:
    folders(tmp_path, count=14)
    for index in range(12):
        (tmp_path / f"train/a/p{index}.png").unlink()
    (tmp_path / "train/b/p13.png").unlink()
    with pytest.raises(DataError) as caught:
        find_entries(PairedData(folder=tmp_path), "train")
    message = str(caught.value)
    assert "1 only in" in message
    assert "p13" in message
    assert "12 only in" in message
    assert "p0, p1, p10, p11, p2, p3, p4, p5, p6, p7 and 2 more" in message


def test_two_files_of_one_stem_are_named(tmp_path: Path) -> None:
    folders(tmp_path, count=2)
    save(tmp_path / "train/a/p0.tif", noise(4, 4))
    with pytest.raises(DataError, match=r"p0\.png, p0\.tif"):
        find_entries(PairedData(folder=tmp_path), "train")


def test_side_by_side_shows_in_the_shape(tmp_path: Path) -> None:
    config = PairedData(folder=side_by_side(tmp_path))
    assert find_layout(config, "train") == "side_by_side"
    assert next(iter(find_entries(config, "train"))) == Entry("p0", "p0", ("a", "b"), (tmp_path / "train/p0.png",))


def test_photographs_are_not_cut_in_two_by_mistake(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="set layout side_by_side"):
        find_layout(PairedData(folder=photographs(tmp_path)), "train")


def test_a_degradation_makes_pairs_of_photographs(tmp_path: Path) -> None:
    config = PairedData(folder=photographs(tmp_path), degrade="mosaic")
    assert find_layout(config, "train") == "single"
    assert names(config) == ["p0", "p1", "p2", "p3"]


def test_a_missing_split_is_told_and_can_be_asked_for(tmp_path: Path) -> None:
    config = PairedData(folder=folders(tmp_path))
    assert has_split(config, "train")
    assert not has_split(config, "val")
    with pytest.raises(DataError, match="--split-file"):
        find_entries(config, "val")
    with pytest.raises(DataError, match="check the path"):
        find_entries(PairedData(folder=tmp_path / "nowhere"), "train")


@pytest.mark.parametrize("layout", ["folders", "side_by_side"])
def test_an_empty_split_is_told(tmp_path: Path, layout: str) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"no pictures|folders a and b"):
        find_entries(PairedData(folder=tmp_path, layout=layout), "train")


def split_file(tmp_path: Path, record: object) -> PairedData:
    photographs(tmp_path, split=".")
    (tmp_path / "splits.json").write_text(json.dumps(record))
    return PairedData(folder=tmp_path, degrade="gray", split_file=tmp_path / "splits.json")


def test_a_split_file_takes_stems_and_file_names(tmp_path: Path) -> None:
    config = split_file(tmp_path, {"train": ["p2", "p0.png", "p0"], "test": ["p3"]})
    assert names(config) == ["p0", "p2"]
    assert names(config, "test") == ["p3"]
    assert not has_split(config, "val")
    with pytest.raises(DataError, match="split val"):
        find_entries(config, "val")


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ({"train": ["p0", "gone"]}, "gone"),
        ({"train": ["p0", "p1"], "val": ["p1.png"]}, "two splits: p1"),
        ({"training": []}, "a split file is"),
        ({"train": "p0"}, "a split file is"),
        ([], "a split file is"),
    ],
)
def test_a_split_file_that_does_not_fit_is_told(tmp_path: Path, record: object, word: str) -> None:
    with pytest.raises(DataError, match=word):
        find_entries(split_file(tmp_path, record), "train")


def test_a_split_file_that_is_no_json_is_told(tmp_path: Path) -> None:
    config = split_file(tmp_path, {})
    (tmp_path / "splits.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        find_entries(config, "train")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_file_cannot_divide_a_single_film(tmp_path: Path, split: str) -> None:
    config = replace(split_file(tmp_path, {"train": ["a"], "val": ["b"]}), folder=tmp_path / "film.mp4")
    config.folder.write_bytes(b"0")
    for layout in ("auto", "single"):
        with pytest.raises(DataError, match=r"film\.mp4 is not a folder; .* omit --split-file"):
            find_entries(replace(config, layout=layout), split)


def test_names_are_cut_after_ten() -> None:
    assert some_names(["a", "b"]) == "a, b"
    assert some_names([str(number) for number in range(12)]).endswith("8, 9 and 2 more")


@pytest.mark.realdata
def test_facades(real_data: Path) -> None:
    config = PairedData(folder=real_data / "facades")
    assert [len(find_entries(config, split)) for split in ("train", "val", "test")] == [400, 100, 106]
    assert find_layout(config, "train") == "side_by_side"


@pytest.mark.parametrize("split", ["test", "val"])
def test_the_split_measured_is_one_that_training_never_sees(tmp_path: Path, split: str) -> None:
    for folder in ("train", split, "trainA", f"{split}A", "trainB", f"{split}B"):
        write_image(tmp_path / folder / "one.png", Picture(np.zeros((8, 16, 3), np.uint8)))
    assert held_out_split(PairedData(folder=tmp_path, layout="ab")) == split
    assert held_out_split(UnpairedData(folder=tmp_path)) == split


def test_without_such_a_split_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="put held-out pictures"):
        held_out_split(UnpairedData(folder=tmp_path))
    with pytest.raises(DataError, match="no such folder"):
        held_out_split(UnpairedData(folder=tmp_path / "nowhere"))


@pytest.mark.parametrize("split", ["test", "val"])
def test_sides_are_no_targets_and_it_says_so(tmp_path: Path, split: str) -> None:
    for side in "AB":
        write_image(tmp_path / f"{split}{side}" / "one.png", Picture(np.zeros((8, 16, 3), np.uint8)))
    with pytest.raises(DataError, match=f"{split}A and {split}B are unpaired.* pass a folder of pairs") as raised:
        held_out_split(PairedData(folder=tmp_path))
    assert "into testA" not in str(raised.value)


@pytest.mark.parametrize(
    ("total", "wanted", "expected"), [(10, 4, [0, 3, 6, 9]), (3, 8, [0, 1, 2]), (5, 1, [0]), (0, 4, [])]
)
def test_places_are_evenly_spread_with_both_ends(total: int, wanted: int, expected: list[int]) -> None:
    assert evenly(total, wanted) == expected
