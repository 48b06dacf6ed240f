"""Performance of a training step: CUDA graphs, compilation, memory formats and activation checkpointing.

CUDA-graph capture launches a step once instead of thousands of kernels; at batch size 1, launches rather than
arithmetic limit a GPU. A captured step repeats the same work on the same memory: each batch is copied into the captured
one, learning rates are read from memory, and dropout uses the state of the generator at the replay, so seeding before
each step works as without capture.
"""

from __future__ import annotations

import ctypes
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ganvas.errors import ConfigError
from ganvas.methods.base import Batch, Method, Progress
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes

Step = Callable[[Batch, Progress], dict[str, Tensor]]
"""Training step, which returns `<player>/<loss>` -> detached scalar."""
Work = Callable[[], None]
Record = Callable[[Work], Work]
"""Function from work on fixed memory to a function that repeats it."""
NUM_WARM_UPS = 3
"""Number of steps before the capture, in which libraries select kernels and optimizers create their moments."""


def check_capture(method: type[Method], processes: Processes) -> None:
    """Check that the step of this method can be captured.

    Raises:
        ConfigError: there is no CUDA device, several processes train, or the steps of the method are not identical.
    """
    if processes.device.type != "cuda":
        raise ConfigError(f"capture needs a CUDA GPU, not '{processes.device.type}'; omit it")
    if processes.world > 1:
        raise ConfigError("capture supports only one process; omit it under torchrun")
    if not method.capturable:
        raise ConfigError(f"the steps of {method.__name__} are not identical, so capture cannot replay them; omit it")


class CapturedStep:
    """Training step that is captured at its first call and replayed afterwards.

    The capture restores weights, buffers, moments and random generators, so it works both at a start and after
    resuming.

    Args:
        step: step to capture; it must not depend on the progress (`Method.capturable`).
        tensors: function that returns all tensors that a step changes, by name; those that the first step creates
            (moments) are set to 0.
        clear: function that frees the gradients, so that the captured step allocates its own.
        record: function that captures work; unset: `cuda_graph`.
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
            assert kept.shape == new.shape, "all batches of a run must have the same shape"
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
    """Restore tensors and torch's random generators at the end of the block; new tensors become 0."""
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


def compile_networks(method: Method, device: torch.device) -> None:
    """Compile each player's networks in place at their first forward pass; the keys of the weights do not change.

    Without a working compiler, warn and continue without compilation.
    """
    if reason := missing_compiler(device):
        warnings.warn(
            f"training continues without compilation, which does not work on this machine ({reason}): install a C++ "
            "compiler (on a GPU also triton), or omit compile",
            stacklevel=2,
        )
        return
    for name in dict.fromkeys(name for names in method.players.values() for name in names):
        getattr(method, name).compile()


def missing_compiler(device: torch.device) -> str | None:
    """Return the reason why compilation fails on the device, or None; takes seconds to compile a function."""
    try:
        torch.compile(torch.sin)(torch.zeros(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        return str(error).strip().splitlines()[0] or type(error).__name__
    return None


@contextmanager
def uncompiled(compiled: bool) -> Iterator[None]:
    """Run eagerly inside the block: validation has other sizes and modes, each of which would be compiled again."""
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
    """Convert the batch to channels last for bfloat16, whose convolutions are then faster; features keep that format.

    A float32 batch is not converted: only discriminators benefit, and they convert it themselves.
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


# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
KEEP = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1}
"""Parameters of mallopt with which no block is a separate mapping and no memory is returned."""
ORDINARY = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 2**25, M_TRIM_THRESHOLD: 2**26}
"""Values to which glibc adapts in a process that frees large blocks."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory in the process while the block runs; without glibc nothing changes.

    By default glibc returns large blocks to the system when they are freed, and every step then requests the same
    gigabyte again, page by page: 5 to 10 % of a step on a CPU. Inside the block the process keeps it (mallopt(3)),
    about a tenth more than its peak.
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

    The result is bitwise equal: the second pass draws the same dropout, runs in the same precision, and restores the
    running statistics of batch norm; weights do not change between a forward pass and its backward pass.
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
