"""Networks compiled by torch, where there is a compiler. docs/training.md says when that pays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganvas.methods.base import Method


def compile_networks(method: Method, device: torch.device) -> None:
    """Compile each player's networks in place at their first pass; keys of the weights stay as they are.

    Where no compiler works a warning says so and all runs as without.
    """
    if reason := missing_compiler(device):
        warnings.warn(
            f"training goes on without compilation, which does not work here ({reason}): install a C++ compiler "
            "(on a GPU also triton), or leave compile out",
            stacklevel=2,
        )
        return
    for name in dict.fromkeys(name for names in method.players.values() for name in names):
        getattr(method, name).compile()


def missing_compiler(device: torch.device) -> str | None:
    """Why nothing can be compiled for the device; None where it can. Compiles a small function, which takes seconds."""
    try:
        torch.compile(torch.sin)(torch.zeros(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        return str(error).strip().splitlines()[0] or type(error).__name__
    return None


@contextmanager
def uncompiled(compiled: bool) -> Iterator[None]:
    """Run as written inside: validation has other sizes and modes, each of which would be compiled anew."""
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
