"""Compilation, device placement and memory format of the networks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ganvas.methods.base import Batch, Method
from ganvas.training.config import TrainingConfig


def compile_networks(method: Method, device: torch.device) -> None:
    """Compile each player's networks in place at their first forward pass; the keys of the weights do not change.

    Without a working compiler, warn and continue without compilation.
    """
    if reason := missing_compiler(device):
        warnings.warn(
            f"training continues without compilation, which does not work here ({reason}): install a C++ compiler "
            "(on a GPU also triton), or leave compile out",
            stacklevel=2,
        )
        return
    for name in dict.fromkeys(name for names in method.players.values() for name in names):
        getattr(method, name).compile()


def missing_compiler(device: torch.device) -> str | None:
    """Return why compilation fails on the device, or None. Compiles a small function, which takes seconds."""
    try:
        torch.compile(torch.sin)(torch.zeros(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        return str(error).strip().splitlines()[0] or type(error).__name__
    return None


@contextmanager
def uncompiled(compiled: bool) -> Iterator[None]:
    """Run eagerly inside: validation has other sizes and modes, and each would be compiled again."""
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def place(method: Method, device: torch.device, settings: TrainingConfig) -> Method:
    """Move a method to the device, in training mode.

    On a GPU in bfloat16 weights are channels last, the layout of its tensor cores; on a CPU the optimizer would lose
    more than convolutions gain.
    """
    method.to(device).train()
    if settings.precision == "bfloat16" and device.type == "cuda":
        channels_last(method)
    if settings.compile:
        compile_networks(method, device)
    return method


def channels_last(method: nn.Module) -> None:
    """Convert convolution weights to channels last; buffers such as an image pool keep their format."""
    for parameter in method.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def to_training_layout(batch: Batch, settings: TrainingConfig) -> Batch:
    """Return the batch in channels last for bfloat16, whose convolutions are faster so; features keep that format.

    A float32 batch does not change: only discriminators gain there, and they convert it themselves.
    """
    if settings.precision == "float32" or batch.a.ndim != 4:
        return batch
    order = torch.channels_last
    return Batch(batch.a.contiguous(memory_format=order), batch.b.contiguous(memory_format=order))


@contextmanager
def tuned(device: torch.device) -> Iterator[None]:
    """Let cuDNN benchmark its kernels once for each shape while the block runs."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
