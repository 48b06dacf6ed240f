"""Feature extractors, and the names of their features."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import nn

from ganvas.errors import ImageError, InputError, WeightsError
from ganvas.localization.efficientnet_lite import load_efficientnet_lite0
from ganvas.metrics.distribution import frechet_distance
from ganvas.metrics.features import (
    LPIPS,
    efficientnet_features,
    inception_features,
    inception_from,
    load_lpips,
    resize_antialiased,
    vgg_features,
)
from ganvas.networks.feature_extractors import AlexNet, InceptionFID
from ganvas.weights.find import Found, find_weights
from ganvas.weights.known import ALEXNET, ALEXNET_LPIPS, INCEPTION_FID, Weights, WeightsFile
from ganvas.weights.tensors import load_convolutions, load_heads, load_state


@pytest.fixture(scope="module")
def pictures():
    return [skimage.data.chelsea(), skimage.data.coffee()[:, :400], skimage.data.astronaut()]


@pytest.mark.parametrize("shape", [(512, 400), (130, 299), (64, 48)])
def test_resizing_is_pillows_on_floats(rng, shape):
    rgb = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    rgb[: shape[0] // 2] = np.where(rgb[: shape[0] // 2] > 127, 255, 0)  # overshoots, so that the range is clipped
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
    """The distance ranks changes as people do."""
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


@pytest.mark.slow
def test_inceptions_weights_are_read_by_name_and_strictly(tmp_path):
    state = InceptionFID().state_dict()
    file = tmp_path / INCEPTION_FID.files[0].name
    torch.save(state, file)
    assert_same(inception_from(torch.load(file, weights_only=True), file).state_dict(), state)
    state.pop("fc.bias")
    with pytest.raises(WeightsError, match=r"6726825d\.pth does not contain"):
        inception_from(state, Path(file))


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name])


# Results of the released code (PerceptualSimilarity 082bb24) on the pictures below, at phase 9 and half contrast.
GOLDEN = {
    ("alexnet", (64, 64)): (0.06803049892187119, 0.05610496178269386),
    ("alexnet", (67, 81)): (0.06477316468954086, 0.06220273673534393),
    ("alexnet", (35, 128)): (0.07045949250459671, 0.03630666807293892),
    ("vgg16", (64, 64)): (0.24251306056976318, 0.05609625205397606),
    ("vgg16", (35, 128)): (0.2724629342556, 0.055143751204013824),
}
# Results of the same code on its example pictures, ex_ref.png against ex_p0.png and ex_p1.png in imgs.
PUBLISHED = {"alexnet": (0.722, 0.138), "vgg16": (0.569, 0.422)}


def gratings(height, width, phase):
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    red, green, blue = (7 * x + 3 * y + phase) % 64, (x * y + 5 * phase) % 97, (x * x + y + phase) % 50
    return torch.stack([red / 31.5, green / 48.0, blue / 24.5])[None].float() - 1


@pytest.fixture(scope="module")
def lpips():
    """Load each network once."""
    loaded = {}

    def load(network):
        if network not in loaded:
            loaded[network] = real_lpips(network)
        return loaded[network]

    return load


def real_lpips(network):
    try:
        return load_lpips(network, may_download=False)
    except WeightsError as problem:
        if os.environ.get("GANVAS_REQUIRE_DATA"):
            raise
        pytest.skip(f"the real weights are not here: {problem}")


@pytest.mark.parametrize(("network", "size"), GOLDEN)
def test_distances_equal_the_released_codes(lpips, network, size):
    images, expected = gratings(*size, 0), torch.tensor(GOLDEN[network, size])
    others = torch.cat([gratings(*size, 9), images * 0.5])
    with torch.no_grad():
        distances = lpips(network)(images.expand(2, -1, -1, -1), others)
    torch.testing.assert_close(distances, expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("network", PUBLISHED)
def test_the_authors_example_pictures(lpips, network):
    folder = os.environ.get("GANVAS_LPIPS_EXAMPLES")
    if not folder:
        pytest.skip("set GANVAS_LPIPS_EXAMPLES to the folder imgs of richzhang/PerceptualSimilarity")
    reference, *distorted = (example(Path(folder) / f"ex_{name}.png") for name in ("ref", "p0", "p1"))
    distances = [lpips(network)(reference, image).item() for image in distorted]
    assert [round(distance, 3) for distance in distances] == list(PUBLISHED[network])


def example(path):
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB")) / np.float32(127.5) - 1).permute(2, 0, 1)[None]


def test_names_and_equal_pictures(lpips):
    assert lpips("alexnet").name == "LPIPS 0.1 (AlexNet)"
    images = gratings(40, 40, 3)
    assert lpips("alexnet")(images, images).item() == 0


@pytest.fixture
def small():
    """Return AlexNet with seeded weights and heads of one."""
    torch.manual_seed(0)
    features = AlexNet(taps=("relu1", "relu2"))
    return LPIPS(features, [torch.ones(64), torch.ones(192)], name="small")


def test_gradients_are_finite_even_where_nothing_differs(small):
    images = gratings(40, 40, 0).requires_grad_()
    small(images, gratings(40, 40, 0)).sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()


def test_it_is_symmetric_and_one_picture_does_not_touch_another(small):
    a, b = gratings(40, 44, 0), gratings(40, 44, 9)
    torch.testing.assert_close(small(a, b), small(b, a))
    both = small(torch.cat([a, b]), torch.cat([b, b]))
    torch.testing.assert_close(both, torch.stack([small(a, b)[0], torch.tensor(0.0)]))


def test_unlike_and_small_pictures_are_refused(small):
    with pytest.raises(InputError, match="expected equal shapes"):
        small(torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 41))
    with pytest.raises(InputError, match="sides of"):
        small(torch.zeros(1, 3, 9, 9), torch.zeros(1, 3, 9, 9))


def found_at(path, layout):
    file = WeightsFile(name=path.name, size=0, sha256="", figures="measured", layout=layout, licence="")
    return Found(path=path, weights=Weights(name="w", title="w", files=(file,)), file=file, where="")


def test_the_other_layouts_give_the_same_tensors(tmp_path):
    torch.manual_seed(0)
    channels, indices = (3, 64, 192, 384, 256, 256), (0, 3, 6, 8, 10)
    layers = [nn.Conv2d(*pair, 3) for pair in pairwise(channels)]
    state = {f"features.{index}.{key}": value for index, layer in zip(indices, layers, strict=True)
             for key, value in layer.state_dict().items()}  # fmt: skip
    torch.save(state | {"classifier.1.weight": torch.zeros(2, 2)}, tmp_path / "torchvision.pth")
    loaded = load_convolutions(found_at(tmp_path / "torchvision.pth", "torchvision"))
    for layer, (weight, bias) in zip(layers, loaded, strict=True):
        torch.testing.assert_close(weight, layer.weight)
        torch.testing.assert_close(bias, layer.bias)
    heads = [torch.rand(1, count, 1, 1) for count in channels[1:]]
    torch.save({f"lin{index}.model.1.weight": head for index, head in enumerate(heads)}, tmp_path / "heads.pth")
    for head, given in zip(load_heads(found_at(tmp_path / "heads.pth", "lpips")), heads, strict=True):
        torch.testing.assert_close(head, given.flatten())


def test_a_file_that_is_no_state_dict_is_named(tmp_path):
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"broken\.pth"):
        load_state(found_at(tmp_path / "broken.pth", "torchvision"))


def test_a_state_dict_that_runs_something_is_refused(tmp_path):
    torch.save({"features.0.weight": Path("x")}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError, match=r"hostile\.pth"):
        load_state(found_at(tmp_path / "hostile.pth", "torchvision"))


def test_the_ports_tensors_are_the_networks(lpips):
    lpips("alexnet")
    convolutions = load_convolutions(find_weights(ALEXNET, may_download=False))
    heads = load_heads(find_weights(ALEXNET_LPIPS, may_download=False))
    assert [tuple(weight.shape) for weight, _ in convolutions][:2] == [(64, 3, 11, 11), (192, 64, 5, 5)]
    assert [len(head) for head in heads] == [64, 192, 384, 256, 256]
    assert min(head.min() for head in heads) >= 0
