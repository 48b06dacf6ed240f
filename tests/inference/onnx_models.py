"""Tiny ONNX networks on pictures, valid and invalid, for the tests of inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = {
    "float32": (TensorProto.FLOAT, np.float32),
    "float16": (TensorProto.FLOAT16, np.float16),
    "float64": (TensorProto.DOUBLE, np.float64),
    "uint8": (TensorProto.UINT8, np.float32),
    "uint16": (TensorProto.UINT16, np.float32),
    "int32": (TensorProto.INT32, np.float32),
    "int64": (TensorProto.INT64, np.float32),
}
Sides = tuple[int | str, int | str]


def write_network(
    path: Path,
    *,
    scale: int = 1,
    channels: int = 3,
    made: int | None = None,
    kind: str = "float32",
    made_kind: str | None = None,
    sides: Sides = ("h", "w"),
    batch: int | str = "n",
    multiple: int = 1,
    last: bool = False,
    gain: float = 1.0,
    metadata: dict[str, str] | None = None,
    declared: Sequence[int | str] | None = None,
) -> Path:
    """Write a network that enlarges a picture `scale` times and multiplies it by `gain`, exactly.

    Args:
        path: output path.
        scale: 1, or a factor of nearest-neighbor enlargement.
        channels: input channels.
        made: output channels, copies of the mean of all input channels; unset: the input channels.
        kind: element type of the input.
        made_kind: element type of the output; unset: that of the input.
        sides: height and width; numbers are fixed sizes.
        batch: number of pictures.
        multiple: side of the blocks into which the network divides pictures; other sizes do not fit.
        last: whether input and output are (N, H, W, C).
        gain: factor.
        metadata: key -> value.
        declared: input shape to declare instead of the actual one.
    """
    given, floats = KINDS[kind]
    result, _ = KINDS[made_kind or kind]
    nodes, constants, now = [], [], "image"

    def add(operator: str, *inputs: np.ndarray, **attributes: object) -> None:
        nonlocal now
        names = []
        for number, values in enumerate(inputs):
            names.append(f"constant{len(nodes)}_{number}")
            constants.append(numpy_helper.from_array(values, names[-1]))
        given_names = [now, "", names[0]] if operator == "Resize" else [now, *names]
        nodes.append(helper.make_node(operator, given_names, [f"tensor{len(nodes)}"], **attributes))
        now = f"tensor{len(nodes) - 1}"

    if floats is np.float32 and kind != "float32":
        add("Cast", to=TensorProto.FLOAT)
    if last:
        add("Transpose", perm=[0, 3, 1, 2])
    if multiple > 1:
        add("SpaceToDepth", blocksize=multiple)
        add("DepthToSpace", blocksize=multiple)
    weight = gain * (np.eye(channels) if made is None else np.full((made, channels), 1 / channels))
    add("Conv", weight[:, :, None, None].astype(floats))
    if scale > 1:
        add("Resize", np.array([1, 1, scale, scale], np.float32), mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric")  # fmt: skip
    if last:
        add("Transpose", perm=[0, 2, 3, 1])
    if result != helper.np_dtype_to_tensor_dtype(np.dtype(floats)):
        add("Cast", to=result)
    shape = [batch, *sides, channels] if last else [batch, channels, *sides]
    graph = helper.make_graph(
        [*nodes, helper.make_node("Identity", [now], ["made"])],
        "network",
        [helper.make_tensor_value_info("image", given, declared or shape)],
        [helper.make_tensor_value_info("made", result, None)],
        constants,
    )
    return save(graph, path, metadata=metadata)


def save(graph: onnx.GraphProto, path: Path, *, metadata: dict[str, str] | None = None) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path
