"""Memory that a training step gives back is kept for the next one, on Linux with glibc.

By itself glibc returns large blocks to the system as soon as they are free, and every step then begins by asking for
the same gigabyte again, page by page: 5 to 10 % of a step on a CPU. The block below keeps it (mallopt(3)). The process
holds its peak until the block ends, and about a tenth more.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
KEEP = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1}
"""No block is a mapping of its own; nothing is given back."""
ORDINARY = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 2**25, M_TRIM_THRESHOLD: 2**26}
"""What glibc comes to by itself in a process that frees large blocks."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Free memory stays with the process while the block runs; without glibc nothing changes."""
    library = _glibc()
    if library is None:
        yield
        return
    _set(library, KEEP)
    try:
        yield
    finally:
        _set(library, ORDINARY)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def _set(library: ctypes.CDLL, options: dict[int, int]) -> None:
    for option, value in options.items():
        library.mallopt(option, value)
