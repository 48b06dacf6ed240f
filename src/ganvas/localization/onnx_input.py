"""What an ONNX classifier takes: number type, layout, fixed sizes and batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from ganvas.errors import ConfigError
from ganvas.localization.evidence import Floats
from ganvas.localization.preprocess import Preprocessing

__all__ = ["GraphInput", "read_input"]

FLOAT_TYPES: dict[int, type] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
}
LEVEL_TYPES: dict[int, type] = {TensorProto.UINT8: np.uint8, TensorProto.INT32: np.int32, TensorProto.INT64: np.int64}
"""Types of inputs that are levels 0..255 and normalized inside the graph."""
LARGEST_SIDE, LARGEST_BATCH = 2048, 64
RAW_LEVELS = Preprocessing(mean=(0, 0, 0), deviation=(1, 1, 1))


@dataclass(frozen=True, kw_only=True)
class GraphInput:
    """The one input of a graph.

    Attributes:
        name: of the tensor.
        kind: its element type, as ONNX numbers it.
        channels_first: (N, 3, H, W) rather than (N, H, W, 3).
        batch: the fixed number of pictures, None where it is free.
        size: the fixed height and width, None where they are free.
    """

    name: str
    kind: int
    channels_first: bool
    batch: int | None
    size: int | None

    @property
    def takes_levels(self) -> bool:
        """Whether it takes whole levels 0..255."""
        return self.kind in LEVEL_TYPES

    @property
    def is_half(self) -> bool:
        """Whether it takes half precision."""
        return self.kind == TensorProto.FLOAT16

    def preprocessing(self, given: Preprocessing | None) -> Preprocessing:
        """Return what pictures go through: the size is the graph's own where it is fixed; levels stay as they are.

        Args:
            given: by the user; the usual values where they gave none, and a usual value counts as none.

        Raises:
            ConfigError: it contradicts the graph.
        """
        chosen = given or Preprocessing()
        usual = Preprocessing()
        if self.size and chosen.size == usual.size:
            chosen = replace(chosen, size=self.size)
        if self.takes_levels and (chosen.mean, chosen.deviation) == (usual.mean, usual.deviation):
            chosen = replace(chosen, mean=RAW_LEVELS.mean, deviation=RAW_LEVELS.deviation)
        if self.size and chosen.size != self.size:
            raise ConfigError(
                f"the graph takes {self.size} x {self.size} pixels, but size is given as {chosen.size};"
                f' give "size": {self.size}, or export the graph with free height and width'
            )
        if self.takes_levels and (tuple(chosen.mean), tuple(chosen.deviation)) != (
            RAW_LEVELS.mean,
            RAW_LEVELS.deviation,
        ):
            raise ConfigError(
                "the graph takes whole levels 0 to 255 and normalizes them itself;"
                ' give "mean": [0, 0, 0] and "deviation": [1, 1, 1], or leave both out'
            )
        return chosen

    def noise(self, size: int) -> Floats:
        """Return noise (1, size, size, 3) as a normalized picture would be."""
        rng = np.random.default_rng(0)
        if self.takes_levels:
            return rng.integers(0, 256, (1, size, size, 3)).astype(np.float32)
        return rng.normal(size=(1, size, size, 3)).astype(np.float32)

    def arrange(self, images: Floats) -> NDArray[Any]:
        """Return images (N, H, W, 3) in the graph's layout and type."""
        turned = np.moveaxis(images, -1, 1) if self.channels_first else images
        if self.takes_levels:
            return np.ascontiguousarray(np.rint(turned), LEVEL_TYPES[self.kind])
        return np.ascontiguousarray(turned, FLOAT_TYPES[self.kind])

    def free_shape(self) -> list[str | int | None]:
        """Return its shape with batch, height and width left free."""
        return ["batch", 3, "height", "width"] if self.channels_first else ["batch", "height", "width", 3]


def read_input(model: Any) -> GraphInput:
    """Return the one input of an onnx.ModelProto that is not an initializer.

    Raises:
        ConfigError: there are several, or it is no picture that ganvas can make.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = [value.name for value in inputs]
        raise ConfigError(f"the graph takes {len(inputs)} inputs {names}; expected one picture")
    value = inputs[0]
    kind = value.type.tensor_type.elem_type
    if kind not in FLOAT_TYPES and kind not in LEVEL_TYPES:
        raise ConfigError(
            f"the graph's input {value.name!r} holds {_type_name(kind)}; convert it to take float32, float16 or uint8"
        )
    sides = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    if len(sides) != 4:
        raise ConfigError(f"the graph's input {value.name!r} has {len(sides)} dimensions; expected (N, 3, H, W)")
    first = not (sides[3] == 3 and sides[1] != 3)
    channels, height, width = (sides[1], sides[2], sides[3]) if first else (sides[3], sides[1], sides[2])
    if channels not in (0, 3):
        raise ConfigError(
            f"the graph takes {channels} channels, {tuple(sides)}; expected three, RGB (repeat gray inside the graph)"
        )
    return GraphInput(
        name=value.name, kind=kind, channels_first=first, batch=_batch(sides[0]), size=_size(height, width)
    )


def _batch(side: int) -> int | None:
    if side > LARGEST_BATCH or side < 0:
        raise ConfigError(f"the graph takes {side} pictures at once; export it with a batch of 1 or a free one")
    return side or None


def _size(height: int, width: int) -> int | None:
    if height == 0 and width == 0:
        return None
    side = max(height, width)
    if min(height, width) not in (0, side) or not 0 < side <= LARGEST_SIDE:
        raise ConfigError(
            f"the graph takes {width} x {height} pixels; export it for squares of at most {LARGEST_SIDE}, or with"
            " free height and width"
        )
    return side


def _type_name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower() if kind in TensorProto.DataType.values() else f"type {kind}"
