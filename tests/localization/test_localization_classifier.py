"""Softmax or sigmoid: scores equal the model's own, and an unknown activation is not guessed where it matters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import ganvas
from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Box
from ganvas.localization import Evidence, classifier
from ganvas.localization.cam import class_map, default_class, evidence_map
from ganvas.localization.classifier import (
    LONGEST_SIDE,
    AssumedActivationWarning,
    Preprocessing,
    activate,
    center_square,
    dense_shape,
    recognize_activations,
    require_activation,
    require_rgb,
    resize,
    resolve_activation,
    warn_if_assumed,
)

LOGITS = np.array([[1.5, -0.5, 3.0]])


def test_a_sigmoid_never_overflows():
    np.testing.assert_allclose(activate(np.array([-1e4, 0.0, 1e4]), "sigmoid"), [0, 0.5, 1])
    np.testing.assert_allclose(activate(LOGITS, "sigmoid"), 1 / (1 + np.exp(-LOGITS)))
    np.testing.assert_allclose(activate(LOGITS, "softmax").sum(), 1)
    np.testing.assert_array_equal(activate(LOGITS, None), activate(LOGITS, "softmax"))


@pytest.mark.parametrize("kind", [None, "softmax", "sigmoid"])
def test_an_output_tells_what_made_it(kind):
    output = LOGITS if kind is None else activate(LOGITS, kind)
    assert recognize_activations(output, LOGITS, tolerance=1e-4) == {kind}
    if kind is not None:
        assert recognize_activations(np.log(output), LOGITS, tolerance=1e-4) == {kind}


def test_an_output_from_elsewhere_is_nothing():
    assert recognize_activations(activate(20 * LOGITS, "softmax"), LOGITS, tolerance=1e-4) == set()
    assert recognize_activations(LOGITS[:, :2], LOGITS, tolerance=1e-4) == set()
    assert recognize_activations(np.full_like(LOGITS, np.nan), LOGITS, tolerance=1e-4) == set()


def test_the_model_and_the_user_must_agree():
    assert resolve_activation("sigmoid", None, num_classes=3, where="m") == "sigmoid"
    assert resolve_activation(None, "sigmoid", num_classes=3, where="m") == "sigmoid"
    assert resolve_activation(None, None, num_classes=3, where="m") is None
    with pytest.raises(ConfigError, match="ends in a softmax"):
        resolve_activation("softmax", "sigmoid", num_classes=3, where="m")


def test_one_output_is_a_sigmoid():
    assert resolve_activation(None, None, num_classes=1, where="m") == "sigmoid"
    for shown, told in (("softmax", None), (None, "softmax")):
        with pytest.raises(ConfigError, match="always 1"):
            resolve_activation(shown, told, num_classes=1, where="m")


def test_an_assumption_is_said_and_is_not_enough_for_release():
    with pytest.warns(AssumedActivationWarning, match="softmax"):
        warn_if_assumed(None)
    with pytest.raises(ConfigError, match=r"MODEL\.json"):
        require_activation(None)
    warn_if_assumed("sigmoid")
    assert require_activation("sigmoid") == "sigmoid"


def test_two_labels_by_themselves_have_maps_by_themselves(rng):
    features, head = rng.normal(size=(4, 3, 3)).astype(np.float32), rng.normal(size=(2, 4)).astype(np.float32)
    scores = np.array([0.9, 0.4], np.float32)
    seen = Evidence(scores, features, head, np.zeros(2, np.float32), Box(0, 0, 9, 9), "sigmoid")
    np.testing.assert_array_equal(evidence_map(seen, 1), class_map(seen, 1))
    assert default_class(seen) == 0
    of_two = Evidence(scores, features, head, np.zeros(2, np.float32), Box(0, 0, 9, 9))
    assert default_class(of_two) == 1
    assert not np.allclose(evidence_map(of_two, 1), class_map(of_two, 1))


side = st.integers(1, 5000)


@given(side, side)
def test_dense_shape_is_a_limited_multiple_of_32(height, width):
    rows, columns = dense_shape(height, width, shorter=384)
    assert rows % 32 == columns % 32 == 0
    assert min(rows, columns) >= 32
    assert max(rows, columns) <= LONGEST_SIDE


def test_dense_shape_keeps_the_aspect():
    assert dense_shape(1000, 1500, shorter=384) == (384, 576)
    assert dense_shape(1500, 1000, shorter=384) == (576, 384)
    assert dense_shape(100, 1000, shorter=384) == (96, 1024)


@given(side, side)
def test_centre_square_lies_inside(height, width):
    box = center_square(height, width, share=0.875)
    assert box.clip(height, width) == box
    assert box.right - box.left == box.bottom - box.top


def test_centre_and_whole_say_what_they_show(rng):
    rgb = rng.integers(0, 256, (80, 120, 3), dtype=np.uint8)
    prepared = Preprocessing(size=32, dense_size=64)
    image, extent = prepared.center(rgb)
    assert (image.shape, image.dtype, extent) == ((32, 32, 3), np.float32, Box(25, 5, 95, 75))
    image, extent = prepared.whole(rgb)
    assert (image.shape, extent) == ((64, 96, 3), Box(0, 0, 120, 80))


def test_normalising_subtracts_divides_and_turns_round():
    red = np.full((1, 1, 3), (255, 0, 0), np.uint8)
    prepared = Preprocessing(mean=(5, 10, 20), deviation=(2, 1, 1), blue_first=True)
    assert prepared.normalize(red).tolist() == [[[-20, -10, 125]]]


def test_resize_of_a_part_sees_only_the_part():
    rgb = np.zeros((10, 10, 3), np.uint8)
    rgb[2:6, 3:7] = 200
    assert (resize(rgb, 4, 4, part=Box(3, 2, 7, 6)) == 200).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_pixels_are_refused_with_the_mend(wrong):
    with pytest.raises(ImageError, match="as_rgb8"):
        require_rgb(wrong)


@pytest.mark.parametrize("bicubic", [False, True])
@pytest.mark.parametrize("shape", [(60, 41), (7, 90), (1, 1), (33, 32)])
@pytest.mark.parametrize("part", [None, Box(3, 2, 20, 7), Box(0, 0, 1, 1)])
@pytest.mark.parametrize("strip", [5, 256])
def test_resizing_in_strips_is_pillows_across_then_down_to_the_bit(monkeypatch, rng, bicubic, shape, part, strip):
    monkeypatch.setattr(classifier, "STRIP", strip)
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    part = part and part.clip(*shape)
    box = part or Box(0, 0, *shape[::-1])
    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    for height, width in ((16, 24), shape, (200, 50)):
        narrow = Image.fromarray(rgb).resize((width, shape[0]), how, box=(box.left, 0, box.right, shape[0]))
        expected = narrow.resize((width, height), how, box=(0, box.top, width, box.bottom))
        np.testing.assert_array_equal(resize(rgb, height, width, part=part, bicubic=bicubic), np.asarray(expected))


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (300, 300)])
def test_resizing_is_pillows_own_where_that_goes_across_first(rng, shape):
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = Image.fromarray(rgb).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(rgb, 224, 224), np.asarray(expected))


@pytest.mark.slow
def test_onnx_runtime_sends_no_usage_events(tmp_path):
    """Its telemetry, which is on by default, starts with a session file in the temporary folder."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = "from ganvas.localization.open_nsfw import NSFWScorer; NSFWScorer()"
    subprocess.run([sys.executable, "-c", code], env=environment | {"TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


def test_every_session_of_onnx_runtime_is_silenced_first():
    """Every import of ONNX Runtime outside type checks is preceded by a call of `silence_onnxruntime`."""
    for path in Path(ganvas.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "onnxruntime.InferenceSession(" in text:
            assert "silence_onnxruntime()\n    import onnxruntime" in text, path
