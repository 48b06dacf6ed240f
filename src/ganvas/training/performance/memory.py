"""Memory of a training step: activation checkpointing, and freed memory kept by glibc."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
KEEP = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1}
"""No block is a separate mapping; no memory is returned."""
ORDINARY = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 2**25, M_TRIM_THRESHOLD: 2**26}
"""Values to which glibc adapts in a process that frees large blocks."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory in the process while the block runs; without glibc nothing changes.

    By default glibc returns large blocks to the system when they are freed, and every step then requests the same
    gigabyte again, page by page: 5 to 10 % of a step on a CPU. The block keeps it (mallopt(3)): the process holds its
    peak until the block ends, and about a tenth more.
    """
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


@contextmanager
def recomputing(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Checkpoint activations: forward passes keep only the input of these networks and are repeated in the backward.

    The result is the same to the bit: the second pass draws the same dropout, runs in the same precision, and restores
    the running statistics of batch norm; weights do not change between a forward pass and its backward pass.
    """
    for network in networks:
        again = partial(_contexts, network)
        vars(network)["forward"] = partial(checkpoint, network.forward, use_reentrant=False, context_fn=again)
    try:
        yield
    finally:
        for network in networks:
            del vars(network)["forward"]


def _contexts(network: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the first and the second forward pass."""
    return nullcontext(), _buffers_kept(network)


@contextmanager
def _buffers_kept(network: nn.Module) -> Iterator[None]:
    kept = [buffer.clone() for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in zip(network.buffers(), kept, strict=True):
                buffer.copy_(before)
