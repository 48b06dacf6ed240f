"""Class activation maps of a torch module that ends in global average pooling and a linear layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ganvas.errors import ConfigError
from ganvas.image.picture import Box
from ganvas.localization.activation import Activation, recognize, resolve
from ganvas.localization.evidence import Evidence, Floats
from ganvas.localization.gradient_classifier import GradCamClassifier
from ganvas.localization.head import LinearHead
from ganvas.localization.preprocess import Bytes, Preprocessing, require_rgb
from ganvas.localization.torch_forward import (
    Place,
    Seen,
    checked_names,
    probes,
    run_module,
    takes_any_size,
    to_numpy,
    tolerance_of,
    watch,
)
from ganvas.localization.torch_forward import as_batch as _batch

__all__ = ["GradCamClassifier", "TorchClassifier", "watch"]


class TorchClassifier:
    """A module that ends in global average pooling and one `nn.Linear`, both found by watching one forward pass.

    The module's own output must follow from them: it is the logits, their softmax or their sigmoid.

    Args:
        module: (N, 3, H, W) to (N, K) logits or scores; put into eval mode and left on its device.
        class_names: K names.
        preprocessing: what the module was trained with; the usual ImageNet values by default.
        activation: of a module that gives logits: softmax for one class a picture, sigmoid for each class by itself.
            One logit is a sigmoid's. Where it is not given, a softmax is assumed with a warning, and redaction refuses.

    Raises:
        ConfigError: the module has another ending (`GradCamClassifier` takes any), its output does not follow from
            pooling and linear layer, or K names were not given.
    """

    def __init__(
        self,
        module: nn.Module,
        class_names: Sequence[str],
        *,
        preprocessing: Preprocessing | None = None,
        activation: Activation | None = None,
    ) -> None:
        self._module = module.eval()
        self._preprocessing = preprocessing or Preprocessing()
        self._layer, linear = _find_ending(self._module, self._preprocessing.size)
        self._class_names = checked_names(class_names, linear.out_features)
        head = LinearHead(to_numpy(linear.weight), _bias(linear))
        found = _own_activation(self._module, self._layer, head, activation, self._preprocessing.size)
        self._head = LinearHead(head.weight, head.bias, found)
        self._any_size = takes_any_size(self._module, self._preprocessing.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the scores."""
        return self._class_names

    @property
    def activation(self) -> Activation | None:
        """What makes scores of logits; None where nothing says it, and a softmax is assumed."""
        return self._head.activation

    def evidence(self, rgb: Bytes) -> Evidence:
        """Return the look of record: the center crop. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        return self._look(*self._preprocessing.centre(rgb))

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """Return a look at the whole picture; the scores are of its pooled map. rgb: (H, W, 3) uint8.

        The picture keeps its aspect, unless the module takes one size only.
        """
        require_rgb(rgb)
        return self._look(*(self._preprocessing.whole(rgb) if self._any_size else self._preprocessing.squeezed(rgb)))

    @torch.inference_mode()
    def _look(self, image: Floats, extent: Box) -> Evidence:
        with watch(self._layer.module) as seen:
            run_module(self._module, _batch(image, self._module))
        return self._head.evidence(to_numpy(seen.tensor(self._layer)[0]), extent)


@torch.inference_mode()
def _find_ending(module: nn.Module, size: int) -> tuple[Place, nn.Linear]:
    """Where the map is whose mean goes into the module's last linear layer."""
    with watch(*module.modules()) as seen:
        run_module(module, _batch(probes(size)[0], module))
    linear, pooled = _last_linear(seen)
    tolerance = tolerance_of(module)
    for place, tensor in reversed(seen.calls):
        is_map = tensor.ndim == 4 and tensor.shape[2] * tensor.shape[3] > 1 and tensor.shape[1] == pooled.shape[-1]
        if is_map and torch.allclose(tensor.float().mean(dim=(2, 3)), pooled.float(), rtol=tolerance, atol=tolerance):
            return place, linear
    raise ConfigError("no submodule gives the map whose mean the linear layer takes; use GradCamClassifier")


def _last_linear(seen: Seen) -> tuple[nn.Linear, Tensor]:
    for place, tensor in reversed(seen.calls):
        if isinstance(place.module, nn.Linear) and place.is_input:
            return place.module, tensor.flatten(1)
    raise ConfigError("the module has no nn.Linear; use GradCamClassifier")


@torch.inference_mode()
def _own_activation(
    module: nn.Module, layer: Place, head: LinearHead, told: Activation | None, size: int
) -> Activation | None:
    """What makes the module's own output of the head's logits; `told` settles what probes leave open.

    Raises:
        ConfigError: the output does not follow from the head, or contradicts `told`.
    """
    possible: set[Activation | None] = {None, "softmax", "sigmoid"}
    for image in probes(size):
        with watch(layer.module) as seen:
            output = to_numpy(run_module(module, _batch(image, module)))
        logits = head.logits(to_numpy(seen.tensor(layer)))
        possible &= recognize(output, logits, tolerance=tolerance_of(module))
    if not possible:
        raise ConfigError(
            "the module's output is neither the logits of its last linear layer nor their softmax or sigmoid;"
            " use GradCamClassifier, or end the module in one of them"
        )
    shown = next(iter(possible)) if len(possible) == 1 else (told if told in possible else None)
    return resolve(shown, told, num_classes=len(head.bias), where="the module")


def _bias(linear: nn.Linear) -> Floats:
    absent: Tensor | None = linear.bias
    return np.zeros(linear.out_features, np.float32) if absent is None else to_numpy(absent)
