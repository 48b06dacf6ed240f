"""ONNX classifiers: final layers, sidecars and inputs, on tiny graphs built here."""

import json
from dataclasses import replace

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


def build(path, rng, *, ending, channels_last=False, size=16, kind=TensorProto.FLOAT, batch=None, channels=3):
    """Write a graph of a strided convolution and one of several endings; return the path."""
    numbers = {
        "kernel": rng.normal(size=(CHANNELS, 3, 4, 4)) * 0.2,
        "head": rng.normal(size=(CLASSES, CHANNELS)),
        "head_transposed": rng.normal(size=(CHANNELS, CLASSES)),
        "head_1x1": rng.normal(size=(CLASSES, CHANNELS, 1, 1)),
        "bias": rng.normal(size=CLASSES),
    }
    numbers |= {"one_head": numbers["head"][:1], "one_bias": numbers["bias"][:1]}
    floats = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    constants = [numpy_helper.from_array(value.astype(floats), name) for name, value in numbers.items()]
    constants.append(numpy_helper.from_array(np.array([-1, CHANNELS], np.int64), "flat"))
    first = [helper.make_node("Transpose", ["picture"], ["planes"], perm=[0, 3, 1, 2])] if channels_last else []
    source = "planes" if channels_last else "picture"
    if kind in (TensorProto.UINT8, TensorProto.DOUBLE):
        first.append(helper.make_node("Cast", [source], ["as_float"], to=TensorProto.FLOAT))
        source = "as_float"
    nodes = [
        *first,
        helper.make_node("Conv", [source, "kernel"], ["map"], strides=[4, 4]),
        helper.make_node("Relu", ["map"], ["features"]),
        *[helper.make_node(kind, inputs, outputs, **options) for kind, inputs, outputs, options in ENDINGS[ending]],
    ]
    shape = [batch, size, size, channels] if channels_last else [batch, channels, size, size]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("picture", kind, shape)],
        [onnx.ValueInfoProto(name="answer")],
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
    "sigmoid": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "head", "bias"], ["logits"], {"transB": 1}),
        ("Sigmoid", ["logits"], ["answer"], {}),
    ],
    "one logit": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "one_head", "one_bias"], ["answer"], {"transB": 1}),
    ],
    "one softmax": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "one_head", "one_bias"], ["logits"], {"transB": 1}),
        ("Softmax", ["logits"], ["answer"], {"axis": 1}),
    ],
    "softmax then sigmoid": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "head", "bias"], ["logits"], {"transB": 1}),
        ("Softmax", ["logits"], ["shares"], {"axis": 1}),
        ("Sigmoid", ["shares"], ["answer"], {}),
    ],
    "softmax over pictures": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Gemm", ["row", "head", "bias"], ["logits"], {"transB": 1}),
        ("Softmax", ["logits"], ["answer"], {"axis": 0}),
    ],
    "transposed cast": [
        ("GlobalAveragePool", ["features"], ["pooled"], {}),
        ("Flatten", ["pooled"], ["row"], {}),
        ("Transpose", ["head"], ["turned"], {"perm": [1, 0]}),
        ("MatMul", ["row", "turned"], ["product"], {}),
        ("Add", ["product", "bias"], ["logits"], {}),
        ("Cast", ["logits"], ["answer"], {"to": TensorProto.FLOAT}),
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
GOOD = ["gemm", "gemm softmax scaled", "matmul add", "matmul alone", "convolution", "channels last", "transposed cast"]
GOOD += ["sigmoid", "one logit"]


@pytest.fixture
def photo(rng):
    return rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def whole_graph(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": image})[0].reshape(-1)


def as_probabilities(answer, ending):
    if ending in ("sigmoid", "one logit"):
        return answer if ending == "sigmoid" else 1 / (1 + np.exp(-answer))
    powers = np.exp(answer - answer.max())
    return answer if ENDINGS[ending][-1][0] == "Softmax" else powers / powers.sum()


@pytest.mark.parametrize("ending", GOOD)
@pytest.mark.parametrize("channels_last", [False, True])
def test_scores_are_the_whole_graphs(tmp_path, rng, photo, ending, channels_last):
    path = build(tmp_path / "tiny.onnx", rng, ending=ending, channels_last=channels_last)
    evidence = OnnxClassifier(path, preprocessing=SMALL).evidence(photo)
    image = SMALL.center(photo)[0][None]
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
    [
        ("no pooling", "ends in MaxPool"),
        ("no linear", "ends in Tanh"),
        ("half pooling", "scores differ"),
        ("one softmax", "always 1"),
        ("softmax then sigmoid", "one after the other"),
        ("softmax over pictures", "scores differ"),
    ],
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


@pytest.mark.parametrize("text", ['{"color": 1}', "[1]", "{"])
def test_a_wrong_sidecar_is_refused(tmp_path, rng, text):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm")
    path.with_suffix(".json").write_text(text)
    with pytest.raises(ConfigError, match=r"tiny\.json"):
        load_classifier(str(path))


def test_unknown_classifiers_are_refused():
    with pytest.raises(ConfigError, match="nsfw, imagenet"):
        load_classifier("resnet")


def test_a_graph_of_one_size_sees_the_picture_squeezed(tmp_path, rng, photo):
    path = build(tmp_path / "fixed.onnx", rng, ending="gemm")
    model = onnx.load(str(path))
    model.graph.node[0].output[0] = "free"
    shape = numpy_helper.from_array(np.array([1, CHANNELS, 4, 4], np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.insert(1, helper.make_node("Reshape", ["free", "shape"], ["map"]))
    onnx.save(model, str(path))
    evidence = OnnxClassifier(path, preprocessing=SMALL).dense_evidence(photo)
    assert evidence.features.shape == (CHANNELS, 4, 4)
    assert (evidence.extent.right, evidence.extent.bottom) == (60, 40)


def told(path, **sidecar):
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    return path


def test_the_activation_of_logits_is_told_beside_the_model(tmp_path, rng, photo):
    path = build(tmp_path / "tagger.onnx", rng, ending="gemm")
    assert load_classifier(str(path)).activation is None
    classifier = load_classifier(str(told(path, activation="sigmoid")))
    logits = whole_graph(path, np.moveaxis(SMALL.center(photo)[0][None], -1, 1).copy())
    np.testing.assert_allclose(classifier.evidence(photo).scores, 1 / (1 + np.exp(-logits)), atol=1e-6)
    for wrong in ("relu", 1, ["sigmoid"]):
        with pytest.raises(ConfigError, match=r"tagger\.json: activation"):
            load_classifier(str(told(path, activation=wrong)))


def test_an_activation_that_the_graph_contradicts(tmp_path, rng):
    path = build(tmp_path / "tagger.onnx", rng, ending="sigmoid")
    assert load_classifier(str(told(path, activation="sigmoid"))).activation == "sigmoid"
    with pytest.raises(ConfigError, match="ends in a sigmoid"):
        load_classifier(str(told(path, activation="softmax")))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8])
@pytest.mark.parametrize("channels_last", [False, True])
def test_inputs_of_other_numbers(tmp_path, rng, photo, kind, channels_last):
    path = build(tmp_path / "tiny.onnx", rng, ending="sigmoid", kind=kind, channels_last=channels_last, size=None)
    classifier = OnnxClassifier(path, preprocessing=SMALL)
    plain = replace(SMALL, mean=(0, 0, 0), deviation=(1, 1, 1)) if kind == TensorProto.UINT8 else SMALL
    image = plain.center(photo)[0][None].astype(helper.tensor_dtype_to_np_dtype(kind))
    answer = whole_graph(path, image if channels_last else np.moveaxis(image, -1, 1).copy())
    np.testing.assert_allclose(classifier.evidence(photo).scores, answer, atol=5e-3)
    assert classifier.dense_evidence(photo).features.shape == (CHANNELS, 16, 24)


def test_whole_levels_are_not_normalized_twice(tmp_path, rng):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm", kind=TensorProto.UINT8)
    with pytest.raises(ConfigError, match="normalizes them itself"):
        load_classifier(str(told(path, mean=[127, 127, 127], size=16)))


def test_a_fixed_size_and_batch_are_the_graphs(tmp_path, rng, photo):
    path = build(tmp_path / "tiny.onnx", rng, ending="sigmoid", size=48, batch=4)
    classifier = load_classifier(str(path))
    assert classifier.evidence(photo).features.shape == (CHANNELS, 12, 12)
    assert classifier.dense_evidence(photo).features.shape[1] > 12
    with pytest.raises(ConfigError, match="expects 48 x 48 pixels"):
        load_classifier(str(told(path, size=32)))


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ({"channels": 1}, "takes 1 channels"),
        ({"batch": 100_000}, "batch size of 100000"),
        ({"size": 100_000}, "at most 2048"),
        ({"kind": TensorProto.BOOL}, "holds bool"),
        ({"kind": TensorProto.BFLOAT16}, "holds bfloat16"),
    ],
)
def test_inputs_that_cannot_be_made_are_named(tmp_path, rng, shape, says):
    with pytest.raises(ConfigError, match=says):
        OnnxClassifier(build(tmp_path / "tiny.onnx", rng, ending="gemm", **shape))


def test_the_first_output_with_an_ending_counts(tmp_path, rng, photo):
    path = build(tmp_path / "tiny.onnx", rng, ending="sigmoid")
    expected = OnnxClassifier(path, preprocessing=SMALL).evidence(photo).scores
    model = onnx.load(str(path))
    model.graph.node.append(helper.make_node("ArgMax", ["answer"], ["label"], axis=1))
    model.graph.output.insert(0, onnx.ValueInfoProto(name="label"))
    onnx.save(model, str(path))
    np.testing.assert_array_equal(OnnxClassifier(path, preprocessing=SMALL).evidence(photo).scores, expected)


def test_logits_beside_their_scores_show_the_activation(tmp_path, rng, photo):
    path = build(tmp_path / "tiny.onnx", rng, ending="sigmoid")
    expected = OnnxClassifier(path, preprocessing=SMALL).evidence(photo).scores
    model = onnx.load(str(path))
    model.graph.output.insert(0, onnx.ValueInfoProto(name="logits"))
    onnx.save(model, str(path))
    classifier = OnnxClassifier(path, preprocessing=SMALL)
    assert classifier.activation == "sigmoid"
    np.testing.assert_array_equal(classifier.evidence(photo).scores, expected)


def test_weights_that_are_not_finite_are_named(tmp_path, rng):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm")
    model = onnx.load(str(path))
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    head.CopyFrom(numpy_helper.from_array(np.full((CLASSES, CHANNELS), np.nan, np.float32), "head"))
    onnx.save(model, str(path))
    with pytest.raises(ConfigError, match="not finite"):
        OnnxClassifier(path, preprocessing=SMALL)


def test_what_onnxruntime_cannot_run_is_named(tmp_path, rng):
    path = build(tmp_path / "tiny.onnx", rng, ending="gemm")
    model = onnx.load(str(path))
    model.graph.node[0].domain = "nobody.knows"
    onnx.save(model, str(path))
    with pytest.raises(ConfigError, match="onnxruntime cannot run"):
        OnnxClassifier(path, preprocessing=SMALL)
