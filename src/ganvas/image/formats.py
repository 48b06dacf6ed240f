"""File formats: detection, capacity, and size limits checked before decoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ganvas.errors import ImageError
from ganvas.image.picture import MAX_CHANNELS, Picture

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "Format", "check_size", "format_of_file", "format_of_suffix", "require_fit"]

Format = Literal["png", "jpeg", "webp", "tiff", "bmp", "npy"]

MAX_PIXELS = 200_000_000
"""Larger pictures are refused before they are decoded: a small file can unpack to more than the memory."""
MAX_BYTES_PER_PIXEL = 8
"""A picture of many channels may need as much memory as one of MAX_PIXELS with this many bytes a pixel."""

_SUFFIXES: dict[str, Format] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".npy": "npy",
}
IMAGE_SUFFIXES = frozenset(_SUFFIXES)

_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),  # BigTIFF
    (b"MM\x00+", "tiff"),
    (b"BM", "bmp"),
    (b"\x93NUMPY", "npy"),
)

# The classes themselves, not PIL.Image.open: that one has a limit of its own in global state.
PILLOW_OPENERS: dict[Format, Callable[[BinaryIO], ImageFile]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "webp": WebPImageFile,
    "bmp": BmpImageFile,
}


@dataclass(frozen=True)
class _Capacity:
    """Types and channels that a format stores without loss.

    WebP is the exception: gray becomes three equal channels, and an opacity that is full everywhere is left out.
    """

    dtypes: frozenset[str]
    channels: frozenset[int]
    alpha: bool


_ANY_CHANNELS = frozenset(range(1, MAX_CHANNELS + 1))
_ANY_DTYPE = frozenset({"uint8", "uint16", "float32"})
_EIGHT_BITS = frozenset({"uint8"})
_GRAY_OR_RGB = frozenset({1, 3})
_CAPACITY: dict[Format, _Capacity] = {
    "png": _Capacity(frozenset({"uint8", "uint16"}), _GRAY_OR_RGB, alpha=True),
    "jpeg": _Capacity(_EIGHT_BITS, _GRAY_OR_RGB, alpha=False),
    "webp": _Capacity(_EIGHT_BITS, _GRAY_OR_RGB, alpha=True),
    "tiff": _Capacity(_ANY_DTYPE, _ANY_CHANNELS, alpha=True),
    "bmp": _Capacity(_EIGHT_BITS, _GRAY_OR_RGB, alpha=False),
    "npy": _Capacity(_ANY_DTYPE, _ANY_CHANNELS, alpha=False),
}


def format_of_suffix(path: Path) -> Format:
    """Return the format to write, by the file name's suffix.

    Raises:
        ImageError: no format has this suffix.
    """
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ImageError(path, f"cannot tell the format from {path.suffix!r}; end the name in {', '.join(_SUFFIXES)}")
    return found


def format_of_file(start: bytes, path: Path) -> Format:
    """Return the format of a file by its first 16 bytes, regardless of its name.

    Raises:
        ImageError: the format is not supported.
    """
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    for signature, found in _SIGNATURES:
        if start.startswith(signature):
            return found
    if not start:
        raise ImageError(path, "an empty file; copy it again, or leave it out")
    raise ImageError(path, "not a PNG, JPEG, WebP, TIFF, BMP or .npy picture; convert it to one, or leave it out")


def check_size(path: Path, *, height: int, width: int, bytes_per_pixel: int, max_pixels: int) -> None:
    """Refuse a picture whose header announces too large a size.

    Raises:
        ImageError: more pixels, or more memory, than allowed.
    """
    if height * width > max_pixels or height * width * bytes_per_pixel > max_pixels * MAX_BYTES_PER_PIXEL:
        raise ImageError(
            path,
            f"{width} x {height} pixels of {bytes_per_pixel} bytes, over the limit of {max_pixels:,} pixels; "
            "make it smaller, or raise max_pixels if you trust it",
        )


def require_fit(picture: Picture, path: Path) -> Format:
    """Return the format of a file to write, after checking that it can hold the picture.

    Raises:
        ImageError: it cannot; the message names formats that can.
    """
    target = format_of_suffix(path)
    if not _holds(target, picture):
        fitting = [name for name in (".png", ".tif", ".npy") if _holds(_SUFFIXES[name], picture)]
        raise ImageError(path, f"{target} cannot hold {_describe(picture)}; write {' or '.join(fitting)}")
    return target


def _holds(target: Format, picture: Picture) -> bool:
    capacity, spec = _CAPACITY[target], picture.spec
    fits = spec.dtype in capacity.dtypes and spec.channels in capacity.channels
    return fits and (capacity.alpha or not picture.has_alpha)


def _describe(picture: Picture) -> str:
    channels = picture.spec.channels
    opacity = " with opacity" if picture.has_alpha else ""
    return f"{channels} channel{'s' if channels > 1 else ''} of {picture.spec.dtype}{opacity}"
