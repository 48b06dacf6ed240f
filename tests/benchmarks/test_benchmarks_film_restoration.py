"""Benchmark of film restoration from one frame and from three."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.film_restoration import degraded, divide, measured, motion

from ganvas.image.picture import Picture
from ganvas.video import read_video, write_video


def frames(count: int) -> list[Picture]:
    """Return a smooth pattern that moves by one pixel per frame."""
    y, x = np.mgrid[:32, : 40 + count]
    wide = np.stack([128 + 100 * np.sin(x / 4), 3 * x, 120 + 100 * np.cos(y / 3)], -1).clip(0, 255).astype(np.uint8)
    return [Picture(np.ascontiguousarray(wide[:, number : number + 40])) for number in range(count)]


def test_the_end_of_the_film_is_held_out(tmp_path: Path) -> None:
    pytest.importorskip("av")
    write_video(tmp_path / "film.mkv", frames(20), rate=25)
    whole = [frame.picture.pixels for frame in read_video(tmp_path / "film.mkv")]
    data, held_out = divide(tmp_path / "film.mkv", tmp_path / "out")
    parts = [frame.picture.pixels for part in (data / "train" / "first.mkv", held_out) for frame in read_video(part)]
    np.testing.assert_allclose(np.array(parts, float), np.array(whole, float), atol=8)  # chroma is subsampled again
    assert len([*read_video(held_out)]) == 3


def test_a_flickering_film_has_the_larger_warp_error() -> None:
    pytest.importorskip("skimage")
    truth = frames(4)
    flows = motion(truth)
    same = measured(truth, truth, flows, None)
    bright = [Picture((one.pixels // 2 + 60 * (place % 2)).astype(np.uint8)) for place, one in enumerate(truth)]
    assert float(measured(bright, truth, flows, None)["warp_error"]) > 5 * float(same["warp_error"])
    assert float(same["psnr"]) > 99


def test_frames_are_degraded_as_in_training() -> None:
    (picture,) = frames(1)
    covered = degraded(picture, "mosaic").pixels
    assert (covered.reshape(4, 8, 5, 8, 3) == covered[::8, ::8][:, None, :, None]).all()
    assert degraded(picture, "reduce").pixels.shape == (8, 10, 3)
