"""Untrusted ONNX files and sidecars: an error names the file, in little time and memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ganvas.errors import GanvasError
from ganvas.localization import load_classifier, locate
from ganvas.localization.classifier import Preprocessing

Model = Any


def make_model() -> Model:
    """Return a valid tiny classifier."""
    draw = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["map"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    shapes = {"w": (8, 3, 3, 3), "head": (5, 8)}
    tensors = [numpy_helper.from_array(draw.normal(size=s).astype(np.float32), name) for name, s in shapes.items()]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])
    made = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 5])
    graph = helper.make_graph(nodes, "tiny", [given], [made], tensors)
    domains = [helper.make_opsetid("", 13), helper.make_opsetid("custom", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def fill(tensor: Any, value: float) -> None:
    tensor.raw_data = np.full(tuple(tensor.dims), value, np.float32).tobytes()


def empty(model: Model) -> None:
    model.Clear()


def custom_operator(model: Model) -> None:
    model.graph.node[0].op_type, model.graph.node[0].domain = "Unheard", "custom"
    del model.graph.node[0].attribute[:]


def circle(model: Model) -> None:
    model.graph.node[2].input[0] = "logits"


def circle_of_nothing(model: Model) -> None:
    del model.graph.node[:]
    model.graph.node.extend(
        [helper.make_node("Identity", ["a"], ["scores"]), helper.make_node("Identity", ["scores"], ["a"])]
    )


def absurd_weights(model: Model) -> None:
    model.graph.initializer[0].dims[0] = 10**12


def absurd_head(model: Model) -> None:
    model.graph.initializer[1].dims[0] = 10**15


def negative_head(model: Model) -> None:
    model.graph.initializer[1].dims[0] = -5


def absurd_input(model: Model) -> None:
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_value = 10**9


def nan_weights(model: Model) -> None:
    fill(model.graph.initializer[0], float("nan"))


def nan_head(model: Model) -> None:
    fill(model.graph.initializer[1], float("nan"))


def no_inputs(model: Model) -> None:
    del model.graph.node[3].input[:]


def no_weights(model: Model) -> None:
    del model.graph.node[3].input[1:]


def text_head(model: Model) -> None:
    model.graph.initializer[1].CopyFrom(helper.make_tensor("head", TensorProto.STRING, [1], [b"a"]))


def no_classes(model: Model) -> None:
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.zeros((0, 8), np.float32), "head"))


SPOILS: list[Callable[[Model], None]] = [
    empty, custom_operator, circle, circle_of_nothing, absurd_weights, absurd_head, negative_head, absurd_input,
    nan_weights, nan_head, no_inputs, no_weights, text_head, no_classes,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("spoil", SPOILS)
def test_graphs(spoil: Callable[[Model], None], tmp_path: Path) -> None:
    model, path = make_model(), tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    load_classifier(str(path))
    spoil(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(GanvasError, match=r"model\.onnx"):
        load_classifier(str(path))


@pytest.mark.parametrize(
    "record",
    [
        {"class_names": 5}, {"class_names": "abcde"}, {"class_names": [1, 2, 3, 4, 5]}, {"class_names": ["a"]},
        {"features": 5}, {"head": []}, {"mean": "x"}, {"mean": [1, 2]}, {"deviation": [0, 1, 1]}, {"size": -1},
        {"size": 10**9}, {"dense_size": 0}, {"crop_share": 2}, {"blue_first": 1}, {"unheard": 1}, {"activation": []},
        {"mean": [float("nan"), 1.0, 1.0]},
    ],
)  # fmt: skip
def test_sidecars(record: dict[str, Any], tmp_path: Path) -> None:
    onnx.save(make_model(), tmp_path / "model.onnx")
    (tmp_path / "model.json").write_text(json.dumps(record))
    with pytest.raises(GanvasError, match="model"):
        load_classifier(str(tmp_path / "model.onnx"))


def test_a_sidecar_as_it_should_be(tmp_path: Path) -> None:
    onnx.save(make_model(), tmp_path / "model.onnx")
    record = {"class_names": list("abcde"), "size": 32, "dense_size": 64, "activation": "softmax", "mean": [1, 2, 3]}
    (tmp_path / "model.json").write_text(json.dumps(record))
    classifier = load_classifier(str(tmp_path / "model.onnx"))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    assert locate(pixels, classifier).class_name in "abcde"


def test_preprocessing_is_checked() -> None:
    assert Preprocessing(size=1, crop_share=1.0).size == 1
