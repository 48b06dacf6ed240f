import pytest
import torch
from torch import nn

from ganvas.methods.discogan.method import DiscoDiscriminator, DiscoGenerator

CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d


def convolutions(network):
    layers = [module for module in network.modules() if isinstance(module, CONVOLUTIONS)]
    return [(layer.out_channels, layer.kernel_size[0], layer.stride[0], layer.padding[0]) for layer in layers]


def test_the_generators_layers():
    halvings = [(64, 4, 2, 1), (128, 4, 2, 1), (256, 4, 2, 1), (512, 4, 2, 1)]
    doublings = [(256, 4, 2, 1), (128, 4, 2, 1), (64, 4, 2, 1), (3, 4, 2, 1)]
    assert convolutions(DiscoGenerator(3, 3)) == halvings + doublings
    deeper = DiscoGenerator(3, 3, bottleneck=100)
    assert convolutions(deeper) == [*halvings, (100, 4, 1, 0), (512, 4, 1, 0), *doublings]
    for network, norms in ((DiscoGenerator(3, 3), 6), (deeper, 8)):
        assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == norms
        assert not any(
            getattr(module, "bias", None) is not None for module in network.modules() if is_convolution(module)
        )


def is_convolution(module):
    return isinstance(module, nn.Conv2d | nn.ConvTranspose2d)


def test_what_is_made_is_a_sigmoid_on_the_scale_of_one():
    network = DiscoGenerator(3, 2, width=2)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    raw = []
    network.last.register_forward_hook(lambda _layer, _given, made: raw.append(made))
    torch.testing.assert_close((network(images) + 1) / 2, torch.sigmoid(raw[0]))


def test_what_is_seen_is_on_the_scale_of_one():
    network, seen = DiscoGenerator(1, 1, width=2), []
    network.encode_blocks[0].conv.register_forward_hook(lambda _layer, given, _made: seen.append(given[0]))
    network(torch.linspace(-1, 1, 64 * 64).view(1, 1, 64, 64))
    torch.testing.assert_close(seen[0].flatten(), torch.linspace(0, 1, 64 * 64))


def test_a_bottleneck_is_one_place_of_64_pixels():
    network, seen = DiscoGenerator(3, 3, width=2, bottleneck=5), []
    network.middle[0].register_forward_hook(lambda _layer, _given, made: seen.append(made.shape))
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 3, 64, 64)
    assert network(torch.zeros(1, 3, 128, 96)).shape == (1, 3, 128, 96)
    assert seen == [(2, 5, 1, 1), (1, 5, 5, 3)]


@pytest.mark.parametrize(("size", "scores"), [(64, 1), (128, 5)])
def test_the_discriminator_gives_scores_and_the_features_after_the_second_to_the_fourth_activation(size, scores):
    network = DiscoDiscriminator(3, width=2)
    made, features = network(torch.rand(2, 3, size, size) * 2 - 1)
    assert made.shape == (2, 1, scores, scores)
    assert [values.shape[1:] for values in features] == [
        (4, size // 4, size // 4),
        (8, size // 8, size // 8),
        (16, size // 16, size // 16),
    ]
    assert convolutions(network)[-1] == (1, 4, 1, 0)
    outputs = network.blocks[1](network.blocks[0]((torch.zeros(1, 3, size, size) + 1) / 2))
    assert outputs.min() < 0  # leaky ReLU
