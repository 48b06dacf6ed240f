import pytest
import torch

from ganvas.methods.srgan.method import SRDiscriminator


def test_the_discriminator_of_the_paper():
    network = SRDiscriminator(3, image_size=(96, 96))
    shapes = [(m.weight.shape[0], m.stride[0]) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert shapes == [(64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)]
    assert [tuple(m.weight.shape) for m in network.modules() if isinstance(m, torch.nn.Linear)] == [
        (1024, 512 * 6 * 6),
        (1, 1024),
    ]
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()) == 7


@pytest.mark.parametrize("size", [(16, 16), (40, 25)])
def test_it_scores_crops_of_its_size(size):
    network = SRDiscriminator(3, image_size=size, width=4, norm="none", spectral=True)
    assert network(torch.zeros(2, 3, *size)).shape == (2, 1)
