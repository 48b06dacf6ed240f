"""Warp error: known motions are followed, hidden pixels are excluded, flicker is measured."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ganvas.errors import MissingDependency
from ganvas.metrics.flicker import optical_flow, visible_pixels, warp_error, warped


def scene(seed: int = 0, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    noise = np.random.default_rng(seed).random((*size, 3))
    soft = gaussian_filter(noise, (2, 2, 0))
    return ((soft - soft.min()) / (soft.max() - soft.min())).astype(np.float32)


def flow_of(rows: float, columns: float, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.stack([np.full(size, rows), np.full(size, columns)]).astype(np.float32)


def test_a_flow_leads_to_where_the_pixel_went() -> None:
    before = scene()
    after = np.roll(before, (2, -3), axis=(0, 1))
    back = warped(after, flow_of(2, -3))
    np.testing.assert_allclose(back[:-3, 4:], before[:-3, 4:], atol=1e-6)


@pytest.mark.parametrize("side", [320, 32])
def test_the_flow_of_a_shift_is_found_at_any_size(side: int) -> None:
    before = scene(size=(56, 72))
    after = np.roll(before, (1, 2), axis=(0, 1))
    flow = optical_flow(before, after, side=side)
    assert flow.shape == (2, 56, 72)
    middle = flow[:, 16:-16, 16:-16].mean(axis=(1, 2))
    np.testing.assert_allclose(middle, (1, 2), atol=0.35)


def test_a_film_that_moves_has_no_warp_error_and_flicker_has_its_own() -> None:
    before = scene()
    after = np.roll(before, (2, -3), axis=(0, 1))
    flow, visible = flow_of(2, -3), visible_pixels(flow_of(2, -3), flow_of(-2, 3))
    assert warp_error(before, after, flow, visible) == pytest.approx(0, abs=1e-12)
    assert warp_error(before, after + 0.1, flow, visible) == pytest.approx(0.01, rel=1e-5)
    assert (warp_error(before, after, flow_of(0, 0), visible) or 0) > 1e-3  # without the flow, motion counts as flicker


def test_what_leaves_the_picture_or_is_covered_does_not_count() -> None:
    visible = visible_pixels(flow_of(0, 10), flow_of(0, -10))
    assert visible[:, :54].all()
    assert not visible[:, 54:].any()
    forward, backward = flow_of(0, 0), flow_of(0, 0)
    backward[1, :, 20:30] = 6  # there the next frame shows content from elsewhere
    visible = visible_pixels(forward, backward)
    assert not visible[:, 20:30].any()
    assert visible[:, :20].all()
    assert visible[:, 30:].all()
    assert warp_error(scene(0), scene(1), forward, np.zeros((48, 64), bool)) is None


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingDependency, match="measuring flicker needs scikit-image: pip install"):
        optical_flow(scene(), scene())
