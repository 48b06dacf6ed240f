"""Feature vectors and the names they carry."""

import os
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from ganvas.errors import ImageError, WeightsError
from ganvas.localization.efficientnet_lite import load_efficientnet_lite0
from ganvas.metrics.distribution import frechet_distance
from ganvas.metrics.features import (
    efficientnet_features,
    inception_features,
    inception_from,
    resize_antialiased,
    vgg_features,
)
from ganvas.networks.feature_extractors import InceptionFID
from ganvas.weights.known import INCEPTION_FID


@pytest.fixture(scope="module")
def pictures():
    return [skimage.data.chelsea(), skimage.data.coffee()[:, :400], skimage.data.astronaut()]


@pytest.mark.parametrize("shape", [(512, 400), (130, 299), (64, 48)])
def test_resizing_is_pillows_on_floats(rng, shape):
    rgb = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    rgb[: shape[0] // 2] = np.where(rgb[: shape[0] // 2] > 127, 255, 0)  # overshoots, so that the range is cut
    planes = [Image.fromarray(rgb[:, :, channel].astype(np.float32)) for channel in range(3)]
    resized = [np.asarray(plane.resize((299, 299), Image.Resampling.BICUBIC)) for plane in planes]
    ours = resize_antialiased(rgb, 299)
    np.testing.assert_array_equal(ours, np.stack(resized, axis=2).clip(0, 255))
    assert ours.dtype == np.float32
    assert (ours != np.rint(ours)).any()


def test_efficientnets_vectors_are_its_classifiers(pictures):
    extractor, classifier = efficientnet_features(), load_efficientnet_lite0()
    vectors = extractor.vectors(pictures)
    expected = [classifier.evidence(picture).features.mean(axis=(1, 2)) for picture in pictures]
    np.testing.assert_allclose(vectors, expected, rtol=1e-3, atol=1e-5)
    assert extractor.space.name == "efficientnet-lite0 pooled (1280)"
    assert vectors.shape == (3, extractor.space.dimension)
    assert extractor.vectors([]).shape == (0, 1280)


def test_moments_of_a_stream_are_those_of_the_vectors(pictures):
    extractor = efficientnet_features()
    moments = extractor.moments(picture for picture in pictures[:2])
    assert moments.count == 2
    vectors = extractor.vectors(pictures[:2])
    np.testing.assert_allclose(moments.statistics().mean, vectors.mean(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_blurred_lie_further_away_than_the_mirrored(pictures):
    """A distance of features ranks what people see."""
    extractor = efficientnet_features()
    crops = [picture[top : top + 150, left : left + 150] for picture in pictures for top, left in ((0, 0), (90, 90))]
    blurred = [blurred_to_blocks(crop) for crop in crops]
    mirrored = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops]
    own, near, far = (extractor.moments(some).statistics() for some in (crops, mirrored, blurred))
    assert frechet_distance(own, near).value < frechet_distance(own, far).value


def blurred_to_blocks(rgb):
    small = Image.fromarray(rgb).resize((12, 12), Image.Resampling.BOX)
    return np.array(small.resize(rgb.shape[1::-1], Image.Resampling.BICUBIC))


def test_vggs_vectors(pictures):
    try:
        extractor = vgg_features(may_download=False)
    except WeightsError as problem:
        if os.environ.get("GANVAS_REQUIRE_DATA"):
            raise
        pytest.skip(f"the real weights are not here: {problem}")
    vectors = extractor.vectors(pictures[:1])
    assert vectors.shape == (1, 512)
    assert extractor.space.name == "vgg16-relu5_3-mean"
    image = torch.from_numpy(resize_antialiased(pictures[0], 224) / 127.5 - 1).permute(2, 0, 1)[None]
    expected = extractor.network(image)[0].mean(dim=(2, 3))
    np.testing.assert_allclose(vectors, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_pictures_of_another_type_are_refused():
    with pytest.raises(ImageError):
        efficientnet_features().vectors([np.zeros((8, 8), np.uint8)])


def test_fid_needs_the_users_inception(tmp_path):
    with pytest.raises(WeightsError, match=r"pt_inception-2015-12-05-6726825d\.pth"):
        inception_features(may_download=False)
    torch.save(InceptionFID().state_dict(), tmp_path / "own.pth")
    with pytest.raises(WeightsError, match=r"own\.pth: not Inception-v3"):
        inception_features(path=tmp_path / "own.pth")


def test_inceptions_weights_are_read_by_name_and_strictly(tmp_path):
    state = InceptionFID().state_dict()
    file = tmp_path / INCEPTION_FID.files[0].name
    torch.save(state, file)
    assert_same(inception_from(torch.load(file, weights_only=True), file).state_dict(), state)
    state.pop("fc.bias")
    with pytest.raises(WeightsError, match=r"6726825d\.pth does not hold"):
        inception_from(state, Path(file))


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name])
