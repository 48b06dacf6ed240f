"""Reader of GIF, WebP and APNG animations with Pillow, frame by frame, with delays and loop counts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ganvas.errors import GanvasError, VideoError
from ganvas.image.files import open_regular
from ganvas.image.integrity import MAX_PIXELS, check_size
from ganvas.image.picture import Picture
from ganvas.video.film import ColorTags, FilmInfo, Frame, StreamInfo

__all__ = ["num_frames", "probe_animation", "read_animation"]

_OPENERS: dict[str, type[ImageFile]] = {"gif": GifImageFile, "webp": WebPImageFile, "apng": PngImageFile}
TIME_BASE, APNG_TIME_BASE = Fraction(1, 1000), Fraction(1, 1_000_000)
"""GIF counts hundredths of a second, WebP milliseconds; APNG has fractions, such as 1/30."""
SRGB = ColorTags(matrix=0, full_range=True, range_tag=2, primaries=1, transfer=13)


def num_frames(file: BinaryIO, start: bytes) -> int:
    """Return the number of frames of a GIF, WebP or PNG, at most 2 (more than one), without decoding.

    Args:
        file: open file at any position.
        start: its first bytes, at least 21.
    """
    file.seek(0)
    if start.startswith(b"GIF8"):
        return _count_gif(file)
    if start.startswith(b"\x89PNG"):
        return _count_png(file)
    is_animated = start[12:16] == b"VP8X" and bool(start[20] & 0x02)
    return min(2, sum(kind == b"ANMF" for kind in _riff_chunks(file))) if is_animated else 1


def _count_gif(file: BinaryIO) -> int:
    """Count the image descriptors of a GIF, up to 2 (GIF89a, sec. 17 to 27)."""
    head = file.read(13)
    file.seek(_palette_bytes(head[10]) if len(head) == 13 else 0, 1)
    found = 0
    while found < 2:
        match file.read(1):
            case b"!":
                file.seek(1, 1)  # label of the extension
            case b",":
                found += 1
                descriptor = file.read(9)
                file.seek(1 + (_palette_bytes(descriptor[8]) if len(descriptor) == 9 else 0), 1)
            case _:
                break
        while length := file.read(1).strip(b"\0"):
            file.seek(length[0], 1)
    return found


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _count_png(file: BinaryIO) -> int:
    """Return the number of frames in the animation control chunk before the pixels, up to 2."""
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"acTL":
            return min(2, int.from_bytes(file.read(4), "big"))
        file.seek(length + 4, 1)
    return 1


def _riff_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the names of the chunks of a WebP file."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        yield head[:4]
        length = struct.unpack("<I", head[4:])[0]
        file.seek(length + length % 2, 1)


def probe_animation(path: Path) -> FilmInfo:
    """Return the properties of an animation (see `ganvas.video.probe`); decodes every frame.

    Raises:
        VideoError: the file is truncated or damaged.
    """
    with _reading(path) as (image, container):
        delays, has_alpha = [], False
        for _ in _composed(image):
            delays.append(_delay(image, container))
            has_alpha = has_alpha or (image.has_transparency_data and _is_transparent(image))
        time_base = APNG_TIME_BASE if container == "apng" else TIME_BASE
        length = float(sum(delays) * time_base)
        return FilmInfo(
            path=path,
            container=container,
            is_animation=True,
            codec=container,
            is_lossless=True,
            height=image.height,
            width=image.width,
            time_base=time_base,
            rate=Fraction(len(delays) / length).limit_denominator(1001) if length else None,
            pixel_format="rgba" if has_alpha else "rgb24",
            has_alpha=has_alpha,
            color=SRGB,
            duration=length,
            num_frames=len(delays),
            streams=(StreamInfo(index=0, kind="video", codec=container),),
            loop=image.info.get("loop"),
        )


def read_animation(info: FilmInfo, *, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """Yield the composed frames of an animation (see `ganvas.video.read_video`)."""
    with _reading(info.path) as (image, container):
        pts = 0
        for index in _composed(image):
            if stop is not None and index >= stop:
                return
            delay = _delay(image, container)
            if index >= start:
                pixels = np.asarray(image.convert("RGBA" if info.has_alpha else "RGB")).copy()
                yield Frame(
                    index=index,
                    pts=pts,
                    time=float(pts * info.time_base),
                    duration=delay,
                    picture=Picture(pixels, info.has_alpha, source=info.path),
                    is_key=index == 0,
                )
            pts += delay


@contextmanager
def _reading(path: Path) -> Iterator[tuple[ImageFile, str]]:
    """Open an animation; exceptions of decoders become a VideoError."""
    with open_regular(path) as file:
        start = file.read(16)
        file.seek(0)
        container = "gif" if start.startswith(b"GIF8") else "webp" if start[8:12] == b"WEBP" else "apng"
        image: ImageFile | None = None
        try:
            image = _OPENERS[container](file)
            size = {"height": image.height, "width": image.width}
            check_size(path, **size, bytes_per_pixel=4, max_pixels=MAX_PIXELS)
            yield image, container
        except GanvasError:
            raise
        except Exception as error:  # decoders raise many types on malicious bytes
            problem = f"cannot be decoded ({error}); it may be truncated: copy it again"
            raise VideoError(path, problem, frame=image.tell() if image else None) from error


def _composed(image: ImageFile) -> Iterator[int]:
    """Decode the frames of an animation one by one, and yield their numbers."""
    for index in range(int(getattr(image, "n_frames", 1))):
        image.seek(index)
        image.load()
        yield index


def _delay(image: ImageFile, container: str) -> int:
    """Return the delay of the frame in units of the time base."""
    milliseconds = float(image.info.get("duration", 0))
    return round(milliseconds * 1000) if container == "apng" else round(milliseconds)


def _is_transparent(image: ImageFile) -> bool:
    return bool((np.asarray(image.convert("RGBA"))[:, :, 3] < 255).any())
