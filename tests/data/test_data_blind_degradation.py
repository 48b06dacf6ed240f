"""Pictures reduced for super-resolution, and worn on the way."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_sets import noise, save
from PIL import Image

from ganvas.data.blind_degradation import compress, wear
from ganvas.data.cache import build_cache
from ganvas.data.config import PairedData
from ganvas.data.degradations import degrade_each, mosaic, reduce
from ganvas.data.loading import TrainLoader, evaluation_pairs
from ganvas.errors import ConfigError
from ganvas.methods.config import Pix2PixConfig, SRResNetConfig
from ganvas.training.config import RunConfig


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
    once, twice, other = wear(image, 2, 0.25), wear(image, 2, 0.25), wear(image, 2, 0.75)
    assert once.shape == (3, 16, 16)
    assert torch.equal(once, twice)
    assert not torch.equal(once, other)
    assert once.abs().max() <= 1
    assert (once - reduce(image[None], 2)[0]).abs().max() > 0.02


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
    with pytest.raises(ConfigError, match="4 times"):
        RunConfig(method=SRResNetConfig(scale=4), data=PairedData())
    with pytest.raises(ConfigError, match="asks for 4"):
        RunConfig(method=Pix2PixConfig(), data=settings())
