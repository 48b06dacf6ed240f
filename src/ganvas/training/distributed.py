"""Distributed data-parallel training under `torchrun`: weights broadcast once, gradients summed per player.

No DistributedDataParallel: one wrapper per network leaves gradients unsynchronized when a method calls anything but
`forward`, and one around a whole method raises.
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

PATIENCE = timedelta(days=7)
"""How long the others wait while the first decodes and checks a large data set; torch's own limit is half an hour.

A process that fails still ends all: `torchrun` sees to it.
"""
LARGE = 2**18
"""Numbers in a gradient from which it is sent from where it lies: copying it would take longer than another message."""


@dataclass(frozen=True)
class Processes:
    """This process among all that train together.

    Attributes:
        device: where this one computes.
        rank: its number; the first, 0, writes.
        world: how many there are.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def broadcast(self, module: nn.Module) -> None:
        """Give every process the first one's weights and buffers."""
        if self.world > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, src=0)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes: large ones where they lie, the others in one message."""
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
        """Return each flag, true where any process says so; so that all stop at the same image."""
        if self.world == 1:
            return flags
        votes = torch.tensor(flags, dtype=torch.int32)  # on the CPU, so that a GPU need not be waited for
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return tuple(bool(vote) for vote in votes.tolist())

    def wait(self) -> None:
        """Wait until every process is here."""
        self.agree(False)


@contextmanager
def join(device: str, *, batch_size: int, accumulate: int = 1) -> Iterator[Processes]:
    """Join the processes that `torchrun` started; alone without it.

    Args:
        device: auto, cpu, cuda, cuda:1 or mps.
        batch_size: over all processes; must be shared out evenly.
        accumulate: parts of each process's share.

    Raises:
        ConfigError: the device is not there, or the batch cannot be shared out.
    """
    started_here = not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if started_here:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    try:
        if batch_size % (world * accumulate):
            parts = f"{world} processes" + (f" in {accumulate} parts each" if accumulate > 1 else "")
            raise ConfigError(f"batch_size {batch_size} cannot be shared by {parts}; make it a multiple")
        yield Processes(choose_device(device), rank, world)
    finally:
        if started_here:
            dist.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `cuda`, and `auto` where there is a GPU, is the one of this process's local rank.

    Raises:
        ConfigError: no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device '{name}' cannot be used: {str(error).splitlines()[0]}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def warn_of_batch_norm(method: nn.Module, processes: Processes, *, batch_size: int, accumulate: int = 1) -> None:
    """Warn once that several processes or parts differ from one where a network normalizes over its batch.

    One picture at a time is the paper's own setting, and needs no warning.
    """
    several = 1 < processes.world * accumulate < batch_size and processes.first
    if several and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in method.modules()):
        share = "each process's share of the batch" if accumulate == 1 else "each part of the batch"
        warnings.warn(
            f"batch norm takes its statistics over {share}, so several {'processes' if accumulate == 1 else 'parts'} "
            "do not equal one; use norm 'instance' or 'none', or a batch of one picture a process and part as the "
            "paper's",
            stacklevel=3,
        )
