"""AlexNet, VGG and Inception as stacks of named layers."""

from __future__ import annotations

import zlib

import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError, InputError
from ganvas.networks.feature_extractors import VGG, VGG16_ACTIVATIONS, AlexNet, InceptionFID


def plain(stack, pools):
    """Return the same network as a chain of torch's own layers, with pooling before the convolutions `pools`."""
    layers = []
    for index, convolution in enumerate(stack.convolutions):
        layers += [nn.MaxPool2d(*pools[index])] if index in pools else []
        layers += [convolution, nn.ReLU()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("stack", "pools"),
    [
        (AlexNet(), {1: (3, 2), 2: (3, 2)}),
        (VGG(depth=16), dict.fromkeys((2, 4, 7, 10), (2, 2))),
        (VGG(depth=19, taps=("relu5_4",)), dict.fromkeys((2, 4, 8, 12), (2, 2))),
    ],
    ids=["alexnet", "vgg16", "vgg19"],
)
def test_the_last_place_is_the_end_of_the_plain_chain(stack, pools):
    images = torch.rand(2, 3, 49, 37, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((images + 1) / 2 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    torch.testing.assert_close(stack(images)[-1], plain(stack, pools)(normalised))


@pytest.mark.parametrize(("depth", "count"), [(16, 13), (19, 16)])
def test_vgg_has_as_many_convolutions_as_its_name_says(depth, count):
    stack = VGG(depth=depth, taps=("relu5_3",) if depth == 16 else ("relu5_4",))
    assert len(stack.convolutions) == count == depth - 3
    assert [layer.name for layer in stack.layers if layer.pool] == ["2_1", "3_1", "4_1", "5_1"]


def test_places_come_in_the_order_asked_for_and_what_is_beyond_is_not_built():
    stack = VGG(depth=19, taps=("relu2_2", "conv1_1", "conv2_2"))
    assert len(stack.convolutions) == 4
    after, first, before = stack(torch.rand(1, 3, 20, 16))
    assert (first.shape, before.shape) == ((1, 64, 20, 16), (1, 128, 10, 8))
    torch.testing.assert_close(after, before.relu())
    assert (before < 0).any()


def test_the_smallest_picture_leaves_one_pixel():
    for stack, side in ((AlexNet(), 31), (VGG(depth=16, taps=("relu5_3",)), 16), (VGG(taps=("relu2_2",)), 2)):
        assert stack.minimum_side == side
        assert stack(torch.zeros(1, 3, side, side))[-1].shape[2:] == (1, 1)
        with pytest.raises(InputError, match=f"sides of {side}"):
            stack(torch.zeros(1, 3, side - 1, side))


def test_gradients_reach_the_pictures_and_not_the_weights():
    stack = AlexNet(taps=("relu2",))
    images = torch.zeros(1, 3, 40, 40, requires_grad=True)
    stack(images)[0].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in stack.parameters())
    assert not stack.training


def test_an_unknown_place_and_other_weights_are_refused():
    for taps in ((), ("relu6",), ("relu1", "pool5")):
        with pytest.raises(ConfigError, match="conv1, relu1"):
            AlexNet(taps=taps)
    convolutions = [(layer.weight + 1, layer.bias) for layer in AlexNet().convolutions]
    stack = AlexNet(taps=("relu2",))
    stack.load_convolutions(convolutions)
    torch.testing.assert_close(stack.convolutions[1].weight, convolutions[1][0])
    for wrong in (convolutions[:1], convolutions[1:]):
        with pytest.raises(ConfigError, match="not of AlexNet"):
            stack.load_convolutions(wrong)
    with pytest.raises(InputError, match="expected"):
        stack(torch.zeros(1, 1, 64, 64))
    assert len(VGG16_ACTIVATIONS) == 5


# Results of pytorch-fid b9c1811's InceptionV3([3]) on the pictures and weights below (torchvision's layers), which
# ours equaled to the last bit: mean, standard deviation, and every 400th feature of the first picture.
GOLDEN = {
    (75, 75): (0.35991963744163513, 0.6813346743583679, [0.0, 0.069781, 0.0, 0.0, 0.390729, 0.0]),
    (299, 299): (6.172954559326172, 8.712018966674805, [0.127071, 0.0, 0.0, 1.642892, 3.051299, 0.0]),
}


def seeded(state):
    """Return the same numbers for a name, whatever the order of the names."""
    return {name: numbers(name, value) for name, value in state.items()}


def numbers(name, value):
    noise = torch.rand(value.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.endswith("num_batches_tracked"):
        return torch.zeros_like(value)
    if name.endswith(("running_var", "bn.weight")):
        return 0.5 + noise
    return (noise - 0.5) * ((24 / value[0].numel()) ** 0.5 if name.endswith("conv.weight") else 0.4)


def gratings(height, width, phase):
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    red, green, blue = (7 * x + 3 * y + phase) % 64, (x * y + 5 * phase) % 97, (x * x + y + phase) % 50
    return torch.stack([red / 31.5, green / 48.0, blue / 24.5])[None].float() - 1


@pytest.fixture(scope="module")
def network():
    network = InceptionFID()
    network.load_state_dict(seeded(network.state_dict()))
    return network


def test_the_file_has_these_names(network):
    names = set(network.state_dict())
    assert len(names) == 566  # 94 convolutions with their norms, and the classifier
    assert {"Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch5x5_2.bn.running_var", "fc.bias"} <= names
    assert {"Mixed_6e.branch7x7dbl_5.conv.weight", "Mixed_7c.branch3x3dbl_3b.bn.num_batches_tracked"} <= names
    assert network.Mixed_7c.branch3x3_2a.conv.weight.shape == (384, 384, 1, 3)
    assert sum(value.numel() for name, value in network.state_dict().items() if "fc" not in name) > 21_000_000


@pytest.mark.parametrize("size", [(75, 75), pytest.param((299, 299), marks=pytest.mark.slow)])
def test_features_equal_pytorch_fids(network, size):
    images = torch.cat([gratings(*size, 0), gratings(*size, 9)])
    features = network(images)
    mean, deviation, some = GOLDEN[size]
    assert features.shape == (2, 2048)
    assert features.mean().item() == pytest.approx(mean, rel=1e-4)
    assert features.std().item() == pytest.approx(deviation, rel=1e-4)
    torch.testing.assert_close(features[0, ::400], torch.tensor(some), rtol=1e-3, atol=1e-4)


def test_pictures_of_a_batch_do_not_meet(network):
    images = torch.cat([gratings(75, 91, 0), gratings(75, 91, 9)])
    torch.testing.assert_close(network(images)[1:], network(images[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 74, 75), (1, 1, 299, 299), (3, 299, 299)])
def test_other_shapes_are_refused(network, shape):
    with pytest.raises(InputError, match="299"):
        network(torch.zeros(shape))
