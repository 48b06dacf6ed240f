"""Animations: the same output format, every frame, delays, loop counts and opacity."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from film_maker import make_film, pixels
from PIL import Image

from ganvas.errors import VideoError
from ganvas.image.picture import Picture
from ganvas.video import WriteOptions, check_writable, probe, read_video, write_video

DELAYS = [40, 200, 70, 30]


def few_colors(number: int) -> np.ndarray:
    return pixels(number, 30, 40) // 64 * 64


def animation(path: Path, *, opacity: bool = False, equal: bool = False) -> Path:
    frames = [Image.fromarray(few_colors(0 if equal else number)) for number in range(4)]
    if opacity:
        for number, frame in enumerate(frames):
            alpha = np.full((30, 40), 255, np.uint8)
            alpha[:10, : 5 + number] = 0
            frame.putalpha(Image.fromarray(alpha))
    lossless = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
    kept = {"disposal": 2} if path.suffix == ".gif" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=DELAYS, loop=3, **lossless, **kept)
    return path


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("opacity", [False, True], ids=["opaque", "transparent"])
def test_an_animation_is_copied_exactly(tmp_path: Path, suffix: str, opacity: bool) -> None:
    source, out = animation(tmp_path / f"a{suffix}", opacity=opacity), tmp_path / f"b{suffix}"
    info = probe(source)
    check_writable(out, like=info)
    report = write_video(out, read_video(info), like=info)
    copied = probe(out)
    assert (report.num_frames, copied.loop, copied.has_alpha, info.has_alpha) == (4, 3, opacity, opacity)
    for before, after in zip(read_video(info), read_video(copied), strict=True):
        assert before.duration == after.duration
        visible = np.ones((30, 40), bool) if not opacity else before.picture.pixels[:, :, 3] > 0
        assert np.array_equal(before.picture.pixels[visible], after.picture.pixels[visible])
        if opacity:
            assert np.array_equal(before.picture.pixels[:, :, 3], after.picture.pixels[:, :, 3])


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_equal_frames_are_not_merged(tmp_path: Path, suffix: str) -> None:
    info = probe(animation(tmp_path / f"a{suffix}"))
    still = Picture(few_colors(0))
    write_video(tmp_path / f"b{suffix}", (frame.with_picture(still) for frame in read_video(info)), like=info)
    frames = list(read_video(tmp_path / f"b{suffix}"))
    assert [round(frame.time * 1000) for frame in frames] == [0, 40, 240, 310]


def test_frames_of_many_colors_become_a_palette(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    soft = np.stack([np.add.outer(np.arange(30), np.arange(40)) * 3] * 3, -1).astype(np.uint8)
    soft[:, :, 1] = np.arange(40) * 6
    write_video(tmp_path / "a.gif", [Picture(noise), Picture(soft)], rate=10)
    last = list(read_video(tmp_path / "a.gif"))[-1].picture.pixels
    assert np.abs(last.astype(float) - soft).mean() < 6


def test_a_film_becomes_an_animation_and_back(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=6, sound=("eng",))
    with pytest.raises(VideoError, match=r"\.gif cannot store sound; .*sound=False"):
        check_writable(tmp_path / "b.gif", like=film)
    silent = WriteOptions(sound=False)
    report = write_video(tmp_path / "b.webp", read_video(film), like=film, options=silent)
    assert report.num_frames == 6
    assert (probe(tmp_path / "b.webp").loop, probe(tmp_path / "b.webp").duration) == (0, pytest.approx(0.24))
    back = probe(tmp_path / "b.webp")
    write_video(tmp_path / "c.mp4", read_video(back), like=back)
    assert [frame.time for frame in read_video(tmp_path / "c.mp4")] == pytest.approx([0.04 * n for n in range(6)])
    for first, last in zip(read_video(film), read_video(tmp_path / "c.mp4"), strict=True):
        assert np.abs(first.picture.pixels.astype(float) - last.picture.pixels).mean() < 4


def test_opacity_that_a_film_cannot_hold_is_said(tmp_path: Path) -> None:
    info = probe(animation(tmp_path / "a.png", opacity=True))
    report = write_video(tmp_path / "b.mp4", read_video(info), like=info)
    assert "opacity" in report.dropped


def test_thirtieths_of_a_second_stay_exact(tmp_path: Path) -> None:
    write_video(tmp_path / "a.png", (Picture(pixels(number)) for number in range(4)), rate=30)
    info = probe(tmp_path / "a.png")
    write_video(tmp_path / "b.png", read_video(info), like=info)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert b"\x00\x01\x00\x1e" in (tmp_path / "a.png").read_bytes()  # 1/30


def test_a_codec_or_quality_makes_no_sense_for_animations(tmp_path: Path) -> None:
    info = probe(animation(tmp_path / "a.gif"))
    with pytest.raises(VideoError, match="do not support codec and quality"):
        write_video(tmp_path / "b.gif", read_video(info), like=info, options=WriteOptions(crf=18))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, suffix: str) -> None:
    """An animation is one segment, but only few of its frames are in memory at once, in reading and writing."""

    def frames(count: int) -> Iterator[Picture]:
        for number in range(count):
            yield Picture(np.roll(few_colors(0).repeat(4, 0).repeat(4, 1), 3 * number, axis=1))

    peaks = []
    for count in (6, 48):
        source = tmp_path / f"{count}{suffix}"
        write_video(source, frames(count), rate=Fraction(10))
        tracemalloc.start()
        info = probe(source)
        made = (frame.with_picture(Picture(255 - frame.picture.pixels)) for frame in read_video(info))
        write_video(tmp_path / f"made{count}{suffix}", made, like=info)
        peaks.append(tracemalloc.get_traced_memory()[1] - source.stat().st_size)
        tracemalloc.stop()
    assert peaks[1] < 1.25 * peaks[0] + 2**16
