from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch import Tensor

from ganvas.data.degradations import blur, degrade, degrade_each, downscale, edges, grey, mosaic, strength_at
from ganvas.errors import ConfigError

NAMES = ("mosaic", "downscale", "blur", "grey", "edges")


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.integers(1, 5))
@settings(max_examples=60)
def test_each_mosaic_block_is_the_mean_of_what_it_covers(height: int, width: int, block: int, channels: int) -> None:
    given_images = images(2, channels, height, width)
    covered = mosaic(given_images, block)
    assert covered.shape == given_images.shape
    for top in range(0, height, block):
        for left in range(0, width, block):
            area = (..., slice(top, top + block), slice(left, left + block))
            means = given_images[area].double().mean((-2, -1), keepdim=True)
            torch.testing.assert_close(covered[area].double(), means.expand_as(covered[area]), atol=1e-6, rtol=0)


def test_a_mosaic_of_single_pixels_is_the_picture() -> None:
    given_images = images(2, 3, 9, 7)
    assert torch.equal(mosaic(given_images, 1), given_images)


def test_a_mosaic_twice_is_the_mosaic() -> None:
    once = mosaic(images(1, 3, 24, 24), 8)
    torch.testing.assert_close(mosaic(once, 8), once, atol=1e-6, rtol=0)


def test_downscale_is_pillows_bicubic_there_and_back() -> None:
    given_images = images(1, 1, 32, 48, seed=1) * 0.5  # no overshoot beyond the range
    plane = Image.fromarray(given_images[0, 0].numpy())
    there = plane.resize((12, 8), Image.Resampling.BICUBIC)
    back = np.asarray(there.resize((48, 32), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(downscale(given_images, 4)[0, 0].numpy(), back, atol=2e-6)


def test_downscale_by_one_changes_nothing() -> None:
    given_images = images(1, 3, 9, 7)
    torch.testing.assert_close(downscale(given_images, 1), given_images, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.5, 9.0])
@pytest.mark.parametrize("size", [(17, 23), (4, 3), (1, 1)])
def test_blur_is_scipys_gaussian(sigma: float, size: tuple[int, int]) -> None:
    given_images = images(2, 3, *size)
    expected = ndimage.gaussian_filter(given_images.double().numpy(), sigma, axes=(2, 3))
    np.testing.assert_allclose(blur(given_images, sigma).numpy(), expected, atol=2e-6)


def test_grey_weighs_colours_as_pillow_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    luminance = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.float32)
    result = grey(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1)
    assert result.shape == (1, 3, 16, 16)
    np.testing.assert_allclose((result[0, 1].numpy() + 1) * 127.5, luminance, atol=1.01)
    assert torch.equal(result[:, 0], result[:, 2])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_grey_of_other_channel_counts_is_their_mean(channels: int) -> None:
    given_images = images(1, channels, 4, 4)
    torch.testing.assert_close(grey(given_images)[:, 0], given_images.mean(1))


def test_edges_are_dark_where_flat_and_one_at_a_full_step() -> None:
    step = -torch.ones(1, 3, 8, 8)
    step[..., 4:] = 1
    magnitude = edges(step)
    assert magnitude[..., 3:5].eq(1).all()
    assert magnitude[..., :3].eq(-1).all()
    assert magnitude[..., 5:].eq(-1).all()
    torch.testing.assert_close(edges(step.transpose(2, 3)), magnitude.transpose(2, 3))


def test_edges_agree_with_scipys_sobel() -> None:
    plane = images(1, 1, 16, 16) * 0.2
    unit = plane[0, 0].double().numpy() / 2
    expected = np.hypot(*(ndimage.sobel(unit, axis, mode="nearest") / 4 for axis in (0, 1)))
    np.testing.assert_allclose((edges(plane)[0, 0].numpy() + 1) / 2, expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 3, 33, 18), (2, 1, 5, 7), (2, 5, 8, 8), (1, 32, 1, 1)])
def test_shape_and_range_stay(name: str, shape: tuple[int, ...]) -> None:
    given_images = images(*shape).sign()  # the hardest pictures for overshoot
    result = degrade(name, given_images, (3, 4))
    assert result.shape == given_images.shape
    assert result.dtype == torch.float32
    assert result.abs().max() <= 1 + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_does_not_depend_on_its_batch(name: str) -> None:
    given_images, strengths = images(6, 3, 40, 37), [2.0, 5.0, 2.0, 3.0, 7.0, 5.0]
    together = degrade_each(name, given_images, strengths)
    for row, strength in enumerate(strengths):
        assert torch.equal(together[row : row + 1], degrade_each(name, given_images[row : row + 1], [strength]))


def test_each_picture_gets_its_own_strength() -> None:
    given_images = images(2, 3, 16, 16)
    result = degrade_each("mosaic", given_images, [4, 8])
    assert torch.equal(result[:1], mosaic(given_images[:1], 4))
    assert torch.equal(result[1:], mosaic(given_images[1:], 8))


@pytest.mark.parametrize("name", ["mosaic", "downscale", "blur"])
def test_the_generator_decides(name: str) -> None:
    def drawn(seed: int) -> Tensor:
        return degrade(name, images(8, 3, 24, 24), (2, 9), torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


@given(st.integers(1, 20), st.integers(0, 20), st.floats(0, 1, exclude_max=True))
def test_whole_strengths_reach_both_ends(low: int, span: int, uniform: float) -> None:
    high = low + span
    assert strength_at("mosaic", (low, high), 0.0) == low
    assert strength_at("mosaic", (low, high), 1 - 2**-53) == high
    assert strength_at("downscale", (low, high), uniform) in range(low, high + 1)
    assert low <= strength_at("blur", (low, high), uniform) <= high


def test_a_range_without_a_whole_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="whole pixels"):
        strength_at("mosaic", (7.2, 7.8), 0.5)


@pytest.mark.parametrize("covering", [mosaic, downscale, blur])
def test_inputs_are_not_written(covering: Callable[[Tensor, int], Tensor]) -> None:
    given_images = images(2, 3, 12, 12)
    before = given_images.clone()
    covering(given_images, 3)
    assert torch.equal(given_images, before)


def test_none_gives_the_pictures() -> None:
    given_images = images(1, 3, 4, 4)
    assert degrade_each("none", given_images, [1.0]) is given_images
