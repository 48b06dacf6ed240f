"""Reads an ONNX graph's ending (pooling, linear layer) and cuts the graph at its last feature map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ganvas.errors import ConfigError
from ganvas.localization.head import LinearHead

AFTER_HEAD = {"Softmax", "LogSoftmax", "Identity", "Flatten", "Reshape", "Squeeze"}
BEFORE_HEAD = {"Flatten", "Reshape", "Squeeze", "Identity", "Dropout"}
POOLINGS = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
SHAPE = "GlobalAveragePool | AveragePool | ReduceMean -> Flatten | Reshape -> Gemm | MatMul + Add -> Softmax"


@dataclass(frozen=True, eq=False)
class Ending:
    """Where the feature map leaves the graph, and the arithmetic that follows it.

    Attributes:
        features: the tensor that is pooled.
        channels_last: it is (N, h, w, C) rather than (N, C, h, w).
        head: what follows the pooling.
    """

    features: str
    channels_last: bool
    head: LinearHead


class _Graph:
    """Look-ups by tensor name."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.producers = {name: node for node in model.graph.node for name in node.output}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t

    def constant(self, name: str) -> NDArray[Any]:
        """The numbers of an initializer."""
        if name not in self.constants:
            raise ConfigError(f"the graph holds no numbers named {name!r}; give the name of an initializer")
        return numpy_helper.to_array(self.constants[name])

    def is_constant(self, name: str) -> bool:
        """Whether `name` is an initializer or a Constant."""
        return name in self.constants

    def before(self, name: str, skipped: set[str]) -> Any:
        """The node that made `name`, looking through nodes of the `skipped` kinds."""
        node = self.producers.get(name)
        while node is not None and node.op_type in skipped:
            node = self.producers.get(node.input[0])
        if node is None:
            raise ConfigError(f"nothing in the graph computes {name!r}; expected an ending {SHAPE}")
        return node


def find_ending(model: Any, *, features: str | None = None, head: str | None = None, bias: str | None = None) -> Ending:
    """The ending of an ONNX model, found from its first output backwards; names that are given go first.

    Args:
        model: an onnx.ModelProto.
        features: the tensor (N, C, h, w) that is pooled.
        head: the initializer (K, C) or (C, K) of the linear layer.
        bias: its bias (K,); zeros where only `head` is given.

    Raises:
        ConfigError: the graph does not end in global average pooling and one linear layer.
    """
    graph = _Graph(model)
    if features is not None and head is not None:
        return Ending(features, False, _named_head(graph, head, bias))
    linear, pooled = _linear(graph, model.graph.output[0].name)
    pool = graph.before(pooled, BEFORE_HEAD)
    if pool.op_type not in POOLINGS:
        raise ConfigError(f"the graph ends in {pool.op_type} before its linear layer; expected {SHAPE}")
    found = linear if head is None else _named_head(graph, head, bias)
    return Ending(features or pool.input[0], _pools_channels_last(graph, pool), found)


def _named_head(graph: _Graph, head: str, bias: str | None) -> LinearHead:
    weight = graph.constant(head).astype(np.float32)
    offset = None if bias is None else graph.constant(bias).astype(np.float32)
    transposed = weight.shape[0] > weight.shape[1] if offset is None else weight.shape[1] == offset.size
    weight = np.ascontiguousarray(weight.T) if transposed else weight
    return LinearHead(weight, np.zeros(len(weight), np.float32) if offset is None else offset)


def _linear(graph: _Graph, output: str) -> tuple[LinearHead, str]:
    """The linear layer that ends the graph, and the name of the tensor it takes."""
    node, bias = graph.before(output, AFTER_HEAD), None
    if node.op_type == "Add":
        addend, summed = sorted(node.input, key=graph.is_constant, reverse=True)
        bias, node = graph.constant(addend), graph.before(summed, set())
    if node.op_type not in {"Gemm", "MatMul", "Conv"}:
        raise ConfigError(f"the graph ends in {node.op_type}, not in a linear layer; expected {SHAPE}")
    weight = graph.constant(node.input[1])
    options = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Conv":  # 1x1 on the pooled map
        weight = weight.reshape(weight.shape[0], -1)
    elif not options.get("transB", 0):
        weight = weight.T
    if len(node.input) > 2:
        bias = options.get("beta", 1.0) * graph.constant(node.input[2])
    weight = np.ascontiguousarray(options.get("alpha", 1.0) * weight, dtype=np.float32)
    offset = np.zeros(len(weight)) if bias is None else np.broadcast_to(bias.reshape(-1), len(weight))
    return LinearHead(weight, offset.astype(np.float32)), str(node.input[0])


def _pools_channels_last(graph: _Graph, pool: Any) -> bool:
    """Whether the pooled axes are 1 and 2, as in graphs that came from TensorFlow."""
    if pool.op_type != "ReduceMean":
        return False
    named = {attribute.name: attribute for attribute in pool.attribute}
    axes = list(named["axes"].ints) if "axes" in named else graph.constant(pool.input[1]).tolist()
    return sorted(axis % 4 for axis in axes) == [1, 2]


def cut_at(model: Any, output: str) -> bytes:
    """The serialised graph that ends at `output`, with batch, height and width of its input left free."""
    graph = model.graph
    nodes = _needed(model, output)
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    source = graph_input(model)
    shape: list[str | int | None]
    shape = ["batch", 3, "height", "width"] if channels_first(source) else ["batch", "height", "width", 3]
    kind = source.type.tensor_type.elem_type
    inputs = [onnx.helper.make_tensor_value_info(source.name, kind, shape)]
    outputs = [onnx.helper.make_tensor_value_info(output, kind, None)]
    cut = onnx.helper.make_graph(nodes, "features", inputs, outputs, constants)
    made = onnx.helper.make_model(cut, opset_imports=model.opset_import, ir_version=max(model.ir_version, 4))
    return bytes(made.SerializeToString())


def _needed(model: Any, output: str) -> list[Any]:
    """The nodes that `output` depends on, in the graph's order."""
    wanted: set[str] = {output}
    kept: list[Any] = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    if not kept:
        raise ConfigError(f"nothing in the graph computes {output!r}; give the name of a tensor in it")
    return kept[::-1]


def graph_input(model: Any) -> Any:
    """The one input that is not an initializer."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ConfigError(
            f"the graph takes {len(inputs)} inputs {[value.name for value in inputs]}; expected one picture"
        )
    return inputs[0]


def channels_first(value: Any) -> bool:
    """Whether an input is (N, 3, H, W) rather than (N, H, W, 3); free dimensions count as channels first."""
    dimensions = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    if len(dimensions) != 4:
        raise ConfigError(f"the graph's input {value.name!r} has {len(dimensions)} dimensions; expected (N, 3, H, W)")
    return not (dimensions[3] == 3 and dimensions[1] != 3)
