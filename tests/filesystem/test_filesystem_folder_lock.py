"""Locks and leftovers: one process writes into a folder, and what killed ones left is removed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ganvas.filesystem import FolderInUse, claimed, sweep, swept_beside
from ganvas.filesystem import folder_lock as claim_module
from ganvas.filesystem.atomic import atomic_file, is_leftover, temporary_path

DEAD = "7ffffffe"
"""A process id that no system gives."""
LEFTOVERS = (f".x.{DEAD}01234567.png", ".state.0123456789abcdef.safetensors", f".run.{DEAD}01234567")


def fill(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*LEFTOVERS, ".tmpAbCdE1", ".mine.png", "x.png", ".x.0123.png", ".tmpfile"):
        (folder / name).touch()


def test_a_claim_removes_leftovers_and_nothing_else(tmp_path: Path) -> None:
    for folder in (tmp_path / "out", tmp_path / "out" / "sub", tmp_path / "elsewhere"):
        fill(folder)
    with claimed(tmp_path / "out", beside=[tmp_path / "out" / "sub", tmp_path / "missing"]):
        pass
    kept = {".tmpAbCdE1", ".mine.png", "x.png", ".x.0123.png", ".tmpfile"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == kept | {"sub"}
    assert {path.name for path in (tmp_path / "out" / "sub").iterdir()} == kept
    assert LEFTOVERS[0] in {path.name for path in (tmp_path / "elsewhere").iterdir()}


def test_in_a_run_folder_those_of_safetensors_too(tmp_path: Path) -> None:
    fill(tmp_path)
    sweep([tmp_path], tensors=True)
    assert {path.name for path in tmp_path.iterdir()} == {".mine.png", "x.png", ".x.0123.png", ".tmpfile"}


def test_what_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "x.png") as temporary:
        temporary.touch()
        sweep([tmp_path])
        assert temporary.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    assert is_leftover(temporary_path(tmp_path / "x.png").name)  # of an earlier process of the same id


@pytest.mark.skipif(os.name != "posix", reason="process ids are looked up on POSIX alone")
def test_what_another_process_is_writing_is_no_leftover(tmp_path: Path) -> None:
    name = f".x.{os.getppid():08x}01234567.png"
    assert not is_leftover(name)


def test_a_leftover_that_is_a_link_or_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "original").touch()
    (tmp_path / LEFTOVERS[0]).symlink_to(tmp_path / "original")
    (tmp_path / LEFTOVERS[1]).mkdir()
    sweep([tmp_path])
    assert {path.name for path in tmp_path.iterdir()} == {"original", LEFTOVERS[0], LEFTOVERS[1]}


@pytest.mark.parametrize("folder_locks", [True, False])
def test_one_process_a_folder(tmp_path: Path, folder_locks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not folder_locks:
        refuse_folders(monkeypatch)
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


def refuse_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let folders be unable to be locked, as on NFS."""
    lock = claim_module._lock

    def fails(descriptor: int, *, alone: bool) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(next(iter(claim_module.UNABLE)), "for the test")
        lock(descriptor, alone=alone)

    monkeypatch.setattr(claim_module, "_lock", fails)


def test_an_empty_folder_that_was_made_is_removed(tmp_path: Path) -> None:
    with claimed(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    (tmp_path / "there").mkdir()
    with claimed(tmp_path / "there"):
        pass
    assert (tmp_path / "there").exists()


def test_single_files_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "PATIENCE", 2)
    fill(tmp_path)
    with swept_beside(tmp_path), swept_beside(tmp_path):
        assert not (tmp_path / LEFTOVERS[0]).exists()
        with pytest.raises(FolderInUse), claimed(tmp_path):
            pass
    with claimed(tmp_path), pytest.raises(FolderInUse), swept_beside(tmp_path):
        pass


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
