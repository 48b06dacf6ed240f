"""Where networks and batches lie, and in which order of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ganvas.methods.base import Batch, Method
from ganvas.training.config import TrainingConfig
from ganvas.training.performance.compilation import compile_networks


def place(method: Method, device: torch.device, settings: TrainingConfig) -> Method:
    """Make it ready to train on the device.

    On a GPU in bfloat16 the weights lie channels last, as its matrix units take them; on a CPU that would cost the
    optimizer more than the convolutions gain.
    """
    method.to(device).train()
    if settings.precision == "bfloat16" and device.type == "cuda":
        channels_last(method)
    if settings.compile:
        compile_networks(method, device)
    return method


def channels_last(method: nn.Module) -> None:
    """The convolutions' weights only: buffers such as a pool of pictures stay."""
    for parameter in method.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def laid_out(batch: Batch, settings: TrainingConfig) -> Batch:
    """The batch channels last in bfloat16, where convolutions are faster so; features follow their input.

    Float32 stays as it is: there it gains discriminators alone, which see to it.
    """
    if settings.precision == "float32" or batch.a.ndim != 4:
        return batch
    order = torch.channels_last
    return Batch(batch.a.contiguous(memory_format=order), batch.b.contiguous(memory_format=order))


@contextmanager
def tuned(device: torch.device) -> Iterator[None]:
    """The backends as training wants them while the block runs: cuDNN tries its kernels once for each shape."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
