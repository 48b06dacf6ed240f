"""Finishing of a written film: joins its parts, and verifies the file by reading it back."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import VideoError
from ganvas.filesystem.atomic import atomic_file
from ganvas.video.codecs import Container, Encoding, choose_encoding
from ganvas.video.container import film_stream, open_film
from ganvas.video.decode import frame_table, time_stamp
from ganvas.video.encode import FilmEncoder, Part, digest
from ganvas.video.film import FilmInfo, Frame, WriteOptions, WriteReport
from ganvas.video.label import update_sidecar
from ganvas.video.mux import SHIFTING, Assembled, Timing, assemble, check_streams

__all__ = ["join_parts", "try_film"]

WITH_COUNTED_SOUND = ("mp4", "mov", "matroska", "webm", "mpegts")
"""Containers that preserve the number of sound packets."""
MAX_DEVIATION = 0.1
"""Largest deviation of rounded timestamps from a constant rate, as a share of a frame's duration."""
MAX_GRID = 4
"""Largest number of grid positions per frame in a container of constant rate; all but one are empty, and players handle
many badly."""


def join_parts(out: Path, paths: Sequence[Path], info: FilmInfo, options: WriteOptions) -> WriteReport:
    """Join part files to a film (see `ganvas.video.join_segments`)."""
    parts = [Part.open(path) for path in paths]
    encoding = choose_encoding(info, out, options, parts[0].size)
    for part in parts:
        if (part.size, part.digest) != (parts[0].size, digest(encoding)):
            raise VideoError(
                part.path, "encoded with other settings than the film; remove it and run the command again"
            )
    pts, order = _time_stamps(parts, out)
    times = Timing(pts, _decoding_times(pts, order), _tick(pts, info, encoding, out))
    with atomic_file(out) as temporary:
        done = assemble(temporary, out, parts, times, info, encoding, options)
        _verify(temporary, out, done, times, info)
        update_sidecar(out, options.label)
    return WriteReport(
        path=out,
        num_frames=len(times.pts),
        encoder=encoding.encoder,
        pixel_format=encoding.pixel_format,
        is_lossless=encoding.is_lossless,
        offset=float(done.offset),
        sound_tracks=list(done.kinds.values()).count("sound"),
        dropped=(*done.dropped, *_lost(info, encoding, options)),
    )


def _time_stamps(parts: Sequence[Part], out: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the timestamps of all packets in presentation order, and the index of each packet in this order.

    Raises:
        VideoError: two frames have the same time, or a part does not follow the previous one.
    """
    stamps = [np.array([record[0] for record in part.records(with_data=False)], np.int64) for part in parts]
    bounds = [(int(each.min()), int(each.max())) for each in stamps]
    decoded = np.concatenate(stamps)
    shown = np.sort(decoded)
    if (np.diff(shown) <= 0).any() or any(a[1] >= b[0] for a, b in pairwise(bounds)):
        raise VideoError(out, "its parts overlap in time; encode them again from one plan")
    return shown, np.searchsorted(shown, decoded)


def _tick(shown: NDArray[np.int64], info: FilmInfo, encoding: Encoding, out: Path) -> Fraction:
    """Return the time base to request from a container; containers without timestamps count frames at a constant rate.

    Raises:
        VideoError: the timestamps are not on a grid of constant rate, and the container requires one.
    """
    steps = np.diff(shown)
    if encoding.may_reorder or not steps.size:
        return info.time_base if encoding.may_reorder else 1 / encoding.rate
    frames = steps * float(info.time_base * encoding.rate)
    if (np.abs(frames - np.rint(frames)) < MAX_DEVIATION).all() and frames.min() > MAX_DEVIATION:
        return 1 / encoding.rate
    common = int(np.gcd.reduce(steps))
    if steps.min() > MAX_GRID * common:
        raise VideoError(
            out, f"its frame rate is variable, but {out.suffix} requires a constant one; write .mkv or .mp4"
        )
    return common * info.time_base


def _decoding_times(shown: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the decoding timestamps: the presentation timestamps shifted by the depth of reordering.

    Args:
        shown: presentation timestamps, in order.
        order: for each packet its index in `shown`.
    """
    depth = int(max(0, (np.arange(len(order)) - order).max()))
    step = int(np.diff(shown).min()) if len(shown) > 1 else 1
    before = shown[0] - step * np.arange(depth, 0, -1)
    return np.concatenate([before, shown])[: len(shown)]


def _lost(info: FilmInfo, encoding: Encoding, options: WriteOptions) -> list[str]:
    """Return the properties of the film, other than streams, that the new file lacks."""
    lost = [] if options.metadata or info.is_animation else ["metadata"]
    if info.num_chapters and not options.metadata:
        lost.append("chapters")
    if info.has_alpha and "a" not in encoding.pixel_format.replace("gray", ""):
        lost.append("opacity")
    if info.is_interlaced:
        lost.append("the mark of interlacing")
    return lost


def _verify(path: Path, out: Path, done: Assembled, times: Timing, info: FilmInfo) -> None:
    """Decode a finished file, and compare its frames and sound with the written ones.

    Raises:
        VideoError: a frame or a packet is missing, or has another timestamp.
    """
    container = Container(out).name
    stamps, counts, starts, tick = _read_back(path)
    expected = (times.pts * float(info.time_base)) + float(done.offset)
    if len(stamps) != len(expected):
        raise VideoError(out, f"{len(stamps)} frames in the finished file, but {len(expected)} were written")
    shift = stamps[0] - expected[0] if container in SHIFTING else 0.0
    wrong = np.flatnonzero(np.abs(stamps - expected - shift) > 0.5 * tick + 1e-6)
    if wrong.size:
        at = int(wrong[0])
        problem = f"its time would become {stamps[at] - shift:.4f} s; {out.suffix} cannot store it: write .mkv or .mp4"
        raise VideoError(out, problem, frame=at, seconds=float(expected[at]))
    for index, kind in done.kinds.items():
        if kind != "sound" or container not in WITH_COUNTED_SOUND:
            continue
        if counts.get(index, 0) != done.copied[index]:
            found = f"{counts.get(index, 0)} packets of sound track {index} in the finished file"
            raise VideoError(out, f"{found}, but {done.copied[index]} were copied; write .mkv")
        late = starts.get(index, 0.0) - done.starts.get(index, 0.0) - shift
        if abs(late) > 0.0015:
            raise VideoError(out, f"sound track {index} would begin {late:.4f} s late; write .mkv")


def _read_back(path: Path) -> tuple[NDArray[np.float64], dict[int, int], dict[int, float], float]:
    """Return frame timestamps in seconds, packets and first timestamp of other streams, and the tick."""
    stamps: list[float] = []
    counts: dict[int, int] = {}
    starts: dict[int, float] = {}
    before: int | None = None
    with open_film(path) as container:
        stream: Any = film_stream(container, path)
        stream.thread_type = "AUTO"
        for packet in container.demux():
            if packet.stream.index == stream.index:
                for frame in stream.decode(packet):
                    before = time_stamp(frame, stream, after=before)
                    stamps.append(float(before * stream.time_base))
            elif packet.size:
                counts[packet.stream.index] = counts.get(packet.stream.index, 0) + 1
                if packet.pts is not None:
                    starts.setdefault(packet.stream.index, float(packet.pts * packet.time_base))
        return np.array(stamps), counts, starts, float(stream.time_base)


def _check_rate(out: Path, info: FilmInfo, encoding: Encoding) -> None:
    """Verify that a container of constant rate can store the timestamps of a film, as far as its packets contain them.

    Raises:
        VideoError: it cannot.
    """
    is_program_stream = Container(out).name == "mpeg"
    if info.is_animation or not info.streams or not (is_program_stream or not encoding.may_reorder):
        return
    table = frame_table(info.path)
    if not table.is_complete:
        return
    _tick(table.pts, info, encoding, out)
    frames = np.diff(table.pts) * float(info.time_base * encoding.rate)
    if is_program_stream and (np.abs(frames - 1) > MAX_DEVIATION).any():
        problem = f"its frame rate is variable or not supported by MPEG-2, but {out.suffix} requires a constant one"
        raise VideoError(out, f"{problem}; write .mkv or .mp4")


def try_film(out: Path, info: FilmInfo, options: WriteOptions, frame: Frame) -> Encoding:
    """Verify that a film can be written, and encode one frame (see `ganvas.video.check_writable`)."""
    encoding = choose_encoding(info, out, options, (frame.picture.height, frame.picture.width))
    check_streams(out, info, encoding, options)
    _check_rate(out, info, encoding)
    for _ in FilmEncoder(info, encoding, out).encode(frame):
        pass
    return encoding
