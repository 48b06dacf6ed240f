"""Endings found in ONNX graphs, on tiny graphs built here."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ganvas.errors import ConfigError, WeightsError
from ganvas.localization import Preprocessing, class_map, load_classifier
from ganvas.localization.onnx_classifier import OnnxClassifier

SMALL = Preprocessing(size=16, dense_size=64)
CHANNELS, CLASSES = 6, 3


def build(path, rng, *, ending, channels_last=False, size=16):
    """A strided convolution, then one of several endings; returns the path."""
    numbers = {
        "kernel": rng.normal(size=(CHANNELS, 3, 4, 4)) * 0.2,
        "head": rng.normal(size=(CLASSES, CHANNELS)),
        "head_transposed": rng.normal(size=(CHANNELS, CLASSES)),
        "head_1x1": rng.normal(size=(CLASSES, CHANNELS, 1, 1)),
        "bias": rng.normal(size=CLASSES),
    }
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in numbers.items()]
    constants.append(numpy_helper.from_array(np.array([-1, CHANNELS], np.int64), "flat"))
    first = [helper.make_node("Transpose", ["picture"], ["planes"], perm=[0, 3, 1, 2])] if channels_last else []
    nodes = [
        *first,
        helper.make_node("Conv", ["planes" if channels_last else "picture", "kernel"], ["map"], strides=[4, 4]),
        helper.make_node("Relu", ["map"], ["features"]),
        *[helper.make_node(kind, inputs, outputs, **options) for kind, inputs, outputs, options in ENDINGS[ending]],
    ]
    shape = [None, size, size, 3] if channels_last else [None, 3, size, size]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


ENDINGS = {
    "gemm": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "head", "bias"], ["answer"], {"transB": 1}),
    ],
    "gemm softmax scaled": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "head_transposed", "bias"], ["logits"], {"alpha": 0.5, "beta": 2.0}),
        ("Softmax", ["logits"], ["answer"], {"axis": 1}),
    ],
    "matmul add": [
        ("AveragePool", ["features"], ["pooled"], {"kernel_shape": [4, 4]}),
        ("Reshape", ["pooled", "flat"], ["row"], {}),
        ("MatMul", ["row", "head_transposed"], ["product"], {}),
        ("Add", ["product", "bias"], ["logits"], {}),
        ("Softmax", ["logits"], ["answer"], {"axis": 1}),
    ],
    "matmul alone": [
        ("ReduceMean", ["features"], ["row"], {"axes": [2, 3], "keepdims": 0}),
        ("MatMul", ["row", "head_transposed"], ["answer"], {}),
    ],
    "convolution": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Conv", ["pooled", "head_1x1", "bias"], ["scores"], {}),
        ("Flatten", ["scores"], ["answer"], {}),
    ],
    "channels last": [
        ("Transpose", ["features"], ["turned"], {"perm": [0, 2, 3, 1]}),
        ("ReduceMean", ["turned"], ["row"], {"axes": [1, 2], "keepdims": 0}),
        ("MatMul", ["row", "head_transposed"], ["product"], {}),
        ("Add", ["bias", "product"], ["answer"], {}),
    ],
    "no pooling": [
        ("MaxPool", ["features"], ["pooled"], {"kernel_shape": [4, 4]}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "head", "bias"], ["answer"], {"transB": 1}),
    ],
    "half pooling": [
        ("AveragePool", ["features"], ["pooled"], {"kernel_shape": [3, 3], "strides": [4, 4]}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "head", "bias"], ["answer"], {"transB": 1}),
    ],
    "no linear": [("GlobalAveragePool", ["features"], ["pooled"], {}), ("Tanh", ["pooled"], ["answer"], {})],
}
GOOD = ["gemm", "gemm softmax scaled", "matmul add", "matmul alone", "convolution", "channels last"]


@pytest.fixture
def photo(rng):
    return rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def whole_graph(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": image})[0].reshape(-1)


def as_probabilities(answer, ending):
    powers = np.exp(answer - answer.max())
    return answer if ENDINGS[ending][-1][0] == "Softmax" else powers / powers.sum()


@pytest.mark.parametrize("ending", GOOD)
@pytest.mark.parametrize("channels_last", [False, True])
def test_scores_are_the_whole_graphs(tmp_path, rng, photo, ending, channels_last):
    path = build(tmp_path / "tiny.onnx", rng, ending=ending, channels_last=channels_last)
    evidence = OnnxClassifier(path, preprocessing=SMALL).evidence(photo)
    image = SMALL.centre(photo)[0][None]
    answer = whole_graph(path, image if channels_last else np.moveaxis(image, -1, 1).copy())
    np.testing.assert_allclose(evidence.scores, as_probabilities(answer, ending), atol=1e-6)
    assert evidence.features.shape == (CHANNELS, 4, 4)


@pytest.mark.parametrize("ending", GOOD)
def test_dense_look_runs_at_the_pictures_own_aspect(tmp_path, rng, photo, ending):
    classifier = OnnxClassifier(build(tmp_path / "tiny.onnx", rng, ending=ending), preprocessing=SMALL)
    evidence = classifier.dense_evidence(photo)
    assert evidence.features.shape == (CHANNELS, 16, 24)
    assert class_map(evidence, 0).shape == (16, 24)
    assert (evidence.extent.right, evidence.extent.bottom) == (60, 40)


def test_given_names_override_what_is_found(tmp_path, rng, photo):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm")
    found = OnnxClassifier(path, preprocessing=SMALL)
    named = OnnxClassifier(path, preprocessing=SMALL, features="features", head="head", bias="bias")
    np.testing.assert_array_equal(found.evidence(photo).scores, named.evidence(photo).scores)


@pytest.mark.parametrize(
    ("ending", "says"),
    [("no pooling", "ends in MaxPool"), ("no linear", "ends in Tanh"), ("half pooling", "other scores")],
)
def test_other_endings_are_refused(tmp_path, rng, ending, says):
    path = build(tmp_path / "tiny.onnx", rng, ending=ending)
    with pytest.raises(ConfigError, match=says):
        OnnxClassifier(path, preprocessing=SMALL)


def test_unknown_tensor_names_are_refused(tmp_path, rng):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm")
    with pytest.raises(ConfigError, match="nowhere"):
        OnnxClassifier(path, preprocessing=SMALL, features="nowhere", head="head", bias="bias")
    with pytest.raises(ConfigError, match="no_head"):
        OnnxClassifier(path, preprocessing=SMALL, features="features", head="no_head")


def test_names_must_be_as_many_as_classes(tmp_path, rng):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm")
    with pytest.raises(ConfigError, match="3 classes, but 2 names"):
        OnnxClassifier(path, ["a", "b"], preprocessing=SMALL)


def test_a_file_that_is_not_onnx(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(WeightsError, match=r"broken\.onnx"):
        load_classifier(str(path))


def test_a_sidecar_names_classes_and_preprocessing(tmp_path, rng, photo):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm")
    sidecar = {
        "class_names": ["cat", "dog", "horse"],
        "size": 16,
        "dense_size": 64,
        "mean": [0, 0, 0],
        "features": "features",
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    classifier = load_classifier(str(path))
    assert classifier.class_names == ("cat", "dog", "horse")
    assert classifier.evidence(photo).features.shape == (CHANNELS, 4, 4)


@pytest.mark.parametrize("text", ['{"colour": 1}', "[1]", "{"])
def test_a_wrong_sidecar_is_refused(tmp_path, rng, text):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm")
    path.with_suffix(".json").write_text(text)
    with pytest.raises(ConfigError, match=r"tiny\.json"):
        load_classifier(str(path))


def test_unknown_classifiers_are_refused():
    with pytest.raises(ConfigError, match="nsfw, imagenet"):
        load_classifier("resnet")


def test_a_graph_of_one_size_says_so(tmp_path, rng, photo):
    path = build(tmp_path / "fixed.onnx", rng, ending="gemm")
    model = onnx.load(str(path))
    model.graph.node[0].output[0] = "free"
    shape = numpy_helper.from_array(np.array([1, CHANNELS, 4, 4], np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.insert(1, helper.make_node("Reshape", ["free", "shape"], ["map"]))
    onnx.save(model, str(path))
    classifier = OnnxClassifier(path, preprocessing=SMALL)
    classifier.evidence(photo)
    with pytest.raises(ConfigError, match=r"cannot be run on \d+ x \d+ pixels"):
        classifier.dense_evidence(photo)
