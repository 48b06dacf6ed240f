import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from ganvas.networks import Compact, NAFNet, ResidualUNet, RRDBNet
from ganvas.networks.generators import UnitRangeGenerator
from ganvas.networks.rrdb import DenseBlock


class Identity(UnitRangeGenerator):
    """Network that returns the input of its layers."""

    last_layer = None

    def __init__(self) -> None:
        super().__init__(scale=1, size_multiple=1)

    def restore(self, pictures):
        self.seen = pictures
        return pictures

    def needed_inputs(self, needed):
        return needed


def test_layers_see_and_return_zero_to_one():
    network, images = Identity(), torch.linspace(-1, 1, 5).view(1, 1, 1, 5)
    torch.testing.assert_close(network(images), images)
    assert network.seen.flatten().tolist() == [0, 0.25, 0.5, 0.75, 1]


def reached(network: nn.Module, *, size: int, at: int, pixels: int) -> tuple[int, int]:
    """Return the first and last input column that influence the columns of `pixels` output pixels from `at` on."""
    images = torch.rand(1, 1, size, size, dtype=torch.float64).requires_grad_()
    first = network.scale * at
    network(images)[..., first : first + network.scale * pixels].sum().backward()
    touched = images.grad[0, 0].abs().sum(0).nonzero().flatten()
    return int(touched.min()), int(touched.max())


@pytest.mark.parametrize(("scale", "unshuffle"), [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (3, 1), (4, 1), (8, 1)])
def test_the_context_of_an_rrdbnet_is_what_its_layers_see(scale, unshuffle):
    torch.manual_seed(0)
    network = RRDBNet(1, 1, scale=scale, unshuffle=unshuffle, width=2, growth=2, num_blocks=1).double()
    size = -(-(2 * network.context + 9) // unshuffle) * unshuffle
    start = size // 2 // unshuffle * unshuffle
    spans = ((at, reached(network, size=size, at=at, pixels=1)) for at in range(start, start + unshuffle))
    assert max(max(at - first, last - at) for at, (first, last) in spans) == network.context


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_context_of_a_compact_is_the_number_of_its_convolutions(scale):
    network = Compact(1, 1, scale=scale, width=3, num_blocks=2).double()
    assert network.context == 4
    assert reached(network, size=21, at=10, pixels=1) == (6, 14)


def test_a_nafnet_depends_on_the_whole_picture_by_its_channel_attention_alone():
    torch.manual_seed(0)
    network = NAFNet(1, 1, width=2, encoder_blocks=(1, 1), middle_blocks=1, decoder_blocks=(1, 1)).double()
    for name, values in network.named_parameters():
        if name.endswith(("beta", "gamma")):
            nn.init.ones_(values)
    assert network.context is None
    assert reached(network, size=64, at=32, pixels=1) == (0, 63)
    for block in network.modules():
        if hasattr(block, "sca"):
            block.sca = nn.Identity()
    first, last = network.needed_inputs((32, 35))
    assert reached(network, size=64, at=32, pixels=4) == (first, last)


def test_an_unshuffled_nafnet_is_a_nafnet_of_shuffled_pictures():
    torch.manual_seed(0)
    sizes = {"width": 4, "encoder_blocks": (1,), "middle_blocks": 1, "decoder_blocks": (1,)}
    network, inner = NAFNet(3, 3, unshuffle=2, **sizes), NAFNet(12, 12, **sizes)
    for name, values in network.named_parameters():
        if name.endswith(("beta", "gamma")):
            nn.init.ones_(values)
    inner.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    expected = functional.pixel_shuffle(inner(functional.pixel_unshuffle(images, 2)), 2)
    torch.testing.assert_close(network(images), expected)


def test_dense_blocks_start_a_tenth_as_large():
    torch.manual_seed(0)
    network = RRDBNet(3, 3, width=32, growth=16, num_blocks=1)
    block = network.body[0].rdb2
    assert isinstance(block, DenseBlock)
    assert block.conv3.weight.std().item() == pytest.approx(0.1 * math.sqrt(2 / (64 * 9)), rel=0.05)
    assert network.conv_body.weight.std().item() == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.05)
    assert not any(value.any() for name, value in network.named_parameters() if name.endswith("bias"))


def test_untrained_nafnets_blocks_are_the_identity():
    network = NAFNet(3, 3, width=4, encoder_blocks=(2,), middle_blocks=1, decoder_blocks=(1,))
    features = torch.rand(1, 4, 8, 8)
    torch.testing.assert_close(network.encoders[0](features), features)


def test_a_new_prelu_has_a_slope_for_each_channel():
    slopes = [m.weight for m in Compact(3, 3, width=5, num_blocks=2).modules() if isinstance(m, nn.PReLU)]
    assert [tuple(slope.shape) for slope in slopes] == [(5,)] * 3
    assert all((slope == 0.25).all() for slope in slopes)


def test_one_channel_is_added_to_all():
    network = Compact(1, 3, scale=2, width=4, num_blocks=1)
    for values in network.parameters():
        nn.init.zeros_(values)
    images = torch.rand(1, 1, 3, 5) * 2 - 1
    torch.testing.assert_close(
        network(images), images.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(1, 3, 6, 10)
    )


@pytest.mark.parametrize(("scale", "unshuffle"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_a_residual_unet_depends_on_the_pixels_of_its_context_alone(scale, unshuffle):
    torch.manual_seed(0)
    sizes = {"width": 2, "encoder_blocks": (1, 1), "middle_blocks": 1, "decoder_blocks": (1, 1)}
    network = ResidualUNet(1, 1, scale=scale, unshuffle=unshuffle, **sizes).double()
    for values in network.parameters():
        nn.init.normal_(values, 0.1, 0.2)
    multiple = 4 * unshuffle
    size = multiple * (2 * network.context // multiple + 2)
    start = size // 2 // multiple * multiple
    spans = ((at, reached(network, size=size, at=at, pixels=1)) for at in range(start, start + multiple))
    assert max(max(at - first, last - at) for at, (first, last) in spans) == network.context


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_an_untrained_residual_unet_returns_its_input(unshuffle):
    sizes = {"width": 4, "encoder_blocks": (1, 2), "middle_blocks": 1, "decoder_blocks": (2, 1)}
    network = ResidualUNet(3, 3, unshuffle=unshuffle, **sizes)
    images = torch.rand(1, 3, 16, 8) * 2 - 1
    torch.testing.assert_close(network(images), images)
    features = torch.rand(1, 4, 8, 8)
    assert torch.equal(network.encoders[0](features), features)
