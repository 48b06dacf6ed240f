"""Torch modules as classifiers."""

import numpy as np
import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError
from ganvas.localization import Preprocessing, class_map, grad_cam, log_odds
from ganvas.localization.torch_classifier import GradCamClassifier, TorchClassifier, watch

SMALL = Preprocessing(size=32, dense_size=64)
NAMES = ("a", "b", "c")


def layers():
    torch.manual_seed(0)
    return nn.Conv2d(3, 6, 5, stride=4, padding=2), nn.BatchNorm2d(6), nn.ReLU()


def sequential():
    return nn.Sequential(*layers(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 3))


class Functional(nn.Module):
    """Pools without a module, and has no bias."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*layers())
        self.head = nn.Linear(6, 3, bias=False)

    def forward(self, images):
        return self.head(self.body(images).mean(dim=(2, 3)))


class Attention(nn.Module):
    """Not pooling: the map is weighted before it is summed."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*layers())
        self.weigh = nn.Conv2d(6, 1, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, images):
        features = self.body(images)
        weights = self.weigh(features).flatten(2).softmax(dim=2)
        return self.head((features.flatten(2) * weights).sum(dim=2))


@pytest.fixture
def photo(rng):
    return rng.integers(0, 256, (48, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize("make", [sequential, Functional])
def test_scores_are_the_modules(make, photo):
    module = make()
    evidence = TorchClassifier(module, NAMES, preprocessing=SMALL).evidence(photo)
    image = torch.from_numpy(SMALL.centre(photo)[0].transpose(2, 0, 1).copy())[None]
    np.testing.assert_allclose(evidence.scores, module(image).softmax(dim=1)[0].detach(), atol=1e-6)
    assert evidence.features.shape == (6, 8, 8)
    assert evidence.features.min() >= 0  # after the ReLU


def test_dense_look(photo):
    evidence = TorchClassifier(sequential(), NAMES, preprocessing=SMALL).dense_evidence(photo)
    assert evidence.features.shape == (6, 16, 24)
    assert (evidence.extent.right, evidence.extent.bottom) == (80, 48)


@pytest.mark.parametrize("make", [sequential, Functional])
def test_grad_cam_is_the_class_map_of_pooling_and_linear(make, photo):
    module = make()
    layer = next(child for child in module.modules() if isinstance(child, nn.ReLU))
    cam = TorchClassifier(module, NAMES, preprocessing=SMALL).evidence(photo)
    by_gradient = GradCamClassifier(module, layer, NAMES, preprocessing=SMALL).evidence(photo)
    np.testing.assert_allclose(by_gradient.head, cam.head, atol=1e-5)
    np.testing.assert_allclose(by_gradient.bias, cam.bias, atol=1e-5)
    for k in range(3):
        np.testing.assert_allclose(class_map(by_gradient, k), class_map(cam, k), atol=1e-5)


def test_grad_cam_takes_any_module(photo):
    module = Attention()
    evidence = GradCamClassifier(module, module.body, NAMES, preprocessing=SMALL).evidence(photo)
    assert log_odds(evidence, 0, 1) == pytest.approx(np.log(evidence.scores[0] / evidence.scores[1]), abs=1e-4)
    image = torch.from_numpy(SMALL.centre(photo)[0].transpose(2, 0, 1).copy())[None]
    with watch(module.body) as seen:
        logits = module(image)
    features = next(tensor for place, tensor in seen.calls if not place.is_input)
    (gradients,) = torch.autograd.grad(logits[0, 2], features)
    expected = grad_cam(features[0].detach().numpy(), gradients[0].numpy())
    np.testing.assert_allclose(np.maximum(class_map(evidence, 2), 0) / 64, expected, atol=1e-5)


def test_another_ending_is_refused():
    with pytest.raises(ConfigError, match="GradCamClassifier"):
        TorchClassifier(Attention(), NAMES, preprocessing=SMALL)
    with pytest.raises(ConfigError, match=r"no nn\.Linear"):
        TorchClassifier(nn.Sequential(*layers()), NAMES, preprocessing=SMALL)


def test_names_must_be_as_many_as_classes(photo):
    with pytest.raises(ConfigError, match="3 classes, but 2 names"):
        TorchClassifier(sequential(), ("a", "b"), preprocessing=SMALL)
    module = sequential()
    with pytest.raises(ConfigError, match="3 classes, but 2 names"):
        GradCamClassifier(module, module[2], ("a", "b"), preprocessing=SMALL).evidence(photo)


def test_hooks_go_even_after_an_error():
    module = nn.Linear(2, 2)

    def fail():
        with watch(module):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not module._forward_hooks
