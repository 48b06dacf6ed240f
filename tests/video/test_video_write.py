"""Writing of films: frames and timestamps, sound, dropped streams, geometry, color, quality, and errors."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from film_maker import STEP, make_film, pixels, spoil

from ganvas.errors import ConfigError, VideoError
from ganvas.image.picture import Picture
from ganvas.video import WRITTEN_SUFFIXES, WriteOptions, check_writable, codecs, probe, read_video, write_video

DROP_ALL = WriteOptions(subtitles=False, metadata=False)


def copy(film: Path, out: Path, **options: Any) -> Any:
    info = probe(film)
    return write_video(out, read_video(info), like=info, options=WriteOptions(**options))


def packets(path: Path, kind: str) -> list[list[tuple[float, bytes]]]:
    """Return the timestamps and bytes of each track of a kind."""
    with av.open(path) as film:
        tracks = [stream for stream in film.streams if stream.type == kind]
        if not tracks:
            return []
        found: dict[int, list[tuple[float, bytes]]] = {stream.index: [] for stream in tracks}
        for packet in film.demux(tracks):
            if packet.size:
                found[packet.stream.index].append((float(packet.pts * packet.time_base), bytes(packet)))
        return list(found.values())


def planes(frame: Any) -> list[np.ndarray]:
    return [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).copy() for plane in frame.native.planes]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".nut"])
def test_every_frame_keeps_its_own_time(tmp_path: Path, suffix: str) -> None:
    stamps = [0, 512, 2560, 3072, 6656, 8192, 8704, 9216]
    film = make_film(tmp_path / "a.mp4", frames=8, stamps=stamps, options={"bf": "2"})
    report = copy(film, tmp_path / f"b{suffix}")
    assert (report.num_frames, report.offset) == (8, 0.0)
    times = np.array([frame.time for frame in read_video(tmp_path / f"b{suffix}")])
    expected = np.array(stamps) / 12800
    assert np.abs(times - times[0] - expected).max() < 0.0006
    assert suffix in (".ts", ".nut") or times[0] == 0


@pytest.mark.parametrize("name", ["12:30.mp4", "2024-05-01T12:30:00.mkv", "file:b.mkv"])
def test_a_relative_name_with_a_colon_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    film = make_film(tmp_path / "a.mp4", frames=3, sound=("eng",))
    monkeypatch.chdir(tmp_path)
    copy(film, Path(name))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.mp4", name])
    assert len(packets(tmp_path / name, "video")[0]) == 3
    copy(Path(name), Path(f"again {name}"))
    assert packets(tmp_path / f"again {name}", "audio") == packets(tmp_path / name, "audio")


def test_the_last_frame_is_shown_as_long_as_before(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=5)
    copy(film, tmp_path / "b.mp4")
    assert [frame.duration for frame in read_video(tmp_path / "b.mp4")] == [STEP] * 5
    assert probe(tmp_path / "b.mp4").duration == probe(film).duration


def test_a_container_of_constant_rate_refuses_a_variable_one(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=6, stamps=[0, 512, 1024, 4096, 4700, 9216])
    with pytest.raises(VideoError, match=r"b\.avi: .*write \.mkv"):
        copy(film, tmp_path / "b.avi", codec="mpeg4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("suffix", [".mpg", ".mpeg"])
def test_a_program_stream_holds_mpeg2_of_its_rates(tmp_path: Path, suffix: str) -> None:
    """Small frames share a packet, of which only the first has a timestamp: the rate determines the others."""
    out = tmp_path / f"b{suffix}"
    assert copy(make_film(tmp_path / "a.mp4", frames=12), out).encoder == "mpeg2video"
    times = np.array([frame.time for frame in read_video(out)])
    assert np.abs(times - times[0] - np.arange(12) / 25).max() < 1e-6
    with pytest.raises(VideoError, match=f"{suffix} does not support libx264"):
        check_writable(out, like=tmp_path / "a.mp4", options=WriteOptions(codec="h264"))
    uneven = make_film(tmp_path / "u.mp4", frames=6, stamps=[0, 300, 900, 1000, 2500, 2600])
    with pytest.raises(VideoError, match=f"variable or not supported by MPEG-2, but {suffix} requires a constant one"):
        check_writable(out, like=uneven)


def test_frames_without_times_of_their_own_follow_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H.264 with B-frames in a program stream: few of twelve frames have a timestamp."""
    monkeypatch.setitem(codecs.STREAM_CODECS, "mpeg", ("libx264",))
    film = tmp_path / "a.mpg"
    copy(make_film(tmp_path / "a.mp4", frames=12), film)
    with av.open(film) as file:
        assert sum(packet.pts is not None for packet in file.demux(video=0)) < 6
    times = np.array([frame.time for frame in read_video(film)])
    assert np.abs(np.diff(times) - 0.04).max() < 1e-6
    copy(film, tmp_path / "b.mkv")
    assert len(list(read_video(tmp_path / "b.mkv"))) == 12


def test_constant_rates_fit_an_avi(tmp_path: Path) -> None:
    copy(make_film(tmp_path / "a.mp4", frames=9), tmp_path / "b.avi")
    times = [frame.time for frame in read_video(tmp_path / "b.avi")]
    assert np.diff(times) == pytest.approx([0.04] * 8)


@pytest.mark.parametrize(("first", "second"), [("a.mp4", "b.mp4"), ("a.mp4", "b.mkv"), ("a.webm", "b.webm")])
def test_sound_is_copied_bit_for_bit_with_offsets_and_languages(tmp_path: Path, first: str, second: str) -> None:
    codec = "libvpx-vp9" if first.endswith("webm") else "libx264"
    film = make_film(tmp_path / first, frames=25, codec=codec, sound=("eng", "deu"))
    out = tmp_path / second
    report = copy(film, out)
    assert report.sound_tracks == 2
    for before, after in zip(packets(film, "audio"), packets(out, "audio"), strict=True):
        assert [data for _, data in before] == [data for _, data in after]
        assert np.abs(np.array([t for t, _ in before]) - [t for t, _ in after]).max() < 0.0011
    assert [s.language for s in probe(out).streams if s.kind == "sound"] == ["eng", "deu"]
    assert next(read_video(out)).time == pytest.approx(next(read_video(film)).time, abs=0.0006)


def test_sound_can_be_left_out_and_ends_with_a_preview(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=50, sound=("eng",))
    assert copy(film, tmp_path / "b.mp4", sound=False).sound_tracks == 0
    info = probe(film)
    write_video(tmp_path / "c.mp4", read_video(info, stop=10), like=info, options=WriteOptions(until=0.4))
    assert packets(tmp_path / "b.mp4", "audio") == []
    assert packets(tmp_path / "c.mp4", "audio")[0][-1][0] < 0.4


def test_a_container_that_cannot_hold_the_sound_is_refused_before_any_work(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", sound=("eng",))
    with pytest.raises(VideoError, match=r"b\.webm: \.webm does not support sound in aac; write \.mp4, .*--no-sound"):
        check_writable(tmp_path / "b.webm", like=film)
    check_writable(tmp_path / "b.webm", like=film, options=WriteOptions(sound=False))
    with pytest.raises(VideoError, match=r"cannot be written with the suffix '\.xyz'"):
        check_writable(tmp_path / "b.xyz", like=film)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


SECRETS = {name: f"planted-{name}" for name in ("title", "comment", "artist")}


def secret_film(path: Path) -> Path:
    """Write a film with a secret in every metadata field of the container."""
    title = {"title": "planted-chapter"}
    chapter = {"id": 0, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": title}
    text = path.with_suffix(".srt")
    text.write_text("1\n00:00:00,100 --> 00:00:00,300\nplanted-subtitle\n")
    plain = make_film(path.with_name("plain.mkv"), sound=("eng",))
    with av.open(plain) as source, av.open(text) as lines, av.open(path, "w") as out:
        out.metadata.update(SECRETS)
        out.metadata["location"] = "+48.8577+002.2950/planted-place"
        out.set_chapters([chapter])  # type: ignore[list-item]
        streams = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for stream in streams.values():
            stream.metadata["title"] = "planted-stream-title"
            stream.metadata.update({"handler_name": "planted-handler", "language": "eng"})
        out.add_attachment("planted-name.txt", "text/plain", b"planted-attachment")
        subtitles = out.add_stream_from_template(lines.streams[0], opaque=True)
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
        for packet in lines.demux():
            if packet.size:
                packet.stream = subtitles
                out.mux(packet)
    return path


def test_metadata_chapters_subtitles_and_attachments_leave_no_byte_behind(tmp_path: Path) -> None:
    film = secret_film(tmp_path / "a.mkv")
    for name in (*SECRETS.values(), "planted-place", "planted-chapter", "planted-stream-title", "planted-attachment"):
        assert name.encode() in film.read_bytes(), name
    assert b"planted-subtitle" in film.read_bytes()
    for suffix in (".mkv", ".mp4"):
        info, out = probe(film), tmp_path / f"dropped{suffix}"
        report = write_video(out, read_video(info), like=info, options=DROP_ALL)
        assert b"planted" not in out.read_bytes()
        assert any("attachment" in phrase for phrase in report.dropped)
        assert "chapters" in report.dropped
        assert [(s.kind, s.language) for s in probe(out).streams][1:] == [("sound", "eng")]


def test_what_belongs_to_a_film_is_kept_otherwise(tmp_path: Path) -> None:
    film = secret_film(tmp_path / "a.mkv")
    report = copy(film, tmp_path / "b.mkv")
    data = (tmp_path / "b.mkv").read_bytes()
    kept = (*SECRETS.values(), "planted-place", "planted-chapter", "planted-attachment", "planted-subtitle")
    assert [name for name in kept if name.encode() not in data] == []
    assert [stream.kind for stream in probe(tmp_path / "b.mkv").streams].count("subtitles") == 1
    assert report.dropped == ()


def test_cover_pictures_are_kept_or_dropped(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels(3)).save(tmp_path / "cover.png")
    plain = make_film(tmp_path / "plain.mp4")
    with (
        av.open(plain) as source,
        av.open(tmp_path / "cover.png") as picture,
        av.open(tmp_path / "a.mp4", "w") as out,
    ):
        video = out.add_stream_from_template(source.streams.video[0], opaque=True)
        cover = out.add_stream_from_template(picture.streams.video[0], opaque=True)
        cover.disposition = av.stream.Disposition.attached_pic
        for film, stream in ((picture, cover), (source, video)):
            for packet in film.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    info = probe(tmp_path / "a.mp4")
    assert [stream.kind for stream in info.streams] == ["video", "cover"]
    picture_bytes = (tmp_path / "cover.png").read_bytes()[60:200]
    for suffix in (".mp4", ".mkv"):
        copy(tmp_path / "a.mp4", tmp_path / f"kept{suffix}")
        assert picture_bytes in (tmp_path / f"kept{suffix}").read_bytes()
        report = copy(tmp_path / "a.mp4", tmp_path / f"dropped{suffix}", metadata=False)
        assert picture_bytes not in (tmp_path / f"dropped{suffix}").read_bytes()
        assert "cover stream 1" in report.dropped


TURNED = {
    "quarter": (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
    "half": (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
    "mirrored": (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30),
}


@pytest.mark.parametrize("turn", TURNED)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_films_play_the_same_way_up(tmp_path: Path, turn: str, suffix: str) -> None:
    film = make_film(tmp_path / "a.mp4", frames=3, matrix=TURNED[turn], aspect=Fraction(16, 11))
    copy(film, tmp_path / f"b{suffix}")
    before, after = probe(film), probe(tmp_path / f"b{suffix}")
    assert (after.height, after.width, after.sample_aspect_ratio) == (
        before.height, before.width, before.sample_aspect_ratio,
    )  # fmt: skip
    first, copied = next(read_video(before)).picture.pixels, next(read_video(after)).picture.pixels
    assert np.abs(first.astype(float) - copied).mean() < 3
    if suffix != ".ts":
        assert after.matrix == before.matrix or turn == "mirrored"


@pytest.mark.parametrize(
    ("codec", "pixel_format", "size"),
    [("libx264", "yuv444p", (47, 63)), ("ffv1", "yuv420p", (47, 63)), ("libvpx-vp9", "yuv420p", (47, 63))],
)
def test_odd_sizes_and_full_chroma(tmp_path: Path, codec: str, pixel_format: str, size: tuple[int, int]) -> None:
    film = make_film(tmp_path / "a.mkv", frames=3, codec=codec, pixel_format=pixel_format, size=size)
    copy(film, tmp_path / "b.mkv")
    after = probe(tmp_path / "b.mkv")
    assert (after.height, after.width, after.pixel_format) == (*size, pixel_format)


def test_color_tags_are_carried(tmp_path: Path) -> None:
    tags = {"color_primaries": 9, "color_trc": 14, "colorspace": 9, "color_range": 2}
    film = make_film(tmp_path / "a.mp4", frames=2, tags=tags)
    copy(film, tmp_path / "b.mp4")
    assert probe(tmp_path / "b.mp4").color == probe(film).color
    assert probe(film).color.full_range


def test_high_dynamic_range_and_ten_bits_stay(tmp_path: Path) -> None:
    light = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    params = f"log-level=error:{light}"
    film = make_film(
        tmp_path / "a.mp4", frames=12, codec="libx265", pixel_format="yuv420p10le", options={"x265-params": params},
        tags={"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1},
    )  # fmt: skip
    before = probe(film)
    copy(film, tmp_path / "b.mp4")
    after = probe(tmp_path / "b.mp4")
    assert before.is_hdr
    assert dict(before.hdr_metadata).keys() == {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"}
    assert (after.color, after.bit_depth, after.hdr_metadata) == (before.color, 10, before.hdr_metadata)


BYTES = {
    "yuv420p": (1, 0.5, 0.5), "yuv422p10le": (2, 1, 1), "bgra": (4,), "gbrp": (1, 1, 1), "rgb24": (3,),
    "yuv411p": (1, 0.25, 0.25), "yuyv422": (2,), "nv12": (1, 1),
}  # fmt: skip
"""Pixel format -> bytes per pixel along a row of each plane."""


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        ("ffv1", "yuv420p"), ("ffv1", "yuv422p10le"), ("ffv1", "bgra"), ("utvideo", "gbrp"), ("qtrle", "rgb24"),
        ("ffvhuff", "yuv411p"), ("rawvideo", "yuyv422"), ("rawvideo", "nv12"),
    ],
)  # fmt: skip
def test_lossless_films_are_the_same_outside_a_region(tmp_path: Path, codec: str, pixel_format: str) -> None:
    suffix = {"qtrle": ".mov", "utvideo": ".avi", "ffvhuff": ".nut"}.get(codec, ".mkv")
    film = make_film(tmp_path / f"a{suffix}", frames=3, codec=codec, pixel_format=pixel_format, size=(46, 64))
    info, out = probe(film), tmp_path / f"b{suffix}"
    mask = np.zeros((46, 64), bool)
    mask[12:22, 20:40] = True
    report = write_video(out, (covered(frame, mask) for frame in read_video(info)), like=info)
    assert (report.is_lossless, report.pixel_format) == (True, pixel_format)
    for before, after in zip(read_video(film), read_video(out), strict=True):
        for number, (a, b) in enumerate(zip(planes(before), planes(after), strict=True)):
            down, across = round(46 / before.native.planes[number].height), BYTES[pixel_format][number]
            if pixel_format.endswith("10le"):
                a, b, across = a.view(np.uint16), b.view(np.uint16), across / 2
            rows, columns = np.nonzero(a[:, : int(64 * across)] != b[:, : int(64 * across)])
            assert (rows.min() * down, (rows.max() + 1) * down) == (12, 22)
            assert (columns.min() // across, -(-(columns.max() + 1) // across)) == (20, 40)


def covered(frame: Any, mask: np.ndarray) -> Any:
    changed = frame.picture.pixels.copy()
    changed[mask, :3] = changed.max() // 3
    return frame.with_picture(Picture(changed, frame.picture.has_alpha), changed=mask)


def test_planes_outside_a_region_are_kept_bit_for_bit(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mkv", frames=2, codec="ffv1")
    mask = np.zeros((48, 64), bool)
    mask[9:21, 13:31] = True
    info = probe(film)
    write_video(tmp_path / "b.mkv", (covered(frame, mask) for frame in read_video(info)), like=info)
    chroma = mask.reshape(24, 2, 32, 2).any((1, 3))
    for before, after in zip(read_video(film), read_video(tmp_path / "b.mkv"), strict=True):
        for a, b, region in zip(planes(before), planes(after), (mask, chroma, chroma), strict=True):
            a, b = a[: region.shape[0], : region.shape[1]], b[: region.shape[0], : region.shape[1]]
            assert np.array_equal(a[~region], b[~region])
            assert (a[region] != b[region]).mean() > 0.5


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "gbrp"])
def test_a_lossless_film_stays_lossless_in_another_container(tmp_path: Path, pixel_format: str) -> None:
    source = {"gbrp": ("utvideo", "a.avi")}.get(pixel_format, ("ffv1", "a.mkv"))
    film = make_film(tmp_path / source[1], frames=3, codec=source[0], pixel_format=pixel_format)
    report = copy(film, tmp_path / "b.mov")
    assert report.is_lossless
    assert report.encoder in ("libx264", "libx264rgb")
    for before, after in zip(read_video(film), read_video(tmp_path / "b.mov"), strict=True):
        assert np.array_equal(before.picture.pixels, after.picture.pixels)


def test_quality_and_codec_can_be_chosen(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", frames=10, size=(96, 128))
    sizes = {}
    for crf in (10, 40):
        copy(film, tmp_path / f"{crf}.mp4", crf=crf)
        sizes[crf] = (tmp_path / f"{crf}.mp4").stat().st_size
    assert sizes[40] < sizes[10]
    assert copy(film, tmp_path / "b.mkv", codec="ffv1").is_lossless
    assert probe(tmp_path / "b.mkv").codec == "ffv1"
    with pytest.raises(VideoError, match="unknown encoder 'nonsense'"):
        check_writable(tmp_path / "c.mp4", like=film, options=WriteOptions(codec="nonsense"))
    with pytest.raises(VideoError, match=r"\.webm does not support libx264"):
        check_writable(tmp_path / "c.webm", like=film, options=WriteOptions(codec="h264"))
    with pytest.raises(ConfigError, match="crf 99"):
        WriteOptions(crf=99)


def test_ten_bits_are_not_made_eight(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mkv", frames=1, codec="ffv1", pixel_format="yuv420p10le")
    with pytest.raises(VideoError, match="mpeg4 has fewer than 10 bits"):
        check_writable(tmp_path / "b.mkv", like=film, options=WriteOptions(codec="mpeg4"))
    copy(film, tmp_path / "b.mp4", crf=18)
    assert probe(tmp_path / "b.mp4").bit_depth == 10


def test_an_encoder_is_tried_on_a_real_frame_first(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mov", frames=2)
    with pytest.raises(VideoError, match=r"b\.mov: dnxhd cannot encode 64 x 48 pixels of yuv422p .*another codec"):
        check_writable(tmp_path / "b.mov", like=film, options=WriteOptions(codec="dnxhr"))


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1", "mpeg2", "mpeg4", "mjpeg", "vp8", "prores"])
def test_every_encoder_keeps_frames_and_colors(tmp_path: Path, codec: str) -> None:
    film = make_film(tmp_path / "a.mp4", frames=7, size=(96, 128), stamps=[0, 512, 1536, 2048, 4096, 4608, 5120])
    copy(film, tmp_path / "b.mkv", codec=codec)
    frames = list(read_video(tmp_path / "b.mkv"))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.12, 0.16, 0.32, 0.36, 0.4])
    for frame, before in zip(frames, read_video(film), strict=True):
        assert (
            np.abs(
                frame.picture.pixels / (257 if frame.picture.pixels.dtype == np.uint16 else 1) - before.picture.pixels
            ).mean()
            < 3
        )


def test_a_failure_leaves_nothing_and_what_was_there(tmp_path: Path) -> None:
    film, out = make_film(tmp_path / "a.mp4", frames=30, options={"g": "10"}), tmp_path / "b.mp4"
    out.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError):
        write_video(out, (frame for frame in read_video(film) if 1 / (7 - frame.index)), like=film)
    spoil(film, 17)
    with pytest.raises(VideoError, match=r"a\.mp4: frame"):
        copy(film, out)
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_damaged_frames_are_repeated_at_their_times(tmp_path: Path) -> None:
    film = spoil(make_film(tmp_path / "a.mp4", frames=30, options={"g": "10"}), 17)
    info = probe(film)
    report = write_video(tmp_path / "b.mp4", read_video(info, skip_damaged=True), like=info)
    assert report.num_frames == 30
    assert [frame.pts for frame in read_video(tmp_path / "b.mp4")] == [number * STEP for number in range(30)]


def test_frames_may_become_larger_but_have_one_size(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "a.mp4", frames=3))
    large = [
        frame.with_picture(Picture(np.kron(frame.picture.pixels, np.ones((2, 2, 1), np.uint8))))
        for frame in read_video(info)
    ]
    write_video(tmp_path / "b.mp4", large, like=info)
    assert (probe(tmp_path / "b.mp4").height, probe(tmp_path / "b.mp4").width) == (96, 128)
    with pytest.raises(VideoError, match=r"frame 2: 64 x 48 pixels, but the previous frames have 128 x 96"):
        write_video(
            tmp_path / "c.mp4", [*large[:2], list(read_video(info))[2].with_picture(Picture(pixels(2)))], like=info
        )


def test_frames_must_come_in_order_of_time(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "a.mp4", frames=3))
    frames = list(read_video(info))
    with pytest.raises(VideoError, match="frame 1: not later than the previous frame"):
        write_video(tmp_path / "b.mp4", [frames[0], frames[2], frames[1]], like=info)
    with pytest.raises(VideoError, match="no frame to write"):
        write_video(tmp_path / "b.mp4", [], like=info)


def test_pictures_become_a_film(tmp_path: Path) -> None:
    report = write_video(tmp_path / "a.mp4", (Picture(pixels(number)) for number in range(5)), rate=10)
    assert report.num_frames == 5
    assert [frame.time for frame in read_video(tmp_path / "a.mp4")] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert probe(tmp_path / "a.mp4").color.matrix == 1
    with pytest.raises(ConfigError, match="either like"):
        write_video(tmp_path / "b.mp4", [Picture(pixels(0))])


def test_a_second_video_stream_is_not_passed_on(tmp_path: Path) -> None:
    """It would not be covered."""
    first, second = make_film(tmp_path / "1.mkv", frames=4), make_film(tmp_path / "2.mkv", frames=4, size=(32, 32))
    with av.open(first) as a, av.open(second) as b, av.open(tmp_path / "a.mkv", "w") as out:
        streams = [out.add_stream_from_template(film.streams.video[0], opaque=True) for film in (a, b)]
        for film, stream in zip((a, b), streams, strict=True):
            for packet in film.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    report = copy(tmp_path / "a.mkv", tmp_path / "b.mkv")
    assert report.dropped == ("another video stream 1",)
    assert [stream.kind for stream in probe(tmp_path / "b.mkv").streams] == ["video"]


def test_what_hides_in_the_video_stream_is_dropped(tmp_path: Path) -> None:
    from av.bitstream import BitStreamFilterContext

    with av.open(make_film(tmp_path / "plain.mp4")) as source, av.open(tmp_path / "a.mp4", "w") as out:
        video = out.add_stream_from_template(source.streams.video[0], opaque=True)
        note = "sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+planted"
        plant = BitStreamFilterContext(f"h264_metadata={note}", source.streams.video[0])
        for packet in source.demux(video=0):
            for each in plant.filter(packet if packet.size else None):
                each.stream = video
                out.mux(each)
    assert b"planted" in (tmp_path / "a.mp4").read_bytes()
    copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert b"planted" not in (tmp_path / "b.mp4").read_bytes()


def test_data_streams_that_a_container_cannot_hold_are_dropped_and_said(tmp_path: Path) -> None:
    with av.open(make_film(tmp_path / "plain.ts")) as source, av.open(tmp_path / "a.ts", "w") as out:
        video, data = out.add_stream_from_template(source.streams.video[0], opaque=True), out.add_data_stream("klv")
        secret = av.Packet(b"planted")
        secret.stream, secret.pts, secret.dts, secret.time_base = data, 150000, 150000, Fraction(1, 90000)
        for packet in (*source.demux(video=0), secret):
            if packet.size:
                packet.stream = packet.stream if packet is secret else video
                out.mux(packet)
    assert b"planted" in (tmp_path / "a.ts").read_bytes()
    for options in (DROP_ALL, WriteOptions()):
        info, out_path = probe(tmp_path / "a.ts"), tmp_path / "b.mp4"
        report = write_video(out_path, read_video(info), like=info, options=options)
        assert b"planted" not in out_path.read_bytes()
        assert "data stream 1" in report.dropped


def test_the_written_suffixes_are_those_of_the_containers() -> None:
    assert set(codecs.CONTAINERS) == WRITTEN_SUFFIXES
