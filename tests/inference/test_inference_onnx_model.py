"""Foreign ONNX networks as runs: any kind, scale, size and type; graphs that do not translate pictures are refused."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import save, write_network
from PIL import Image

import ganvas
from ganvas.cli import main
from ganvas.content_gate import gate
from ganvas.errors import ConfigError, ImageError, InputError, PolicyRefusal, RunError
from ganvas.evaluation.report import Evaluation
from ganvas.image.files import read_image, read_label, write_image
from ganvas.image.label import SOURCE_TYPE
from ganvas.image.picture import Picture
from ganvas.inference.folder import translate_files
from ganvas.inference.onnx_file import onnx_files
from ganvas.inference.onnx_trial import ValueRangeWarning
from ganvas.inference.tiling import TilingWarning, plan_tiles
from ganvas.inference.translator import Translator


def load(path: Path) -> Translator:
    translator = ganvas.load(path)
    assert isinstance(translator, Translator)
    return translator


@pytest.mark.filterwarnings("ignore::ganvas.inference.tiling.TilingWarning")
@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        ((1, 1, (None, None)), {}),
        ((4, 1, (None, None)), {"scale": 4}),
        ((1, 1, (None, None)), {"kind": "float16"}),
        ((1, 1, (None, None)), {"kind": "uint8"}),
        ((2, 1, (None, None)), {"kind": "uint8", "made_kind": "float32", "scale": 2}),
        ((1, 1, (None, None)), {"kind": "int32", "made_kind": "uint8"}),
        ((1, 1, (None, None)), {"batch": 4}),
        ((1, 1, (None, None)), {"batch": 4, "kind": "float16"}),
        ((1, 8, (None, None)), {"multiple": 8}),
        ((3, 12, (None, None)), {"multiple": 12, "scale": 3}),
        ((1, 7, (None, None)), {"multiple": 7}),
        ((1, 128, (None, None)), {"multiple": 128}),
        ((1, 1, (32, 32)), {"sides": (32, 32)}),
        ((2, 1, (16, 48)), {"sides": (16, 48), "scale": 2}),
        ((1, 1, (64, 64)), {"sides": (64, 64), "batch": 2}),
        ((1, 1, (None, 32)), {"sides": ("h", 32)}),
        ((1, 8, (24, None)), {"sides": (24, "w"), "multiple": 8}),
        ((1, 1, (None, None)), {"last": True}),
        ((2, 1, (16, 16)), {"last": True, "sides": (16, 16), "scale": 2}),
        ((1, 1, (None, None)), {"declared": ["n", "c", "h", "w"]}),
        ((1, 1, (None, None)), {"declared": ["n", "h", "w", "c"], "last": True}),
        ((1, 1, (None, None)), {"metadata": {"ganvas.value_range": "-1 1"}}),
    ],
)
def test_any_network_is_found_out_by_trying(
    tmp_path: Path, rng: np.random.Generator, expected: tuple[Any, ...], settings: dict[str, Any]
) -> None:
    translator = load(write_network(tmp_path / "network.onnx", **settings))
    model = translator.model
    assert (model.scale, model.size_multiple, model.fixed_size) == expected
    image = rng.integers(0, 256, (45, 37, 3), dtype=np.uint8)
    np.testing.assert_array_equal(translator(image), image.repeat(model.scale, 0).repeat(model.scale, 1))


@pytest.mark.parametrize(("channels", "made"), [(1, 1), (1, 3), (3, 1), (3, 5), (5, 5)])
def test_any_number_of_channels(tmp_path: Path, rng: np.random.Generator, channels: int, made: int) -> None:
    translator = load(write_network(tmp_path / "network.onnx", channels=channels, made=made))
    image = rng.integers(0, 256, (20, 30, channels), dtype=np.uint8)
    result = translator(image)
    assert result.shape == (20, 30, made)
    np.testing.assert_allclose(result[..., 0], image.mean(axis=2), atol=0.51)


def test_sixteen_bits_stay(tmp_path: Path, rng: np.random.Generator) -> None:
    image = rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    np.testing.assert_array_equal(load(write_network(tmp_path / "network.onnx", kind="uint16"))(image), image)


def test_gray_and_opacity_are_as_for_a_run(tmp_path: Path, rng: np.random.Generator) -> None:
    translator = load(write_network(tmp_path / "network.onnx", scale=2))
    pixels = rng.integers(0, 256, (20, 21, 4), dtype=np.uint8)
    np.testing.assert_array_equal(translator(pixels), pixels.repeat(2, 0).repeat(2, 1))
    with pytest.warns(UserWarning, match="gray was repeated to RGB"):
        assert translator(Image.new("L", (30, 20), 90)).size == (60, 40)


def test_values_outside_the_range_are_clipped(tmp_path: Path) -> None:
    translator = load(write_network(tmp_path / "network.onnx", gain=3))
    np.testing.assert_array_equal(translator(np.full((16, 16, 3), 60, np.uint8)), 180)
    np.testing.assert_array_equal(translator(np.full((16, 16, 3), 200, np.uint8)), 255)


def test_tiles_of_a_network_of_unknown_reach_are_blended_and_said(tmp_path: Path, rng: np.random.Generator) -> None:
    translator = load(write_network(tmp_path / "network.onnx", multiple=4, scale=2))
    image = rng.integers(0, 256, (150, 90, 3), dtype=np.uint8)
    with pytest.warns(TilingWarning, match="file is unknown.*seams are blended"):
        result = translator.tiled(image, tile=64)
    np.testing.assert_allclose(result, image.repeat(2, 0).repeat(2, 1), atol=1)


def test_a_fixed_size_is_given_in_tiles_of_exactly_that_size(tmp_path: Path, rng: np.random.Generator) -> None:
    translator = load(write_network(tmp_path / "network.onnx", sides=(32, 48)))
    image = rng.integers(0, 256, (45, 137, 3), dtype=np.uint8)
    with pytest.warns(TilingWarning, match="is unknown"):
        np.testing.assert_allclose(translator(image), image, atol=1)
    np.testing.assert_array_equal(translator(image[:20, :40]), image[:20, :40])  # padded, in one piece
    with pytest.raises(ConfigError, match="tile 40 is smaller than the smallest input of the network; use at least 48"):
        translator.tiled(image, tile=40)


@pytest.mark.parametrize(("height", "width"), [(40, 100), (64, 64), (32, 33), (200, 48)])
def test_full_tiles_keep_every_pixel_once_with_its_surroundings(height: int, width: int) -> None:
    height, width = max(height, 32), max(width, 48)
    plan, note = plan_tiles(height, width, tile=None, overlap=None, multiple=1, context=5, fixed_size=(32, 48))
    assert note is None
    for spans, length, size in ((plan.rows, height, 32), (plan.columns, width, 48)):
        assert [pixel for span in spans for pixel in range(span.keep_start, span.keep_stop)] == list(range(length))
        for span in spans:
            assert span.stop - span.start == size
            assert span.start == 0 or span.keep_start - span.start >= 5
            assert span.stop == length or span.stop - span.keep_stop >= 5


def test_declared_free_and_really_fixed(tmp_path: Path, rng: np.random.Generator) -> None:
    shape = numpy_helper.from_array(np.array([1, 3, 64, 64]), "shape")
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["image", "shape"], ["made"])], "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, ["n", 3, "h", "w"])], [shape],
    )  # fmt: skip
    translator = load(save(graph, tmp_path / "network.onnx"))
    assert translator.model.fixed_size == (64, 64)
    image = rng.integers(0, 256, (64, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(translator(image), image)


def graph_of(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any], **more: Any) -> onnx.GraphProto:
    return helper.make_graph(nodes, "network", inputs, outputs, **more)


def value(name: str, *shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


IMAGE = value("x", "n", 3, "h", "w")
WRONG: dict[str, tuple[onnx.GraphProto, str]] = {
    "two inputs": (
        graph_of([node("Add", "x m", "y")], [IMAGE, value("m", "n", 3, "h", "w")], [value("y", "n", 3, "h", "w")]),
        r"takes 2 inputs: x .*, m .*export it with the picture as the only input",
    ),
    "two outputs": (
        graph_of([node("Relu", "x", "y"), node("Neg", "x", "z")], [IMAGE], [value("y"), value("z")]),
        r"makes 2 outputs: y .*, z .*with that output only",
    ),
    "no input": (
        graph_of([node("Constant", "", "y", value=numpy_helper.from_array(np.zeros((1, 3, 8, 8), np.float32)))], [],
                 [value("y", 1, 3, 8, 8)]),
        "takes no input; expected one of four dimensions",
    ),
    "a classifier": (
        graph_of([node("GlobalAveragePool", "x", "p"), node("Flatten", "p", "y")], [IMAGE], [value("y", "n", 3)]),
        r"shape \(n, 3\), not a picture .*ganvas locate --classifier",
    ),
    "a classifier that does not say so": (
        graph_of([node("GlobalAveragePool", "x", "p"), node("Flatten", "p", "y")], [IMAGE],
                 [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]),
        r"shape \(n, 3\), not a picture .*ganvas locate --classifier",
    ),
    "features": (
        graph_of([node("GlobalAveragePool", "x", "y")], [IMAGE], [value("y", "n", 3, 1, 1)]),
        "not an integer multiple of the picture's",
    ),
    "a smaller picture": (
        graph_of([node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2])], [IMAGE], [value("y")]),
        "not an integer multiple of the picture's",
    ),
    "labels": (
        graph_of([node("ArgMax", "x", "y", axis=1)], [IMAGE], [value("y", "n", 1, "h", "w", kind=TensorProto.INT64)]),
        "'y' holds int64, not a picture; export it with a float32 or uint8 picture",
    ),
    "a sequence": (
        graph_of([node("SequenceConstruct", "x", "y")], [IMAGE],
                 [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)]),
        r"'y' holds seq\(tensor\(float\)\), not a picture",
    ),
    "a vector": (
        graph_of([node("Relu", "x", "y")], [value("x", "n", 100)], [value("y", "n", 100)]),
        r"its input 'x' has 2 dimensions, \(n, 100\); export it for pictures \(N, C, H, W\)",
    ),
    "a film": (
        graph_of([node("Relu", "x", "y")], [value("x", 1, 3, 5, "h", "w")], [value("y")]),
        r"has 5 dimensions, \(1, 3, 5, h, w\); export it for pictures",
    ),
    "text": (
        graph_of([node("Identity", "x", "y")], [value("x", "n", 3, "h", "w", kind=TensorProto.STRING)],
                 [value("y", kind=TensorProto.STRING)]),
        "its input 'x' holds string; export it with float32",
    ),
    "too many channels": (
        graph_of([node("Relu", "x", "y")], [value("x", "n", 64, "h", "w")], [value("y")]),
        "pictures have 1 to 32 channels",
    ),
    "too many pictures": (
        graph_of([node("Relu", "x", "y")], [value("x", 100, 3, "h", "w")], [value("y")]),
        "has a batch size of 100; export it with a batch size of 1",
    ),
    "an enormous picture": (
        graph_of([node("Relu", "x", "y")], [value("x", 1, 3, 100000, 100000)], [value("y")]),
        "export it with dynamic height and width",
    ),
    "not a number": (
        graph_of([node("Log", "x", "a"), node("Sub", "a b", "y")], [IMAGE], [value("y")],
                 initializer=[numpy_helper.from_array(np.float32(np.nan), "b")]),
        "returns NaN or infinite values",
    ),
    "an unknown operator": (
        graph_of([node("NoSuchOperator", "x", "y")], [IMAGE], [value("y")]),
        "cannot be opened by ONNX Runtime .*NoSuchOperator",
    ),
    "a circle": (
        graph_of([node("Relu", "z", "y"), node("Add", "x y", "z")], [IMAGE], [value("y", "n", 3, "h", "w")]),
        "cannot be opened by ONNX Runtime",
    ),
    "nothing runs": (
        graph_of([node("Add", "x b", "y")], [IMAGE], [value("y")],
                 initializer=[numpy_helper.from_array(np.zeros((1, 3, 11, 13), np.float32), "b")]),
        r"cannot run on .* the last of the sizes tried",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_network_of_pictures_is_refused_with_the_remedy(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    graph, message = WRONG[name]
    path = save(graph, tmp_path / "wrong.onnx")
    with pytest.raises(RunError, match=f"wrong.onnx.*{message}"):
        ganvas.load(path)
    write_image(tmp_path / "in" / "a.png", Picture(np.zeros((20, 20, 3), np.uint8)))
    assert main(["translate", str(path), str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    shown = capfd.readouterr()
    assert shown.err.startswith("ganvas translate: ")
    assert "Traceback" not in shown.err
    assert not re.search(r"\[.*onnxruntime|onnxruntime/|\.(h|cc|cpp):\d", shown.err)
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize("content", [b"", b"junk" * 1000, b"\x89PNG\r\n"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "wrong.onnx").write_bytes(content)
    with pytest.raises(RunError, match=r"wrong\.onnx (cannot be|is empty)"):
        ganvas.load(tmp_path / "wrong.onnx")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "network.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match=r"network\.onnx cannot be"):
        ganvas.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no\.onnx: no such file"):
        ganvas.load(tmp_path / "no.onnx")


def with_external_weights(path: Path, location: str) -> Path:
    weight = numpy_helper.from_array(np.ones((3, 1, 32, 32), np.float32) / 1024, "weight")
    graph = graph_of([node("Conv", "x weight", "y", group=3, auto_pad="SAME_UPPER")], [IMAGE], [value("y")],
                     initializer=[weight])  # fmt: skip
    save(graph, path)
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    if location != "weights.bin":
        model = onnx.load(str(path), load_external_data=False)
        model.graph.initializer[0].external_data[0].value = location
        path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_file_belong_to_it(tmp_path: Path, rng: np.random.Generator) -> None:
    path = with_external_weights(tmp_path / "network.onnx", "weights.bin")
    assert onnx_files(path) == [path, tmp_path / "weights.bin"]
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    write_image(tmp_path / "in" / "a.png", Picture(image))
    first = translate_files(path, tmp_path / "in", tmp_path / "out", progress=False)
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[3] ^= 1  # other weights make another network
    (tmp_path / "weights.bin").write_bytes(weights)
    again = translate_files(path, tmp_path / "in", tmp_path / "out", progress=False)
    assert [len(report.written) for report in (first, again)] == [1, 1]


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path / "network.onnx", "weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(RunError, match=r"network\.onnx: its weights are in weights\.bin, which is missing"):
        ganvas.load(path)


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/hostname"])
def test_weights_elsewhere_are_not_read(tmp_path: Path, location: str) -> None:
    path = with_external_weights(tmp_path / "folder" / "network.onnx", location)
    with pytest.raises(RunError, match="its weights are outside its folder"):
        ganvas.load(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"direction": "b_to_a"}, "in one direction only: omit direction b_to_a"),
        ({"snapshot": "best"}, "has no snapshots: omit --snapshot best"),
        ({"device": "cuda"}, "ONNX files run on the CPU: omit --device cuda"),
        ({"precision": "bfloat16"}, "has a fixed precision"),
    ],
)
def test_settings_of_runs_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    path = write_network(tmp_path / "network.onnx")
    with pytest.raises(ConfigError, match=message):
        ganvas.load(path, **settings)
    write_image(tmp_path / "in" / "a.png", Picture(np.zeros((20, 20, 3), np.uint8)))
    with pytest.raises(ConfigError, match=message):
        translate_files(path, tmp_path / "in", tmp_path / "out", progress=False, **settings)


@pytest.mark.parametrize("said", ["1", "0 x", "1 0", "nan 1", "0 inf", ""])
def test_a_broken_range_is_refused(tmp_path: Path, said: str) -> None:
    path = write_network(tmp_path / "network.onnx", metadata={"ganvas.value_range": said})
    with pytest.raises(RunError, match="value_range of its metadata"):
        ganvas.load(path)


def test_the_range_in_the_metadata_is_taken(tmp_path: Path) -> None:
    """A network that multiplies by -1 swaps black and white in [-1, 1]."""
    path = write_network(tmp_path / "network.onnx", gain=-1, metadata={"ganvas.value_range": "-1 1"})
    np.testing.assert_array_equal(load(path)(np.full((16, 16, 3), 40, np.uint8)), 215)


def test_a_float_network_of_levels_is_noted(tmp_path: Path) -> None:
    """Its values are far from [0, 1]; a declared range, and one that fits, need no note."""
    path = write_network(tmp_path / "network.onnx", gain=255)
    with pytest.warns(ValueRangeWarning, match=r'up to 255 for inputs in \[0, 1\].* write ganvas.value_range "0 255"'):
        load(path)
    with warnings.catch_warnings(action="error"):
        load(write_network(path, gain=255, metadata={"ganvas.value_range": "0 255"}))
        load(write_network(path, gain=4))


def test_an_onnx_file_has_no_method(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="an ONNX file contains a network but no method"):
        _ = load(write_network(tmp_path / "network.onnx")).method


def test_a_folder_named_like_a_file_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "run.onnx").mkdir()
    with pytest.raises(RunError, match="is not a run folder"):
        ganvas.load(tmp_path / "run.onnx")


def test_a_folder_through_the_command_line(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_network(tmp_path / "network.onnx", scale=2, kind="float16")
    images = [rng.integers(0, 256, (20, 30 + number, 3), dtype=np.uint8) for number in range(3)]
    for number, image in enumerate(images):
        write_image(tmp_path / "in" / f"{number}.png", Picture(image))
    words = ["translate", str(path), str(tmp_path / "in"), str(tmp_path / "out"), "--suffix", ".tif"]
    assert main(words) == 0
    for number, image in enumerate(images):
        made = tmp_path / "out" / f"{number}.tif"
        np.testing.assert_array_equal(read_image(made).pixels, image.repeat(2, 0).repeat(2, 1))
        assert read_label(made) == SOURCE_TYPE
        assert b"ONNX (network.onnx)" in made.read_bytes()
    # The same file, settings and pictures: nothing is repeated. Another file: everything is.
    report = translate_files(path, tmp_path / "in", tmp_path / "out", suffix=".tif", progress=False)
    assert (len(report.written), len(report.skipped)) == (0, 3)
    write_network(path, scale=2, gain=0.5)
    report = translate_files(path, tmp_path / "in", tmp_path / "out", suffix=".tif", progress=False)
    assert (len(report.written), len(report.skipped)) == (3, 0)


def test_no_output_replaces_the_network(tmp_path: Path) -> None:
    path = write_network(tmp_path / "network.onnx")
    write_image(tmp_path / "a.png", Picture(np.zeros((20, 20, 3), np.uint8)))
    (tmp_path / "out.png").hardlink_to(path)
    with pytest.raises(InputError, match="would be overwritten"):
        translate_files(path, tmp_path / "a.png", tmp_path / "out.png", progress=False)


def test_masks(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_network(tmp_path / "network.onnx", gain=0.5)
    image, mask = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8), np.zeros((20, 20, 1), np.uint8)
    mask[5:10] = 255
    write_image(tmp_path / "a.png", Picture(image))
    write_image(tmp_path / "mask.png", Picture(mask))
    translate_files(path, tmp_path / "a.png", tmp_path / "out.png", mask=tmp_path / "mask.png", progress=False)
    made = read_image(tmp_path / "out.png").pixels
    np.testing.assert_array_equal(made[10:], image[10:])
    np.testing.assert_allclose(made[5:10], image[5:10] / 2, atol=0.51)
    enlarging = write_network(tmp_path / "large.onnx", scale=2)
    with pytest.raises(ConfigError, match="upscales pictures"):
        translate_files(enlarging, tmp_path / "a.png", tmp_path / "b.png", mask=tmp_path / "mask.png", progress=False)


@pytest.mark.parametrize("refuses", ["the picture", "the translation"])
def test_the_gate_stands_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: str) -> None:
    monkeypatch.setattr(
        gate, "load_scorer", lambda: lambda rgb: float((rgb.mean() > 100) == (refuses == "the picture"))
    )
    gate.forget_scorer()
    translator = load(write_network(tmp_path / "network.onnx", gain=0.1))
    with pytest.raises(PolicyRefusal):
        translator(np.full((16, 16, 3), 200, np.uint8))


@pytest.mark.parametrize(("operator", "inputs"), [("Log", "x"), ("Div", "x x")])
def test_values_that_are_not_finite_are_an_error(tmp_path: Path, operator: str, inputs: str) -> None:
    """For black they are -inf and NaN, although the trial on noise gave numbers; -inf would be clipped to a level."""
    path = save(graph_of([node(operator, inputs, "y")], [IMAGE], [value("y")]), tmp_path / "net.onnx")
    with pytest.raises(ImageError, match=r"net\.onnx returns NaN or infinite values"):
        load(path)(Picture(np.zeros((20, 24, 3), np.uint8)))


def test_a_size_at_which_it_makes_something_else_is_an_error(tmp_path: Path) -> None:
    """A graph whose output is cropped at 60 pixels passes every trial with a small picture."""
    limits = [numpy_helper.from_array(np.array([number]), name) for number, name in ((0, "s"), (60, "e"), (2, "a"))]
    graph = graph_of([node("Slice", "x s e a", "y")], [IMAGE], [value("y")], initializer=limits)
    translator = load(save(graph, tmp_path / "network.onnx"))
    with pytest.raises(ImageError, match=r"where \(1, 3, 80, 20\) was expected"):
        translator(np.zeros((80, 20, 3), np.uint8))


def test_frames_of_a_film(tmp_path: Path) -> None:
    from film_maker import make_film

    from ganvas.video import read_video

    path = write_network(tmp_path / "network.onnx", scale=2)
    film = make_film(tmp_path / "film.mp4", frames=3, size=(32, 32))
    translate_files(path, film, tmp_path / "made.mp4", progress=False)
    frames = list(read_video(tmp_path / "made.mp4"))
    assert [frame.picture.pixels.shape for frame in frames] == [(64, 64, 3)] * 3


def test_pairs_measure_a_network(tmp_path: Path, rng: np.random.Generator) -> None:
    for number in range(2):
        image = rng.integers(0, 256, (24 + number, 20, 3), dtype=np.uint8)
        for split, side, pixels in (("train", "a", image), ("train", "b", image), ("val", "a", image)):
            write_image(tmp_path / "pairs" / split / side / f"{number}.png", Picture(pixels))
        write_image(tmp_path / "pairs" / "val" / "b" / f"{number}.png", Picture(image // 2))
    path = write_network(tmp_path / "network.onnx", gain=0.5)
    evaluation = ganvas.evaluate(path, data=tmp_path / "pairs", split="val")
    assert (tmp_path / "network-evaluation" / "val" / "report.html").is_file()
    assert isinstance(evaluation, Evaluation)
    assert [one.output["psnr"] > 50 for one in evaluation.pictures] == [True, True]
    with pytest.raises(InputError, match="use --data DIR with pairs"):
        ganvas.evaluate(path)
