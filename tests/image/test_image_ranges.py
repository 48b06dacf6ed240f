from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image import ranges
from ganvas.image.files import read_image, read_size, write_image
from ganvas.image.picture import Picture, PictureSpec
from ganvas.image.ranges import (
    all_finite,
    from_signed,
    from_unit,
    round_to_dtype,
    signed_from_unit,
    signed_from_value,
    strips,
    tail_percentiles,
    to_signed,
    to_unit,
    unit_from_signed,
    value_from_signed,
)

EIGHT = PictureSpec()
SIXTEEN = PictureSpec(dtype="uint16", value_range=(0, 65535))
TWELVE = PictureSpec(dtype="uint16", value_range=(0, 4095))
FLOAT = PictureSpec(dtype="float32", value_range=(0.0, 1.0))


@pytest.mark.parametrize("spec", [EIGHT, SIXTEEN, TWELVE], ids=["8", "16", "12"])
def test_every_level_comes_back(spec):
    levels = np.arange(int(spec.value_range[1]) + 1).astype(spec.dtype)
    assert np.array_equal(from_signed(to_signed(levels, spec), spec), levels)
    assert np.array_equal(from_unit(to_unit(levels, spec), spec), levels)


@pytest.mark.parametrize("spec", [EIGHT, SIXTEEN, FLOAT], ids=["8", "16", "float"])
def test_the_ends_are_exact(spec):
    ends = np.array(spec.value_range, dtype=spec.dtype)
    assert to_unit(ends).tolist() == [0, 1]
    assert to_signed(ends).tolist() == [-1, 1]
    assert to_unit(ends).dtype == to_signed(ends).dtype == np.float32


@given(st.floats(-1, 1, width=32))
def test_nearest_level_not_the_one_below(value):
    level = from_signed(np.array([value], np.float32), EIGHT)[0]
    assert abs(float(level) - (value + 1) * 127.5) <= 0.5 + 1e-4


def test_out_of_range_is_clipped():
    assert from_unit(np.array([-0.5, 1.5], np.float32), EIGHT).tolist() == [0, 255]
    assert from_signed(np.array([-3, 3], np.float32), TWELVE).tolist() == [0, 4095]
    assert from_signed(np.array([-3, 3], np.float32), FLOAT).tolist() == [0, 1]


@pytest.mark.parametrize("convert", [from_unit, from_signed])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_without_a_level_are_an_error(convert, value):
    if value == np.inf:
        value = np.nan
    with pytest.raises(ImageError, match="NaN"):
        convert(np.array([value], np.float32), EIGHT)


def test_round_to_dtype():
    assert round_to_dtype(np.array([0.4, 0.6, 254.6, 300, -7]), "uint8").tolist() == [0, 1, 255, 255, 0]
    assert round_to_dtype(np.array([0.25]), "float32").dtype == np.float32


def test_arrays_and_tensors_agree():
    values = np.linspace(-5, 300, 50, dtype=np.float32)
    for convert in (signed_from_unit, unit_from_signed):
        assert np.array_equal(convert(torch.from_numpy(values)).numpy(), convert(values))
    for ranged in (signed_from_value, value_from_signed):
        assert np.allclose(ranged(torch.from_numpy(values), (0, 255)).numpy(), ranged(values, (0, 255)), rtol=1e-6)


def test_signed_and_unit_are_inverse():
    values = np.linspace(0, 1, 257, dtype=np.float32)
    assert np.allclose(unit_from_signed(signed_from_unit(values)), values, atol=1e-7)


@pytest.fixture(autouse=True)
def short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "STRIP", 100)


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
        for share in (0.5, 0.0, 50.0, float(rng.uniform(0, 50))):
            expected = np.percentile(pixels.astype(np.float64), (share, 100 - share)).tolist()
            assert list(tail_percentiles(pixels, share)) == expected


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
