"""Working folders: kept if the same command can resume, otherwise removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganvas.bulk.journal import working_folder
from ganvas.errors import InputError, PolicyRefusal
from ganvas.filesystem import FolderInUse


def interrupted(target: Path, error: Callable[[str], BaseException]) -> None:
    with working_folder(target, "one") as folder:
        (folder / "part").write_text("half")
        raise error("now")


def refused(reason: str) -> PolicyRefusal:
    return PolicyRefusal("film.mp4", reason)


@pytest.mark.parametrize(
    ("error", "stays"), [(KeyboardInterrupt, True), (OSError, True), (InputError, False), (refused, False)]
)
def test_an_interrupted_job_keeps_its_folder(tmp_path: Path, error: Any, stays: bool) -> None:
    with pytest.raises(PolicyRefusal if error is refused else error):
        interrupted(tmp_path / "film.mp4", error)
    assert (tmp_path / ".film.mp4.ganvas").exists() == stays
    with working_folder(tmp_path / "film.mp4", "one") as folder:
        assert (folder / "part").exists() == stays
    assert not folder.exists()


@pytest.mark.usefixtures("either_lock")
def test_other_settings_begin_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "film.mp4", KeyboardInterrupt)
    with working_folder(tmp_path / "film.mp4", "two") as folder:
        assert not (folder / "part").exists()
        with pytest.raises(FolderInUse), working_folder(tmp_path / "film.mp4", "two"):
            pass


def test_one_process_at_a_time_holds_it(tmp_path: Path) -> None:
    with working_folder(tmp_path / "film.mp4", "one") as folder:
        (folder / "part").write_text("whole")
        with pytest.raises(FolderInUse), working_folder(tmp_path / "film.mp4", "two"):
            pass
        assert (folder / "part").exists()


def test_a_long_name_has_one_too(tmp_path: Path) -> None:
    with working_folder(tmp_path / f"{'x' * 250}.mp4", "one") as folder:
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []
