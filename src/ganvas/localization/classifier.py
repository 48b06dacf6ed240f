"""Classifier interface: preprocessing, activations, evidence for class activation maps, and ONNX Runtime sessions.

Importing this module loads neither torch nor onnxruntime.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganvas.errors import ConfigError, ImageError
from ganvas.hardware.threads import given_threads
from ganvas.image.picture import Box

Activation = Literal["softmax", "sigmoid"]
"""softmax: exactly one class is present; sigmoid: classes are independent."""
Logits = NDArray[np.float64]
REMEDY = 'set "activation": "softmax" (one class per picture) or "sigmoid" (independent classes)'


class AssumedActivationWarning(UserWarning):
    """Warning that scores come from an assumed softmax."""


def activate(logits: Logits, activation: Activation | None) -> Logits:
    """Return the probabilities (..., K) of logits (..., K); an unknown activation counts as a softmax."""
    if activation == "sigmoid":
        halved: Logits = 0.5 * np.tanh(0.5 * logits) + 0.5  # never overflows
        return halved
    powers: Logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def recognize_activations(output: NDArray[Any], logits: Logits, *, tolerance: float) -> set[Activation | None]:
    """Return every activation that maps `logits` to `output`: None for the logits themselves.

    Log-probabilities count as their activation. An empty set means that the output is computed in another way.

    Args:
        output: (N, K), the model's output.
        logits: (N, K), computed by pooling and the linear layer.
        tolerance: largest difference, as a share of the largest magnitude and at least of 1.
    """
    candidates: list[tuple[Activation | None, Logits]] = [(None, logits)]
    for kind in ("softmax", "sigmoid"):
        scores = activate(logits, kind)
        candidates += [(kind, scores), (kind, np.log(np.maximum(scores, np.finfo(np.float32).tiny)))]
    return {kind for kind, values in candidates if _agree(output, values, tolerance)}


def _agree(output: NDArray[Any], expected: Logits, tolerance: float) -> bool:
    if output.shape != expected.shape:
        return False
    scale = max(1.0, float(np.abs(expected).max()))
    return bool(np.abs(output.astype(np.float64) - expected).max() <= tolerance * scale)  # False for NaN


def resolve_activation(
    shown: Activation | None, given: Activation | None, *, num_classes: int, where: str
) -> Activation | None:
    """Return the activation of a classifier, or None if neither the model nor the user determines it.

    Args:
        shown: activation that the model's output shows; None for logits.
        given: activation set by the user; None if unset.
        num_classes: K. One logit is a sigmoid's: the softmax of one number is always 1.
        where: the file or module, for messages.

    Raises:
        ConfigError: the two differ, or a softmax has one output.
    """
    if shown is not None and given is not None and shown != given:
        raise ConfigError(f"{where}: the model ends in a {shown}, but the activation is set to {given!r}; omit it")
    found = shown or given
    if num_classes > 1:
        return found
    if found == "softmax":
        raise ConfigError(f"{where}: a softmax of one output is always 1; one output needs a sigmoid, or two classes")
    return "sigmoid"


def is_activation(value: object) -> TypeGuard[Activation]:
    """Return whether a value read from a file is the name of an activation."""
    return value in ("softmax", "sigmoid")


def require_activation(activation: Activation | None) -> Activation:
    """Return the activation; raise ConfigError if it is unknown, since scores decide what is released.

    Raises:
        ConfigError: it is unknown; the message names the remedy.
    """
    if activation is None:
        raise ConfigError(
            f"the classifier returns logits, and their activation is unknown: {REMEDY}"
            " in MODEL.json beside MODEL.onnx, or activation=... in Python"
        )
    return activation


def warn_if_assumed(activation: Activation | None, *, stacklevel: int = 2) -> None:
    """Warn if scores come from an assumed softmax."""
    if activation is None:
        warnings.warn(
            f"the classifier returns logits; a softmax is assumed: {REMEDY} in MODEL.json beside"
            " MODEL.onnx, or activation=... in Python",
            AssumedActivationWarning,
            stacklevel=stacklevel + 1,
        )


Floats = NDArray[np.float32]


class ByClass(Protocol):
    """Array whose first axis is the class, or an object that computes its rows on demand (Grad-CAM)."""

    def __len__(self) -> int:
        """Return the number of classes, K."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """Return the row of one class."""
        ...

    def __array__(self) -> NDArray[Any]:
        """Return all rows."""
        ...


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence of a classifier for one picture.

    Attributes:
        scores: (K,) probabilities in [0, 1].
        features: (C, h, w) of the last block, before global average pooling.
        head: (K, C) weights of the linear layer after the pooling.
        bias: (K,) of that layer.
        extent: the box of the picture, in its pixels, that the feature map spans.
        activation: converts logits to scores; None counts as a softmax.
    """

    scores: Floats
    features: Floats
    head: Floats | ByClass
    bias: Floats | ByClass
    extent: Box
    activation: Activation | None = "softmax"


class Classifier(Protocol):
    """Network that ends in global average pooling and one linear layer."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K class names, in the order of the scores."""
        ...

    @property
    def activation(self) -> Activation | None:
        """Conversion of logits to scores; None if unknown, and a softmax is assumed."""
        ...

    def evidence(self, rgb: NDArray[np.uint8]) -> Evidence:
        """Return the center-crop evidence, with the network's own preprocessing. rgb: (H, W, 3) uint8."""
        ...

    def dense_evidence(self, rgb: NDArray[np.uint8]) -> Evidence:
        """Return evidence of the whole picture at its own aspect ratio, borders included. rgb: (H, W, 3) uint8."""
        ...


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Pooling, then `weight @ pooled + bias`.

    Attributes:
        weight: (K, C).
        bias: (K,).
        activation: converts logits to scores; None counts as a softmax.
    """

    weight: Floats
    bias: Floats
    activation: Activation | None = "softmax"

    def logits(self, features: Floats) -> NDArray[np.float64]:
        """Return logits (..., K) of feature maps (..., C, h, w)."""
        pooled = features.mean(axis=(-2, -1), dtype=np.float64)
        logits: NDArray[np.float64] = pooled @ self.weight.T.astype(np.float64) + self.bias
        return logits

    def scores(self, features: Floats) -> Floats:
        """Return probabilities (..., K) in [0, 1] of feature maps (..., C, h, w)."""
        return activate(self.logits(features), self.activation).astype(np.float32)

    def evidence(self, features: Floats, extent: Box) -> Evidence:
        """Return the evidence of one feature map (C, h, w) that spans `extent` of its picture."""
        return Evidence(self.scores(features), features, self.weight, self.bias, extent, self.activation)


Bytes = NDArray[np.uint8]
STRIDE = 32
LONGEST_SIDE = 1024
MOST_PIXELS = 4096
"""Largest side of a network's input in pixels."""
STRIP = 256
"""Rows that are resized horizontally at once: Pillow copies its input with four bytes per pixel."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Preprocessing: center crop or whole picture (dense evidence), then mean, deviation and channel order."""

    size: int = 224
    """Height and width of the network's input, in pixels."""
    crop_share: float = 0.875
    """Side of the center crop as a share of the picture's shorter side."""
    dense_size: int = 384
    """Shorter side of the dense input, in pixels, before it is rounded to a multiple of 32."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Mean of R, G, B in 0..255, which is subtracted."""
    deviation: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Deviation of R, G, B, by which the difference is divided."""
    blue_first: bool = False
    """Whether the network expects BGR."""
    bicubic: bool = False
    """Whether resizing is bicubic instead of bilinear."""

    def __post_init__(self) -> None:
        if not (1 <= self.size <= MOST_PIXELS and 1 <= self.dense_size <= MOST_PIXELS):
            raise ConfigError(f"size {self.size} and dense_size {self.dense_size} must lie in 1..{MOST_PIXELS}")
        if not 0 < self.crop_share <= 1:
            raise ConfigError(f"crop_share {self.crop_share} must lie in (0, 1]")
        if not all(map(math.isfinite, (*self.mean, *self.deviation))) or 0 in self.deviation:
            raise ConfigError(f"mean {self.mean} and deviation {self.deviation} must be finite, no deviation 0")

    def center(self, rgb: Bytes) -> tuple[Floats, Box]:
        """Return the center crop, (size, size, 3) normalized, and its box in the picture. rgb: (H, W, 3)."""
        extent = center_square(*rgb.shape[:2], share=self.crop_share)
        return self.normalize(resize(rgb, self.size, self.size, part=extent, bicubic=self.bicubic)), extent

    def whole(self, rgb: Bytes) -> tuple[Floats, Box]:
        """Return the dense input, (h, w, 3) normalized, and the whole picture's box. rgb: (H, W, 3)."""
        height, width = rgb.shape[:2]
        dense = resize(rgb, *dense_shape(height, width, shorter=self.dense_size), bicubic=self.bicubic)
        return self.normalize(dense), Box(0, 0, width, height)

    def squeezed(self, rgb: Bytes) -> tuple[Floats, Box]:
        """Return the whole picture resized to (size, size, 3), normalized, for networks of one size, and its box.

        rgb: (H, W, 3).
        """
        height, width = rgb.shape[:2]
        square = resize(rgb, self.size, self.size, bicubic=self.bicubic)
        return self.normalize(square), Box(0, 0, width, height)

    def normalize(self, rgb: Bytes) -> Floats:
        """Return normalized (H, W, 3) float32 in the network's channel order. rgb: (H, W, 3) in 0..255."""
        values = (rgb - np.array(self.mean, np.float32)) / np.array(self.deviation, np.float32)
        return np.ascontiguousarray(values[:, :, ::-1] if self.blue_first else values, dtype=np.float32)


def require_rgb(rgb: NDArray[Any]) -> None:
    """Raise ImageError unless rgb is a nonempty (H, W, 3) uint8 array."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ImageError(
            None, f"a classifier expects (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}; use Picture.as_rgb8()"
        )


def center_square(height: int, width: int, *, share: float) -> Box:
    """Return the center square whose side is `share` of the shorter side, at least one pixel."""
    side = max(round(share * min(height, width)), 1)
    left, top = (width - side) // 2, (height - side) // 2
    return Box(left, top, left + side, top + side)


def dense_shape(height: int, width: int, *, shorter: int, longest: int = LONGEST_SIDE) -> tuple[int, int]:
    """Return height and width, multiples of 32 closest to the aspect ratio, the longer side at most `longest`."""
    scale = min(shorter / min(height, width), longest / max(height, width))
    return max(round(height * scale / STRIDE), 1) * STRIDE, max(round(width * scale / STRIDE), 1) * STRIDE


def resize(rgb: Bytes, height: int, width: int, *, part: Box | None = None, bicubic: bool = False) -> Bytes:
    """Return (height, width, 3) uint8, antialiased, of the whole picture or a `part` of it. rgb: (H, W, 3).

    Horizontally in strips, then vertically, as Pillow before 13; later versions choose the cheaper order.
    """
    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    part = part or Box(0, 0, rgb.shape[1], rgb.shape[0])
    narrow = np.empty((len(rgb), width, 3), np.uint8)
    for top in range(0, len(rgb), STRIP):
        strip = rgb[top : top + STRIP]
        box = part.left, 0, part.right, len(strip)
        narrow[top : top + STRIP] = np.asarray(Image.fromarray(strip).resize((width, len(strip)), how, box=box))
    down = Image.fromarray(narrow).resize((width, height), how, box=(0, part.top, width, part.bottom))
    return np.asarray(down)


if TYPE_CHECKING:
    import onnxruntime


def silence_onnxruntime() -> None:
    """Keep ONNX Runtime from sending usage events to Microsoft, which its wheels do by default.

    A value of ORT_DISABLE_TELEMETRY in the environment is kept.
    """
    is_new = "onnxruntime" not in sys.modules
    own = "ORT_DISABLE_TELEMETRY" in os.environ
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read during the import
    import onnxruntime  # slow to import

    if not is_new and not own:
        onnxruntime.disable_telemetry_events()


def make_session(graph: bytes | Path, *, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Return a CPU session whose waiting threads sleep, so that several sessions and torch share the cores.

    Args:
        graph: the model, or its file.
        threads: number of threads of one run; unset: the number that the user set, else OMP_NUM_THREADS as in torch, so
            that one of many processes does not use every core, else all cores.
    """
    silence_onnxruntime()
    import onnxruntime  # slow to import

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised anyway
    environment = int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.intra_op_num_threads = threads or given_threads() or environment
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = str(graph) if isinstance(graph, Path) else graph
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
