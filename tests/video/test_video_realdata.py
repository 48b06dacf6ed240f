"""Films of ../shared/data/video: read, written and read again, each with its special properties."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ganvas.errors import VideoError
from ganvas.image.picture import Picture
from ganvas.video import (
    FilmInfo,
    WriteOptions,
    check_writable,
    join_segments,
    plan_segments,
    probe,
    read_video,
    write_segment,
    write_video,
)

pytestmark = pytest.mark.realdata
FILMS = {
    "anamorphic.ts": 50, "bikes.mp4": 250, "bunny.mp4": 75, "carphone.mp4": 120, "hdr10.mp4": 25, "odd_size.mkv": 25,
    "rotated.mp4": 52, "ten_bit.mkv": 13, "tracks.mp4": 65, "vfr.mp4": 52, "webm.webm": 50,
}  # fmt: skip
"""Number of frames, counted by decoding."""
ANIMATIONS = {"animated.gif": (15, 2), "animated.webp": (6, 0), "animated.png": (6, 2)}
CARRIED = (
    "height", "width", "matrix", "sample_aspect_ratio", "pixel_format", "bit_depth", "color", "codec", "num_chapters",
)  # fmt: skip


@pytest.fixture
def films(real_data: Path) -> Path:
    return real_data / "video"


def sound(path: Path) -> list[list[tuple[Fraction, bytes]]]:
    with av.open(path) as film:
        found: dict[int, list[tuple[Fraction, bytes]]] = {stream.index: [] for stream in film.streams.audio}
        for packet in film.demux(film.streams.audio) if found else ():
            if packet.size:
                found[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet)))
        return list(found.values())


@pytest.mark.parametrize("name", FILMS)
def test_a_film_is_written_with_all_that_it_has(films: Path, tmp_path: Path, name: str) -> None:
    info = probe(films / name)
    check_writable(tmp_path / name, like=info)
    report = write_video(tmp_path / name, read_video(info), like=info, options=WriteOptions(crf=None))
    copied = probe(tmp_path / name)
    assert (report.num_frames, report.offset) == (FILMS[name], 0.0)
    assert [getattr(copied, field) for field in CARRIED] == [getattr(info, field) for field in CARRIED]
    for before, after in zip(read_video(info), read_video(copied), strict=True):
        assert after.time == before.time
        levels = 1 if before.picture.pixels.dtype == np.uint8 else 257
        difference = np.abs(before.picture.pixels.astype(float) - after.picture.pixels).mean() / levels
        assert difference == 0 if info.is_lossless else difference < 3.5
    assert sound(tmp_path / name) == sound(films / name)
    for kind in ("sound", "subtitles"):
        before, after = ([s.language for s in film.streams if s.kind == kind] for film in (info, copied))
        assert before == after


@pytest.mark.parametrize("name", ANIMATIONS)
def test_an_animation_is_copied_exactly(films: Path, tmp_path: Path, name: str) -> None:
    info, (count, loop) = probe(films / name), ANIMATIONS[name]
    write_video(tmp_path / name, read_video(info), like=info)
    copied = probe(tmp_path / name)
    assert (copied.num_frames, copied.loop, copied.duration) == (count, loop, info.duration)
    for before, after in zip(read_video(info), read_video(copied), strict=True):
        assert (before.pts, before.duration) == (after.pts, after.duration)
        assert np.abs(before.picture.pixels.astype(float) - after.picture.pixels).max() == 0


def test_nothing_planted_is_left_when_metadata_are_dropped(films: Path, tmp_path: Path) -> None:
    info, out = probe(films / "tracks.mp4"), tmp_path / "out.mp4"
    original = info.path.read_bytes()
    assert b"planted" in original
    assert b"loci" in original  # the location, in binary
    report = write_video(out, read_video(info), like=info, options=WriteOptions(subtitles=False, metadata=False))
    assert b"planted" not in out.read_bytes()
    assert b"loci" not in out.read_bytes()
    assert [stream.kind for stream in probe(out).streams] == ["video", "sound", "sound"]
    assert set(report.dropped) >= {"chapters", "metadata", "subtitles stream 3"}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_clock_that_begins_anywhere_begins_at_zero_elsewhere(films: Path, tmp_path: Path, suffix: str) -> None:
    info, out = probe(films / "anamorphic.ts"), tmp_path / f"out{suffix}"
    report = write_video(out, read_video(info), like=info)
    assert report.offset == pytest.approx(-1235.89, abs=0.001)
    late = sound(out)[0][0][0] - sound(info.path)[0][0][0]
    for before, after in zip(read_video(info), read_video(out), strict=True):
        assert after.time - before.time == pytest.approx(float(late), abs=0.0011)


@pytest.mark.parametrize(
    ("name", "place", "count", "repeated"),
    [("cut_short.mp4", "truncated", 66, 0), ("damaged.mp4", r"frame 4\d \(1\.\d+ s\)", 77, 17)],
)
def test_damage_is_an_error_or_skipped(
    films: Path, tmp_path: Path, name: str, place: str, count: int, repeated: int
) -> None:
    info, out = probe(films / name), tmp_path / "out.mp4"
    with pytest.raises(VideoError, match=rf"{name}: {place}"):
        write_video(out, read_video(info), like=info)
    assert not list(tmp_path.iterdir())
    frames = list(read_video(info, skip_damaged=True))
    assert [frame.pts for frame in frames] == [512 * number for number in range(count)]
    assert sum(frame.repeated for frame in frames) == repeated
    assert write_video(out, frames, like=info).num_frames == count


@pytest.mark.parametrize("name", ["audio_only.mp4", "not_a_film.mp4"])
def test_what_has_no_picture_is_said(films: Path, name: str) -> None:
    with pytest.raises(VideoError, match=r"no video stream|cannot be opened as a film"):
        list(read_video(films / name))


@pytest.mark.parametrize("name", ["bikes.mp4", "vfr.mp4", "anamorphic.ts"])
def test_a_film_is_joined_from_segments(films: Path, tmp_path: Path, name: str) -> None:
    info, out = probe(films / name), tmp_path / name
    everything = list(read_video(info))
    segments = plan_segments(info, seconds=1)
    assert len(segments) > 1
    parts = []
    for segment in segments:
        frames = list(read_video(info, segment=segment))
        planned = everything[segment.first : segment.first + len(frames)]
        for frame, same in zip(frames, planned, strict=True):
            assert (frame.index, frame.pts) == (same.index, same.pts)
            assert np.array_equal(frame.picture.pixels, same.picture.pixels)
        parts.append(tmp_path / f"{segment.number}.part")
        write_segment(parts[-1], frames, like=info, out=out)
    assert join_segments(out, parts, like=info).num_frames == FILMS[name]
    assert [frame.time for frame in read_video(out)] == [frame.time for frame in everything]
    assert sound(out) == sound(info.path)


@pytest.mark.parametrize("name", ["rotated.mp4", "ten_bit.mkv", "anamorphic.ts", "odd_size.mkv", "hdr10.mp4"])
def test_only_the_changed_region_is_encoded_anew(films: Path, tmp_path: Path, name: str) -> None:
    """With a lossless codec, so that every sample can be compared."""
    info, out = probe(films / name), tmp_path / "out.mkv"
    mask = np.zeros((info.height, info.width), bool)
    mask[20:60, 32:64] = True
    sources: list[Any] = []

    def covered(info: FilmInfo) -> Any:
        for frame in read_video(info, stop=3):
            sources.append(frame)
            black = frame.picture.pixels.copy()
            black[mask] = 0
            yield frame.with_picture(Picture(black), changed=mask)

    options = WriteOptions(codec="ffv1", until=0.0, sound=False)
    write_video(out, covered(info), like=info, options=options)
    stored = info.orientation.stored(mask)
    for before, after in zip(sources, read_video(out), strict=True):
        for a, b in zip(before.native.planes, after.native.planes, strict=True):
            left, right = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size) for p in (a, b))
            width = a.width * (2 if info.bit_depth > 8 else 1)
            rows, columns = np.nonzero(left[: a.height, :width] != right[: a.height, :width])
            down, across = stored.shape[0] / a.height, stored.shape[1] / width
            inside = np.argwhere(stored)
            assert rows.min() * down >= inside[:, 0].min() - 1
            assert (rows.max() - 1) * down <= inside[:, 0].max()
            assert columns.min() * across >= inside[:, 1].min() - 1
            assert (columns.max() - 1) * across <= inside[:, 1].max()
        assert after.picture.pixels[25:55, 36:60].mean() / np.iinfo(after.picture.pixels.dtype).max < 0.03


PEAK = """
import resource, sys
from ganvas.image.picture import Picture
from ganvas.video import probe, read_video, write_video
info = probe(sys.argv[1])
def frames():
    for frame in read_video(info):
        yield frame.with_picture(Picture(255 - frame.picture.pixels))
write_video(sys.argv[2], frames(), like=info)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(films: Path, tmp_path: Path) -> None:
    info = probe(films / "bunny.mp4")
    pictures = [frame.picture for frame in read_video(info)]
    peaks = []
    for count in (75, 2000):
        film = tmp_path / f"{count}.mp4"
        write_video(film, (pictures[number % 75] for number in range(count)), rate=25)
        command = [sys.executable, "-c", PEAK, str(film), str(tmp_path / f"out{count}.mp4")]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert peaks[1] < 1.1 * peaks[0], peaks
