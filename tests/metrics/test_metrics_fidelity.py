"""Fidelity metrics compared with known values and with torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from ganvas.errors import InputError
from ganvas.metrics.fidelity import (
    BORDER,
    MS_SSIM_MINIMUM,
    Summary,
    l1,
    luma,
    luma_psnr,
    luma_ssim,
    ms_ssim,
    psnr,
    ssim,
    summarize,
)


def noisy_pair(*shape: int, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    smooth = torch.nn.functional.avg_pool2d(torch.rand(*shape, generator=generator), 5, 1, 2)
    return (smooth + noise * torch.randn(*shape, generator=generator)).clamp(0, 1), smooth


def test_known_values() -> None:
    black, gray = torch.zeros(2, 3, 16, 16), torch.full((2, 3, 16, 16), 0.1)
    assert psnr(gray, black).tolist() == pytest.approx([20.0, 20.0], abs=1e-6)
    assert l1(gray, black).tolist() == pytest.approx([0.1, 0.1], abs=1e-8)
    # constant pictures: the contrast factor is 1, the luminance factor C1 / (0.1^2 + C1)
    assert ssim(gray, black).tolist() == pytest.approx([1e-4 / (0.01 + 1e-4)] * 2, rel=1e-6)


def test_identical_pictures() -> None:
    images, _ = noisy_pair(1, 3, MS_SSIM_MINIMUM, MS_SSIM_MINIMUM)
    assert math.isinf(psnr(images, images).item())
    assert l1(images, images).item() == 0
    assert ssim(images, images).item() == pytest.approx(1, abs=1e-12)
    assert ms_ssim(images, images).item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("shape", [(3, 3, 40, 52), (2, 1, 33, 64), (1, 5, 11, 11)])
def test_psnr_and_ssim_agree_with_torchmetrics(shape: tuple[int, ...]) -> None:
    images, targets = noisy_pair(*shape)
    theirs = peak_signal_noise_ratio(images.double(), targets.double(), data_range=1.0, dim=(1, 2, 3), reduction="none")
    torch.testing.assert_close(psnr(images, targets), theirs, rtol=1e-7, atol=1e-7)
    _, maps = structural_similarity_index_measure(
        images.double(), targets.double(), data_range=1.0, reduction="none", return_full_image=True
    )  # torchmetrics includes mirrored borders; without them it is Wang's definition
    torch.testing.assert_close(ssim(images, targets), maps[:, :, 5:-5, 5:-5].mean((1, 2, 3)), rtol=1e-7, atol=1e-7)


def test_ssim_agrees_with_scikit_image() -> None:
    images, targets = noisy_pair(1, 3, 40, 52)
    x, y = (z[0].permute(1, 2, 0).double().numpy() for z in (images, targets))
    theirs = structural_similarity(
        x, y, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(images, targets).item() == pytest.approx(theirs, abs=1e-7)


def test_ms_ssim_agrees_with_torchmetrics_up_to_its_mirrored_borders() -> None:
    images, targets = noisy_pair(1, 3, 181, 187)
    theirs = multiscale_structural_similarity_index_measure(
        images.double(), targets.double(), data_range=1.0, reduction="none", normalize="relu"
    )
    torch.testing.assert_close(ms_ssim(images, targets), theirs.reshape(-1), rtol=0, atol=2e-3)


def test_ms_ssim_takes_luminance_at_the_coarsest_scale_only() -> None:
    _, targets = noisy_pair(1, 3, 192, 192)
    shifted = 0.8 * targets + 0.2 * targets.mean()
    coarse = [torch.nn.functional.avg_pool2d(x.double(), 16) for x in (shifted, targets)]
    finer = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363)):
        x, y = (torch.nn.functional.avg_pool2d(z.double(), 2**scale) for z in (shifted, targets))
        centered = [z - z.mean() + 0.5 for z in (x, y)]  # contrast is independent of the mean
        finer *= ssim(*centered).item() ** weight
    assert ms_ssim(shifted, targets).item() == pytest.approx(finer * ssim(*coarse).item() ** 0.1333, abs=2e-4)


def test_mask_counts_only_what_it_marks() -> None:
    images, targets = noisy_pair(2, 3, 40, 40)
    mask = torch.zeros(2, 1, 40, 40, dtype=torch.bool)
    mask[0, :, 5:20, 8:30] = True
    mask[1, :, 10:39, 0:12] = True
    inside = [images[0, :, 5:20, 8:30], images[1, :, 10:39, 0:12]]
    truth = [targets[0, :, 5:20, 8:30], targets[1, :, 10:39, 0:12]]
    for i in range(2):
        assert psnr(images, targets, mask)[i] == pytest.approx(psnr(inside[i][None], truth[i][None]).item())
        assert l1(images, targets, mask)[i] == pytest.approx(l1(inside[i][None], truth[i][None]).item())
    everything = torch.ones(1, 1, 40, 40)
    torch.testing.assert_close(ssim(images, targets, everything), ssim(images, targets))
    one = torch.zeros(1, 1, 40, 40)
    one[..., 20, 20] = 1  # one window
    window = (slice(0, 1), slice(None), slice(15, 26), slice(15, 26))
    assert ssim(images[:1], targets[:1], one).item() == pytest.approx(ssim(images[window], targets[window]).item())


def test_masked_measures_ignore_what_lies_outside() -> None:
    images, targets = noisy_pair(1, 3, 40, 40)
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 15:25, 15:25] = 1
    changed = images.clone()
    changed[..., :9, :] = 1 - changed[..., :9, :]  # outside every counted window
    for measure in (psnr, l1, ssim):
        assert measure(images, targets, mask) == measure(changed, targets, mask)


def test_errors_name_the_remedy() -> None:
    small = torch.rand(1, 3, 10, 40)
    with pytest.raises(InputError, match="at least 11 pixels, the picture has 10 x 40"):
        ssim(small, small)
    with pytest.raises(InputError, match=r"MS-SSIM needs sides of at least 176"):
        ms_ssim(torch.rand(1, 3, 175, 300), torch.rand(1, 3, 175, 300))
    with pytest.raises(InputError, match="expected two tensors"):
        psnr(small, small[..., :-1])
    with pytest.raises(InputError, match="marks no position"):
        l1(small, small, torch.zeros(1, 1, 10, 40))
    with pytest.raises(InputError, match="expected a mask"):
        l1(small, small, torch.zeros(1, 3, 10, 40))


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


def test_gray_stays():
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


def test_values_that_cannot_be_taken_are_left_out() -> None:
    assert summarize([1.0, None, 3.0]) == Summary(2.0, 1.0, 2)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_without_any_value_there_is_no_mean(values: list[float | None]) -> None:
    assert summarize(values) == Summary(None, None, 0)
