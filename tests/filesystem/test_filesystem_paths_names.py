"""Names that differ only in Unicode normalization match wherever files are matched by name."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.data.config import PairedData, PrepareConfig
from ganvas.data.layouts import find_entries
from ganvas.data.prepare import prepare_pairs
from ganvas.data.regions import boxes_by_picture
from ganvas.errors import DataError
from ganvas.filesystem.paths import match_names, name_key
from ganvas.image.cover import MaskFolder
from redact_command import redact_files

FORMS = [("NFC", "NFD"), ("NFD", "NFC")]


def name(form: str, text: str = "café.png") -> str:
    return unicodedata.normalize(form, text)  # type: ignore[arg-type]


def picture(path: Path, level: int = 120) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(path)
    return path


def test_the_forms_differ_and_have_one_key() -> None:
    assert name("NFC") != name("NFD")
    assert name_key(name("NFC")) == name_key(name("NFD"))


def test_an_equal_name_goes_before_an_equivalent_one() -> None:
    both = [name("NFC"), name("NFD")]
    assert match_names(both, both) == {one: one for one in both}
    assert match_names(["other.png"], both) == {"other.png": "other.png"}


@pytest.mark.parametrize(("a", "b"), FORMS)
def test_pairs_match(tmp_path: Path, a: str, b: str) -> None:
    for index in range(3):
        picture(tmp_path / "train/a" / name(a, f"été{index}.png"))
        picture(tmp_path / "train/b" / name(b, f"été{index}.png"))
    entries = find_entries(PairedData(folder=tmp_path), "train")
    assert [tuple(file.name for file in entry.files) for entry in entries] == [
        (name(a, f"été{index}.png"), name(b, f"été{index}.png")) for index in range(3)
    ]


def test_two_forms_of_one_name_on_one_side_are_told(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        picture(tmp_path / "train/a" / name(form))
    picture(tmp_path / "train/b" / name("NFC"))
    with pytest.raises(DataError, match="2 files share their stem with another"):
        find_entries(PairedData(folder=tmp_path), "train")


@pytest.mark.parametrize(("file", "listed"), FORMS)
def test_split_files_match(tmp_path: Path, file: str, listed: str) -> None:
    picture(tmp_path / "set" / name(file))
    (tmp_path / "split.json").write_text(json.dumps({"train": [name(listed)]}))
    config = PairedData(folder=tmp_path / "set", layout="single", degrade="blur", split_file=tmp_path / "split.json")
    assert [entry.files[-1].name for entry in find_entries(config, "train")] == [name(file)]


@pytest.mark.parametrize(("file", "boxed"), FORMS)
def test_boxes_match(tmp_path: Path, file: str, boxed: str) -> None:
    picture(tmp_path / "in" / name(file))
    (tmp_path / "boxes.json").write_text(json.dumps({name(boxed): [[1, 1, 9, 9]]}))
    assert list(boxes_by_picture(tmp_path / "boxes.json", {name(file)})) == [name(file)]
    redact_files(tmp_path / "in", tmp_path / "out", boxes=tmp_path / "boxes.json")
    covered = np.asarray(Image.open(tmp_path / "out" / name(file)))
    assert not covered[1:9, 1:9].any()
    assert (covered[10:, 10:] == 120).all()
    config = PrepareConfig(
        tmp_path / "in",
        tmp_path / "pairs",
        where="boxes",
        boxes=tmp_path / "boxes.json",
        val_fraction=0,
        test_fraction=0,
    )
    assert prepare_pairs(config).left_out == []


@pytest.mark.parametrize(("file", "masked"), FORMS)
def test_masks_match(tmp_path: Path, file: str, masked: str) -> None:
    photo = picture(tmp_path / "in" / name(file))
    mask = picture(tmp_path / "masks" / name(masked), 255)
    assert MaskFolder(tmp_path / "masks").find(photo.name) == mask
    exact = picture(tmp_path / "both" / name(file), 255)
    picture(tmp_path / "both" / name(masked), 255)
    assert MaskFolder(tmp_path / "both").find(photo.name) == exact
    redact_files(tmp_path / "in", tmp_path / "out", mask=tmp_path / "masks")
    assert not np.asarray(Image.open(tmp_path / "out" / name(file))).any()
