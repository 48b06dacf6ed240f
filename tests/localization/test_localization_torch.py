"""Torch modules as classifiers with class activation maps."""

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
    """Module that pools without a submodule, and has no bias."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*layers())
        self.head = nn.Linear(6, 3, bias=False)

    def forward(self, images):
        return self.head(self.body(images).mean(dim=(2, 3)))


class Attention(nn.Module):
    """Module that does not pool: it weights the map before summing it."""

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
    image = torch.from_numpy(SMALL.center(photo)[0].transpose(2, 0, 1).copy())[None]
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
    image = torch.from_numpy(SMALL.center(photo)[0].transpose(2, 0, 1).copy())[None]
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
        TorchClassifier(nn.Sequential(*sequential()[:-1]), NAMES, preprocessing=SMALL)
    with pytest.raises(ConfigError, match="not logits"):
        TorchClassifier(nn.Sequential(*layers()), NAMES, preprocessing=SMALL)


class Shaped(nn.Module):
    """Module that ends in pooling, a linear layer, and then whatever the test specifies."""

    def __init__(self, classes=3, then=lambda logits: logits, channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(channels, 6, 5, 4, 2), nn.ReLU())
        self.head = nn.Linear(6, classes)
        with torch.no_grad():
            self.head.weight *= 4
        self.then = then

    def forward(self, images):
        return self.then(self.head(self.body(images).mean(dim=(2, 3))))


class OneSize(Shaped):
    """Module that flattens its map, and therefore accepts only pictures of 32 pixels."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6 * 64, 3)

    def forward(self, images):
        return self.head(self.body(images).flatten(1))


def own_output(module, photo):
    with torch.no_grad():
        batch = torch.from_numpy(SMALL.center(photo)[0].transpose(2, 0, 1).copy())[None]
        return module(batch.to(next(module.parameters()).dtype)).float().numpy().reshape(-1)


OWN = {
    "sigmoid, one output": (1, torch.sigmoid, "sigmoid"),
    "sigmoid, three labels": (3, torch.sigmoid, "sigmoid"),
    "softmax": (3, lambda z: z.softmax(1), "softmax"),
    "softmax of two": (2, lambda z: z.softmax(1), "softmax"),
    "sigmoid of two": (2, torch.sigmoid, "sigmoid"),
    "squeezed": (1, lambda z: z.sigmoid()[:, 0], "sigmoid"),
}


@pytest.mark.parametrize("name", OWN)
def test_scores_are_the_modules_own_whatever_its_activation(name, photo):
    classes, then, activation = OWN[name]
    module = Shaped(classes, then)
    classifier = TorchClassifier(module, NAMES[:classes], preprocessing=SMALL)
    assert classifier.activation == activation
    np.testing.assert_allclose(classifier.evidence(photo).scores, own_output(module, photo), atol=1e-6)


@pytest.mark.parametrize(
    "make", [TorchClassifier, lambda m, names, **rest: GradCamClassifier(m, m.body, names, **rest)]
)
def test_logits_take_the_activation_that_is_told(make, photo):
    one, many = Shaped(1), Shaped(3)
    logits = own_output(many, photo)
    told = make(many, NAMES, preprocessing=SMALL, activation="sigmoid").evidence(photo)
    np.testing.assert_allclose(told.scores, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert make(many, NAMES, preprocessing=SMALL).activation is None
    single = make(one, ["a"], preprocessing=SMALL).evidence(photo)
    np.testing.assert_allclose(single.scores, 1 / (1 + np.exp(-own_output(one, photo))), atol=1e-5)


@pytest.mark.parametrize("then", [lambda z: (20 * z).softmax(1), lambda z: z / 2, lambda z: 1 - z.sigmoid()])
def test_an_output_that_disagrees_with_the_head_is_refused(then):
    with pytest.raises(ConfigError, match="neither the logits"):
        TorchClassifier(Shaped(3, then), NAMES, preprocessing=SMALL)


def test_an_activation_that_the_module_contradicts():
    with pytest.raises(ConfigError, match="ends in a softmax"):
        TorchClassifier(Shaped(3, lambda z: z.softmax(1)), NAMES, preprocessing=SMALL, activation="sigmoid")


ODD = {
    "a tuple": lambda z: (z, z),
    "a dictionary": lambda z: {"logits": z},
    "a tensor": lambda z: z[:, :, None].repeat(1, 1, 4),
    "a NoneType": lambda z: None,
}


@pytest.mark.parametrize("says", ODD)
@pytest.mark.parametrize(
    "make", [TorchClassifier, lambda m, names, **rest: GradCamClassifier(m, m.body, names, **rest)]
)
def test_an_output_that_is_no_logits_is_named(make, says):
    with pytest.raises(ConfigError, match=f"the module returns {says}"):
        make(Shaped(3, ODD[says]), NAMES, preprocessing=SMALL)


@pytest.mark.parametrize("then", [torch.sigmoid, lambda z: z.softmax(1)])
def test_grad_cam_wants_logits(then):
    module = Shaped(3, then)
    with pytest.raises(ConfigError, match="Grad-CAM needs logits"):
        GradCamClassifier(module, module.body, NAMES, preprocessing=SMALL)


def test_grad_cam_names_a_wrong_layer():
    module = Shaped()
    with pytest.raises(ConfigError, match="not part of the module"):
        GradCamClassifier(module, nn.Conv2d(3, 3, 1), NAMES, preprocessing=SMALL)
    with pytest.raises(ConfigError, match="not a map"):
        GradCamClassifier(module, module.head, NAMES, preprocessing=SMALL)
    module.unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(ConfigError, match="did not call the layer"):
        GradCamClassifier(module, module.unused, NAMES, preprocessing=SMALL)
    cut = Shaped(then=lambda z: z.detach())
    with pytest.raises(ConfigError, match="do not depend on the layer"):
        GradCamClassifier(cut, cut.body, NAMES, preprocessing=SMALL)


@pytest.mark.parametrize(
    "make", [TorchClassifier, lambda m, names, **rest: GradCamClassifier(m, m.body, names, **rest)]
)
def test_another_number_of_channels_is_named(make):
    with pytest.raises(ConfigError, match="three channels"):
        make(Shaped(channels=1), NAMES, preprocessing=SMALL)


def test_a_module_of_one_size_sees_the_picture_squeezed(photo):
    module = OneSize()
    evidence = GradCamClassifier(module, module.body, NAMES, preprocessing=SMALL).dense_evidence(photo)
    assert evidence.features.shape == (6, 8, 8)
    assert (evidence.extent.right, evidence.extent.bottom) == (80, 48)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    "make", [TorchClassifier, lambda m, names, **rest: GradCamClassifier(m, m.body, names, **rest)]
)
def test_other_types_of_numbers(make, dtype, photo):
    module = Shaped().to(dtype)
    classifier = make(module, NAMES, preprocessing=SMALL, activation="sigmoid")
    expected = 1 / (1 + np.exp(-own_output(module, photo)))
    np.testing.assert_allclose(classifier.evidence(photo).scores, expected, atol=2e-2)


def test_grad_cam_computes_the_gradient_of_the_asked_class_alone(photo, monkeypatch):
    asked = []
    plain = torch.autograd.grad

    def counted(outputs, *rest, **more):
        asked.append(tuple(outputs.shape))
        return plain(outputs, *rest, **more)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    module = Shaped(200)
    classifier = GradCamClassifier(module, module.body, [str(k) for k in range(200)], preprocessing=SMALL)
    evidence = classifier.dense_evidence(photo)
    assert asked == []  # scores need no gradient
    class_map(evidence, 7)
    class_map(evidence, 7)
    assert asked == [()]  # one backward pass for one class


def test_grad_cam_keeps_nothing_of_what_comes_before_the_layer(photo):
    """Also if a later layer changes the layer's output in place."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 5, 4, 2), nn.ReLU(inplace=True), *sequential()[3:])
    seen = []
    module[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output.requires_grad))
    evidence = GradCamClassifier(module, module[1], NAMES, preprocessing=SMALL).evidence(photo)
    assert not any(seen)
    assert evidence.features.min() < 0  # as returned by the layer
    assert np.isfinite(np.asarray(evidence.head)).all()


def test_names_must_be_as_many_as_classes(photo):
    with pytest.raises(ConfigError, match="3 classes, but 2 names"):
        TorchClassifier(sequential(), ("a", "b"), preprocessing=SMALL)
    module = sequential()
    with pytest.raises(ConfigError, match="3 classes, but 2 names"):
        GradCamClassifier(module, module[2], ("a", "b"), preprocessing=SMALL)


def test_hooks_go_even_after_an_error():
    module = nn.Linear(2, 2)

    def fail():
        with watch(module):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not module._forward_hooks


def test_an_output_that_is_not_finite_is_named():
    with pytest.raises(ConfigError, match="values that are not finite; its weights may be damaged"):
        TorchClassifier(Shaped(3, lambda z: z * float("nan")), NAMES, preprocessing=SMALL)
