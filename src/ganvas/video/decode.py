"""Decoding of films with PyAV: frame table, seeking to key frames, and damaged packets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ganvas.errors import VideoError
from ganvas.video.color import PictureConverter
from ganvas.video.container import check_whole, film_stream, open_film, reason
from ganvas.video.film import FilmInfo, Frame, Segment

__all__ = ["FrameTable", "frame_table", "plan_film", "read_film", "time_stamp"]

SEEK_BACK = (0.0, 2.0, 10.0)
"""Seconds to seek before a key frame, tried in order, because containers without an index seek only approximately."""


@dataclass(frozen=True, eq=False)
class FrameTable:
    """Timestamps of a film's packets, found without decoding.

    Attributes:
        pts: (N,) int64, in presentation order.
        keys: (K,) int64, timestamps of the key frames, in order.
        is_complete: whether every packet has a distinct timestamp, so that the table represents the frames.
    """

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    is_complete: bool

    def index_of(self, pts: int) -> int:
        """Return the number of frames before a timestamp."""
        return int(np.searchsorted(self.pts, pts))

    def key_before(self, index: int) -> int | None:
        """Return the timestamp of the last key frame at or before a frame, or None for the beginning."""
        place = int(np.searchsorted(self.keys, self.pts[index], side="right")) if index < len(self.pts) else 0
        return int(self.keys[place - 1]) if place > 1 else None


def frame_table(path: Path) -> FrameTable:
    """Build the table of a film's frames by reading the whole file without decoding.

    Raises:
        VideoError: see `probe`.
    """
    with open_film(path) as container:
        stream = film_stream(container, path)
        stamps: list[int] = []
        keys: list[int] = []
        complete, cut = not _lacks_times(stream), 0
        for packet in _packets(stream, path, _Span()):
            if packet.pts is None:
                complete &= not packet.size  # the last one, which flushes the decoder, is empty
            elif not packet.is_discard:
                stamps.append(packet.pts)
                cut += 1 if packet.is_corrupt else -cut
                if packet.is_keyframe:
                    keys.append(packet.pts)
    stamps = stamps[: len(stamps) - cut]  # if the file is truncated, the last packet is not a frame
    pts = np.array(sorted(stamps), np.int64)
    complete = complete and bool((np.diff(pts) > 0).all()) and bool(keys) and keys[0] == pts[0]
    return FrameTable(pts, np.array(sorted(keys), np.int64), complete)


@dataclass(frozen=True)
class _Span:
    """Timestamps of the first key frame (None: the beginning) and of the first frame after the end (None: no end)."""

    begin: int | None = None
    end: int | None = None


def read_film(
    info: FilmInfo,
    *,
    start: int = 0,
    stop: int | None = None,
    segment: Segment | None = None,
    skip_damaged: bool = False,
) -> Iterator[Frame]:
    """Read the frames of a film (see `ganvas.video.read_video`)."""
    table = frame_table(info.path) if start or skip_damaged else None
    first, span = 0, _Span()
    if segment is not None:
        first, span = segment.first, _Span(segment.start, segment.stop)
    elif table is not None and table.is_complete and (begin := table.key_before(start)) is not None:
        first, span = table.index_of(begin), _Span(begin)
    expected = _expected(table, span, info.path) if skip_damaged and table is not None else None
    with open_film(info.path) as container:
        stream = film_stream(container, info.path)
        if not skip_damaged:
            check_whole(info.path, stream)
        convert, index = PictureConverter(info), first
        frames = _decoded(stream, info.path, span, skip_damaged=skip_damaged)
        before = partial(_frame_before, info, table, span.begin)
        for native, pts, repeated in _accounted(frames, expected, before):
            if stop is not None and index >= stop:
                return
            if index >= start:
                yield _frame(info, convert, native, index=index, pts=pts, repeated=repeated)
            index += 1
    if index == first:
        raise VideoError(info.path, "its video stream contains no frame; copy it again")
    if segment is not None and segment.num_frames not in (None, index - first):
        problem = f"{index - first} frames, but its packets announce {segment.num_frames}"
        raise VideoError(info.path, problem, frame=first)


def _frame(
    info: FilmInfo, convert: PictureConverter, native: VideoFrame, *, index: int, pts: int, repeated: bool
) -> Frame:
    return Frame(
        index=index,
        pts=pts,
        time=float(pts * info.time_base),
        duration=0 if repeated else native.duration or 0,
        picture=convert.to_picture(native),
        is_key=bool(native.key_frame) and not repeated,
        repeated=repeated,
        native=native,
    )


def _expected(table: FrameTable, span: _Span, path: Path) -> list[int]:
    """Return the expected timestamps of the frames.

    Raises:
        VideoError: the container does not store them.
    """
    if not table.is_complete:
        raise VideoError(path, "its packets have no timestamps, so damaged ones cannot be skipped; repair it")
    low = 0 if span.begin is None else table.index_of(span.begin)
    high = len(table.pts) if span.end is None else table.index_of(span.end)
    return [int(pts) for pts in table.pts[low:high]]


def _frame_before(info: FilmInfo, table: FrameTable | None, begin: int | None) -> VideoFrame | None:
    """Return the last decodable frame before a key frame, or None if there is none."""
    keys = [] if table is None or begin is None else [int(key) for key in table.keys if key < begin]
    for key in reversed(keys):
        with open_film(info.path) as container:
            stream, span = film_stream(container, info.path), _Span(key, begin)
            last = deque(_decoded(stream, info.path, span, skip_damaged=True), maxlen=1)
        if last:
            return last[0][0]
    return None


def _accounted(
    frames: Iterator[tuple[VideoFrame, int]], expected: list[int] | None, before: Callable[[], VideoFrame | None]
) -> Iterator[tuple[VideoFrame, int, bool]]:
    """Yield each frame with its timestamp, and the previous frame in place of each missing one.

    Args:
        frames: the decodable frames.
        expected: all timestamps; None: no frame is missing.
        before: function that returns the frame before the first, if there is one; otherwise the next frame is used.
    """
    if expected is None:
        yield from ((frame, pts, False) for frame, pts in frames)
        return
    last, place = None, 0
    for frame, pts in frames:
        while place < len(expected) and expected[place] < pts:
            last = last or before() or frame
            yield last, expected[place], True
            place += 1
        if place < len(expected) and expected[place] == pts:
            yield frame, pts, False
            last, place = frame, place + 1
    if place < len(expected) and (last := last or before()):
        yield from ((last, pts, True) for pts in expected[place:])


def _decoded(stream: VideoStream, path: Path, span: _Span, *, skip_damaged: bool) -> Iterator[tuple[VideoFrame, int]]:
    """Yield decoded frames of a span with their timestamps, in presentation order.

    Raises:
        VideoError: a packet is damaged and damaged packets are not skipped.
    """
    counted, has_begun = count() if _lacks_times(stream) else None, span.begin is not None
    before: int | None = None
    for packet in _packets(stream, path, span):
        has_begun |= packet.is_keyframe
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, EOFError) as error:
            is_early = span.begin is not None and packet.pts is not None and packet.pts < span.begin
            if has_begun and not is_early and not skip_damaged:
                raise _damaged(path, stream, packet.pts, reason(error)) from error
            continue
        for frame in frames:
            pts = before = time_stamp(frame, stream, after=before) if counted is None else next(counted)
            if span.end is not None and pts >= span.end:
                return
            if span.begin is not None and pts < span.begin:
                continue
            if not frame.is_corrupt:
                yield frame, pts
            elif not skip_damaged:
                raise _damaged(path, stream, pts, "damaged data")


def _packets(stream: VideoStream, path: Path, span: _Span) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a stream from the key frame at which a span begins.

    Raises:
        VideoError: the rest of the file cannot be read, or the key frame is not found.
    """
    container = cast("InputContainer", stream.container)
    for other in container.streams:
        other.discard = Discard.none if other.index == stream.index else Discard.all
    try:
        if span.begin is None:
            yield from container.demux(stream)
            return
        for seconds in (*SEEK_BACK, None):
            back = span.begin if seconds is None else int(seconds / (stream.time_base or 1))
            container.seek(span.begin - back if seconds is not None else 0, stream=stream)
            packets = container.demux(stream)
            for packet in packets:
                if packet.pts == span.begin and packet.is_keyframe:
                    yield packet
                    yield from packets
                    return
                if seconds is not None and packet.dts is not None and packet.dts > span.begin:
                    break  # the position is behind the key frame
    except av.error.FFmpegError as error:
        raise VideoError(
            path, f"the rest cannot be read ({reason(error)}); it may be damaged: copy it again"
        ) from error
    raise _damaged(path, stream, span.begin, "its key frame cannot be found again")


def _lacks_times(stream: VideoStream) -> bool:
    """Return whether a container (AVI) stores no presentation timestamps for frames that are stored out of order."""
    return stream.container.format.name == "avi" and bool(stream.codec_context.has_b_frames)


def time_stamp(frame: VideoFrame, stream: VideoStream, *, after: int | None) -> int:
    """Return the presentation timestamp of a frame.

    If the container stores none, it is the decoding timestamp or, for frames stored out of order (in MPEG program
    streams only some have timestamps), the timestamp of the previous frame plus its duration.

    Args:
        frame: decoded frame.
        stream: stream of the frame.
        after: timestamp of the previous frame; None for the first.
    """
    if frame.pts is not None:
        return frame.pts
    if after is not None and (stream.codec_context.has_b_frames or frame.dts is None):
        rate = stream.average_rate or stream.guessed_rate
        return after + (frame.duration or (round(1 / (rate * stream.time_base)) if rate and stream.time_base else 1))
    return frame.dts or 0


def _damaged(path: Path, stream: VideoStream, pts: int | None, problem: str) -> VideoError:
    """Return an error that names the frame, determined from the timestamps of the packets."""
    remedy = f"{problem}; copy the file again, or replace each damaged frame by the previous one (--skip-damaged)"
    if pts is None or not stream.time_base:
        return VideoError(path, remedy)
    return VideoError(path, remedy, frame=frame_table(path).index_of(pts), seconds=float(pts * stream.time_base))


def plan_film(info: FilmInfo, seconds: float) -> list[Segment]:
    """Return the segments of a film (see `ganvas.video.plan_segments`)."""
    table = frame_table(info.path)
    if not table.is_complete or not _agrees(info, table):
        return [Segment(number=0, first=0, num_frames=None)]
    starts = [int(table.keys[0])]
    for key in table.keys[1:]:
        if float((int(key) - starts[-1]) * info.time_base) >= seconds:
            starts.append(int(key))
    firsts = [*(table.index_of(key) for key in starts), len(table.pts)]
    stops = [*starts[1:], None]
    return [
        Segment(number=number, first=first, num_frames=firsts[number + 1] - first, start=start, stop=stop)
        for number, (first, start, stop) in enumerate(zip(firsts, starts, stops, strict=False))
    ]


def _agrees(info: FilmInfo, table: FrameTable) -> bool:
    """Return whether the frames up to the second key frame, or a damaged one, have the timestamps of their packets.

    They do not if fields are separate packets.
    """
    stop = int(table.keys[1]) if len(table.keys) > 1 else None
    expected = [int(pts) for pts in table.pts[: table.index_of(stop) if stop is not None else None]]
    stamps: list[int] = []
    with open_film(info.path) as container:
        stream = film_stream(container, info.path)
        try:
            for _, pts in _decoded(stream, info.path, _Span(None, stop), skip_damaged=False):
                stamps.append(pts)
        except VideoError:
            return stamps == expected[: len(stamps)]
    return stamps == expected
