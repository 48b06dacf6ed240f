"""Reading of films: timestamps, orientation, colors, segments, and errors."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from film_maker import STEP, make_film, pixels, spoil
from PIL import Image

from ganvas.errors import MissingDependency, VideoError
from ganvas.video import is_film, plan_segments, probe, read_video


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_frames_have_numbers_times_and_pictures(tmp_path: Path) -> None:
    stamps = [0, 512, 2048, 2560, 5120]  # variable frame rate
    frames = list(read_video(make_film(tmp_path / "a.mp4", frames=5, stamps=stamps)))
    assert [frame.pts for frame in frames] == stamps
    assert [frame.index for frame in frames] == list(range(5))
    assert frames[2].time == pytest.approx(0.16)
    for frame in frames:
        assert frame.picture.pixels.dtype == np.uint8
        assert difference(frame.picture.pixels, pixels(frame.index)) < 6


@pytest.mark.parametrize("name", ["12:30.mkv", "2024-05-01T12:30:00.mkv", "file:a.mkv"])
def test_a_relative_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    make_film(tmp_path / "a.mkv", frames=3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).path == Path(name)
    assert len(list(read_video(name))) == 3


def test_a_film_can_be_read_from_any_frame_on(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=30, options={"g": "10"})
    everything = list(read_video(film))
    part = list(read_video(film, start=14, stop=23))
    assert [frame.index for frame in part] == list(range(14, 23))
    for frame in part:
        assert np.array_equal(frame.picture.pixels, everything[frame.index].picture.pixels)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(
    "options", [{"g": "8"}, {"g": "8", "x264-params": "open-gop=1:bframes=3"}], ids=["gop", "open"]
)
def test_segments_hold_every_frame_once(tmp_path: Path, suffix: str, options: dict[str, str]) -> None:
    film = make_film(tmp_path / f"a{suffix}", frames=30, options=options)
    everything = list(read_video(film))
    segments = plan_segments(film, seconds=0.3)
    assert len(segments) > 2
    joined = [frame for segment in segments for frame in read_video(film, segment=segment)]
    assert [(frame.index, frame.pts) for frame in joined] == [(frame.index, frame.pts) for frame in everything]
    assert all(np.array_equal(a.picture.pixels, b.picture.pixels) for a, b in zip(joined, everything, strict=True))


def test_frames_are_upright(tmp_path: Path) -> None:
    quarter_turn = (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)
    film = make_film(tmp_path / "a.mp4", frames=2, matrix=quarter_turn, aspect=Fraction(4, 3))
    info = probe(film)
    assert (info.height, info.width, info.rotation) == (64, 48, 90)
    assert info.sample_aspect_ratio == Fraction(3, 4)
    frame = next(read_video(info))
    assert difference(frame.picture.pixels, np.rot90(pixels(0))) < 6


def test_mirrored_frames_are_turned_back(tmp_path: Path) -> None:
    mirrored = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    frame = next(read_video(make_film(tmp_path / "a.mp4", frames=1, matrix=mirrored)))
    assert difference(frame.picture.pixels, pixels(0)[:, ::-1]) < 6


@pytest.mark.parametrize(("matrix", "kr", "kb"), [(1, 0.2126, 0.0722), (5, 0.299, 0.114), (9, 0.2627, 0.0593)])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_colors_follow_the_films_own_matrix_and_range(
    tmp_path: Path, matrix: int, kr: float, kb: float, full: bool
) -> None:
    """Y, Cb, Cr of ITU-T H.273, equations 38 to 40."""
    planes = np.stack([np.full((16, 16), level, np.uint8) for level in (120, 100, 150)])
    with av.open(tmp_path / "a.mkv", "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.height = stream.width = 16
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, "yuv444p")))
        out.mux(stream.encode(None))
    luma, blue, red = (120.0, -28.0, 22.0) if full else ((120 - 16) * 255 / 219, -28 * 255 / 224, 22 * 255 / 224)
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    expected = [r, (luma - kr * r - kb * b) / (1 - kr - kb), b]
    found = next(read_video(tmp_path / "a.mkv")).picture.pixels[8, 8]
    assert np.abs(found - np.array(expected)).max() < 1


def test_ten_bits_are_read_as_sixteen(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mkv", codec="ffv1", pixel_format="yuv422p10le", frames=1)
    frame = next(read_video(film))
    assert probe(film).bit_depth == 10
    assert frame.picture.pixels.dtype == np.uint16
    assert difference(frame.picture.pixels / 257, pixels(0)) < 4
    assert len(np.unique(frame.picture.pixels)) > 256


def test_damage_is_an_error_with_its_place_or_skipped(tmp_path: Path) -> None:
    film = spoil(make_film(tmp_path / "a.mp4", frames=30, options={"g": "10"}), 17)
    with pytest.raises(VideoError, match=r"a\.mp4: frame 18 \(0\.720 s\)") as failure:
        list(read_video(film))
    assert (failure.value.frame, failure.value.exit_code) == (18, 2)
    frames = list(read_video(film, skip_damaged=True))
    assert [frame.pts for frame in frames] == [number * STEP for number in range(30)]
    repeated = [frame.index for frame in frames if frame.repeated]
    assert 0 < len(repeated) < 5
    first = repeated[0]
    assert np.array_equal(frames[first].picture.pixels, frames[first - 1].picture.pixels)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_files_cut_short_are_errors(tmp_path: Path, suffix: str) -> None:
    fast = {"movflags": "faststart"} if suffix == ".mp4" else {}
    film = make_film(tmp_path / f"whole{suffix}", codec="mpeg4", options=fast)
    if suffix == ".mp4":  # the index comes first, as for streaming, so that the beginning can be read
        with av.open(film) as source, av.open(tmp_path / "fast.mp4", "w", options=fast) as out:
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
        film = tmp_path / "fast.mp4"
    (tmp_path / f"cut{suffix}").write_bytes(film.read_bytes()[:-300])
    with pytest.raises(VideoError, match="truncated"):
        list(read_video(tmp_path / f"cut{suffix}"))


def test_what_is_no_film_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(VideoError, match=r"text\.mp4: cannot be opened as a film"):
        probe(tmp_path / "text.mp4")
    with av.open(tmp_path / "sound.mp4", "w") as out:
        track = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        out.mux([*track.encode(frame), *track.encode(None)])
    with pytest.raises(VideoError, match=r"no video stream \(it contains audio\)"):
        probe(tmp_path / "sound.mp4")
    with pytest.raises(OSError, match="No such file"):
        probe(tmp_path / "absent.mp4")


def test_films_are_told_by_content_and_suffix(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=1)
    (tmp_path / "nameless").write_bytes(film.read_bytes())
    make_film(tmp_path / "b.ts", frames=30)
    (tmp_path / "script.ts").write_text("export const answer: number = 42;\n" * 20)
    (tmp_path / "broken.mkv").write_bytes(b"nothing")
    still, other = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "white")
    for suffix in ("gif", "webp", "png"):
        still.save(tmp_path / f"still.{suffix}")
        still.save(tmp_path / f"moving.{suffix}", save_all=True, append_images=[other], duration=50)
    films = {path.name for path in tmp_path.iterdir() if is_film(path)}
    assert films == {"a.mp4", "nameless", "b.ts", "broken.mkv", "moving.gif", "moving.webp", "moving.png"}


def test_animations_have_delays_loops_and_opacity(tmp_path: Path) -> None:
    images = [Image.new("RGBA", (20, 10), (number * 40, 0, 0, 255 if number else 0)) for number in range(3)]
    images[0].save(
        tmp_path / "a.png", save_all=True, append_images=images[1:], duration=[40, 200, 70], loop=3, default_image=False
    )
    info = probe(tmp_path / "a.png")
    assert (info.loop, info.has_alpha, info.num_frames, info.container) == (3, True, 3, "apng")
    frames = list(read_video(info))
    assert [round(frame.time, 6) for frame in frames] == [0, 0.04, 0.24]
    assert [frame.picture.pixels[0, 0].tolist() for frame in frames] == [
        [0, 0, 0, 0], [40, 0, 0, 255], [80, 0, 0, 255],
    ]  # fmt: skip


def test_a_damaged_animation_names_its_frame(tmp_path: Path) -> None:
    images = [Image.fromarray(pixels(number)) for number in range(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], lossless=True)
    data = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=r"a\.webp"):
        list(read_video(tmp_path / "a.webp"))


def test_files_are_closed_when_reading_stops_early(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4")
    frames = read_video(film)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    open_files = [link.resolve() for link in Path("/proc/self/fd").iterdir()] if Path("/proc/self/fd").exists() else []
    assert film.resolve() not in open_files


def test_without_pyav_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = make_film(tmp_path / "a.mp4", frames=1)
    monkeypatch.setitem(sys.modules, "av", None)
    assert is_film(film)
    with pytest.raises(MissingDependency, match="reading and writing films needs PyAV: pip install"):
        probe(film)


def test_importing_the_package_imports_no_pyav() -> None:
    code = "import sys, ganvas.video, ganvas.cli; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mkv", "libx265", {"g": "8", "x265-params": "log-level=error:open-gop=1:bframes=3:keyint=8:min-keyint=8"}),
        (".mpg", "mpeg2video", {"g": "6", "bf": "2"}),
        (".webm", "libvpx-vp9", {"g": "8", "cpu-used": "8", "deadline": "realtime"}),
        (".mp4", "libsvtav1", {"g": "8", "preset": "10"}),
        (".avi", "mpeg4", {"g": "8"}),
        (".mkv", "ffv1", {}),
    ],
)
def test_segments_of_any_codec_hold_the_same_frames(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    film = make_film(tmp_path / f"a{suffix}", frames=26, codec=codec, options=options, size=(96, 128))
    everything = list(read_video(film))
    joined = [frame for part in plan_segments(film, seconds=0.2) for frame in read_video(film, segment=part)]
    assert len(everything) == 26
    assert [(frame.index, frame.pts) for frame in joined] == [(frame.index, frame.pts) for frame in everything]
    assert all(np.array_equal(a.picture.pixels, b.picture.pixels) for a, b in zip(joined, everything, strict=True))


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", ".avi"), ("libx265", ".mp4"), ("png", ".mov")])
def test_damage_is_found_in_other_codecs(tmp_path: Path, codec: str, suffix: str) -> None:
    options = {"ffv1": {"level": "3", "slicecrc": "1"}, "libx265": {"x265-params": "log-level=error"}}.get(codec, {})
    pixel_format = "rgb24" if codec == "png" else "yuv420p"
    film = make_film(tmp_path / f"a{suffix}", frames=12, codec=codec, options=options, pixel_format=pixel_format)
    spoil(film, 3, length=400, at_start=codec == "libx265")
    with pytest.raises(VideoError, match=r"frame \d|no frame can be decoded"):
        list(read_video(film))


def test_a_codec_without_decoder_and_a_film_without_frames_are_said(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=2)
    film.write_bytes(film.read_bytes().replace(b"avc1", b"zzz1").replace(b"avcC", b"zzzC"))
    with pytest.raises(VideoError, match=r"a\.mp4: FFmpeg does not support its video codec"):
        probe(film)
    with av.open(tmp_path / "empty.mkv", "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height = stream.width = 16
        stream.pix_fmt = "yuv420p"
        out.start_encoding()
    with pytest.raises(VideoError, match=r"empty\.mkv: (no frame can be decoded|cannot be opened as a film)"):
        probe(tmp_path / "empty.mkv")
    with pytest.raises(VideoError, match=r"b\.mp4: no frame can be decoded \(Invalid data"):
        probe(spoil(make_film(tmp_path / "b.mp4", frames=1), 0, length=4000, at_start=True))
