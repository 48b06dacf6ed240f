import numpy as np
import pytest
import torch

from ganvas.metrics.luma import BORDER, luma, luma_psnr, luma_ssim


@pytest.mark.parametrize(
    ("rgb", "level"),
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 235),
        ((255, 0, 0), 81),
        ((0, 255, 0), 145),
        ((0, 0, 255), 41),
        ((12, 200, 99), 130),
    ],
)
def test_y_is_that_of_rgb2ycbcr(rgb, level):
    """Levels of MATLAB's rgb2ycbcr."""
    images = torch.tensor(rgb).view(1, 3, 1, 1) / 255
    assert round(luma(images).item() * 255) == level


def test_grey_stays():
    images = torch.rand(2, 1, 3, 3)
    assert torch.equal(luma(images), images)


def test_the_border_does_not_count():
    truth = torch.rand(1, 3, 32, 40)
    made = truth.clone()
    made[..., :BORDER, :] = 0
    made[..., -BORDER:] = 1
    assert luma_psnr(made, truth).item() == np.inf
    assert luma_ssim(made, truth).item() == pytest.approx(1)


def test_psnr_is_that_of_whole_levels():
    truth = torch.full((1, 3, 24, 24), 100 / 255)
    made = truth + 10 / 255
    levels = round(16 + 219 * 110 / 255) - round(16 + 219 * 100 / 255)
    assert luma_psnr(made, truth).item() == pytest.approx(20 * np.log10(255 / levels), abs=1e-4)
