"""Protection of originals: no output of any verb overwrites a source, even through links."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.data.config import PrepareConfig
from ganvas.data.prepare import prepare_pairs
from ganvas.data.regions import read_user_regions
from ganvas.errors import ImageError, InputError
from ganvas.filesystem import files_in, require_apart
from ganvas.filesystem.listing import list_folder
from ganvas.filesystem.paths import using_cache
from ganvas.image.files import SkippedWarning, list_images, read_image, warn_of_skipped
from redact_command import redact_files


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "x.png"
    path.parent.mkdir()
    path.write_bytes(b"original")
    return path


def missing_permission(path: str) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", path)


def test_only_errors_inside_the_cache_name_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="GANVAS_CACHE"), using_cache(tmp_path / "cache"):
        missing_permission(str(tmp_path / "cache" / "x.json"))
    with pytest.raises(PermissionError), using_cache(tmp_path / "cache"):
        missing_permission(str(tmp_path / "photos" / "x.png"))


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
    with pytest.raises(InputError, match="are the same file through a link"):
        require_apart([tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"], [])


def test_files_in_follows_no_hidden_folder(tmp_path: Path) -> None:
    for name in ("a.png", ".b.png", "c/d.png", ".e/f.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert {path.name for path in files_in(tmp_path)} == {"a.png", "d.png"}
    assert list(files_in(tmp_path / "a.png")) == [tmp_path / "a.png"]
    assert list(files_in(None)) == []


def picture(path: Path, level: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(path)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Write a folder with a picture and a link to another folder, which contains another link."""
    picture(tmp_path / "in/top.png", 30)
    picture(tmp_path / "store/deep/patient.png", 60)
    picture(tmp_path / "archive/old.png", 90)
    (tmp_path / "in/patients").symlink_to(tmp_path / "store")
    (tmp_path / "store/older").symlink_to(tmp_path / "archive")
    return tmp_path / "in"


ALL = ["patients/deep/patient.png", "patients/older/old.png", "top.png"]


def below(folder: Path, paths: list[Path]) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def test_links_to_folders_are_followed(shared: Path) -> None:
    assert below(shared, list_images(shared, recursive=True)) == ALL


def test_a_link_upwards_ends(shared: Path) -> None:
    (shared / "patients/loop").symlink_to(shared.parent)  # everything, including the root itself
    (shared / "self").symlink_to(shared)
    listing = list_folder(shared)
    assert below(shared, listing.files) == ALL
    assert below(shared, listing.repeated) == ["patients/loop", "self"]


def test_a_real_folder_goes_before_links_to_it_whatever_their_names(tmp_path: Path) -> None:
    picture(tmp_path / "in/z/p.png")
    for name in ("a", "zz"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "in/z")
    listing = list_folder(tmp_path / "in")
    assert below(tmp_path / "in", listing.files) == ["z/p.png"]
    assert below(tmp_path / "in", listing.repeated) == ["a", "zz"]
    with pytest.warns(SkippedWarning, match="links to folders that are read anyway: a, zz$"):
        warn_of_skipped(tmp_path / "in", recursive=True)


def test_hidden_links_are_left_out_and_what_cannot_be_read_is_listed(tmp_path: Path) -> None:
    picture(tmp_path / "store/p.png")
    picture(tmp_path / "in/q.png")
    (tmp_path / "in/.hidden").symlink_to(tmp_path / "store")
    (tmp_path / "in/broken.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "in/zero.png").symlink_to("/dev/zero")
    (tmp_path / "in/self.png").symlink_to("self.png")
    os.mkfifo(tmp_path / "in/pipe.png")
    names = ["broken.png", "pipe.png", "q.png", "self.png", "zero.png"]
    assert below(tmp_path / "in", list_folder(tmp_path / "in").files) == names
    assert below(tmp_path / "in", list_images(tmp_path / "in")) == names
    problems = {"broken": "No such file", "self": "symbolic links", "pipe": "device, pipe", "zero": "device, pipe"}
    for name, problem in problems.items():
        with pytest.raises(ImageError, match=problem):
            read_image(tmp_path / "in" / f"{name}.png")


def test_a_list_that_is_not_recursive_names_the_folders(shared: Path) -> None:
    assert below(shared, list_images(shared)) == ["top.png"]
    (shared / "out").mkdir()
    with pytest.warns(SkippedWarning, match="folders: patients$"):
        warn_of_skipped(shared, out=shared / "out")


def test_redaction_covers_what_lies_behind_a_link(shared: Path, tmp_path: Path) -> None:
    picture(tmp_path / "mask.png", 255)
    redact_files(shared, tmp_path / "out", mask=tmp_path / "mask.png")
    assert below(tmp_path / "out", list((tmp_path / "out").rglob("*.png"))) == ALL


def test_redaction_does_not_read_its_results_behind_a_link(shared: Path, tmp_path: Path) -> None:
    picture(tmp_path / "mask.png", 255)
    out = tmp_path / "store/released"
    for _ in range(2):
        redact_files(shared, out, mask=tmp_path / "mask.png")
    assert below(out, list(out.rglob("*.png"))) == ALL


def test_prepare_reads_what_lies_behind_a_link(shared: Path, tmp_path: Path) -> None:
    prepared = prepare_pairs(PrepareConfig(shared, tmp_path / "pairs", val_fraction=0, test_fraction=0))
    assert sum(prepared.counts.values()) == 3


def test_masks_are_found_behind_a_link(shared: Path, tmp_path: Path) -> None:
    names = {"patients/deep/patient.png", "patients/older/old.png", "top.png"}
    region = read_user_regions(names, boxes=None, mask=shared)
    assert all(region.identity(name) for name in names)


def test_what_operating_systems_leave_is_neither_listed_nor_followed(tmp_path: Path) -> None:
    for name in ("a.png", "Thumbs.db", "b/desktop.ini", "b/c.png", "b/@eaDir/c.png/thumb.png", "__MACOSX/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listing = list_folder(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in listing.files] == ["a.png", "b/c.png"]
    left = [path.relative_to(tmp_path).as_posix() for path in listing.system]
    assert left == ["Thumbs.db", "__MACOSX", "b/@eaDir", "b/desktop.ini"]
