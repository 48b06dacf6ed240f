"""Segments of films: parts that are encoded separately, and the film joined from them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from film_maker import make_film, spoil

from ganvas.errors import VideoError
from ganvas.image.picture import Picture
from ganvas.video import (
    FilmInfo,
    Frame,
    WriteOptions,
    join_segments,
    plan_segments,
    probe,
    read_video,
    write_segment,
    write_video,
)


def inverted(frame: Frame) -> Frame:
    return frame.with_picture(Picture(255 - frame.picture.pixels))


def write_parts(info: FilmInfo, folder: Path, out: Path, options: WriteOptions | None = None) -> list[Path]:
    parts = []
    for segment in plan_segments(info, seconds=0.3):
        part = folder / f"{segment.number}.part"
        frames = (inverted(frame) for frame in read_video(info, segment=segment))
        count = write_segment(part, frames, like=info, out=out, options=options or WriteOptions())
        assert count == segment.num_frames
        parts.append(part)
    return parts


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", None), (".mkv", "hevc"), (".mkv", "ffv1"), (".webm", "vp9"), (".ts", "mpeg2")]
)
def test_a_film_of_parts_is_the_same_to_the_byte_and_whole(tmp_path: Path, suffix: str, codec: str | None) -> None:
    sound = () if suffix in (".webm", ".ts") else ("eng",)
    film = make_film(tmp_path / "a.mp4", frames=30, options={"g": "10", "bf": "2"}, sound=sound)
    info, options = probe(film), WriteOptions(codec=codec)
    written = []
    for attempt in ("first", "second"):
        out = tmp_path / f"{attempt}{suffix}"
        parts = write_parts(info, tmp_path / attempt, out, options)
        report = join_segments(out, parts, like=info, options=options)
        assert (len(parts), report.num_frames) == (3, 30)
        written.append(out.read_bytes())
    assert written[0] == written[1]
    frames = list(read_video(tmp_path / f"first{suffix}"))
    assert [frame.time - frames[0].time for frame in frames] == pytest.approx([0.04 * n for n in range(30)], abs=6e-4)
    for frame, before in zip(frames, read_video(film), strict=True):
        assert np.abs(255.0 - before.picture.pixels - frame.picture.pixels).mean() < 3


def test_a_film_of_variable_rate_is_joined_with_its_times(tmp_path: Path) -> None:
    stamps = np.cumsum([0, *np.random.default_rng(3).integers(100, 1500, 29)]).tolist()
    info = probe(make_film(tmp_path / "a.mp4", frames=30, stamps=stamps, options={"g": "7", "bf": "3"}))
    join_segments(tmp_path / "b.mp4", write_parts(info, tmp_path / "parts", tmp_path / "b.mp4"), like=info)
    assert [frame.pts for frame in read_video(tmp_path / "b.mp4")] == stamps


def test_parts_of_other_settings_or_cut_short_are_refused(tmp_path: Path) -> None:
    info, out = probe(make_film(tmp_path / "a.mp4", frames=30, options={"g": "10"})), tmp_path / "b.mp4"
    parts = write_parts(info, tmp_path / "parts", out)
    with pytest.raises(VideoError, match=r"0\.part: encoded with other settings"):
        join_segments(out, parts, like=info, options=WriteOptions(crf=30))
    with pytest.raises(VideoError, match="overlap in time"):
        join_segments(out, [parts[1], parts[0], parts[2]], like=info)
    parts[1].write_bytes(parts[1].read_bytes()[:-30])
    with pytest.raises(VideoError, match=r"1\.part: a truncated part of a film"):
        join_segments(out, parts, like=info)
    parts[1].write_bytes(b"something else")
    with pytest.raises(VideoError, match=r"1\.part: not a part of a film"):
        join_segments(out, parts, like=info)
    with pytest.raises(VideoError, match="no part to join"):
        join_segments(out, [], like=info)
    assert not out.exists()


def test_a_part_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "a.mp4", frames=5))
    failing = (frame for frame in read_video(info) if 1 / (3 - frame.index))
    with pytest.raises(ZeroDivisionError):
        write_segment(tmp_path / "0.part", failing, like=info, out=tmp_path / "b.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_an_animation_is_one_segment(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "a.mp4", frames=4))
    write_video(tmp_path / "a.gif", read_video(info), like=info)
    animation = probe(tmp_path / "a.gif")
    segments = plan_segments(animation)
    write_segment(
        tmp_path / "0.part", read_video(animation, segment=segments[0]), like=animation, out=tmp_path / "b.gif"
    )
    report = join_segments(tmp_path / "b.gif", [tmp_path / "0.part"], like=animation)
    assert (len(segments), report.num_frames) == (1, 4)
    assert len(list(read_video(tmp_path / "b.gif"))) == 4


def test_a_segment_without_a_readable_frame_repeats_the_one_before_it(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mov", frames=30, codec="png", pixel_format="rgb24")
    info = probe(film)
    plan = plan_segments(info, seconds=0.4)
    assert [segment.first for segment in plan] == [0, 10, 20]
    for packet in range(10, 20):
        spoil(film, packet, length=4000, at_start=True)
    assert plan_segments(info, seconds=0.4) == plan
    whole = list(read_video(info, skip_damaged=True))
    parts = [frame for segment in plan for frame in read_video(info, segment=segment, skip_damaged=True)]
    for frames in (whole, parts):
        assert [frame.index for frame in frames if frame.repeated] == list(range(10, 20))
        assert [frame.index for frame in frames] == list(range(30))
        assert all(np.array_equal(frames[9].picture.pixels, frame.picture.pixels) for frame in frames[10:20])


def test_damage_does_not_make_one_segment_of_a_film(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=30, options={"g": "10"})
    spoil(film, 5, length=4000, at_start=True)
    assert [segment.first for segment in plan_segments(film, seconds=0.3)] == [0, 10, 20]


ENCODE = """
import sys
from ganvas.video import probe, read_video, write_segment
info = probe(sys.argv[1])
write_segment(sys.argv[2], read_video(info), like=info, out="b.mp4")
"""


def test_bytes_do_not_depend_on_what_memory_held_before(tmp_path: Path) -> None:
    """x264's macroblock tree reads uninitialized memory; glibc fills new memory with this number."""
    film = make_film(tmp_path / "a.mp4", frames=8, size=(144, 176))
    written = set()
    for filling in ("1", "85"):
        part = tmp_path / filling
        environment = {**os.environ, "MALLOC_PERTURB_": filling}
        subprocess.run([sys.executable, "-c", ENCODE, str(film), str(part)], check=True, env=environment)
        written.add(part.read_bytes())
    assert len(written) == 1
