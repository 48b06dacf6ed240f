"""Film containers: opening, selection of the video stream, and detection of truncated files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ganvas.errors import VideoError
from ganvas.image.files import open_regular
from ganvas.video.color import bit_depth, color_tags, has_alpha
from ganvas.video.film import FilmInfo, StreamInfo, StreamKind, matrix_of, orientation_of, turned_aspect

__all__ = [
    "check_whole",
    "ffmpeg_name",
    "film_stream",
    "open_film",
    "probe_film",
    "reason",
    "stream_infos",
    "stream_kind",
]

CUT_SHORT = "truncated: {missing:,} bytes are missing; copy it again"
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
HDR_SIDE_DATA = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
_KINDS: dict[str, StreamKind] = {"audio": "sound", "subtitle": "subtitles", "attachment": "attachment"}


@contextmanager
def open_film(path: Path) -> Iterator[InputContainer]:
    """Open a film for reading, and close it at the end of the block.

    Raises:
        VideoError: the file is not a film, or its header is damaged.
        OSError: the file is missing or not readable.
    """
    open_regular(path).close()
    try:
        container = av.open(ffmpeg_name(path), "r", metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(
            path, f"cannot be opened as a film ({reason(error)}); it may be truncated, or of an unknown format"
        ) from error
    with container:
        yield container


def ffmpeg_name(path: Path) -> str:
    """Return the absolute path of a file, since FFmpeg takes a relative one such as `12:30.mp4` for a URL."""
    return str(path.absolute())


def reason(error: Exception) -> str:
    """Return FFmpeg's message without error number and function name."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)


def film_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream of a film, the first that is not a cover picture, configured for strict decoding.

    Raises:
        VideoError: there is no such stream, or no decoder for it.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise VideoError(path, f"no video stream (it contains {held}); pass a film")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(path, "FFmpeg does not support its video codec; convert it to H.264 first")
    # errors of the bit stream are raised, not concealed; slice threads, so that they belong to their own packet
    stream.codec_context.options = {"err_detect": "+crccheck+bitstream+buffer+explode"}
    stream.thread_type = "SLICE"
    return stream


def stream_infos(container: InputContainer) -> tuple[StreamInfo, ...]:
    """Return the streams of an open film."""
    return tuple(
        StreamInfo(
            index=stream.index,
            kind=stream_kind(stream),
            codec=_codec_of(stream),
            language=stream.language,
            start=None if stream.start_time is None or not stream.time_base
            else float(stream.start_time * stream.time_base),
        )
        for stream in container.streams
    )  # fmt: skip


def _codec_of(stream: Stream) -> str | None:
    return stream.codec_context.name if stream.codec_context is not None else None


def stream_kind(stream: Stream) -> StreamKind:
    """Return the kind of a stream."""
    if stream.type == "video":
        return "cover" if stream.disposition & Disposition.attached_pic else "video"
    return _KINDS.get(stream.type, "data")


def check_whole(path: Path, stream: VideoStream) -> None:
    """Verify that the file contains all data that its header announces: MP4 samples, Matroska segments, RIFF chunks.

    Raises:
        VideoError: bytes are missing.
    """
    size = path.stat().st_size
    name = stream.container.format.name
    ends = [entry.pos + entry.size for entry in stream.index_entries] if name.startswith("mov") else []
    with path.open("rb") as file:
        start = file.read(12)
        if start.startswith(EBML):
            ends.append(_segment_end(file))
        elif start[:4] == b"RIFF":
            ends.append(8 + int.from_bytes(start[4:8], "little"))
    missing = max(ends, default=0) - size
    if missing > 0:
        raise VideoError(path, CUT_SHORT.format(missing=missing))


def _segment_end(file: BinaryIO) -> int:
    """Return the end of the first segment of a Matroska file, or 0 if its size is unknown, as in live recordings."""
    file.seek(4)
    header = _variable_integer(file)
    file.seek(header or 0, os.SEEK_CUR)
    if file.read(4) != SEGMENT:
        return 0
    length = _variable_integer(file)
    return 0 if length is None else file.tell() + length


def _variable_integer(file: BinaryIO) -> int | None:
    """Return an EBML variable-size integer (RFC 8794, sec. 4); None if all its bits are 1, which is "unknown"."""
    first = file.read(1)[0]
    length = 9 - first.bit_length()
    value = int.from_bytes(bytes([first & (0xFF >> length)]) + file.read(length - 1), "big")
    return None if value == (1 << 7 * length) - 1 else value


def probe_film(path: Path) -> FilmInfo:
    """Return the properties of a film (see `ganvas.video.probe`)."""
    with open_film(path) as container:
        stream = film_stream(container, path)
        return _describe(container, stream, _first_frame(container, stream, path), path)


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    """Return the first frame that can be decoded.

    Raises:
        VideoError: no frame can be decoded.
    """
    problem = "it has none"
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, EOFError) as error:
            problem = reason(error)
            continue
        if frames:
            return frames[0]
    raise VideoError(path, f"no frame can be decoded ({problem}); copy it again")


def _describe(container: InputContainer, stream: VideoStream, frame: VideoFrame, path: Path) -> FilmInfo:
    found: Any = frame.side_data  # the stub declares a dictionary, but it is a sequence
    side = {found[number].type.name: bytes(found[number]) for number in range(len(found))}
    matrix = matrix_of(side["DISPLAYMATRIX"]) if "DISPLAYMATRIX" in side else None
    orientation = orientation_of(matrix)
    height, width = (frame.width, frame.height) if orientation.transpose else (frame.height, frame.width)
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    codec, time_base = stream.codec_context.codec, stream.time_base or Fraction(1, 90000)
    duration = stream.duration * time_base if stream.duration else Fraction(container.duration or 0, av.time_base)
    rate = stream.average_rate or stream.guessed_rate
    return FilmInfo(
        path=path,
        container=container.format.name,
        codec=codec.canonical_name,
        is_lossless=codec.lossless and not codec.lossy,
        height=height,
        width=width,
        orientation=orientation,
        rotation=frame.rotation % 360,
        matrix=matrix,
        sample_aspect_ratio=turned_aspect(aspect, orientation),
        time_base=time_base,
        rate=rate or None,
        pixel_format=frame.format.name,
        bit_depth=bit_depth(frame.format.name),
        has_alpha=has_alpha(frame.format.name),
        color=color_tags(frame),
        is_interlaced=frame.interlaced_frame,
        duration=float(duration) or None,
        num_frames=stream.frames or (round(duration * rate) if duration and rate else None),
        start=float((frame.pts or 0) * time_base),
        streams=stream_infos(container),
        video_index=stream.index,
        num_chapters=len(container.chapters()),
        hdr_metadata=tuple((name, side[name]) for name in HDR_SIDE_DATA if name in side),
    )
