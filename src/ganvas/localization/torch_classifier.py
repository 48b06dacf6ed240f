"""Class activation maps and Grad-CAM of torch modules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganvas.errors import ConfigError
from ganvas.image.picture import Box
from ganvas.localization.classifier import (
    Activation,
    Bytes,
    Evidence,
    Floats,
    LinearHead,
    Preprocessing,
    activate,
    recognize_activations,
    require_rgb,
    resolve_activation,
)
from ganvas.localization.torch_forward import (
    Place,
    Recording,
    as_batch,
    checked_names,
    from_layer,
    probes,
    run_module,
    takes_any_size,
    to_numpy,
    tolerance_of,
    watch,
)
from ganvas.localization.torch_forward import as_batch as _batch

__all__ = ["GradCamClassifier", "TorchClassifier", "watch"]


class GradCamClassifier:
    """Grad-CAM classifier of any differentiable module: gradients replace the linear layer (arXiv:1610.02391).

    The evidence's `head` contains, for each class, the gradient of its logit summed over the map, and `bias` the
    remainder of the logit; so the class map is Grad-CAM's times h * w, and for a module that does end in pooling and a
    linear layer it is the class activation map itself. A class's gradient is computed when its row is accessed.

    Args:
        module: (N, 3, H, W) to (N, K) logits; put into eval mode and left on its device.
        layer: the submodule whose output (N, C, h, w) gives the map, usually the last convolution.
        class_names: K names.
        preprocessing: preprocessing of the module's training; the ImageNet values by default.
        activation: softmax for one class per picture, sigmoid for independent classes. One logit needs a sigmoid. If
            unset, a softmax is assumed with a warning, and redaction refuses.

    Raises:
        ConfigError: the module does not return logits, the layer is not part of it or does not return a map, or the
            number of names is not K.
    """

    def __init__(
        self,
        module: nn.Module,
        layer: nn.Module,
        class_names: Sequence[str],
        *,
        preprocessing: Preprocessing | None = None,
        activation: Activation | None = None,
    ) -> None:
        self._module, self._layer = module.eval(), layer
        self._preprocessing = preprocessing or Preprocessing()
        if all(layer is not each for each in module.modules()):
            raise ConfigError("the layer is not part of the module; pass one of module.modules()")
        logits, _ = _forward(self._module, layer, probes(self._preprocessing.size)[0])
        self._class_names = checked_names(class_names, logits.shape[1])
        _require_logits(self._module, self._preprocessing.size)
        self._activation = resolve_activation(None, activation, num_classes=logits.shape[1], where="the module")
        self._any_size = takes_any_size(self._module, self._preprocessing.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K class names, in the order of the scores."""
        return self._class_names

    @property
    def activation(self) -> Activation | None:
        """Conversion of logits to scores; None if unknown, and a softmax is assumed."""
        return self._activation

    def evidence(self, rgb: Bytes) -> Evidence:
        """Return the center-crop evidence. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        return self._evidence(*self._preprocessing.center(rgb))

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """Return evidence of the whole picture, at its own aspect ratio if possible. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        return self._evidence(
            *(self._preprocessing.whole(rgb) if self._any_size else self._preprocessing.squeezed(rgb))
        )

    def _evidence(self, image: Floats, extent: Box) -> Evidence:
        logits, leaf = _forward(self._module, self._layer, image)
        rows = _GradientRows(logits[0], leaf)
        scores = activate(to_numpy(logits[0]).astype(np.float64), self._activation).astype(np.float32)
        return Evidence(scores, rows.features, rows, _Remainders(rows), extent, self._activation)


class _GradientRows:
    """(K, C): the gradient of each logit summed over the map, computed by one backward pass when a row is accessed.

    Args:
        logits: (K,), with their graph.
        leaf: (1, C, h, w), from which they are computed.
    """

    def __init__(self, logits: Tensor, leaf: Tensor) -> None:
        self._logits, self._leaf = logits, leaf
        self.plain = to_numpy(logits)
        self.features = to_numpy(leaf[0])
        self._known: dict[int, Floats] = {}

    def __len__(self) -> int:
        return len(self._logits)

    def __getitem__(self, index: int) -> Floats:
        if index not in self._known:
            (gradient,) = torch.autograd.grad(self._logits[index], self._leaf, retain_graph=True)
            self._known[index] = to_numpy(gradient[0].float().sum(dim=(1, 2)))
        return self._known[index]

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.float32]:
        return np.stack([self[index] for index in range(len(self))])


class _Remainders:
    """(K,): each logit minus its linear part in the gradients."""

    def __init__(self, rows: _GradientRows) -> None:
        self._rows = rows
        self._pooled = rows.features.mean(axis=(1, 2))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> np.float32:
        return np.float32(self._rows.plain[index] - self._rows[index] @ self._pooled)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.float32]:
        return np.stack([self[index] for index in range(len(self))])


def _forward(module: nn.Module, layer: nn.Module, image: Floats) -> tuple[Tensor, Tensor]:
    """Return logits (1, K) with their graph, and the layer's map (1, C, h, w) from which the graph starts.

    Raises:
        ConfigError: the layer was not called, or the logits do not depend on it.
    """
    with from_layer(layer) as leaves:
        logits = run_module(module, as_batch(image, module))
    if not leaves:
        raise ConfigError("the forward pass did not call the layer; pass one on which the logits depend")
    if not logits.requires_grad:
        raise ConfigError("the logits do not depend on the layer; pass one on which they depend")
    return logits, leaves[-1]


@torch.inference_mode()
def _require_logits(module: nn.Module, size: int) -> None:
    """Raise for a module that ends in a softmax or sigmoid, since a second one would distort its scores.

    Raises:
        ConfigError: all outputs on noise of several strengths are probabilities.
    """
    outputs = np.concatenate([to_numpy(run_module(module, as_batch(image, module))) for image in probes(size)])
    within = bool((outputs >= 0).all() and (outputs <= 1).all())
    sums = outputs.sum(axis=1)
    if within and (outputs.shape[1] == 1 or bool(np.abs(sums - 1).max() <= tolerance_of(module))):
        raise ConfigError("the module returns probabilities; Grad-CAM needs logits: return the input of the activation")
    if within and bool((outputs > 0).all()):
        raise ConfigError("the module returns scores in (0, 1); Grad-CAM needs logits: remove the final sigmoid")


class TorchClassifier:
    """Classifier of a module that ends in global average pooling and one `nn.Linear`, found by hooks in a forward pass.

    The module's output must be the logits of that layer, their softmax or their sigmoid.

    Args:
        module: (N, 3, H, W) to (N, K) logits or scores; put into eval mode and left on its device.
        class_names: K names.
        preprocessing: preprocessing of the module's training; the ImageNet values by default.
        activation: activation for a module that returns logits: softmax for one class per picture, sigmoid for
            independent classes. One logit needs a sigmoid. If unset, a softmax is assumed with a warning, and redaction
            refuses.

    Raises:
        ConfigError: the module has another ending (`GradCamClassifier` accepts any), its output does not follow from
            pooling and linear layer, or the number of names is not K.
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
        """K class names, in the order of the scores."""
        return self._class_names

    @property
    def activation(self) -> Activation | None:
        """Conversion of logits to scores; None if unknown, and a softmax is assumed."""
        return self._head.activation

    def evidence(self, rgb: Bytes) -> Evidence:
        """Return the center-crop evidence. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        return self._evidence(*self._preprocessing.center(rgb))

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """Return evidence of the whole picture; the scores are of its pooled map. rgb: (H, W, 3) uint8.

        The picture keeps its aspect ratio, unless the module accepts only one size.
        """
        require_rgb(rgb)
        return self._evidence(
            *(self._preprocessing.whole(rgb) if self._any_size else self._preprocessing.squeezed(rgb))
        )

    @torch.inference_mode()
    def _evidence(self, image: Floats, extent: Box) -> Evidence:
        with watch(self._layer.module) as seen:
            run_module(self._module, _batch(image, self._module))
        return self._head.evidence(to_numpy(seen.tensor(self._layer)[0]), extent)


@torch.inference_mode()
def _find_ending(module: nn.Module, size: int) -> tuple[Place, nn.Linear]:
    """Find the feature map whose mean is the input of the module's last linear layer."""
    # 1. Record all inputs and outputs in one pass over noise; the last linear layer gives the logits.
    with watch(*module.modules()) as seen:
        run_module(module, _batch(probes(size)[0], module))
    linear, pooled = _last_linear(seen)
    # 2. The feature map is the last tensor whose mean over positions is that layer's input, wherever pooling happens.
    tolerance = tolerance_of(module)
    for place, tensor in reversed(seen.calls):
        is_map = tensor.ndim == 4 and tensor.shape[2] * tensor.shape[3] > 1 and tensor.shape[1] == pooled.shape[-1]
        if is_map and torch.allclose(tensor.float().mean(dim=(2, 3)), pooled.float(), rtol=tolerance, atol=tolerance):
            return place, linear
    raise ConfigError("no submodule outputs the map whose mean is the linear layer's input; use GradCamClassifier")


def _last_linear(seen: Recording) -> tuple[nn.Linear, Tensor]:
    for place, tensor in reversed(seen.calls):
        if isinstance(place.module, nn.Linear) and place.is_input:
            return place.module, tensor.flatten(1)
    raise ConfigError("the module has no nn.Linear; use GradCamClassifier")


@torch.inference_mode()
def _own_activation(
    module: nn.Module, layer: Place, head: LinearHead, given: Activation | None, size: int
) -> Activation | None:
    """Return the activation between the head's logits and the module's output; `given` resolves ambiguity.

    Raises:
        ConfigError: the output does not follow from the head, or contradicts `given`.
    """
    # Outputs on one picture may agree by chance; probes of several strengths leave only the correct activation.
    possible: set[Activation | None] = {None, "softmax", "sigmoid"}
    for image in probes(size):
        with watch(layer.module) as seen:
            output = to_numpy(run_module(module, _batch(image, module)))
        if not np.isfinite(output).all():
            raise ConfigError("the module returns values that are not finite; its weights may be damaged")
        logits = head.logits(to_numpy(seen.tensor(layer)))
        possible &= recognize_activations(output, logits, tolerance=tolerance_of(module))
    if not possible:
        raise ConfigError(
            "the module's output is neither the logits of its last linear layer nor their softmax or sigmoid;"
            " use GradCamClassifier, or end the module in one of them"
        )
    shown = next(iter(possible)) if len(possible) == 1 else (given if given in possible else None)
    return resolve_activation(shown, given, num_classes=len(head.bias), where="the module")


def _bias(linear: nn.Linear) -> Floats:
    absent: Tensor | None = linear.bias
    return np.zeros(linear.out_features, np.float32) if absent is None else to_numpy(absent)
