"""Distributed data-parallel training under `torchrun`: weights broadcast once, gradients summed per player.

DistributedDataParallel is not used: one wrapper per network leaves gradients unsynchronized when a method calls
anything but `forward`, and a wrapper around a whole method raises.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ganvas.errors import ConfigError
from ganvas.hardware.device import choose_device

PATIENCE = timedelta(days=7)
"""Timeout of a collective: the others wait while the first process decodes and checks a large data set. torch's default
is half an hour. A failing process still ends all others, because `torchrun` stops them.
"""
LARGE = 2**18
"""Number of elements above which a gradient is reduced in place: copying it takes longer than one more message."""


@dataclass(frozen=True)
class Processes:
    """Processes that train together, seen from this one.

    Attributes:
        device: device of this process.
        rank: rank of this process; rank 0 writes.
        world: number of processes.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the first one, which writes files."""
        return self.rank == 0

    def broadcast(self, module: nn.Module) -> None:
        """Copy the weights and buffers of the first process to all others."""
        if self.world > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, src=0)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes: large ones in place, the others in one message."""
        if self.world == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        large = [gradient for gradient in gradients if gradient.numel() >= LARGE and gradient.is_contiguous()]
        small = [gradient for gradient in gradients if gradient.numel() < LARGE or not gradient.is_contiguous()]
        flat = [torch.cat([gradient.flatten() for gradient in small])] if small else []
        pending = [dist.all_reduce(message, async_op=True) for message in [*large, *flat]]
        for work in pending:
            work.wait()
        for message in flat:
            parts = torch.split(message, [gradient.numel() for gradient in small])
            torch._foreach_copy_(
                small, [part.view(gradient.shape) for gradient, part in zip(small, parts, strict=True)]
            )

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of `values` over the processes."""
        if self.world > 1:
            values = values.clone()
            dist.all_reduce(values)
            values /= self.world
        return values

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is true in any process, so that all processes stop at the same image."""
        if self.world == 1:
            return flags
        votes = torch.tensor(flags, dtype=torch.int32)  # on the CPU, to avoid a synchronization with the GPU
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return tuple(bool(vote) for vote in votes.tolist())

    def wait(self) -> None:
        """Wait until every process calls this."""
        self.agree(False)


@contextmanager
def join(device: str, *, batch_size: int, accumulate: int = 1) -> Iterator[Processes]:
    """Join the processes that `torchrun` started; a single process without it.

    Args:
        device: auto, cpu, cuda, cuda:1 or mps.
        batch_size: total batch size over all processes; a multiple of their number times `accumulate`.
        accumulate: number of micro-batches per process.

    Raises:
        ConfigError: the device does not exist, or the batch cannot be divided evenly.
    """
    started_here = not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if started_here:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    try:
        if batch_size % (world * accumulate):
            parts = f"{world} processes" + (f" in {accumulate} parts each" if accumulate > 1 else "")
            raise ConfigError(f"batch_size {batch_size} cannot be divided among {parts}; use a multiple")
        chosen = choose_device(device)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        yield Processes(chosen, rank, world)
    finally:
        if started_here:
            dist.destroy_process_group()


def warn_of_batch_norm(method: nn.Module, processes: Processes, *, batch_size: int, accumulate: int = 1) -> None:
    """Warn if batch norm makes several processes or micro-batches differ from one batch.

    One picture per process and micro-batch is the setting of the pix2pix paper, and gives no warning.
    """
    several = 1 < processes.world * accumulate < batch_size and processes.first
    if several and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in method.modules()):
        share = "each process's share of the batch" if accumulate == 1 else "each part of the batch"
        warnings.warn(
            f"batch norm takes its statistics over {share}, so several {'processes' if accumulate == 1 else 'parts'} "
            "do not equal one; use norm 'instance' or 'none', or one picture per process and part, as in the paper",
            stacklevel=3,
        )
