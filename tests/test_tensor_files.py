"""Safetensors files: the same bytes each time, readable by others, and errors of the system."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open

from ganvas import tensor_files
from ganvas.errors import RunError
from ganvas.tensor_files import check_name, save_tensors

TENSORS = {"two": torch.arange(6.0).view(2, 3), "one": torch.ones(3, dtype=torch.int64)}
METADATA = {"format": "a", "images": "3", "counters": json.dumps({"name": 'ü "quoted" \n'}), "z": "", "b": "1"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    save_tensors(tmp_path / "deep" / "one.safetensors", TENSORS, METADATA)
    with safe_open(tmp_path / "deep" / "one.safetensors", framework="pt") as file:
        assert file.metadata() == METADATA
        assert all(torch.equal(file.get_tensor(name), value) for name, value in TENSORS.items())


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    for index in range(20):
        save_tensors(tmp_path / f"{index}.safetensors", TENSORS, METADATA)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_it_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    save_tensors(tmp_path / "one.safetensors", TENSORS, METADATA)
    (tmp_path / "plain").touch()
    assert (tmp_path / "one.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object, **_named: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(tensor_files, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save_tensors(tmp_path / "one.safetensors", TENSORS, METADATA)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "one.safetensors"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="such names are for POSIX")
def test_a_name_that_safetensors_cannot_open_is_an_error_before_anything_is_trained(tmp_path: Path) -> None:
    check_name(tmp_path / "größe 日本")
    with pytest.raises(RunError, match="names are UTF-8; rename it"):
        check_name(tmp_path / os.fsdecode(b"\xff") / "run")
