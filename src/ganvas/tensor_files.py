"""Safetensors files: wholly there or not at all, and the same bytes for the same content."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ganvas.bulk.atomic import atomic_file
from ganvas.errors import RunError

__all__ = ["check_name", "save_tensors"]

LENGTH_BYTES = 8
"""A safetensors file starts with the length of its JSON header, little endian."""
SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors by name, atomically; folders are made.

    Raises:
        OSError: the file cannot be written.
    """
    stored = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    with atomic_file(path) as temporary:
        temporary.touch()
        permissions = temporary.stat().st_mode  # of any new file; safetensors itself shuts other people out
        try:
            save_file(stored, temporary, metadata=dict(metadata))
        except SafetensorError as error:
            if found := SYSTEM_ERROR.search(str(error)):
                raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error
            raise
        temporary.chmod(permissions)
        _sort_metadata(temporary)


def check_name(path: Path) -> None:
    """Raise where safetensors could write a file of that name and not open it again.

    Raises:
        RunError: the name is not UTF-8.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise RunError(f"{path}: runs are kept in folders whose names are UTF-8; rename it") from error


def _sort_metadata(path: Path) -> None:
    """Put the metadata in order: safetensors writes its entries in another one each time."""
    with path.open("rb+") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
        assert len(text) == length, "the header keeps its length"
        file.seek(LENGTH_BYTES)
        file.write(text)
