"""The files of a data set, for the check that no output replaces one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

from ganvas.data.config import DataConfig, PairedData
from ganvas.data.pairs import Split, find_entries
from ganvas.data.unpaired import find_sides
from ganvas.errors import InputError

__all__ = ["data_files"]


def data_files(config: DataConfig) -> Iterator[Path]:
    """Yield the picture files of every split, and the split file; a split that cannot be read yields nothing."""
    for split in get_args(Split):
        with suppress(InputError):  # told where the split is used
            if isinstance(config, PairedData):
                for entry in find_entries(config, split):
                    yield from (path for path in (entry.a, entry.b) if path is not None)
            else:
                for folder, names in find_sides(config, split).values():
                    yield from (folder / name for name in names)
    if isinstance(config, PairedData) and config.split_file is not None:
        yield config.split_file
