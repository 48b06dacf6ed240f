"""Inception-v3 of FID, its real code with seeded weights: the published ones are not at hand."""

import zlib

import pytest
import torch

from ganvas.errors import InputError
from ganvas.networks.inception import InceptionFID

# Of pytorch-fid b9c1811's InceptionV3([3]) on the pictures and weights below (torchvision's layers), which ours
# equalled to the last bit: mean, standard deviation, and every 400th feature of the first picture.
GOLDEN = {
    (75, 75): (0.35991963744163513, 0.6813346743583679, [0.0, 0.069781, 0.0, 0.0, 0.390729, 0.0]),
    (299, 299): (6.172954559326172, 8.712018966674805, [0.127071, 0.0, 0.0, 1.642892, 3.051299, 0.0]),
}


def seeded(state):
    """The same numbers for a name, whatever the order of the names."""
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
