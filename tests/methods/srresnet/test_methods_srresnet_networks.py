import pytest
import torch

from ganvas.methods.srresnet.method import SRResNet


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8, 16])
def test_pictures_grow_by_the_scale(scale):
    network = SRResNet(2, 3, scale=scale, width=4, num_blocks=1)
    assert network(torch.zeros(1, 2, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)


def test_the_paper_s_layers():
    """Fig. 4: 16 blocks of two convolutions, one more, two upsamplings of 256 channels, 9x9 at both ends."""
    network = SRResNet(3, 3)
    kernels = [tuple(m.weight.shape) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert kernels[0] == (64, 3, 9, 9)
    assert kernels[1:34] == [(64, 64, 3, 3)] * 33
    assert kernels[34:36] == [(256, 64, 3, 3)] * 2
    assert kernels[36:] == [(3, 64, 9, 9)]
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()) == 33
    assert sum(isinstance(m, torch.nn.PReLU) for m in network.modules()) == 19


def test_its_reach_is_that_of_the_layers_and_no_less():
    torch.manual_seed(0)
    network = SRResNet(1, 1, scale=2, width=4, num_blocks=1, norm="none").eval()
    size = 2 * network.context + 5
    images = torch.rand(1, 1, size, size).requires_grad_()
    middle = size // 2
    network(images)[..., 2 * middle : 2 * middle + 2, 2 * middle : 2 * middle + 2].sum().backward()
    touched = images.grad[0, 0].abs().sum(0).nonzero().flatten()
    assert (middle - touched.min(), touched.max() - middle) == (network.context, network.context)
