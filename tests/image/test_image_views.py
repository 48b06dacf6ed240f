"""Views of a picture: which channels and ranges they show."""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.image.picture import Picture
from ganvas.image.views import views


@pytest.mark.parametrize(("low", "high"), [(0, 40), (200, 250), (110, 160)], ids=["dark", "bright", "flat"])
def test_dark_and_flat_pictures_are_seen_with_contrast(rng: np.random.Generator, low: int, high: int) -> None:
    pixels = rng.integers(low, high, (40, 50, 3), dtype=np.uint8)
    plain, stretched = views(Picture(pixels))
    assert np.ptp(plain) < 64
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_pictures_with_contrast_are_seen_once(rng: np.random.Generator) -> None:
    assert len(list(views(Picture(rng.integers(0, 100, (2000, 900, 3), dtype=np.uint8))))) == 1


@pytest.mark.parametrize(("channels", "count"), [(1, 1), (2, 2), (3, 1), (4, 2), (5, 3), (32, 30)])
def test_how_many_views(channels: int, count: int) -> None:
    seen = list(views(Picture(np.full((4, 5, channels), 7, np.uint8))))
    assert len(seen) == count
    assert all(view.shape == (4, 5, 3) and view.dtype == np.uint8 for view in seen)


def test_twelve_bits_in_sixteen_are_seen_with_contrast(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 4096, (16, 16, 3)).astype(np.uint16)
    natural, stretched = views(Picture(pixels))
    assert natural.max() <= 16
    assert stretched.max() == 255


def test_radiances_beyond_one_are_seen_with_contrast(rng: np.random.Generator) -> None:
    natural, stretched = views(Picture(rng.uniform(0, 50, (16, 16, 3)).astype(np.float32)))
    assert np.mean(natural == 255) > 0.9
    assert 100 < stretched.mean() < 155
