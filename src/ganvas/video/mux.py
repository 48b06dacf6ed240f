"""Muxing of encoded parts, sound, subtitles and other streams into one container, by packet copy."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ganvas.errors import NO_SPACE_ERRORS, VideoError
from ganvas.video.codecs import Container, Encoding, NullFile
from ganvas.video.container import ffmpeg_name, open_film, reason, stream_kind
from ganvas.video.encode import Part, configure
from ganvas.video.film import FilmInfo, WriteOptions
from ganvas.video.label import COMMENT, label_comment
from ganvas.video.scheduling import keep_scheduling

__all__ = ["SHIFTING", "Assembled", "Timing", "assemble", "check_streams"]

FREE_CLOCKS = ("mpegts", "mpeg")
"""Containers whose timestamps may begin at any time."""
SHIFTING = (*FREE_CLOCKS, "nut", "flv", "avi")
"""Containers without negative timestamps, for which FFmpeg shifts all streams equally."""
COPIES = {
    "mpegts": frozenset((
        "aac", "aac_latm", "ac3", "dts", "dvb_subtitle", "dvb_teletext", "eac3", "mp2", "mp3", "opus",
    )),
    "mpeg": frozenset(("ac3", "dts", "dvd_subtitle", "mp2", "mp3")),
}  # fmt: skip
"""Sound and subtitle codecs of containers for which FFmpeg accepts any codec."""
TECHNICAL = frozenset((
    "major_brand", "minor_version", "compatible_brands", "encoder", "duration", "handler_name", "vendor_id", "bps",
    "number_of_frames", "number_of_bytes",
))  # fmt: skip
"""Metadata keys about the file itself, which are not copied."""
MAX_TIMESCALE = 2**31 - 1


@dataclass(frozen=True)
class Timing:
    """Timestamps of the packets of a film.

    Attributes:
        pts: (N,) timestamps of the frames in presentation order, in units of the film's time base.
        dts: (N,) decoding timestamps, in the order of the packets.
        tick: time base to request from the container.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    tick: Fraction


@dataclass
class Assembled:
    """Content of a written file.

    Attributes:
        offset: seconds added to all timestamps.
        copied: output stream -> number of copied packets.
        starts: output stream -> seconds of its first packet on the new file's clock.
        kinds: output stream -> kind.
        dropped: dropped streams.
    """

    offset: Fraction
    copied: dict[int, int] = field(default_factory=dict)
    starts: dict[int, float] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def assemble(
    temporary: Path,
    out: Path,
    parts: Sequence[Part],
    times: Timing,
    info: FilmInfo,
    encoding: Encoding,
    options: WriteOptions,
) -> Assembled:
    """Write the container.

    Args:
        temporary: the file to write, with the suffix of `out`.
        out: path for messages.
        parts: parts in order.
        times: timestamps of their packets.
        info: the film from which sound and other streams are copied; nothing is copied if it lists no streams.
        encoding: encoding of the parts.
        options: streams to copy.

    Raises:
        VideoError: parts do not belong together, or the container does not support a stream.
    """
    container = Container(out)
    try:
        with (
            _source(info) as source,
            av.open(
                ffmpeg_name(temporary),
                "w",
                format=container.name,
                container_options=_container_options(container, info, source),
            ) as file,
        ):
            offset = _offset(container, info, source)
            done = Assembled(offset)
            video = _add_video(file, times.tick, encoding)
            copies = _add_copies(file, source, container, options, done) if source else {}
            if source and options.metadata:
                _copy_chapters(file, source, offset)
            if options.label:
                file.metadata[COMMENT] = label_comment(options.label, file.metadata)
            with keep_scheduling():
                file.start_encoding()
            _check_headers(parts, video, out)
            shown = _video_packets(parts, video, info, times.dts, offset)
            rest = _copied_packets(source, copies, options, offset, done) if source and copies else iter(())
            for _, packet in heapq.merge(shown, rest, key=lambda timed: timed[0]):
                file.mux_one(packet)
            return done
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, VideoError):
            raise
        no_room = isinstance(error, av.error.FFmpegError) and error.errno in NO_SPACE_ERRORS
        remedy = "make room, and run the same command again" if no_room else "try .mkv"
        raise VideoError(out, f"cannot be written ({reason(error)}); {remedy}") from error


def _source(info: FilmInfo) -> Any:
    """Open the film from which other streams are copied, or yield None."""
    return open_film(info.path) if info.streams and not info.is_animation else nullcontext()


def _container_options(container: Container, info: FilmInfo, source: InputContainer | None) -> dict[str, str]:
    """Return the muxer's options, which make files reproducible and prevent shifts of timestamps."""
    options = {"fflags": "+bitexact"}
    if container.name in ("mp4", "mov", "3gp"):
        streams = source.streams if source else ()
        bases = [info.time_base, *(stream.time_base for stream in streams if stream.time_base)]
        scale = math.lcm(*(base.denominator for base in bases))
        options["movie_timescale"] = str(scale if scale <= MAX_TIMESCALE else 90000)
    elif container.name in ("matroska", "webm"):
        options["avoid_negative_ts"] = "disabled"
    elif container.name == "mpegts" and info.container == "mpegts":
        options |= {"avoid_negative_ts": "disabled", "mpegts_copyts": "1"}
    return options


def _offset(container: Container, info: FilmInfo, source: InputContainer | None) -> Fraction:
    """Return the seconds to add to all timestamps, so that containers without free clocks begin at 0."""
    if source is None or info.container not in FREE_CLOCKS or container.name in FREE_CLOCKS:
        return Fraction(0)
    starts = [s.start_time * s.time_base for s in source.streams if s.start_time is not None and s.time_base]
    return -min(starts, default=Fraction(0))


def _add_video(file: OutputContainer, tick: Fraction, encoding: Encoding) -> VideoStream:
    stream = file.add_stream(encoding.encoder, rate=encoding.rate)
    assert isinstance(stream, VideoStream)
    configure(stream.codec_context, encoding)
    stream.time_base = tick
    if encoding.matrix is not None and not encoding.orientation.is_identity:
        stream.set_display_matrix(encoding.matrix)
    return stream


def _add_copies(
    file: OutputContainer, source: InputContainer, container: Container, options: WriteOptions, done: Assembled
) -> dict[int, Stream]:
    """Add a stream for each copied one; return source index -> stream.

    Raises:
        VideoError: the container does not support sound or subtitles to keep.
    """
    copies: dict[int, Stream] = {}
    main = next(s.index for s in source.streams.video if stream_kind(s) == "video")
    for stream in source.streams:
        kind = stream_kind(stream)
        wanted = {"sound": options.sound, "subtitles": options.subtitles, "video": False}.get(kind, options.metadata)
        if stream.index == main or (kind == "data" and _is_chapter_track(source, stream)):
            continue
        copy = _add_copy(file, stream, container) if wanted else None
        if copy is None and wanted and kind in ("sound", "subtitles"):
            raise VideoError(container.path, _refusal(container, stream, kind))
        if copy is None:
            done.dropped.append(f"{'another ' if kind == 'video' else ''}{kind} stream {stream.index}")
            continue
        done.kinds[copy.index] = kind
        if copy.type != "attachment":
            copies[stream.index] = copy
            done.copied[copy.index] = 0
        _describe(copy, stream, options)
    return copies


def _add_copy(file: OutputContainer, stream: Stream, container: Container) -> Stream | None:
    """Add a copy of a stream, or return None if the container does not support it."""
    kind, name = stream_kind(stream), stream.codec_context.name if stream.codec_context is not None else ""
    if container.name in COPIES and name not in COPIES[container.name]:
        return None
    if isinstance(stream, AttachmentStream) or (kind == "cover" and container.name == "matroska"):
        return _attach(file, stream) if container.name == "matroska" else None
    return file.add_stream_from_template(stream, opaque=True) if _accepts(container, stream) else None


def _accepts(container: Container, stream: Stream) -> bool:
    """Return whether a container accepts a copy of a stream; some accept it but fail at the header."""
    try:
        with av.open(BytesIO(), "w", format=container.name) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _attach(file: OutputContainer, stream: Stream) -> Stream:
    """Add an attachment (a font, a cover picture) to a Matroska file."""
    if isinstance(stream, AttachmentStream):
        kind = stream.mimetype or "application/octet-stream"
        return file.add_attachment(stream.name or "attachment", kind, stream.data)
    kind = "png" if stream.codec_context.name == "png" else "jpeg"
    with av.open(stream.container.name) as film:  # the header comes before the packets, and the attachment is a packet
        data = next(bytes(packet) for packet in film.demux(film.streams[stream.index]) if packet.size)
    return file.add_attachment(f"cover.{kind}", f"image/{kind}", data)


def _refusal(container: Container, stream: Stream, kind: str) -> str:
    name = stream.codec_context.name if stream.codec_context is not None else "unknown"
    option = "--no-sound, sound=False" if kind == "sound" else "subtitles=False"
    own = Path(stream.container.name).suffix
    return (
        f"{container.path.suffix} does not support {kind} in {name}; write {own}, the format of the film, or drop it "
        f"({option})"
    )


def _describe(copy: Stream, stream: Stream, options: WriteOptions) -> None:
    """Set language, default and forced flags of a copied stream and, with metadata, its other tags."""
    known = {key: value for key, value in stream.metadata.items() if key.lower() not in TECHNICAL}
    copy.metadata.update(known if options.metadata else {key: v for key, v in known.items() if key == "language"})
    copy.disposition = stream.disposition


def _is_chapter_track(source: InputContainer, stream: Stream) -> bool:
    """Return whether a data stream is the text track of MP4's chapters, which is created again with the chapters."""
    return bool(source.chapters()) and source.format.name.startswith("mov") and stream.codec_context is None


def _copy_chapters(file: OutputContainer, source: InputContainer, offset: Fraction) -> None:
    chapters = source.chapters()
    for chapter in chapters:
        shift = round(offset / (chapter["time_base"] or 1))
        chapter["start"] += shift
        chapter["end"] += shift
    if chapters:
        file.set_chapters(chapters)
    known = {key: value for key, value in source.metadata.items() if key.lower() not in TECHNICAL}
    file.metadata.update({COMMENT if key.lower() == COMMENT else key: value for key, value in known.items()})


def _check_headers(parts: Sequence[Part], video: VideoStream, out: Path) -> None:
    """Verify that the stream headers of the parts equal those of the container.

    Raises:
        VideoError: they differ.
    """
    if {part.extradata for part in parts} != {bytes(video.codec_context.extradata or b"")}:
        raise VideoError(out, "its parts were encoded with other settings; remove them and run the command again")


Timed = tuple[float, "Packet[Any]"]
"""Seconds on the new file's clock, and a packet with its timestamps."""


def _video_packets(
    parts: Sequence[Part], video: VideoStream, info: FilmInfo, dts: NDArray[np.int64], offset: Fraction
) -> Iterator[Timed]:
    shift, place = round(offset / info.time_base), 0
    for part in parts:
        for pts, duration, is_key, data in part.records(with_data=True):
            packet: Packet[Any] = Packet(data)
            packet.stream, packet.time_base = video, info.time_base
            packet.pts, packet.dts, packet.duration = pts + shift, int(dts[place]) + shift, duration
            packet.is_keyframe = is_key
            place += 1
            yield float(packet.dts * info.time_base), packet


def _copied_packets(
    source: InputContainer, copies: dict[int, Stream], options: WriteOptions, offset: Fraction, done: Assembled
) -> Iterator[Timed]:
    """Yield the packets of the copied streams in the order of the file, unchanged except for timestamps."""
    for stream in source.streams:
        stream.discard = Discard.none if stream.index in copies else Discard.all
    time = -math.inf
    for packet in source.demux([source.streams[index] for index in copies]):
        if not packet.size:
            continue  # the empty last packet of each stream; packets without dts are ordinary packets
        target = copies[packet.stream_index]
        begins = packet.pts if packet.pts is not None else packet.dts
        if begins is not None and options.until is not None and begins * packet.time_base >= options.until:
            continue
        shift = round(offset / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = packet.pts if packet.dts is None else packet.dts + shift
        if packet.dts is not None:
            time = max(time, float(packet.dts * packet.time_base))
        packet.stream = target
        done.copied[target.index] += 1
        if packet.pts is not None:
            done.starts.setdefault(target.index, float(packet.pts * packet.time_base))
        yield time, packet


def check_streams(out: Path, info: FilmInfo, encoding: Encoding, options: WriteOptions) -> None:
    """Verify that a container supports all streams to write, without writing.

    Raises:
        VideoError: it does not; names the stream and the remedy.
    """
    container = Container(out)
    with _source(info) as source, av.open(NullFile(), "w", format=container.name) as trial:
        _add_video(trial, info.time_base, encoding)
        if source:
            _add_copies(trial, source, container, options, Assembled(Fraction(0)))
