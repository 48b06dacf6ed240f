"""Inspection of uploads, and views that every browser can display.

An upload is accepted only after a worker has decoded it. The header determines the size before decoding, and truncated
files, other formats and too large files are refused with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganvas.errors import ImageError, InputError, VideoError
from ganvas.image.files import read_image, read_size
from ganvas.image.picture import Picture
from ganvas.progress import Progress
from ganvas.studio.storage import view_path
from ganvas.video import is_film, probe, read_video

__all__ = ["InspectTask", "MaskTask", "first_frame", "write_view"]

FILM_SUFFIX = {"mov": ".mp4", "matroska": ".mkv", "avi": ".avi", "gif": ".gif", "webp": ".webp", "apng": ".png"}
"""Prefix of FFmpeg's container name -> suffix; others use MPEG-4."""
LONGEST_FILM = 30 * 60
"""Longest film in seconds."""


@dataclass(frozen=True, kw_only=True)
class InspectTask:
    """Inspection of an upload, which decodes a picture, or the first frame of a film, and writes its view."""

    path: Path
    pixels: int
    """Largest number of pixels of a picture or frame."""

    def run(self, progress: Progress) -> dict[str, Any]:
        """Return kind, suffix, size and path of the view.

        Raises:
            InputError: it is neither a picture nor a film, damaged, or too large.
        """
        del progress
        view = view_path(self.path)
        facts = self._film() if is_film(self.path) else self._picture()
        picture = first_frame(self.path) if facts["kind"] == "film" else read_image(self.path, max_pixels=self.pixels)
        write_view(picture, view)
        size = {"width": picture.width, "height": picture.height}
        return {**facts, **size, "channels": picture.spec.channels, "depth": picture.spec.dtype, "view_path": str(view)}

    def _picture(self) -> dict[str, Any]:
        try:
            height, width = read_size(self.path)
        except InputError as error:
            raise InputError("not a picture or film that ganvas reads, or it is damaged") from error
        self._check(height, width)
        with self.path.open("rb") as file:
            start = file.read(12)
        return {"kind": "picture", "suffix": _picture_suffix(start)}

    def _film(self) -> dict[str, Any]:
        try:
            info = probe(self.path)
        except VideoError as error:
            raise InputError(f"the film cannot be read: {str(error).removeprefix(f'{self.path}: ')}") from error
        self._check(info.height, info.width)
        suffix = next((one for name, one in FILM_SUFFIX.items() if info.container.startswith(name)), ".mp4")
        if info.duration and info.duration > LONGEST_FILM:
            raise InputError(f"the film lasts {info.duration / 60:.0f} minutes; the limit is {LONGEST_FILM // 60}")
        return {"kind": "film", "suffix": suffix, "frames": info.num_frames, "seconds": info.duration}

    def _check(self, height: int, width: int) -> None:
        if height * width > self.pixels:
            raise InputError(f"{width} x {height} pixels are too many; at most {self.pixels / 1e6:g} million")


@dataclass(frozen=True, kw_only=True)
class MaskTask:
    """Validation of a painted mask, which must have the size of its source."""

    path: Path
    width: int
    height: int

    def run(self, progress: Progress) -> dict[str, Any]:
        """Return the share of the picture under the mask.

        Raises:
            InputError: it is not a mask, or has another size.
        """
        del progress
        if read_size(self.path) != (self.height, self.width):
            raise InputError(f"the mask must have {self.width} x {self.height} pixels")
        marked = (read_image(self.path).color != 0).any(axis=2)
        return {"share": float(marked.mean())}


def _picture_suffix(start: bytes) -> str:
    """Return the suffix of a picture by the first bytes of the file."""
    magic = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"BM": ".bmp", b"II": ".tif", b"MM": ".tif", b"\x93NUMPY": ".npy"}
    if start[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for begin, suffix in magic.items() if start.startswith(begin)), ".png")


def first_frame(path: Path) -> Picture:
    """Return the first frame of a film.

    Raises:
        InputError: it cannot be decoded.
    """
    try:
        return next(iter(read_video(probe(path), stop=1))).picture
    except StopIteration:
        raise InputError("the film has no frame") from None


def write_view(picture: Picture, path: Path) -> None:
    """Write a picture as 8-bit RGB PNG with pixels only, which every browser can display."""
    write_rgb(picture.as_rgb8(), path)


def write_rgb(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write (H, W, 3) or (H, W, 4) uint8 as PNG, with fast compression."""
    try:
        Image.fromarray(pixels).save(path, format="PNG", compress_level=1)
    except OSError as error:
        raise ImageError(None, f"the view cannot be written: {error.strerror or error}") from error
