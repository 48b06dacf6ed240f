"""CUDA-graph capture of a training step: recorded once and replayed, one launch instead of thousands.

At batch 1 a GPU waits for its launches, not for its arithmetic. A recorded step does the same work on the same memory
each time: a batch is copied to where the recorded one lay, rates are read from memory, and dropout draws from the
generator as it stands at the replay, so it is seeded before each step as without recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ganvas.errors import ConfigError
from ganvas.methods.base import Batch, Method, Progress
from ganvas.training.distributed import Processes

Step = Callable[[Batch, Progress], dict[str, Tensor]]
"""One training step: `<player>/<loss>` -> detached scalar."""
Work = Callable[[], None]
Record = Callable[[Work], Work]
"""From work on fixed memory to a function that repeats it."""
NUM_WARM_UPS = 3
"""Steps before the recording, in which libraries choose kernels and optimizers make their moments."""


def check_capture(method: type[Method], processes: Processes) -> None:
    """Check that the step of this method can be recorded here.

    Raises:
        ConfigError: no CUDA device, several processes, or a method whose step is not the same each time.
    """
    if processes.device.type != "cuda":
        raise ConfigError(f"capture needs a CUDA GPU, not '{processes.device.type}'; leave it out")
    if processes.world > 1:
        raise ConfigError("capture is for one process; leave it out under torchrun")
    if not method.capturable:
        raise ConfigError(
            f"the steps of {method.__name__} are not all alike, so capture cannot record one; leave it out"
        )


class CapturedStep:
    """A step that is recorded at its first call and replayed from then on.

    Recording leaves no trace: weights, buffers, moments and generators are afterwards as before, so a resumption
    records as a start does.

    Args:
        step: to record; it must do the same whatever the progress (`Method.capturable`).
        tensors: of everything that a step moves, by name; those that only a first step makes (moments) begin at 0.
        clear: lets go of the gradients, so that the recorded ones get memory of their own.
        record: how; tests have another one.
    """

    def __init__(
        self, step: Step, tensors: Callable[[], Mapping[str, Tensor]], *, clear: Work, record: Record | None = None
    ) -> None:
        self._step, self._tensors, self._clear = step, tensors, clear
        self._record = cuda_graph if record is None else record
        self._recorded: tuple[Batch, Work] | None = None
        self._losses: dict[str, Tensor] = {}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """Run one step; the next step overwrites its losses."""
        if self._recorded is None:
            self._recorded = self._make(batch, progress)
        given, replay = self._recorded
        for kept, new in ((given.a, batch.a), (given.b, batch.b)):
            assert kept.shape == new.shape, "every batch of a run has one shape"
            kept.copy_(new, non_blocking=True)
        replay()
        return self._losses

    def _make(self, batch: Batch, progress: Progress) -> tuple[Batch, Work]:
        given = Batch(batch.a.clone(), batch.b.clone())

        def work() -> None:
            self._losses = self._step(given, progress)

        with unmoved(self._tensors), on_a_side_stream(batch.a.device):
            for _ in range(NUM_WARM_UPS):
                work()
        self._clear()
        return given, self._record(work)


@contextmanager
def unmoved(tensors: Callable[[], Mapping[str, Tensor]]) -> Iterator[None]:
    """Restore tensors and torch's generators afterwards; tensors that did not exist before become 0."""
    before = {name: value.clone() for name, value in tensors().items()}
    with torch.random.fork_rng():
        yield
    with torch.no_grad():
        for name, value in tensors().items():
            if name in before:
                value.copy_(before[name])
            else:
                value.zero_()


@contextmanager
def on_a_side_stream(device: torch.device) -> Iterator[None]:
    """Work beside the current stream, between what was asked before and after: libraries set up outside a recording."""
    if device.type != "cuda":
        yield
        return
    current, side = torch.accelerator.current_stream(device), torch.Stream(device)
    side.wait_stream(current)
    torch.accelerator.set_stream(side)
    try:
        yield
    finally:
        torch.accelerator.set_stream(current)
    current.wait_stream(side)


def cuda_graph(work: Work) -> Work:
    """Record work as a CUDA graph; nothing is computed yet. Other threads, as that of the batches, may go on."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay
