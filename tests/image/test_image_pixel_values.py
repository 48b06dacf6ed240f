"""Answers strip by strip equal those from the whole picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image import pixel_values
from ganvas.image.files import read_image, read_size, write_image
from ganvas.image.picture import Picture
from ganvas.image.pixel_values import all_finite, percentiles, strips
from ganvas.image.ranges import from_unit, to_unit


@pytest.fixture(autouse=True)
def short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_values, "STRIP", 100)


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (3, 200, 2), (100, 1, 1)])
def test_strips_are_the_whole(shape: tuple[int, ...]) -> None:
    pixels = np.arange(np.prod(shape)).reshape(shape)
    parts = [pixels[rows] for rows in strips(pixels)]
    np.testing.assert_array_equal(np.concatenate(parts), pixels)
    assert all(part.size <= 100 or len(part) == 1 for part in parts)


MAKERS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "eight bits": lambda rng, shape: rng.integers(0, 256, shape).astype(np.uint8),
    "sixteen bits": lambda rng, shape: rng.integers(0, 65536, shape).astype(np.uint16),
    "twelve bits": lambda rng, shape: rng.integers(0, 4096, shape).astype(np.uint16),
    "few levels": lambda rng, shape: rng.integers(0, 3, shape).astype(np.uint16),
    "both signs": lambda rng, shape: (rng.normal(size=shape) * 10 ** rng.uniform(-5, 5)).astype(np.float32),
    "zeros of both signs": lambda rng, shape: rng.choice([0.0, -0.0, 1.0], shape).astype(np.float32),
    "huge": lambda rng, shape: rng.choice([-3e38, 3e38, 1e-45], shape).astype(np.float32),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_percentiles_are_numpys_to_the_bit(maker: str, rng: np.random.Generator) -> None:
    for _ in range(25):
        pixels = MAKERS[maker](rng, (*rng.integers(1, 30, 2), int(rng.integers(1, 4))))
        shares = (0.5, 99.5, 0.0, 100.0, float(rng.uniform(0, 100)))
        assert percentiles(pixels, shares) == np.percentile(pixels.astype(np.float64), shares).tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_odd_sample_is_found(value: float, rng: np.random.Generator) -> None:
    pixels = rng.random((40, 11, 3), dtype=np.float32)
    assert all_finite(pixels)
    pixels[37, 5, 1] = value
    assert not all_finite(pixels)
    assert all_finite(np.zeros((2, 2, 1), np.uint16))


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_screens_view_is_the_same_as_at_once(dtype: type, channels: int, rng: np.random.Generator) -> None:
    pixels = (rng.random((30, 20, channels)) * (65535 if dtype is np.uint16 else 1.2)).astype(dtype)
    three = pixels[:, :, :3] if channels >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
    from ganvas.image.picture import PictureSpec

    np.testing.assert_array_equal(Picture(pixels).as_rgb8(), from_unit(to_unit(three), PictureSpec()))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
def test_a_decoded_picture_is_pillows(mode: str, tmp_path: Path, rng: np.random.Generator) -> None:
    image = Image.fromarray(rng.integers(0, 256, (37, 23, 3), dtype=np.uint8)).convert(mode)
    image.save(tmp_path / "one.png")
    plain = {"P": "RGB", "1": "L"}.get(mode, mode)
    expected = np.asarray(image.convert(plain)).reshape(37, 23, -1)
    np.testing.assert_array_equal(read_image(tmp_path / "one.png").pixels, expected)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".npy"])
def test_a_header_tells_the_size(suffix: str, tmp_path: Path) -> None:
    write_image(tmp_path / f"one{suffix}", Picture(np.zeros((12, 34, 3), np.uint8)))
    assert read_size(tmp_path / f"one{suffix}") == (12, 34)
    (tmp_path / f"bad{suffix}").write_bytes((tmp_path / f"one{suffix}").read_bytes()[:9])
    with pytest.raises(ImageError, match=f"bad{suffix}"):
        read_size(tmp_path / f"bad{suffix}")
