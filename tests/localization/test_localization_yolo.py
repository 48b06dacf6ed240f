"""YOLO-style graphs: output layouts, letterboxing and class names, on tiny graphs of known output."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Box
from ganvas.localization.load import load_detectors

NAMES = "{0: 'plate', 1: 'person'}"
FLOAT = TensorProto.FLOAT


def save(path, rows, *, size=(64, 64), metadata=None, kind=FLOAT, selects=False, inputs=("images",), task=None):
    """Save a graph that returns `rows` for every picture."""
    nodes = [helper.make_node("Identity", ["rows"], ["output0"])]
    constants = [numpy_helper.from_array(np.asarray(rows, np.float32), "rows")]
    if selects:
        constants.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
        nodes.append(helper.make_node("TopK", ["rows", "one"], ["best", "places"]))
    values = [helper.make_tensor_value_info(name, kind, [1, 3, *size]) for name in inputs]
    graph = helper.make_graph(nodes, "tiny", values, [onnx.ValueInfoProto(name="output0")], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    entries = {"names": metadata} if metadata else {}
    helper.set_model_props(model, entries | ({"task": task} if task else {}))
    onnx.save(model, str(path))
    return str(path)


def candidates(count, *boxes):
    """Return raw candidates (count, 6 or 7) of center, size, scores: the given ones, then distant ones with score 0."""
    rows = np.zeros((count, len(boxes[0])), np.float32)
    rows[:, :4] = [600, 600, 4, 4]
    rows[: len(boxes)] = boxes
    return rows


PLATE, PERSON = [20, 40, 8, 4], [40, 30, 10, 20]
RAW = candidates(12, [*PLATE, 0.9, 0.1], [20.5, 40, 8, 4, 0.8, 0], [*PERSON, 0.2, 0.7])
WITH_OBJECTNESS = candidates(12, [*PLATE, 0.9, 1, 0.1], [*PERSON, 1, 0.2, 0.7], [10, 10, 4, 4, 0.2, 1, 0])
END_TO_END = np.zeros((8, 6), np.float32)
END_TO_END[:2] = [16, 38, 24, 42, 0.9, 0], [35, 20, 45, 40, 0.7, 1]
FOUND = [("plate", Box(16, 38, 24, 42), 0.9), ("person", Box(35, 20, 45, 40), 0.7)]


def found(name, rgb=None, **options):
    (detector,) = load_detectors([name])
    picture = np.zeros((64, 64, 3), np.uint8) if rgb is None else rgb
    return [(each.label, each.box, round(each.score, 4)) for each in detector.detect(picture, **options)]


@pytest.mark.parametrize(
    ("rows", "selects"),
    [(RAW.T[None], False), (WITH_OBJECTNESS[None], False), (END_TO_END[None], True)],
    ids=["(1, 4 + C, N)", "(1, N, 5 + C)", "end to end (1, N, 6)"],
)
def test_each_layout_is_told_from_the_graph(tmp_path, rows, selects) -> None:
    assert found(save(tmp_path / "two.onnx", rows, metadata=NAMES, selects=selects)) == FOUND


def test_without_names_the_file_names_the_classes(tmp_path) -> None:
    labels = [label for label, _, _ in found(save(tmp_path / "two.onnx", RAW.T[None]))]
    assert labels == ["two 0", "two 1"]
    labels = [label for label, _, _ in found(save(tmp_path / "plates.onnx", RAW[:, :5].T[None]))]
    assert labels == ["plates"]


def test_one_class_with_objectness_is_not_taken_for_end_to_end(tmp_path) -> None:
    rows = candidates(12, [*PLATE, 0.9, 1.0])[None]
    assert rows.shape[2] == 6
    assert found(save(tmp_path / "plates.onnx", rows)) == [("plates", Box(16, 38, 24, 42), 0.9)]


def test_masks_after_the_classes_are_left_aside(tmp_path) -> None:
    """A segmentation network appends coefficients to each candidate; the number of names tells where classes end."""
    rows = np.hstack([RAW, np.full((12, 3), 5, np.float32)])
    assert found(save(tmp_path / "two.onnx", rows.T[None], metadata='["plate", "person"]', task="segment")) == FOUND


def test_boxes_of_different_classes_do_not_suppress_each_other(tmp_path) -> None:
    rows = candidates(12, [*PERSON, 0.9, 0], [*PERSON, 0, 0.8])
    assert len(found(save(tmp_path / "two.onnx", rows.T[None], metadata=NAMES))) == 2


def test_coordinates_go_back_through_the_letterbox(tmp_path) -> None:
    """A picture of 128 x 64 is halved to 64 x 32 and padded by 16 rows above and below."""
    name = save(tmp_path / "plates.onnx", candidates(12, [20, 40, 8, 4, 0.9]).T[None])
    assert found(name, np.zeros((64, 128, 3), np.uint8)) == [("plates", Box(32, 44, 48, 52), 0.9)]
    assert found(name, np.zeros((128, 64, 3), np.uint8)) == [("plates", Box(0, 76, 16, 84), 0.9)]  # clipped at the left


@pytest.mark.parametrize("kind", [FLOAT, TensorProto.FLOAT16, TensorProto.UINT8])
def test_the_input_is_scaled_for_its_type_and_padded_with_gray(tmp_path, kind) -> None:
    """The score is the mean of the input: 1 for white, and .5 and 114 / 510 for half white, half padding."""
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["score"]),
        helper.make_node("Reshape", ["score", "shape"], ["row"]),
        helper.make_node("Concat", ["box", "row"], ["one"], axis=1),
        helper.make_node("Concat", ["one"] + ["nothing"] * 1, ["output0"], axis=2),
    ]
    scale = 1 / 255 if kind == TensorProto.UINT8 else 1
    constants = [
        numpy_helper.from_array(np.array(scale, np.float32), "scale"),
        numpy_helper.from_array(np.array([1, 1, 1], np.int64), "shape"),
        numpy_helper.from_array(np.array([32, 32, 16, 16], np.float32).reshape(1, 4, 1), "box"),
        numpy_helper.from_array(np.zeros((1, 5, 9), np.float32), "nothing"),
    ]
    value = helper.make_tensor_value_info("images", kind, [1, 3, 64, 64])
    graph = helper.make_graph(nodes, "mean", [value], [onnx.ValueInfoProto(name="output0")], constants)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(tmp_path / "m.onnx")
    )
    white = found(str(tmp_path / "m.onnx"), np.full((64, 64, 3), 255, np.uint8))
    assert white == [("m", Box(24, 24, 40, 40), pytest.approx(1, abs=1e-3))]
    half = found(str(tmp_path / "m.onnx"), np.full((32, 64, 3), 255, np.uint8))
    assert half[0][2] == pytest.approx(0.5 + 114 / 510, abs=1e-3)


def test_a_graph_of_free_size_is_padded_no_more_than_the_stride_asks_for(tmp_path) -> None:
    name = save(tmp_path / "plates.onnx", candidates(12, [320, 80, 40, 20, 0.9]).T[None], size=("height", "width"))
    (detector,) = load_detectors([name])
    assert detector._letterboxed(np.zeros((90, 360, 3), np.uint8))[0].shape == (1, 3, 160, 640)
    assert [each.box for each in detector.detect(np.zeros((160, 640, 3), np.uint8))] == [Box(300, 70, 340, 90)]


def test_classes_are_chosen_by_name(tmp_path) -> None:
    name = save(tmp_path / "two.onnx", RAW.T[None], metadata=NAMES)
    assert found(f"{name}:Person") == FOUND[1:]
    assert found(f"{name}:person, plate") == FOUND
    assert found(name, min_score=0.8) == FOUND[:1]
    with pytest.raises(ConfigError, match=r"two\.onnx: it has no class 'persons'.* person"):
        load_detectors([f"{name}:persons"])
    with pytest.raises(ConfigError, match="contain no class names"):
        load_detectors([save(tmp_path / "bare.onnx", RAW.T[None]) + ":plate"])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rows": np.zeros((1, 10), np.float32)}, r"output has shape \(1, 10\); expected a detector"),
        ({"rows": np.zeros((2, 6, 12), np.float32)}, "output has shape"),
        ({"rows": np.zeros((1, 4, 12), np.float32)}, "too few channels"),
        ({"rows": RAW.T[None], "metadata": "{0: 'a', 1: 'b', 2: 'c'}"}, "too few channels for 3 classes"),
        ({"rows": RAW.T[None] * 10}, r"scores are not in \[0, 1\]"),
        ({"rows": np.full((1, 6, 12), np.nan)}, r"scores are not in \[0, 1\]"),
        ({"rows": (RAW * [1 / 640, 1 / 640, 1, 1, 1, 1]).T[None]}, "boxes are not in pixels"),
        ({"rows": RAW.T[None], "size": (64, 9999)}, "its input is 9999 x 64"),
        ({"rows": RAW.T[None], "kind": TensorProto.INT64}, "its input is tensor"),
        ({"rows": RAW.T[None], "inputs": ("images", "sizes")}, "it has 2 inputs"),
        ({"rows": RAW.T[None], "task": "obb"}, "task is 'obb'"),
    ],
)
def test_graphs_that_are_no_detector(tmp_path, options, problem) -> None:
    name = save(tmp_path / "odd.onnx", **options)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_detectors([name])
    assert str(caught.value).startswith(name)


def test_a_file_that_is_no_graph(tmp_path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(ConfigError, match=r"noise\.onnx: cannot be read as an ONNX graph"):
        load_detectors([str(tmp_path / "noise.onnx")])


def test_strange_names_in_the_metadata_are_no_names(tmp_path) -> None:
    for names in ("__import__('os')", "{'a': 1}", "[" * 5000, "{}"):
        label = found(save(tmp_path / "two.onnx", RAW.T[None], metadata=names))[0][0]
        assert label == "two 0"


def test_a_network_that_fails_on_a_picture_is_an_error_that_names_it(tmp_path) -> None:
    (detector,) = load_detectors([save(tmp_path / "two.onnx", RAW.T[None])])

    class Broken:
        def run(self, names, inputs):
            raise RuntimeError("out of memory")

    detector._session = Broken()
    with pytest.raises(ImageError, match=r"two\.onnx cannot run on this picture: out of memory"):
        detector.detect(np.zeros((8, 8, 3), np.uint8))


def test_end_to_end_boxes_in_shares_of_the_input_are_an_error(tmp_path) -> None:
    rows = END_TO_END / [64, 64, 64, 64, 1, 1]
    (detector,) = load_detectors([save(tmp_path / "two.onnx", rows[None], metadata=NAMES, selects=True)])
    with pytest.raises(ImageError, match=r"two\.onnx returns boxes that are not in pixels of the input; export it"):
        detector.detect(np.zeros((64, 64, 3), np.uint8))
