from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from data_sets import noise, save
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch import Tensor

from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.degradations import (
    blur,
    compress,
    degrade_blindly,
    degrade_each,
    downscale,
    edges,
    gray,
    mosaic,
    reduce,
    strength_at,
)
from ganvas.data.loader import TrainLoader, evaluation_pairs, signed_picture
from ganvas.data.sampler import Purpose, seed_of_name, uniforms
from ganvas.errors import ConfigError
from ganvas.methods import Pix2PixConfig, SRResNetConfig
from ganvas.training.config import RunConfig

NAMES = ("mosaic", "downscale", "blur", "gray", "edges")


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


def test_gray_weighs_colors_as_pillow_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    luminance = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.float32)
    result = gray(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1)
    assert result.shape == (1, 3, 16, 16)
    np.testing.assert_allclose((result[0, 1].numpy() + 1) * 127.5, luminance, atol=1.01)
    assert torch.equal(result[:, 0], result[:, 2])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_gray_of_other_channel_counts_is_their_mean(channels: int) -> None:
    given_images = images(1, channels, 4, 4)
    torch.testing.assert_close(gray(given_images)[:, 0], given_images.mean(1))


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
    given_images = images(*shape).sign()  # the worst case for overshoot
    result = degrade_each(name, given_images, [4.0] * len(given_images))
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


def settings(folder: Path = Path("data"), degrade: str = "reduce", factor: float = 4.0, **more: object) -> PairedData:
    strength = (factor, factor)
    given = {"layout": "single", "degrade": degrade, "strength": strength, "resize": "none", "crop_size": (16, 16)}
    return PairedData(folder=folder, **(given | more))  # type: ignore[arg-type]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for number in range(3):
        save(tmp_path / "data/train" / f"{number}.png", noise(21, 26, 3, seed=number))
    return tmp_path / "data"


def test_reduction_is_pillow_s_bicubic() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (24, 32)).astype(np.float32)
    expected = np.asarray(Image.fromarray(levels).resize((8, 6), Image.Resampling.BICUBIC)).clip(0, 255)
    made = reduce(torch.from_numpy(levels)[None, None] / 127.5 - 1, 4)[0, 0]
    torch.testing.assert_close((made + 1) * 127.5, torch.from_numpy(expected), atol=1e-2, rtol=0)


@pytest.mark.parametrize("degrade", ["reduce", "means", "wear"])
def test_a_batch_holds_the_crop_and_its_reduction(photographs: Path, tmp_path: Path, degrade: str) -> None:
    data = settings(photographs, degrade)
    loader = TrainLoader(build_cache(data, "train", tmp_path / "cache"), data, batch_size=2, seed=0)
    batch, again = loader.batch(0), loader.batch(0)
    assert (batch.a.shape, batch.b.shape) == ((2, 3, 4, 4), (2, 3, 16, 16))
    assert torch.equal(batch.a, again.a)
    if degrade == "reduce":
        assert torch.equal(batch.a, reduce(batch.b, 4))


def test_means_are_those_of_a_mosaic() -> None:
    images = torch.rand(2, 3, 24, 32) * 2 - 1
    means = degrade_each("means", images, [8.0, 8.0])
    assert means.shape == (2, 3, 3, 4)
    torch.testing.assert_close(means.repeat_interleave(8, -2).repeat_interleave(8, -1), mosaic(images, 8))


def test_whole_pictures_are_cut_to_multiples(photographs: Path, tmp_path: Path) -> None:
    data = settings(photographs)
    name, given, made = next(evaluation_pairs(build_cache(data, "train", tmp_path / "cache"), data))
    assert (name, given.shape, made.shape) == ("0", (1, 3, 5, 6), (1, 3, 20, 24))


def test_wear_follows_from_chance_alone_and_differs_with_it() -> None:
    image = torch.rand(3, 32, 32) * 2 - 1
    once, twice, other = (
        degrade_blindly(image, 2, 0.25),
        degrade_blindly(image, 2, 0.25),
        degrade_blindly(image, 2, 0.75),
    )
    assert once.shape == (3, 16, 16)
    assert torch.equal(once, twice)
    assert not torch.equal(once, other)
    assert once.abs().max() <= 1
    assert (once - reduce(image[None], 2)[0]).abs().max() > 0.02


@pytest.mark.parametrize("name", ["wear", "second_order"])
@pytest.mark.parametrize("place", [(0, 0), (0, 5), (15, 2)])
def test_crops_are_degraded_inside_a_larger_picture(name: str, place: tuple[int, int]) -> None:
    """The lowest 8 bits of `chance` are the place of the crop in a JPEG block."""
    images = torch.rand(1, 3, 10, 6) * 2 - 1
    chance = (2**52 + 16 * place[0] + place[1]) / 2**53
    made = degrade_each(name, images, [2.0], [chance], are_crops=True)
    padding = ((0, 0), (2 * place[0], 0), (2 * place[1], 0))
    larger = torch.from_numpy(np.pad(images[0].numpy(), padding, mode="symmetric"))
    expected = degrade_each(name, larger[None], [2.0], [chance])
    assert made.shape == (1, 3, 5, 3)
    assert torch.equal(made, expected[..., place[0] :, place[1] :])


def test_the_blocks_of_jpegs_begin_anywhere_in_training_and_at_the_corner_in_evaluation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(8):
        save(tmp_path / "set" / "train" / f"{number}.png", rng.integers(60, 200, (32, 32, 3), dtype=np.uint8))
    data = PairedData(
        folder=tmp_path / "set", layout="single", degrade="second_order", strength=(1, 1), resize="none", mirror=False,
        crop_size=(32, 32),
    )  # fmt: skip
    cache = build_cache(data, "train", tmp_path / "cache")
    loader = TrainLoader(cache, data, batch_size=8, seed=0)
    places = set()
    for step in range(40):
        for crop in (loader.sampler.at(8 * step + place)[1] for place in range(8)):
            places.add(divmod(int(crop.chance * 2**53) % 256, 16))
    assert {down for down, _ in places} == {right for _, right in places} == set(range(16))
    crop = loader.sampler.at(0)[1]
    batch, (name, whole, _) = loader.batch(0), next(evaluation_pairs(cache, data))
    target = batch.b[:1]
    assert torch.equal(batch.a[:1], degrade_each("second_order", target, [1.0], [crop.chance], are_crops=True))
    assert not torch.equal(batch.a[:1], degrade_each("second_order", target, [1.0], [crop.chance]))
    chance = uniforms(seed_of_name(name), Purpose.EVALUATION, 0, 1).item()
    truth = signed_picture(cache.b[0], cache.b.stored_spec, torch.device("cpu"))
    assert torch.equal(whole, degrade_each("second_order", truth, [1.0], [chance]))


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_worn_pictures_may_have_any_channels(channels: int) -> None:
    images = torch.rand(2, channels, 16, 16) * 2 - 1
    assert degrade_each("wear", images, [2.0, 2.0], [0.1, 0.2]).shape == (2, channels, 8, 8)


def test_compression_loses_more_at_lower_quality() -> None:
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 6), (48, 48), mode="bicubic").clamp(0, 1) * 2 - 1
    lost = [(compress(smooth, quality) - smooth).abs().mean() for quality in (95, 50, 10)]
    assert lost[0] < lost[1] < lost[2] < 0.2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"strength": (2.0, 4.0)}, "one factor"),
        ({"factor": 1.0}, "one factor"),
        ({"factor": 2.5, "crop_size": (20, 20)}, "whole pixels"),
        ({"crop_size": (18, 16)}, "multiple of the factor 4"),
        ({"direction": "b_to_a"}, "a_to_b"),
    ],
)
def test_reductions_that_cannot_be_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        settings(**wrong)  # type: ignore[arg-type]


def test_the_method_s_scale_is_the_data_s() -> None:
    assert RunConfig(method=SRResNetConfig(scale=4), data=settings()).data == settings()
    with pytest.raises(ConfigError, match="--scale 4"):
        RunConfig(method=SRResNetConfig(scale=2), data=settings())
    with pytest.raises(ConfigError, match="--degrade reduce --strength 4 4"):
        RunConfig(method=SRResNetConfig(scale=4), data=PairedData())
    with pytest.raises(ConfigError, match="the data have scale 4"):
        RunConfig(method=Pix2PixConfig(), data=settings())
