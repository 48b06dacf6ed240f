"""Activations made again when a gradient needs them, in the place of keeping them: memory for time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputing(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Passes through these networks keep their input alone, and run again in the backward pass.

    Nothing else changes: the second pass draws the same dropout, runs in the same precision, and leaves batch norm's
    running statistics as they are. It is exact because a network is never moved between a pass and its gradient, which
    torch itself would refuse.
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
    """What the first pass runs in, and the second."""
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
