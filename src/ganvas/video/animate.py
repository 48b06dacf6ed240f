"""Writer of GIF, WebP and APNG animations, which encodes each frame with Pillow and writes the container itself.

Pillow's own writers keep all frames in memory and merge equal ones, so frames would be lost.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganvas.errors import VideoError
from ganvas.filesystem.atomic import atomic_file
from ganvas.image.picture import Box, Picture
from ganvas.video.animation import probe_animation, read_animation
from ganvas.video.film import FilmInfo, Frame, WriteOptions, WriteReport
from ganvas.video.label import gif_label, png_label, webp_label

__all__ = ["AnimationWriter", "check_animation", "finish_animation", "write_animation"]

MAX_SIZE = {"gif": 65535, "webp": 16383, "apng": 2**31 - 1}
COLORS = 256
KEEP, CLEAR = 1, 2
"""Disposal methods of a GIF frame: keep it, or clear it before the next one."""


def _format(out: Path) -> str:
    suffix = out.suffix.lower()[1:]
    return "apng" if suffix == "png" else suffix


class AnimationWriter:
    """Writer of an animation, frame by frame, which keeps one frame until the next one is known.

    Args:
        file: file open for writing and seeking.
        info: the film or animation of the frames.
        out: path for messages; its suffix determines the format.
        options: metadata to keep; an animation has no sound.
    """

    def __init__(self, file: BinaryIO, info: FilmInfo, out: Path, options: WriteOptions) -> None:
        check_animation(out, info, options)
        self._file, self._info, self._out, self._format = file, info, out, _format(out)
        self._label = options.label
        self._held: Frame | None = None
        self._before: NDArray[np.uint8] | None = None
        self._count, self._ticks, self._clock = 0, 0, Fraction(0)
        self._delays: list[Fraction] = []

    def write(self, frame: Frame) -> None:
        """Add a frame.

        Raises:
            VideoError: it is earlier than the previous frame, or has another size.
        """
        held, self._held = self._held, frame
        if held is None:
            self._file.write(self._header(_rgba(frame.picture)))
            return
        if frame.pts < held.pts:
            raise VideoError(self._out, "earlier than the previous frame", frame=frame.index)
        self._add(held, frame.pts - held.pts)

    def finish(self) -> None:
        """Write the last frame and the end of the file.

        Raises:
            VideoError: no frame was written.
        """
        if self._held is None:
            raise VideoError(self._out, "no frame to write; an animation needs at least one")
        self._add(self._held, self._held.duration or self._usual())
        self._end()
        self._file.flush()
        self._verify(Path(self._file.name))

    def _verify(self, path: Path) -> None:
        """Decode the finished file, and compare its frames and delays with the written ones.

        Raises:
            VideoError: they differ.
        """
        found = probe_animation(path)
        delays = [frame.duration * found.time_base for frame in read_animation(found)]
        if len(delays) != self._count:
            raise VideoError(self._out, f"{len(delays)} frames in the finished file, but {self._count} were written")
        for number, (delay, wanted) in enumerate(zip(delays, self._delays, strict=True)):
            if abs(delay - wanted) > found.time_base:
                problem = f"shown for {float(delay)} s in the finished file, and not {float(wanted)} s"
                raise VideoError(self._out, problem, frame=number)

    def _usual(self) -> int:
        """Return the delay of a last frame without one: the average."""
        return round(1 / (self._info.rate * self._info.time_base)) if self._info.rate else 0

    def _add(self, frame: Frame, delay: int) -> None:
        """Write a frame with a delay in units of the time base."""
        pixels = _rgba(frame.picture)
        if self._before is not None and pixels.shape != self._before.shape:
            raise VideoError(
                self._out,
                "another size than the previous frames; all frames of a film must have the same size",
                frame=frame.index,
            )
        box = _changed(pixels, self._before, even=self._format == "webp", whole=self._has_alpha(pixels))
        self._clock += delay * self._info.time_base
        match self._format:
            case "gif":
                self._write_gif(pixels, box)
            case "webp":
                self._write_webp(pixels, box)
            case _:
                self._write_apng(pixels, box, delay * self._info.time_base)
        self._before, self._count = pixels, self._count + 1

    def _has_alpha(self, pixels: NDArray[np.uint8]) -> bool:
        return self._format == "gif" and (self._info.has_alpha or pixels.shape[2] == 4)

    def _delay(self, ticks_a_second: int) -> int:
        """Return the delay of a frame in whole ticks, so that rounding errors do not accumulate."""
        until = round(self._clock * ticks_a_second)
        delay, self._ticks = until - self._ticks, until
        self._delays.append(Fraction(delay, ticks_a_second))
        return delay

    def _loop(self) -> int:
        return 0 if self._info.loop is None else self._info.loop

    def _header(self, pixels: NDArray[np.uint8]) -> bytes:
        height, width = pixels.shape[:2]
        if max(height, width) > MAX_SIZE[self._format]:
            raise VideoError(
                self._out, f"{self._format} does not support {width} x {height} pixels; write .mkv or .mp4"
            )
        self._size = height, width
        label = self._label
        match self._format:
            case "gif":
                loops = self._info.loop is not None or not self._info.is_animation
                loop = b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", self._loop()) + b"\0" if loops else b""
                mark = gif_label(label) if label else b""
                return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0) + loop + mark
            case "webp":
                alpha = 0x10 if pixels.shape[2] == 4 else 0
                size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
                canvas = _riff(b"VP8X", bytes((0x02 | alpha | (0x04 if label else 0), 0, 0, 0)) + size)
                return b"RIFF\0\0\0\0WEBP" + canvas + _riff(b"ANIM", struct.pack("<IH", 0, self._loop()))
            case _:
                color = 6 if pixels.shape[2] == 4 else 2
                head = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
                control = struct.pack(">II", 0, self._loop())
                mark = png_label(label) if label else b""
                return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"acTL", control) + mark

    def _end(self) -> None:
        """Write the end of the file, and fill in values that were unknown before."""
        if self._format == "gif":
            self._file.write(b";")
        elif self._format == "webp":
            self._file.write(webp_label(self._label) if self._label else b"")
            size = self._file.tell() - 8
            self._file.seek(4)
            self._file.write(struct.pack("<I", size))
        else:
            self._file.write(_chunk(b"IEND", b""))
            self._file.seek(33)  # after the signature and IHDR
            self._file.write(_chunk(b"acTL", struct.pack(">II", self._count, self._loop())))

    def _write_gif(self, pixels: NDArray[np.uint8], box: Box) -> None:
        """GIF89a, sec. 20 to 23: graphic control extension, image descriptor, its own color table, LZW data."""
        image, transparent = _with_palette(pixels[box.top : box.bottom, box.left : box.right])
        disposal = CLEAR if self._has_alpha(pixels) else KEEP
        flags = disposal << 2 | (transparent is not None)
        delay = min(self._delay(100), 65535)
        self._file.write(b"!\xf9\x04" + struct.pack("<BHBB", flags, delay, transparent or 0, 0))
        self._file.write(b"," + struct.pack("<HHHH", box.left, box.top, image.width, image.height))
        self._file.write(_gif_image(image))

    def _write_webp(self, pixels: NDArray[np.uint8], box: Box) -> None:
        """WebP container specification, ANMF: place, size, delay, no blending; then a lossless picture."""
        part = pixels[box.top : box.bottom, box.left : box.right]
        stream = BytesIO()
        Image.fromarray(part).save(stream, "WEBP", lossless=True, exact=True, quality=20, method=1)
        numbers = (box.left // 2, box.top // 2, part.shape[1] - 1, part.shape[0] - 1, self._delay(1000))
        head = b"".join(number.to_bytes(3, "little") for number in numbers) + b"\x02"
        bits = next(_riff(name, data) for name, data in _riff_parts(stream.getvalue()) if name == b"VP8L")
        self._file.write(_riff(b"ANMF", head + bits))

    def _write_apng(self, pixels: NDArray[np.uint8], box: Box, delay: Fraction) -> None:
        """PNG, third edition, sec. 11.3.6: frame control, then the frame's data; the first one's is IDAT."""
        part = pixels[box.top : box.bottom, box.left : box.right]
        stream = BytesIO()
        Image.fromarray(part).save(stream, "PNG", compress_level=6)
        number = max(0, 2 * self._count - 1)
        seconds = _small_fraction(delay)
        self._delays.append(seconds)
        numbers = (number, part.shape[1], part.shape[0], box.left, box.top)
        control = struct.pack(">IIIIIHHBB", *numbers, seconds.numerator, seconds.denominator, 0, 0)
        self._file.write(_chunk(b"fcTL", control))
        data = b"".join(body for name, body in _chunks(stream.getvalue()) if name == b"IDAT")
        self._file.write(
            _chunk(b"fdAT", struct.pack(">I", number + 1) + data) if self._count else _chunk(b"IDAT", data)
        )


def _small_fraction(delay: Fraction) -> Fraction:
    """Return a delay in seconds as a fraction of two 16-bit numbers; 0.033333 is 1/30."""
    largest = max(1, min(1000, int(65535 // max(delay, Fraction(1)))))
    return min(delay, Fraction(65535)).limit_denominator(largest)


def _rgba(picture: Picture) -> NDArray[np.uint8]:
    """Return (H, W, 3 or 4) uint8."""
    rgb = picture.as_rgb8()
    if not picture.has_alpha:
        return rgb
    alpha = Picture(np.ascontiguousarray(picture.pixels[:, :, -1:])).as_rgb8()[:, :, :1]
    return np.concatenate([rgb, alpha], axis=2)


def _changed(pixels: NDArray[np.uint8], before: NDArray[np.uint8] | None, *, even: bool, whole: bool) -> Box:
    """Return the box outside which a frame equals the previous one; one pixel if nothing differs."""
    height, width = pixels.shape[:2]
    if before is None or whole:
        return Box(0, 0, width, height)
    differs = (pixels != before).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return Box(0, 0, 1, 1)
    left, top = int(columns[0]), int(rows[0])
    return Box(left - left % 2 * even, top - top % 2 * even, int(columns[-1]) + 1, int(rows[-1]) + 1)


def _with_palette(pixels: NDArray[np.uint8]) -> tuple[Image.Image, int | None]:
    """Return a picture of at most 256 colors, exact if it has no more, and the transparent one of them."""
    clear = pixels[:, :, 3] < 128 if pixels.shape[2] == 4 else np.zeros(pixels.shape[:2], bool)
    room = COLORS - bool(clear.any())
    rgb = np.where(clear[:, :, None], 0, pixels[:, :, :3])
    codes = (rgb.astype(np.uint32) * (1 << 16, 1 << 8, 1)).sum(axis=2, dtype=np.uint32)
    known, place = np.unique(codes[~clear], return_inverse=True)
    if len(known) <= room:
        indexes = np.full(clear.shape, min(len(known), COLORS - 1), np.uint8)
        indexes[~clear] = place
        palette = np.stack([known >> 16, known >> 8 & 255, known & 255], axis=1).astype(np.uint8)
    else:
        reduced = Image.fromarray(rgb.astype(np.uint8)).quantize(room)
        indexes = np.asarray(reduced).copy()
        palette = np.array(reduced.getpalette() or [], np.uint8).reshape(-1, 3)[:room]
        indexes[clear] = min(len(palette), COLORS - 1)
    image = Image.fromarray(indexes)  # numbers of colors
    image.putpalette(np.concatenate([palette, np.zeros((1, 3), np.uint8)])[:COLORS].tobytes())
    return image, len(palette) if clear.any() else None


def _gif_image(image: Image.Image) -> bytes:
    """Return flags, color table and LZW data of a picture, extracted from a GIF of that picture."""
    stream = BytesIO()
    image.save(stream, "GIF", optimize=False, interlace=0)
    data = stream.getvalue()
    entries = 2 << (data[10] & 7)
    palette, place = data[13 : 13 + 3 * entries], 13 + 3 * entries
    while data[place] == ord("!"):  # extensions
        place += 2
        while data[place]:
            place += data[place] + 1
        place += 1
    return bytes((0x80 | data[10] & 7,)) + palette + data[place + 10 : -1]


def _riff(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _riff_parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(data):
        size = struct.unpack_from("<I", data, place + 4)[0]
        yield data[place : place + 4], data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 8 <= len(data):
        size = struct.unpack_from(">I", data, place)[0]
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        place += size + 12


def check_animation(out: Path, info: FilmInfo, options: WriteOptions) -> None:
    """Verify that an animation can store the streams and metadata to keep (see `ganvas.video.check_writable`).

    Raises:
        VideoError: it cannot.
    """
    if options.codec is not None or options.crf is not None:
        raise VideoError(out, "animations do not support codec and quality; omit them")
    for kind, kept in (("sound", options.sound), ("subtitles", options.subtitles)):
        if kept and any(stream.kind == kind for stream in info.streams):
            raise VideoError(out, f"{out.suffix} cannot store {kind}; write .mkv or .mp4, or drop it ({kind}=False)")


def write_animation(path: Path, frames: Iterable[Frame], info: FilmInfo, out: Path, options: WriteOptions) -> int:
    """Write an animation atomically as a single part; return the number of frames."""
    count = 0
    with atomic_file(path) as temporary, temporary.open("w+b") as file:
        writer = AnimationWriter(file, info, out, options)
        for frame in frames:
            writer.write(frame)
            count += 1
        writer.finish()
    return count


def finish_animation(out: Path, parts: Sequence[Path]) -> WriteReport:
    """Verify an animation by reading it back, and move it into place (see `ganvas.video.join_segments`)."""
    if len(parts) != 1:
        raise VideoError(out, f"{len(parts)} parts, but an animation has only one")
    info = probe_animation(parts[0])
    with atomic_file(out) as temporary:
        shutil.copyfile(parts[0], temporary)
    return WriteReport(
        path=out,
        num_frames=info.num_frames or 0,
        encoder=info.codec,
        pixel_format="pal8" if info.container == "gif" else info.pixel_format,
        is_lossless=info.container != "gif",
    )
