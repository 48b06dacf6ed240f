"""Small films for tests, written with PyAV, one for each row of docs/films.md."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ganvas.video.scheduling import keep_scheduling

TICK = Fraction(1, 12800)
STEP = 512
"""Duration of a frame at 25 frames per second, in ticks."""


def pixels(number: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Return a smooth gradient with a moving square; (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([60 + 2 * y, 40 + 2 * x, 120 + y - x // 2], -1).clip(0, 255).astype(np.uint8)
    left = 4 + number * 2 % (width - 16)
    image[8:20, left : left + 12] = (200, 60, 40)
    return image


def make_film(
    path: Path,
    *,
    frames: int = 12,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (48, 64),
    stamps: list[int] | None = None,
    sound: tuple[str, ...] = (),
    options: dict[str, str] | None = None,
    matrix: tuple[int, ...] | None = None,
    aspect: Fraction | None = None,
    tags: dict[str, int] | None = None,
    metadata: dict[str, str] | None = None,
    chapters: list[Any] | None = None,
) -> Path:
    """Write a film; `stamps` are in ticks of 1/12800 s, `sound` are languages.

    x265 needs at least a dozen frames: if it gets fewer than it reorders, it returns uninitialized decoding timestamps.
    """
    with keep_scheduling(), av.open(path, "w", options={"fflags": "+bitexact"}) as out:
        out.metadata.update(metadata or {})
        video = out.add_stream(codec, rate=25, options=options or {})
        video.height, video.width, video.pix_fmt = size[0], size[1], pixel_format
        tick = Fraction(1, 25) if codec == "mpeg2video" else TICK  # its bit stream counts in frames
        video.codec_context.time_base = tick
        video.codec_context.sample_aspect_ratio = aspect or Fraction(1)
        for name, value in (tags or {}).items():
            setattr(video.codec_context, name, value)
        if matrix:
            video.set_display_matrix(matrix)
        tracks = [_add_sound(out, language) for language in sound]
        if chapters:
            out.set_chapters(chapters)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(pixels(number, *size), "rgb24")
            frame.pts = stamps[number] if stamps else int(number * STEP * TICK / tick)
            frame.time_base = tick
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for number, track in enumerate(tracks):
            _fill_sound(out, track, seconds=frames / 25, late=0.1 * number)
    return path


def _add_sound(out: Any, language: str) -> Any:
    track = out.add_stream("libopus" if out.format.name == "webm" else "aac", rate=48000)
    track.metadata["language"] = language
    return track


def _fill_sound(out: Any, track: Any, *, seconds: float, late: float) -> None:
    for number in range(max(1, int(seconds * 48000) // 960)):
        wave = np.sin(np.arange(960) * 0.05 * (number + 1)).astype(np.float32) * 0.2
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, int(late * 48000) + number * 960, Fraction(1, 48000)
        out.mux(track.encode(frame))
    out.mux(track.encode(None))


def spoil(path: Path, packet: int, *, length: int = 40, at_start: bool = False) -> Path:
    """Overwrite the middle or the start of one packet of the video stream with noise."""
    with av.open(path) as film:
        entry = film.streams.video[0].index_entries[packet]
        place = entry.pos + (0 if at_start else entry.size // 4)
        length = min(length, entry.size // 2)
    data = bytearray(path.read_bytes())
    data[place : place + length] = np.random.default_rng(7).integers(0, 256, length).astype(np.uint8).tobytes()
    path.write_bytes(data)
    return path
