"""Any torch module as a classifier whose class maps can be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ganvas.errors import ConfigError
from ganvas.image.picture import Box
from ganvas.localization.evidence import Evidence, Floats
from ganvas.localization.head import LinearHead, softmax
from ganvas.localization.preprocess import Bytes, Preprocessing, require_rgb

POOLING_TOLERANCE = 1e-4


class TorchClassifier:
    """A module that ends in global average pooling and one `nn.Linear`, both found by watching one forward pass.

    Args:
        module: (N, 3, H, W) to (N, K) logits; put into eval mode and left on its device.
        class_names: K names.
        preprocessing: what the module was trained with; the usual ImageNet values by default.

    Raises:
        ConfigError: the module has another ending (`GradCamClassifier` takes any), or K names were not given.
    """

    def __init__(
        self, module: nn.Module, class_names: Sequence[str], *, preprocessing: Preprocessing | None = None
    ) -> None:
        self._module = module.eval()
        self._preprocessing = preprocessing or Preprocessing()
        self._layer, linear = _find_ending(self._module, self._preprocessing.size)
        self._head = LinearHead(_numpy(linear.weight), _bias(linear))
        self._class_names = _checked_names(class_names, linear.out_features)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the scores."""
        return self._class_names

    def evidence(self, rgb: Bytes) -> Evidence:
        """The look of record: the centre crop. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        return self._look(*self._preprocessing.centre(rgb))

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """A look at the whole picture at its own aspect; the scores are of its pooled map. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        return self._look(*self._preprocessing.whole(rgb))

    @torch.inference_mode()
    def _look(self, image: Floats, extent: Box) -> Evidence:
        with watch(self._layer.module) as seen:
            self._module(_batch(image, self._module))
        return self._head.evidence(_numpy(seen.tensor(self._layer)[0]), extent)


class GradCamClassifier:
    """Any differentiable module: Grad-CAM's weights take the place of the linear layer (arXiv:1610.02391).

    The evidence's `head` holds, for each class, the gradient of its logit summed over the map, and `bias` what is left
    of the logit; so the class map is Grad-CAM's times h * w, and for a module that does end in pooling and a
    linear layer it is the class activation map itself.

    Args:
        module: (N, 3, H, W) to (N, K) logits; put into eval mode and left on its device.
        layer: the submodule whose output (N, C, h, w) is mapped, usually the last convolution's.
        class_names: K names.
        preprocessing: what the module was trained with; the usual ImageNet values by default.
    """

    def __init__(
        self,
        module: nn.Module,
        layer: nn.Module,
        class_names: Sequence[str],
        *,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        self._module, self._layer = module.eval(), Place(layer, is_input=False)
        self._preprocessing = preprocessing or Preprocessing()
        self._class_names = tuple(class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the scores."""
        return self._class_names

    def evidence(self, rgb: Bytes) -> Evidence:
        """The look of record: the centre crop. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        return self._look(*self._preprocessing.centre(rgb))

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """A look at the whole picture at its own aspect, if the module takes any size. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        return self._look(*self._preprocessing.whole(rgb))

    def _look(self, image: Floats, extent: Box) -> Evidence:
        with torch.enable_grad(), watch(self._layer.module) as seen:
            logits = self._module(_batch(image, self._module).requires_grad_())[0]
        _checked_names(self._class_names, len(logits))
        chosen = seen.tensor(self._layer)
        each = torch.eye(len(logits), device=logits.device, dtype=logits.dtype)
        (gradients,) = torch.autograd.grad(logits, chosen, each, is_grads_batched=True)
        head, features = _numpy(gradients[:, 0].sum(dim=(2, 3))), _numpy(chosen[0])
        plain = _numpy(logits)
        bias = plain - head @ features.mean(axis=(1, 2))
        scores = softmax(plain.astype(np.float64)).astype(np.float32)
        return Evidence(scores, features, head, bias, extent)


@dataclass(frozen=True)
class Place:
    """A tensor inside a forward pass: the input or the output of a submodule."""

    module: nn.Module
    is_input: bool


@dataclass
class Seen:
    """What went into and came out of the watched submodules, in the order of their calls."""

    calls: list[tuple[Place, Tensor]] = field(default_factory=list)

    def tensor(self, place: Place) -> Tensor:
        """The last tensor at a place."""
        return next(tensor for where, tensor in reversed(self.calls) if where == place)


@contextmanager
def watch(*modules: nn.Module) -> Iterator[Seen]:
    """Records the first input and the output of each module while the context is open."""
    seen = Seen()

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


@torch.inference_mode()
def _find_ending(module: nn.Module, size: int) -> tuple[Place, nn.Linear]:
    """Where the map is whose mean goes into the module's last linear layer."""
    noise = np.random.default_rng(0).normal(size=(size, size, 3)).astype(np.float32)
    with watch(*module.modules()) as seen:
        module(_batch(noise, module))
    linear, pooled = _last_linear(seen)
    for place, tensor in reversed(seen.calls):
        is_map = tensor.ndim == 4 and tensor.shape[2] * tensor.shape[3] > 1 and tensor.shape[1] == pooled.shape[-1]
        if is_map and torch.allclose(tensor.mean(dim=(2, 3)), pooled, atol=POOLING_TOLERANCE):
            return place, linear
    raise ConfigError("no submodule gives the map whose mean the linear layer takes; use GradCamClassifier")


def _last_linear(seen: Seen) -> tuple[nn.Linear, Tensor]:
    for place, tensor in reversed(seen.calls):
        if isinstance(place.module, nn.Linear) and place.is_input:
            return place.module, tensor.flatten(1)
    raise ConfigError("the module has no nn.Linear; use GradCamClassifier")


def _checked_names(names: Sequence[str], num_classes: int) -> tuple[str, ...]:
    if len(names) != num_classes:
        raise ConfigError(f"the module has {num_classes} classes, but {len(names)} names were given")
    return tuple(names)


def _batch(image: Floats, module: nn.Module) -> Tensor:
    """(1, 3, H, W) on the module's device, of (H, W, 3)."""
    parameter = next(module.parameters())
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    return batch.to(parameter.device, parameter.dtype)


def _bias(linear: nn.Linear) -> Floats:
    absent: Tensor | None = linear.bias
    return np.zeros(linear.out_features, np.float32) if absent is None else _numpy(absent)


def _numpy(tensor: Tensor) -> Floats:
    """float32 in the computer's memory."""
    array: Floats = tensor.detach().float().cpu().numpy()
    return array
