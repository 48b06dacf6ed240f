"""CUDA-graph capture of a training step: one launch per step instead of thousands.

At batch size 1 the launches limit a GPU, not the arithmetic. A captured step repeats the same work on the same memory:
each batch is copied into the captured one, learning rates are read from memory, and dropout draws from the generator as
it is at the replay, so seeding before each step works as without capture.
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
"""Function from work on fixed memory to a function that repeats it."""
NUM_WARM_UPS = 3
"""Steps before the capture, in which libraries select kernels and optimizers create their moments."""


def check_capture(method: type[Method], processes: Processes) -> None:
    """Check that the step of this method can be captured.

    Raises:
        ConfigError: no CUDA device, several processes, or a method whose steps are not identical.
    """
    if processes.device.type != "cuda":
        raise ConfigError(f"capture needs a CUDA GPU, not '{processes.device.type}'; leave it out")
    if processes.world > 1:
        raise ConfigError("capture is for one process; leave it out under torchrun")
    if not method.capturable:
        raise ConfigError(
            f"the steps of {method.__name__} are not all alike, so capture cannot replay one; leave it out"
        )


class CapturedStep:
    """Training step that is captured at its first call and replayed from then on.

    The capture restores weights, buffers, moments and random generators, so it may happen at a start or a resumption.

    Args:
        step: step to capture; it must not depend on the progress (`Method.capturable`).
        tensors: returns everything that a step changes, by name; what the first step creates (moments) is set to 0.
        clear: frees the gradients, so that the captured step allocates its own.
        record: captures work; unset: `cuda_graph`.
    """

    def __init__(
        self, step: Step, tensors: Callable[[], Mapping[str, Tensor]], *, clear: Work, record: Record | None = None
    ) -> None:
        self._step, self._tensors, self._clear = step, tensors, clear
        self._record = cuda_graph if record is None else record
        self._recorded: tuple[Batch, Work] | None = None
        self._losses: dict[str, Tensor] = {}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """Run one step; the next step overwrites the losses."""
        if self._recorded is None:
            self._recorded = self._make(batch, progress)
        static, replay = self._recorded
        for kept, new in ((static.a, batch.a), (static.b, batch.b)):
            assert kept.shape == new.shape, "every batch of a run has one shape"
            kept.copy_(new, non_blocking=True)
        replay()
        return self._losses

    def _make(self, batch: Batch, progress: Progress) -> tuple[Batch, Work]:
        static = Batch(batch.a.clone(), batch.b.clone())

        def work() -> None:
            self._losses = self._step(static, progress)

        with unmoved(self._tensors), on_a_side_stream(batch.a.device):
            for _ in range(NUM_WARM_UPS):
                work()
        self._clear()
        return static, self._record(work)


@contextmanager
def unmoved(tensors: Callable[[], Mapping[str, Tensor]]) -> Iterator[None]:
    """Restore tensors and torch's random generators afterwards; tensors that did not exist before become 0."""
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
    """Run on a side stream, ordered after earlier and before later work: the warm-up that a capture requires."""
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
    """Capture work as a CUDA graph without running it. Other threads, such as the prefetching one, may continue."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay
