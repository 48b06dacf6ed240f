"""Forward hooks that record inputs and outputs of the submodules of a torch module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ganvas.errors import ConfigError
from ganvas.localization.classifier import Floats

__all__ = [
    "Place",
    "Recording",
    "as_batch",
    "checked_names",
    "from_layer",
    "probes",
    "run_module",
    "takes_any_size",
    "to_numpy",
    "tolerance_of",
    "watch",
]


ANOTHER_SIZE = 64
"""Number of pixels by which a probe exceeds the network's input size, to test whether it accepts any size."""
PROBE_SCALES = (1.0, -0.3, 8.0)


@dataclass(frozen=True)
class Place:
    """Position of a tensor in a forward pass: the input or the output of a submodule."""

    module: nn.Module
    is_input: bool


@dataclass
class Recording:
    """Recorded inputs and outputs of the watched submodules, in call order."""

    calls: list[tuple[Place, Tensor]] = field(default_factory=list)

    def tensor(self, place: Place) -> Tensor:
        """Return the last recorded tensor at a position."""
        return next(tensor for where, tensor in reversed(self.calls) if where == place)


@contextmanager
def watch(*modules: nn.Module) -> Iterator[Recording]:
    """Record the first input and the output of each module while the context is open."""
    seen = Recording()

    def note(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        for is_input, value in ((True, inputs[0] if inputs else None), (False, output)):
            if isinstance(value, Tensor):
                seen.calls.append((Place(module, is_input), value))

    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def from_layer(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Make the last output of a layer the leaf of the autograd graph while the context is open.

    Earlier layers keep no graph, so only later layers use memory. The list receives the leaves, one for each call of
    the layer.

    Raises:
        ConfigError: the layer's output is not a feature map (N, C, h, w).
    """
    leaves: list[Tensor] = []

    def cut(_module: nn.Module, _inputs: tuple[object, ...], output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise ConfigError(f"the layer returns {_described(output)}, not a map (N, C, h, w); pass a convolution")
        torch.set_grad_enabled(True)
        leaves.append(output.detach().requires_grad_())
        return leaves[-1].clone()  # later layers may work in place, which is not allowed on a leaf

    hook = layer.register_forward_hook(cut)
    try:
        with torch.no_grad():
            yield leaves
    finally:
        hook.remove()


def run_module(module: nn.Module, batch: Tensor) -> Tensor:
    """Return the logits or scores (1, K) of one normalized picture (1, 3, H, W).

    Raises:
        ConfigError: the module cannot run on it, or its output is not suitable.
    """
    try:
        output = module(batch)
    except ConfigError:
        raise
    except Exception as problem:  # a user's module may raise any exception
        raise ConfigError(
            f"the module cannot run on {tuple(batch.shape)}, RGB: {problem}; it must accept three channels (repeat "
            "gray inside it), and Preprocessing(size=...) must be its input size"
        ) from problem
    return _as_logits(output)


def _as_logits(output: object) -> Tensor:
    """Return a module's output for one image as (1, K).

    Raises:
        ConfigError: it is a tuple, a dictionary or of another shape.
    """
    if not isinstance(output, Tensor):
        raise ConfigError(
            f"the module returns {_described(output)}, not logits (N, K); wrap it in a module whose forward returns "
            "only the logits"
        )
    shape = tuple(output.shape)
    if shape == (1,) or (len(shape) >= 2 and shape[0] == 1 and shape[1] >= 1 and output.numel() == shape[1]):
        return output.reshape(1, -1)
    raise ConfigError(
        f"the module returns {_described(output)} for one picture, not logits (1, K); pool before it returns"
    )


def as_batch(image: Floats, module: nn.Module) -> Tensor:
    """Return (1, 3, H, W) of the module's device and floating type, of (H, W, 3)."""
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    parameter = next((each for each in module.parameters() if each.is_floating_point()), None)
    return batch if parameter is None else batch.to(parameter.device, parameter.dtype)


def tolerance_of(module: nn.Module) -> float:
    """Return the relative rounding error of the module's arithmetic."""
    half = any(each.dtype in (torch.float16, torch.bfloat16) for each in module.parameters())
    return 3e-2 if half else 1e-4


def probes(size: int) -> list[Floats]:
    """Return noise (size, size, 3) of several strengths, so that outputs are unlikely to agree by chance."""
    noise = np.random.default_rng(0).normal(size=(size, size, 3)).astype(np.float32)
    return [scale * noise + np.float32(scale / 2) for scale in PROBE_SCALES]


@torch.inference_mode()
def takes_any_size(module: nn.Module, size: int) -> bool:
    """Return whether the module also runs on pictures that are larger than `size`."""
    with suppress(ConfigError):
        run_module(module, as_batch(np.zeros((size + ANOTHER_SIZE, size + 2 * ANOTHER_SIZE, 3), np.float32), module))
        return True
    return False


def checked_names(names: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """Return the names of the classes.

    Raises:
        ConfigError: their number differs from that of the classes.
    """
    if len(names) != num_classes:
        raise ConfigError(f"the module has {num_classes} classes, but {len(names)} names were given")
    return tuple(names)


def to_numpy(tensor: Tensor) -> Floats:
    """Return a float32 array on the CPU."""
    array: Floats = tensor.detach().float().cpu().numpy()
    return array


def _described(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor {tuple(output.shape)}"
    if isinstance(output, Mapping):
        return f"a dictionary ({', '.join(map(str, output))})"
    return f"a {type(output).__name__}"
