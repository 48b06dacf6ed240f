"""Locks on folders: one process writes, single files share, and neither lock files nor leftovers remain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from leftovers import DEAD, LEFTOVERS, fill

from ganvas.filesystem import FolderInUse, claimed, contents_of, locks, swept_beside
from ganvas.filesystem.atomic import temporary_path
from ganvas.filesystem.locks import LOCK_NAME, hidden_folder


def test_a_claim_removes_leftovers_and_nothing_else(tmp_path: Path) -> None:
    for folder in (tmp_path / "out", tmp_path / "out" / "sub", tmp_path / "elsewhere"):
        fill(folder)
    with claimed(tmp_path / "out", beside=[tmp_path / "out" / "sub", tmp_path / "missing"]):
        pass
    kept = {".tmpAbCdE1", ".mine.png", "x.png", ".x.0123.png", ".tmpfile"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == kept | {"sub"}
    assert {path.name for path in (tmp_path / "out" / "sub").iterdir()} == kept
    assert LEFTOVERS[0] in {path.name for path in (tmp_path / "elsewhere").iterdir()}


@pytest.mark.usefixtures("either_lock")
def test_one_process_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with claimed(out):
        with pytest.raises(FolderInUse, match="in use by another"), claimed(out):
            pass
        (tmp_path / "link").symlink_to(out)
        with pytest.raises(FolderInUse), claimed(tmp_path / "link"):
            pass
        (out / "x.png").touch()
    with claimed(out):
        pass
    assert [path.name for path in out.iterdir()] == ["x.png"]


def test_an_empty_folder_that_was_made_is_removed(tmp_path: Path) -> None:
    with claimed(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    (tmp_path / "there").mkdir()
    with claimed(tmp_path / "there"):
        pass
    assert (tmp_path / "there").exists()


@pytest.mark.usefixtures("either_lock")
def test_single_files_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 2)
    fill(tmp_path)
    with swept_beside(tmp_path), swept_beside(tmp_path):
        assert not (tmp_path / LEFTOVERS[0]).exists()
        with pytest.raises(FolderInUse), claimed(tmp_path):
            pass
    with claimed(tmp_path), pytest.raises(FolderInUse), swept_beside(tmp_path):
        pass


@pytest.mark.usefixtures("no_folder_locks")
def test_the_last_process_that_shares_a_folder_removes_the_lock_file(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    with swept_beside(tmp_path):
        with swept_beside(tmp_path):
            pass
        assert sorted(tmp_path.iterdir()) == [tmp_path / LOCK_NAME, tmp_path / "x.png"]
        assert contents_of(tmp_path) == [tmp_path / "x.png"]
    assert list(tmp_path.iterdir()) == [tmp_path / "x.png"]


@pytest.mark.usefixtures("no_folder_locks")
def test_a_lock_file_that_another_process_made_anew_is_kept(tmp_path: Path) -> None:
    with claimed(tmp_path):
        (tmp_path / LOCK_NAME).unlink()
        (tmp_path / LOCK_NAME).touch()
    assert (tmp_path / LOCK_NAME).exists()


@pytest.mark.usefixtures("either_lock")
def test_a_hidden_folder_goes_with_what_was_not_moved_out_of_it(tmp_path: Path) -> None:
    left = temporary_path(tmp_path / "x.onnx")
    (left / "net.onnx").mkdir(parents=True)
    file = temporary_path(tmp_path / "picture.png")
    file.touch()
    with hidden_folder(tmp_path / "net.onnx") as staged:
        assert (staged.parent.parent, staged.parent.name[0], staged.name) == (tmp_path, ".", "net.onnx")
        assert not left.exists()
        with hidden_folder(tmp_path / "other.onnx"):
            assert staged.is_dir()
        (staged / "part").write_text("half")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.usefixtures("either_lock")
def test_the_hidden_folder_of_a_process_in_another_container_is_kept(tmp_path: Path) -> None:
    other = tmp_path / f".x.{DEAD}01234567"
    with claimed(other):
        (other / "part").touch()
        with hidden_folder(tmp_path / "x"):
            assert (other / "part").exists()
    with hidden_folder(tmp_path / "x"):
        assert not other.exists()


@pytest.mark.usefixtures("either_lock")
def test_a_staged_folder_is_moved_without_a_lock_file(tmp_path: Path) -> None:
    with hidden_folder(tmp_path / "x") as staged:
        (staged / "part").touch()
        staged.rename(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["part"]


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ganvas.filesystem import claimed\n"
        "with claimed(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    signal.pause()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(FolderInUse), claimed(tmp_path):
            pass
    finally:
        process.kill()
        process.communicate()
    with claimed(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
