"""Atomic files: complete or absent, flushed in an order that survives a power failure, and cleaned up."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from leftovers import LEFTOVERS, fill

from ganvas.filesystem import sweep
from ganvas.filesystem.atomic import (
    append_line,
    atomic_file,
    is_leftover,
    temporary_path,
    write_bytes,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(target: Path, error: BaseException) -> None:
    with atomic_file(target) as temporary:
        temporary.write_bytes(b"half")
        raise error


def test_replaces_the_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "deep" / "a.bin"
    write_bytes(target, b"old")
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["a.bin"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks up open files in /proc")
def test_a_file_is_flushed_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    target = tmp_path / "a.bin"

    def fsync(file: int) -> None:
        name = Path(f"/proc/self/fd/{file}").readlink().name
        flushed.append(("temporary" if name.startswith(".a.") else name, target.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_bytes(target, b"new")
    append_line(tmp_path / "log", "line")
    assert flushed == [("temporary", False), (tmp_path.name, True), ("log", True)]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_file_and_no_temporary(tmp_path, error):
    target = tmp_path / "a.bin"
    write_bytes(target, b"old")
    with pytest.raises(type(error)):
        write_half(target, error)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_failure_before_the_first_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "a.bin"):
        raise RuntimeError
    assert names(tmp_path) == []


def test_the_temporary_is_hidden_in_the_same_folder_with_the_same_suffix(tmp_path):
    with atomic_file(tmp_path / ("long" * 60 + ".npy")) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".npy"
        temporary.write_bytes(b"")


def test_ordinary_permissions(tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.write_bytes(b"")
    write_bytes(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == ordinary.stat().st_mode


def test_text_and_json(tmp_path):
    write_text(tmp_path / "a.txt", "grün\n")
    write_json(tmp_path / "a.json", {"näme": [1, 2.5, None]})
    assert (tmp_path / "a.txt").read_bytes() == "grün\n".encode()
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"näme": [1, 2.5, None]}


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert names(tmp_path) == []


def test_log_lines_follow_one_another(tmp_path):
    log = tmp_path / "logs" / "audit.jsonl"
    append_line(log, "one")
    append_line(log, "two")
    assert log.read_text() == "one\ntwo\n"


def test_a_torn_last_line_spoils_no_other(tmp_path):
    log = tmp_path / "audit.jsonl"
    log.write_text('{"whole": 1}\n{"torn')
    append_line(log, '{"whole": 2}')
    assert log.read_text().splitlines() == ['{"whole": 1}', '{"torn', '{"whole": 2}']


def test_names_that_are_no_utf8_come_back_from_json(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    write_json(tmp_path / "record.json", {"file": name})
    append_line(tmp_path / "log", json.dumps({"file": name}, ensure_ascii=False))
    for path in (tmp_path / "record.json", tmp_path / "log"):
        assert json.loads(path.read_text(encoding="utf-8")) == {"file": name}


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
    assert is_leftover(temporary_path(tmp_path / "x.png").name)  # of an earlier process with the same id


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
