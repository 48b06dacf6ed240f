"""Originals: no target of any verb is a source, whatever links lead to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganvas.errors import InputError
from ganvas.filesystem import files_in, require_apart


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "x.png"
    path.parent.mkdir()
    path.write_bytes(b"original")
    return path


def test_targets_that_do_not_exist_cost_nothing(tmp_path: Path) -> None:
    def sources() -> None:
        raise AssertionError("asked for")

    require_apart([tmp_path / "a.png", tmp_path / "b.png"], (sources() for _ in range(1)))  # type: ignore[misc]


@pytest.mark.parametrize("way", ["itself", "link", "link of its folder", "hard link"])
def test_a_source_is_found_behind_links(original: Path, tmp_path: Path, way: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    target = out / "x.png"
    if way == "itself":
        target = original.parent / ".." / "photos" / "x.png"
    elif way == "link":
        target.symlink_to(original)
    elif way == "link of its folder":
        (out / "sub").symlink_to(original.parent)
        target = out / "sub" / "x.png"
    else:
        os.link(original, target)
    with pytest.raises(InputError, match=r"x\.png would be overwritten, and this command reads it"):
        require_apart([out / "new.png", target], [original])


def test_two_targets_in_one_place_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match="are one file through a link"):
        require_apart([tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"], [])


def test_files_in_follows_no_hidden_folder(tmp_path: Path) -> None:
    for name in ("a.png", ".b.png", "c/d.png", ".e/f.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert {path.name for path in files_in(tmp_path)} == {"a.png", "d.png"}
    assert list(files_in(tmp_path / "a.png")) == [tmp_path / "a.png"]
    assert list(files_in(None)) == []
