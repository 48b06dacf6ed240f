"""Ending of an ONNX classifier (pooling and linear layer), and the graph up to its last feature map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ganvas.errors import ConfigError
from ganvas.localization.classifier import Activation, LinearHead

ACTIVATIONS: dict[str, Activation] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
SHAPING = {"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast"}
AFTER_HEAD = {*ACTIVATIONS, *SHAPING, "Log"}
BEFORE_HEAD = {*SHAPING, "Dropout"}
UNFOLDED = {"Cast", "Identity", "Transpose"}
"""Nodes that exporters insert between a layer and its weights."""
POOLINGS = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
SHAPE = "GlobalAveragePool | AveragePool | ReduceMean -> Flatten | Reshape -> Gemm | MatMul + Add -> Softmax | Sigmoid"


@dataclass(frozen=True, eq=False)
class Ending:
    """Tensor names of the feature map and the scores, and the head between them.

    Attributes:
        features: the tensor that is pooled.
        channels_last: whether it is (N, h, w, C) rather than (N, C, h, w).
        head: the linear layer after the pooling; its activation is None if the graph ends in logits.
        output: the tensor of the graph's scores or logits.
    """

    features: str
    channels_last: bool
    head: LinearHead
    output: str


class _Graph:
    """Index of a graph by tensor name."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.producers = {name: node for node in model.graph.node for name in node.output}
        self._check_order()
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t

    def _check_order(self) -> None:
        """Raise ConfigError if a node uses the output of a later one: such a graph may contain a cycle."""
        made = set[str]()
        for node in self.model.graph.node:
            if late := [name for name in node.input if name in self.producers and name not in made]:
                raise ConfigError(f"the graph's nodes are not in order: {late[0]!r} is used before it is computed")
            made.update(node.output)

    def constant(self, name: str) -> NDArray[Any]:
        """Return the values of an initializer, looking through Cast, Identity and Transpose.

        Raises:
            ConfigError: there is no initializer of that name.
        """
        if name in self.constants:
            return numpy_helper.to_array(self.constants[name])
        node = self.producers.get(name)
        if node is None or node.op_type not in UNFOLDED or not self.is_constant(name):
            raise ConfigError(f"the graph has no initializer named {name!r}; pass the name of an initializer")
        values = self.constant(node.input[0])
        return np.transpose(values, _options(node).get("perm")) if node.op_type == "Transpose" else values

    def is_constant(self, name: str) -> bool:
        """Return whether `name` is an initializer or a Constant, looking through Cast, Identity and Transpose."""
        node = self.producers.get(name)
        while name not in self.constants and node is not None and node.op_type in UNFOLDED:
            name = node.input[0]
            node = self.producers.get(name)
        return name in self.constants

    def activation(self, output: str) -> Activation | None:
        """Return the activation at the end of the graph, None for logits.

        Raises:
            ConfigError: it ends in both.
        """
        found: set[Activation] = set()
        node = self.producers.get(output)
        while node is not None and node.op_type in AFTER_HEAD:
            if node.op_type in ACTIVATIONS:
                found.add(ACTIVATIONS[node.op_type])
            node = self.producers.get(node.input[0])
        if len(found) > 1:
            raise ConfigError(f"the graph ends in a softmax and a sigmoid, one after the other; expected {SHAPE}")
        return next(iter(found), None)

    def before(self, name: str, skipped: set[str]) -> Any:
        """Return the node that computes `name`, skipping nodes of the `skipped` kinds."""
        node = self.producers.get(name)
        while node is not None and node.op_type in skipped:
            node = self.producers.get(node.input[0])
        if node is None:
            raise ConfigError(f"no node of the graph computes {name!r}; expected an ending {SHAPE}")
        return node


def find_ending(model: Any, *, features: str | None = None, head: str | None = None, bias: str | None = None) -> Ending:
    """Return the ending of an ONNX model, traced backwards from its outputs; given names take precedence.

    It belongs to the first output that has one, or to another output of the same layer that includes the activation.

    Args:
        model: an onnx.ModelProto.
        features: the tensor (N, C, h, w) that is pooled.
        head: the initializer (K, C) or (C, K) of the linear layer.
        bias: initializer of its bias (K,); zeros if only `head` is given.

    Raises:
        ConfigError: the graph does not end in global average pooling and one linear layer.
    """
    # 1. Try every output: detectors and multi-task models have outputs other than classes.
    graph = _Graph(model)
    endings: list[Ending] = []
    problems: list[ConfigError] = []
    for output in model.graph.output:
        try:
            endings.append(_ending_at(graph, output.name, features, head, bias))
        except ConfigError as problem:
            problems.append(problem)
    if not endings:
        raise problems[0] if problems else ConfigError(f"the graph has no outputs; expected {SHAPE}")
    # 2. If a model outputs both logits and scores, the scores also determine the activation.
    first = endings[0]
    return next((each for each in endings if each.head.activation and _same_layer(each, first)), first)


def _same_layer(one: Ending, other: Ending) -> bool:
    """Return whether two outputs, such as logits and scores, come from one linear layer."""
    return one.features == other.features and np.array_equal(one.head.weight, other.head.weight)


def _ending_at(graph: _Graph, output: str, features: str | None, head: str | None, bias: str | None) -> Ending:
    activation = graph.activation(output)
    if features is not None and head is not None:
        named = replace(_named_head(graph, head, bias), activation=activation)
        return Ending(features, False, named, output)
    # Backwards from the output: activation, linear layer, reshaping, pooling; the pooled tensor is the feature map.
    linear, pooled = _linear(graph, output)
    pool = graph.before(pooled, BEFORE_HEAD)
    if pool.op_type not in POOLINGS:
        raise ConfigError(f"the graph ends in {pool.op_type} before its linear layer; expected {SHAPE}")
    found = replace(linear if head is None else _named_head(graph, head, bias), activation=activation)
    return Ending(features or pool.input[0], _pools_channels_last(graph, pool), found, output)


def _named_head(graph: _Graph, head: str, bias: str | None) -> LinearHead:
    weight = graph.constant(head).astype(np.float32)
    offset = None if bias is None else graph.constant(bias).astype(np.float32)
    transposed = weight.shape[0] > weight.shape[1] if offset is None else weight.shape[1] == offset.size
    weight = np.ascontiguousarray(weight.T) if transposed else weight
    return LinearHead(weight, np.zeros(len(weight), np.float32) if offset is None else offset)


def _linear(graph: _Graph, output: str) -> tuple[LinearHead, str]:
    """Return the linear layer that ends the graph, and the name of its input tensor."""
    node, bias = graph.before(output, AFTER_HEAD), None
    if node.op_type == "Add":
        addend, summed = sorted(node.input, key=graph.is_constant, reverse=True)
        bias, node = graph.constant(addend), graph.before(summed, set())
    if node.op_type not in {"Gemm", "MatMul", "Conv"}:
        raise ConfigError(f"the graph ends in {node.op_type}, not in a linear layer; expected {SHAPE}")
    weight = graph.constant(node.input[1])
    options = _options(node)
    if node.op_type == "Conv":  # 1x1 on the pooled map
        weight = weight.reshape(weight.shape[0], -1)
    elif not options.get("transB", 0):
        weight = weight.T
    if len(node.input) > 2:
        bias = options.get("beta", 1.0) * graph.constant(node.input[2]).astype(np.float32)
    weight = np.ascontiguousarray(options.get("alpha", 1.0) * weight.astype(np.float32), dtype=np.float32)
    offset = np.zeros(len(weight)) if bias is None else np.broadcast_to(bias.reshape(-1), len(weight))
    return LinearHead(weight, offset.astype(np.float32)), str(node.input[0])


def _options(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _pools_channels_last(graph: _Graph, pool: Any) -> bool:
    """Return whether the pooled axes are 1 and 2, as in graphs exported from TensorFlow."""
    if pool.op_type != "ReduceMean":
        return False
    named = {attribute.name: attribute for attribute in pool.attribute}
    axes = list(named["axes"].ints) if "axes" in named else graph.constant(pool.input[1]).tolist()
    return sorted(axis % 4 for axis in axes) == [1, 2]


def cut_at(model: Any, output: str, source: onnx.ValueInfoProto) -> bytes:
    """Return the serialized graph from the input `source` to the tensor `output`."""
    graph = model.graph
    nodes = _needed(model, output)
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    outputs = [onnx.ValueInfoProto(name=output)]  # onnxruntime infers its type
    cut = onnx.helper.make_graph(nodes, "features", [source], outputs, constants)
    made = onnx.helper.make_model(
        cut, opset_imports=model.opset_import, functions=model.functions, ir_version=max(model.ir_version, 4)
    )
    return bytes(made.SerializeToString())


def _needed(model: Any, output: str) -> list[Any]:
    """Return the nodes that `output` depends on, in the graph's order."""
    wanted: set[str] = {output}
    kept: list[Any] = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    if not kept:
        raise ConfigError(f"no node of the graph computes {output!r}; pass the name of one of its tensors")
    return kept[::-1]
