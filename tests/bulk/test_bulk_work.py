"""Working folders: kept where the same command can resume, removed where it cannot."""

from pathlib import Path

import pytest

from ganvas.bulk.work import working_folder
from ganvas.errors import InputError


def interrupted(target: Path, error: type[BaseException]) -> None:
    with working_folder(target, "one") as folder:
        (folder / "part").write_text("half")
        raise error("now")


@pytest.mark.parametrize(("error", "stays"), [(KeyboardInterrupt, True), (OSError, True), (InputError, False)])
def test_an_interrupted_job_keeps_its_folder(tmp_path: Path, error: type[BaseException], stays: bool) -> None:
    with pytest.raises(error):
        interrupted(tmp_path / "film.mp4", error)
    assert (tmp_path / ".film.mp4.ganvas").exists() == stays
    with working_folder(tmp_path / "film.mp4", "one") as folder:
        assert (folder / "part").exists() == stays
    assert not folder.exists()


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "film.mp4", KeyboardInterrupt)
    with working_folder(tmp_path / "film.mp4", "two") as folder:
        assert not (folder / "part").exists()
