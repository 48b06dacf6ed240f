import pytest
import torch
from torch.nn import functional

from ganvas.metrics.sharpness import gradient_energy


def test_of_a_ramp_it_is_the_squared_slope():
    ramp = torch.linspace(0, 1, 11).expand(1, 1, 7, 11)
    torch.testing.assert_close(gradient_energy(ramp), torch.tensor([0.01], dtype=torch.float64), atol=1e-8, rtol=0)
    torch.testing.assert_close(gradient_energy(ramp.mT), gradient_energy(ramp))


def test_of_a_checkerboard_it_is_2_and_of_one_grey_0():
    board = (torch.arange(6)[:, None] + torch.arange(8)) % 2
    pictures = torch.stack([board.float(), torch.full((6, 8), 0.3)])[:, None]
    assert gradient_energy(pictures).tolist() == [2.0, 0.0]


def test_each_direction_is_a_mean_over_its_own_places_and_channels():
    torch.manual_seed(0)
    pictures = torch.rand(3, 4, 5, 9)
    exact = pictures.double().numpy()
    wanted = [
        ((one[:, 1:] - one[:, :-1]) ** 2).mean() + ((one[:, :, 1:] - one[:, :, :-1]) ** 2).mean() for one in exact
    ]
    assert gradient_energy(pictures).tolist() == pytest.approx(wanted)
    assert gradient_energy(pictures).dtype == torch.float64


def test_blur_lowers_it_and_noise_raises_it():
    torch.manual_seed(0)
    picture = functional.interpolate(torch.rand(1, 3, 8, 8), (64, 64), mode="bilinear")
    blurred = functional.avg_pool2d(picture, 5, 1, 2, count_include_pad=False)
    assert gradient_energy(blurred) < gradient_energy(picture) < gradient_energy(picture + 0.1 * torch.randn(64, 64))
