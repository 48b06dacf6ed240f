"""EfficientNet-lite0: it recognizes the objects in scikit-image's photographs."""

import numpy as np
import pytest
import skimage.data
import torch

from ganvas.errors import WeightsError
from ganvas.localization import class_index
from ganvas.localization.efficientnet_lite import SameConv2d, imagenet_class_names, load_efficientnet_lite0, rename


@pytest.fixture(scope="module")
def classifier():
    return load_efficientnet_lite0()


def best(classifier, rgb, count=3):
    order = classifier.evidence(np.ascontiguousarray(rgb)).scores.argsort()[::-1]
    return [classifier.class_names[index] for index in order[:count]]


def test_names_are_in_the_usual_order():
    names = imagenet_class_names()
    known = {0: "tench", 134: "crane (bird)", 207: "golden retriever", 285: "Egyptian cat", 339: "sorrel", 340: "zebra"}
    known |= {517: "crane (machine)", 639: "tank suit", 665: "moped", 967: "espresso", 999: "toilet tissue"}
    assert len(names) == len({name.casefold() for name in names}) == 1000
    assert {index: names[index] for index in known} == known


def test_chelsea_is_a_cat(classifier):
    assert set(best(classifier, skimage.data.chelsea())) == {"tabby", "tiger cat", "Egyptian cat"}


def test_coffee_is_an_espresso(classifier):
    evidence = classifier.evidence(np.ascontiguousarray(skimage.data.coffee()))
    assert evidence.scores[class_index(classifier, "Espresso")] > 0.9
    assert evidence.features.shape == (1280, 7, 7)


def test_a_camera_stands_on_a_tripod(classifier):
    gray = skimage.data.camera()
    assert best(classifier, np.repeat(gray[:, :, None], 3, axis=2), 1) == ["tripod"]


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(8, 3, 2), (9, 3, 2), (8, 5, 2), (7, 5, 1), (8, 1, 1), (5, 5, 2)]
)
def test_same_padding_puts_the_odd_pixel_last(size, kernel, stride):
    convolution = SameConv2d(1, 1, kernel, stride=stride, bias=False)
    torch.nn.init.ones_(convolution.weight)
    images = torch.arange(float(size * size)).reshape(1, 1, size, size)
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    padded = np.pad(images[0, 0].numpy(), (total // 2, total - total // 2))
    corners = range(0, outputs * stride, stride)
    expected = [[padded[y : y + kernel, x : x + kernel].sum() for x in corners] for y in corners]
    np.testing.assert_allclose(convolution(images)[0, 0].detach().numpy(), expected, rtol=1e-6, atol=1e-6)


def test_keys_are_renamed():
    assert rename("_blocks.3._bn0.running_var") == "features.blocks.3.expand.norm.running_var"
    assert rename("_bn1.weight") == "features.last.norm.weight"
    assert rename("_fc.bias") == "classify.bias"


def test_another_state_dict_is_refused(tmp_path):
    torch.save({"_fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth"):
        load_efficientnet_lite0(tmp_path / "other.pth")
