"""Second-order degradation: order, parts compared with other libraries, sizes, ranges, and determinism."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_sets import noise, save
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from ganvas.data import second_order
from ganvas.data.blur_kernels import gaussian_kernel, sinc_kernel
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.degradations import degrade_each
from ganvas.data.loader import TrainLoader, evaluation_pairs
from ganvas.data.second_order import (
    FIRST,
    SECOND,
    Noise,
    SecondOrder,
    Settings,
    Stage,
    degrade,
    degrade_second_order,
    draw_second_order,
    jpeg,
    through_jpeg,
)
from ganvas.errors import ConfigError

SILENT = Noise("gaussian", 0.0, is_gray=False)
PLAIN = Stage(None, 1.0, "area", SILENT, 95)
HARMLESS = SecondOrder(PLAIN, PLAIN, None, sinc_first=False, interpolation="area")
Unit = NDArray[np.float32]


def photograph(height: int = 48, width: int = 40, channels: int = 3, *, seed: int = 0) -> Unit:
    """Return smooth colors with an edge."""
    small = torch.rand(1, channels, 5, 5, generator=torch.Generator().manual_seed(seed))
    unit = functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)[0]
    unit[:, :, width // 2 :] *= 0.5
    return unit.numpy()


def random() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("size", [(48, 40), (17, 23), (9, 5), (1, 3)])
@pytest.mark.parametrize("kernel", [gaussian_kernel(21, deviations=(3, 0.6), angle=0.7), sinc_kernel(7, 1.5)])
def test_blurs_are_scipy_s_convolution_with_mirrored_borders(size: tuple[int, int], kernel: Unit) -> None:
    unit = photograph(*size)
    expected = np.stack([ndimage.convolve(channel.astype(float), kernel, mode="mirror") for channel in unit])
    np.testing.assert_allclose(second_order._filtered(unit, kernel), expected, atol=3e-6)


def test_both_degradations_and_the_end_are_applied_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blur, resize, noise, JPEG; blur, resize, noise; then JPEG and (resize, sinc) in either order: Fig. 2."""
    seen: list[tuple[Any, ...]] = []

    def noted(name: str, argument: int) -> None:
        original = getattr(second_order, name)

        def call(*given: Any) -> Unit:
            seen.append((name, given[argument]))
            made: Unit = original(*given)
            return made

        monkeypatch.setattr(second_order, name, call)

    for name in ("_filtered", "_resized", "_noise", "jpeg"):
        noted(name, 1)
    first = Stage(gaussian_kernel(7, deviations=(1, 1)), 0.5, "area", Noise("poisson", 1.0, is_gray=True), 40)
    second = Stage(sinc_kernel(9, 2.0), 1.2, "bicubic", Noise("gaussian", 3.0, is_gray=False), 80)
    end = sinc_kernel(11, 1.5)
    degrade(photograph(48, 40), SecondOrder(first, second, end, sinc_first=True, interpolation="bilinear"),
            (24, 20), random())  # fmt: skip
    both = [
        ("_filtered", first.kernel), ("_resized", (24, 20)), ("_noise", first.noise), ("jpeg", 40),
        ("_filtered", second.kernel), ("_resized", (28, 24)), ("_noise", second.noise),
    ]  # fmt: skip
    assert [(name, value if name != "_filtered" else id(value)) for name, value in seen] == [
        (name, value if name != "_filtered" else id(value))
        for name, value in [*both, ("_resized", (24, 20)), ("_filtered", end), ("jpeg", 80)]
    ]
    seen.clear()
    degrade(photograph(48, 40), SecondOrder(first, second, end, sinc_first=False, interpolation="bilinear"),
            (24, 20), random())  # fmt: skip
    assert [name for name, _ in seen[-3:]] == ["jpeg", "_resized", "_filtered"]


def test_it_is_the_same_degradation_written_out_with_other_libraries() -> None:
    unit = photograph(48, 40)
    kernels = gaussian_kernel(9, deviations=(1.5, 0.5), angle=1.0), gaussian_kernel(7, deviations=(0.8, 0.8))
    degradation = SecondOrder(
        Stage(kernels[0], 0.75, "bilinear", SILENT, 60),
        Stage(kernels[1], 0.9, "bicubic", SILENT, 85),
        sinc_kernel(7, 2.2),
        sinc_first=True,
        interpolation="area",
    )

    def blurred(image: Unit, kernel: Unit) -> Unit:
        return np.stack([ndimage.convolve(channel, kernel, mode="mirror") for channel in image])

    def resized(image: Unit, size: tuple[int, int], mode: str) -> Unit:
        return functional.interpolate(torch.from_numpy(image)[None], size, mode=mode)[0].numpy()

    def compressed(image: Unit, quality: int) -> Unit:
        file = BytesIO()
        pixels = (image.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)).transpose(2, 0, 1).astype(np.float32) / 255

    expected = compressed(resized(blurred(unit, kernels[0]), (36, 30), "bilinear"), 60)
    expected = resized(blurred(expected, kernels[1]), (21, 18), "bicubic").clip(0, 1)
    expected = compressed(blurred(resized(expected, (24, 20), "area"), degradation.sinc), 85)
    made = degrade(unit, degradation, (24, 20), random())
    assert np.abs(made - expected).mean() < 1e-3  # single values may be rounded differently
    once = degrade(unit, replace(degradation, first=PLAIN), (24, 20), random())
    assert np.abs(made - once).mean() > 5e-3


@pytest.mark.parametrize("stage", ["first", "second"])
def test_each_of_the_two_degrades(stage: str) -> None:
    unit = photograph()
    harmless = np.abs(degrade(unit, HARMLESS, (48, 40), random()) - unit).mean()
    strong = Stage(gaussian_kernel(21, deviations=(3, 3)), 0.3, "area", Noise("gaussian", 25.0, is_gray=False), 30)
    degraded = degrade(unit, replace(HARMLESS, **{stage: strong}), (48, 40), random())
    assert np.abs(degraded - unit).mean() > 3 * harmless


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_sizes_ranges_and_levels(factor: int, channels: int) -> None:
    image = torch.rand(channels, 16, 24, generator=torch.Generator().manual_seed(0)).sign() * 1.0
    before = image.clone()
    for chance in np.linspace(0, 0.99, 4).tolist():
        made = degrade_second_order(image, factor, chance)
        assert made.shape == (channels, 16 // factor, 24 // factor)
        assert made.dtype == torch.float32
        assert made.abs().max() <= 1
        levels = (made + 1) * 127.5
        torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert torch.equal(image, before)


def test_it_follows_from_chance_alone_and_differs_with_it() -> None:
    image = 2 * torch.from_numpy(photograph()) - 1
    once, again, other = (degrade_second_order(image, 2, chance) for chance in (0.25, 0.25, 0.75))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert not torch.equal(once, degrade_second_order(image, 2, 0.25 + 2**-40))  # all bits of the strength matter


def test_a_picture_does_not_depend_on_its_batch() -> None:
    images = torch.stack([2 * torch.from_numpy(photograph(seed=seed)) - 1 for seed in range(3)])
    chances = [0.1, 0.2, 0.7]
    together = degrade_each("second_order", images, [2.0] * 3, chances)
    for row, chance in enumerate(chances):
        alone = degrade_each("second_order", images[row : row + 1], [2.0], [chance])
        assert torch.equal(together[row : row + 1], alone)


def test_frames_of_a_window_share_all_but_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, draw = [], draw_second_order

    def noted(given: np.random.Generator) -> SecondOrder:
        drawn.append(draw(given))
        return drawn[-1]

    monkeypatch.setattr(second_order, "draw_second_order", noted)
    images = (2 * torch.from_numpy(photograph()) - 1).expand(3, -1, -1, -1)
    made = degrade_each("second_order", images, [1.0] * 3, [0.4] * 3, num_frames=3)
    np.testing.assert_equal([vars(one.first) for one in drawn[1:]], [vars(drawn[0].first)] * 2)
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[1], made[2])


def test_parameters_have_the_ranges_and_shares_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("draw_kernel", "draw_sinc_kernel"):  # their distribution is tested elsewhere
        monkeypatch.setattr(second_order, name, lambda *given: np.ones((1, 1)))
    given, count = np.random.default_rng(1), 3000
    drawn = [draw_second_order(given) for _ in range(count)]
    seen = Counter[str]()
    for one in drawn:
        for name, stage, settings in (("first", one.first, FIRST), ("second", one.second, SECOND)):
            assert settings.factors[0] <= stage.factor <= settings.factors[1]
            assert 30 <= stage.quality <= 95
            ends = settings.gaussian if stage.noise.kind == "gaussian" else settings.poisson
            assert ends[0] <= stage.noise.strength <= ends[1]
            seen[f"{name}, blur"] += stage.kernel is not None
            seen[f"{name}, larger"] += stage.factor > 1
            seen[f"{name}, smaller"] += stage.factor < 1
            seen[f"{name}, poisson"] += stage.noise.kind == "poisson"
            seen[f"{name}, gray"] += stage.noise.is_gray
            seen[f"{name}, {stage.interpolation}"] += 1
        seen["sinc"] += one.sinc is not None
        seen["sinc first"] += one.sinc_first
    third = 1 / 3
    both = {"poisson": 0.5, "gray": 0.4, "area": third, "bilinear": third, "bicubic": third}
    expected = {f"{name}, {key}": share for name in ("first", "second") for key, share in both.items()}
    expected |= {"first, blur": 1.0, "first, larger": 0.2, "first, smaller": 0.7, "sinc": 0.8, "sinc first": 0.5}
    expected |= {"second, blur": 0.8, "second, larger": 0.3, "second, smaller": 0.4}
    assert {name: value / count for name, value in seen.items()} == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("is_gray", [False, True])
def test_noise_has_the_variance_that_it_should(is_gray: bool) -> None:
    unit = np.stack([np.full((200, 200), level, np.float32) for level in (0.25, 0.5, 0.75)])
    level = np.tensordot(second_order.LUMINANCE, unit, 1)[None] if is_gray else unit
    gaussian = second_order._noise(unit, Noise("gaussian", 12.0, is_gray), random())
    poisson = second_order._noise(unit, Noise("poisson", 2.0, is_gray), random())
    assert gaussian.shape == poisson.shape == ((1, 200, 200) if is_gray else unit.shape)
    assert gaussian.dtype == poisson.dtype == np.float32
    np.testing.assert_allclose(gaussian.std((1, 2)), 12 / 255, rtol=0.02)
    np.testing.assert_allclose(poisson.std((1, 2)), 2 * np.sqrt(level.mean((1, 2)) / 256), rtol=0.02)
    np.testing.assert_allclose(np.stack([gaussian.mean(), poisson.mean()]), 0, atol=2e-3)


def test_photons_are_those_of_whole_gray_levels() -> None:
    """As in the released code, whose Poisson noise of a value between two levels includes its rounding."""
    unit = np.full((3, 4, 5), 100.4 / 255, np.float32)
    made = second_order._noise(unit, Noise("poisson", 1.0, is_gray=False), random())
    photons = random().poisson(np.full((3, 4, 5), 100 / 255 * 256))
    np.testing.assert_allclose(made, photons / 256 - 100 / 255, atol=1e-6)


def test_jpeg_is_pillow_s() -> None:
    levels = noise(16, 24).astype(np.uint8).transpose(2, 0, 1)
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0))).save(file, "JPEG", quality=50)
    expected = np.asarray(Image.open(file)).transpose(2, 0, 1)
    np.testing.assert_array_equal(through_jpeg(levels, 50), expected)
    np.testing.assert_array_equal(jpeg(levels.astype(np.float32) / 255, 50), expected.astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("channels", "dtype", "suffix"), [(3, "uint8", "png"), (1, "uint8", "png"), (3, "uint16", "tif")]
)
def test_batches_of_any_depth_repeat_exactly(tmp_path: Path, channels: int, dtype: str, suffix: str) -> None:
    for number in range(3):
        save(tmp_path / f"data/train/{number}.{suffix}", noise(21, 26, channels, seed=number, dtype=dtype))
    data = PairedData(
        folder=tmp_path / "data", layout="single", degrade="second_order", strength=(2, 2), resize="none",
        crop_size=(16, 16),
    )  # fmt: skip
    cache = build_cache(data, "train", tmp_path / "cache")
    whole = TrainLoader(cache, data, batch_size=4, seed=0).batch(4)
    halves = [TrainLoader(cache, data, batch_size=2, seed=0).batch(seen) for seen in (4, 6)]
    assert (whole.a.shape, whole.b.shape) == ((4, channels, 8, 8), (4, channels, 16, 16))
    assert torch.equal(whole.a, torch.cat([half.a for half in halves]))
    again = TrainLoader(cache, data, batch_size=4, seed=1).batch(4)
    assert not torch.equal(whole.a, again.a)
    pairs = [list(evaluation_pairs(cache, data)) for _ in range(2)]
    assert all(torch.equal(one[1], two[1]) for one, two in zip(*pairs, strict=True))
    assert pairs[0][0][1].shape == (1, channels, 10, 13)


def test_the_same_size_is_a_strength_of_one() -> None:
    data = PairedData(layout="single", degrade="second_order", strength=(1, 1))
    assert data.scale == 1
    with pytest.raises(ConfigError, match="one factor of 1 or more"):
        PairedData(layout="single", degrade="second_order", strength=(1, 2))
    with pytest.raises(ConfigError, match="one factor of 2 or more"):
        PairedData(layout="single", degrade="reduce", strength=(1, 1))
    with pytest.raises(ConfigError, match="a_to_b"):
        PairedData(layout="single", degrade="second_order", strength=(1, 1), direction="b_to_a")


def test_settings_are_those_of_sec_4_1() -> None:
    assert isinstance(FIRST, Settings)
    assert (FIRST.deviations, SECOND.deviations) == ((0.2, 3.0), (0.2, 1.5))
    assert (FIRST.gaussian, SECOND.gaussian) == ((1, 30), (1, 25))
    assert (FIRST.poisson, SECOND.poisson) == ((0.05, 3), (0.05, 2.5))
