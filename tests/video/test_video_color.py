"""Color conversion: round trips, and conversion of the changed part of a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from film_maker import make_film

from ganvas.image.picture import Picture
from ganvas.video import probe, read_video
from ganvas.video.color import PictureConverter, changed_box, put_changed

FORMATS = ["yuv420p", "yuv444p", "yuv422p10le", "yuv420p10le", "bgra", "yuv411p", "gray"]


def samples(frame: object) -> list[np.ndarray]:
    deep, wide = "10" in frame.format.name, 4 if frame.format.name == "bgra" else 1  # type: ignore[attr-defined]
    found = []
    for plane in frame.planes:  # type: ignore[attr-defined]
        values = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)
        found.append(values[:, : wide * plane.width].astype(int))
    return found


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_planes_survive_the_way_to_rgb_and_back(tmp_path: Path, pixel_format: str) -> None:
    film = make_film(tmp_path / "a.mkv", frames=1, codec="ffv1", pixel_format=pixel_format, size=(96, 128))
    info, frame = probe(film), next(read_video(film))
    back = PictureConverter(info).to_frame(frame.picture, info.orientation)
    for number, (before, after) in enumerate(zip(samples(frame.native), samples(back), strict=True)):
        difference = np.abs(before - after)
        level = 4 if "10" in pixel_format else 1
        assert difference.mean() < 0.5 * level
        subsampled = number > 0 and pixel_format not in ("yuv444p", "bgra")
        assert np.percentile(difference, 98) <= (2 if subsampled else 1) * level


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_a_part_is_converted_as_the_whole_is(tmp_path: Path, pixel_format: str) -> None:
    """Random pixels, so that every sample near the region's edge matters."""
    film = make_film(tmp_path / "a.mkv", frames=1, codec="ffv1", pixel_format=pixel_format, size=(152, 212))
    info, frame = probe(film), next(read_video(film))
    convert, values = PictureConverter(info), np.iinfo(frame.picture.pixels.dtype).max
    noise = np.random.default_rng(1).integers(0, values, frame.picture.pixels.shape).astype(frame.picture.pixels.dtype)
    picture, changed = Picture(noise, frame.picture.has_alpha), np.zeros((152, 212), bool)
    changed[70:90, 101:140] = True
    box = changed_box(changed)
    assert box is not None
    mixed = convert.as_stored(frame.native)
    put_changed(mixed, convert.to_frame(picture, info.orientation, box), box, changed)
    whole = convert.to_frame(picture, info.orientation)
    for plane, before, full in zip(samples(mixed), samples(frame.native), samples(whole), strict=True):
        rows, columns = plane.shape[0] / 152, plane.shape[1] / 212
        top, bottom, left, right = 70 * rows, 90 * rows, 101 * columns, 140 * columns
        inside = np.s_[int(np.ceil(top)) : int(bottom), int(np.ceil(left)) : int(right)]
        assert np.array_equal(plane[inside], full[inside])
        outside = np.ones(plane.shape, bool)
        outside[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = False
        assert np.array_equal(plane[outside], before[outside])


def test_nothing_changed_has_no_box() -> None:
    assert changed_box(np.zeros((10, 10), bool)) is None
    corner = np.zeros((100, 100), bool)
    corner[99, 99] = True
    box = changed_box(corner)
    assert box is not None
    assert (box.right, box.bottom) == (100, 100)
    assert box.left <= 67
