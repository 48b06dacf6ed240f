"""File formats: detection, decoding, encoding, and supported types and channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ganvas.errors import ImageError
from ganvas.image.convert import (
    ADOBE_RGB,
    claims_adobe_rgb,
    cmyk_to_rgb,
    exif_orientation,
    plain_dtype,
    to_srgb,
    upright,
)
from ganvas.image.integrity import check_png, check_scans, check_size, pixels_alone
from ganvas.image.label import SyntheticLabel, insert_text
from ganvas.image.picture import Picture, Pixels
from ganvas.image.ranges import strips

__all__ = [
    "IMAGE_SUFFIXES",
    "Format",
    "decode",
    "encode",
    "has_white_zero",
    "picture_of_pillow",
    "read_xmp",
    "require_fit",
    "stored_size",
]

Format = Literal["png", "jpeg", "webp", "tiff", "bmp", "npy"]

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

# The classes themselves instead of PIL.Image.open, which has a limit in global state.
PILLOW_OPENERS: dict[Format, Callable[[BinaryIO], ImageFile]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "webp": WebPImageFile,
    "bmp": BmpImageFile,
}


START = 32
"""Number of leading bytes that identify the format and, in a PNG file, the bit depth."""
PNG_DEPTH_AT = 24


def decode(file: BinaryIO, path: Path, *, max_pixels: int) -> Picture:
    """Decode the picture in an open file; `path` is for messages and for mapping .npy files."""
    # 1. Choose the decoder by the first bytes: names are often wrong.
    start, kind = _identify(file, path)
    if kind == "tiff":
        from ganvas.image.tiff import read_tiff  # slow to import

        return read_tiff(file, path, max_pixels=max_pixels)
    if kind == "npy":
        return _read_npy(file, path, max_pixels)
    # 2. Refuse pictures that would need too much memory or time, by the header: kilobytes can unpack to gigabytes.
    if kind == "jpeg":
        check_scans(file.read(), path)
        file.seek(0)
    image = PILLOW_OPENERS[kind](file)
    deep = kind == "png" and start[PNG_DEPTH_AT] == 16
    bytes_per_pixel = len(image.getbands()) * (2 if deep else 1)
    check_size(path, height=image.height, width=image.width, bytes_per_pixel=bytes_per_pixel, max_pixels=max_pixels)
    if getattr(image, "is_animated", False):
        raise ImageError(path, "an animation; save one frame as a picture")
    # 3. Verify PNG files completely: decoders skip some of the checksums and would return wrong pixels.
    note = None
    if kind == "png":
        place = file.tell()
        note = check_png(file, path)
        file.seek(place)
    # 4. Decode, then apply the color profile and the orientation.
    picture = _of_pillow(image, _read_deep_png(file) if deep else _read_plain(image))
    return replace(picture, source=path, notes=(*picture.notes, note) if note else picture.notes)


def picture_of_pillow(image: Image.Image) -> Picture:
    """Convert an 8-bit Pillow image as reading its file would: upright, with opacity, in sRGB."""
    return _of_pillow(image, _read_plain(image))


def _of_pillow(image: Image.Image, decoded: tuple[Pixels, bool]) -> Picture:
    """Return the decoded pixels of an image, converted to sRGB and rotated upright according to its metadata."""
    pixels, has_alpha = decoded
    profile = image.info.get("icc_profile")
    pixels, notes = to_srgb(pixels, None if image.mode == "CMYK" else profile, has_alpha=has_alpha)
    if not profile and claims_adobe_rgb(image):
        notes = (ADOBE_RGB,)
    return Picture(upright(pixels, exif_orientation(image)), has_alpha, notes=notes)


def stored_size(file: BinaryIO, path: Path) -> tuple[int, int]:
    """Return height and width of the picture in an open file, without decoding it."""
    _, kind = _identify(file, path)
    if kind == "tiff":
        from ganvas.image.tiff import tiff_size  # slow to import

        return tiff_size(file, path)
    if kind == "npy":
        height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
        return int(height), int(width)
    image = PILLOW_OPENERS[kind](file)
    return image.height, image.width


def read_xmp(file: BinaryIO, path: Path) -> bytes | None:
    """Return the XMP packet of an open picture file, without decoding the picture."""
    _, kind = _identify(file, path)
    if kind == "npy":
        return None
    if kind == "tiff":
        from ganvas.image.tiff import tiff_xmp  # slow to import

        return tiff_xmp(file, path)
    packet = PILLOW_OPENERS[kind](file).info.get("xmp")
    return packet if isinstance(packet, bytes) else None


def has_white_zero(file: BinaryIO, path: Path) -> bool:
    """Return whether an open file is a TIFF whose photometric interpretation is "white is zero"."""
    if _identify(file, path)[1] != "tiff":
        return False
    from ganvas.image.tiff import tiff_has_white_zero  # slow to import

    return tiff_has_white_zero(file, path)


def _format_of_file(start: bytes, path: Path) -> Format:
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
        raise ImageError(path, "an empty file; copy it again, or remove it")
    raise ImageError(path, "not a PNG, JPEG, WebP, TIFF, BMP or .npy picture; convert it to one, or remove it")


def _identify(file: BinaryIO, path: Path) -> tuple[bytes, Format]:
    start = file.read(START)
    file.seek(0)
    return start, _format_of_file(start, path)


def _read_plain(image: Image.Image) -> tuple[Pixels, bool]:
    """Return (H, W, C) uint8, and whether the last channel is opacity."""
    image.load()
    if image.mode == "CMYK":
        return cmyk_to_rgb(np.array(image), image.info.get("icc_profile")), False
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    has_alpha = image.has_transparency_data
    mode += "A" if has_alpha else ""
    plain: Image.Image = image if mode == image.mode else image.convert(mode)
    return _pixels(plain), has_alpha


def _pixels(image: Image.Image) -> Pixels:
    """Return (H, W, C) uint8, copied strip by strip, because Pillow's own conversion makes three more copies."""
    pixels = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    for rows in strips(pixels):
        part = image.crop((0, rows.start, image.width, rows.stop))
        pixels[rows] = _with_channel_axis(np.asarray(part))
    return pixels


def _read_deep_png(file: BinaryIO) -> tuple[Pixels, bool]:
    """Return (H, W, C) uint16, and whether the last channel is opacity; Pillow would reduce 16-bit color to 8."""
    import imagecodecs  # slow to import

    pixels = _with_channel_axis(imagecodecs.png_decode(pixels_alone(file)))
    return pixels, pixels.shape[2] in (2, 4)


def _read_npy(file: BinaryIO, path: Path, max_pixels: int) -> Picture:
    in_memory = isinstance(file, BytesIO)
    # Memory-mapped, so that the size is known before any pixel is read.
    array = np.load(file if in_memory else path, mmap_mode=None if in_memory else "r", allow_pickle=False)
    if array.ndim not in (2, 3):
        raise ImageError(path, f"an array of shape {array.shape}; save (H, W) or (H, W, C)")
    height, width, channels = _with_channel_axis(array).shape
    bytes_per_pixel = channels * array.dtype.itemsize
    check_size(path, height=height, width=width, bytes_per_pixel=bytes_per_pixel, max_pixels=max_pixels)
    return Picture(_with_channel_axis(np.array(plain_dtype(array, path), order="C")), source=path)


def _with_channel_axis(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


JPEG_QUALITY = 95
WEBP_EFFORT = 20
"""In lossless WebP the quality is the compression effort; more takes four times as long and saves a tenth of the
bytes."""
PNG_LEVEL = 4
"""Compression level; takes a third of the time of level 6 for 5 % more bytes."""


def encode(picture: Picture, target: Format, path: Path, label: SyntheticLabel | None) -> bytes:
    """Encode a picture in a format that supports it; `path` is for messages.

    Raises:
        ImageError: the format does not support so many rows or columns.
    """
    pixels = np.ascontiguousarray(picture.pixels)
    match target:
        case "tiff":
            from ganvas.image.tiff import encode_tiff  # slow to import

            return encode_tiff(picture, xmp=label.as_xmp() if label else None)
        case "npy":
            return _encode_npy(pixels)
        case "png":
            data = _encode_png(_flat(pixels))
            return insert_text(data, label.as_text(), label.as_xmp()) if label else data
        case "jpeg" | "webp" | "bmp":
            return _encode_pillow(_flat(pixels), target, path, label.as_xmp() if label else b"")


def _encode_npy(pixels: Pixels) -> bytes:
    stream = BytesIO()
    np.save(stream, pixels, allow_pickle=False)
    return stream.getvalue()


def _encode_png(pixels: Pixels) -> bytes:
    if pixels.dtype == np.uint16:
        import imagecodecs  # slow to import

        return bytes(imagecodecs.png_encode(pixels, level=PNG_LEVEL))
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=PNG_LEVEL)
    return stream.getvalue()


def _encode_pillow(pixels: Pixels, target: Format, path: Path, xmp: bytes) -> bytes:
    stream, image = BytesIO(), Image.fromarray(pixels)
    options: dict[Format, dict[str, Any]] = {
        "jpeg": {"quality": JPEG_QUALITY, "subsampling": 0, "xmp": xmp},
        "webp": {"lossless": True, "exact": True, "quality": WEBP_EFFORT, "method": 1, "xmp": xmp},
    }
    try:
        image.save(stream, target.upper(), **options.get(target, {}))
    except (OSError, ValueError) as error:
        size = f"{image.width} x {image.height}"
        raise ImageError(path, f"{target} does not support {size} pixels ({error}); write .png or .tif") from error
    return stream.getvalue()


def _flat(pixels: Pixels) -> Pixels:
    """Return (H, W) for one channel, as the encoders require."""
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


_DTYPES: dict[Format, tuple[str, ...]] = {
    "png": ("uint8", "uint16"),
    "tiff": ("uint8", "uint16", "float32"),
    "npy": ("uint8", "uint16", "float32"),
}
"""Pixel types of formats; the others store only uint8."""


def require_fit(picture: Picture, path: Path) -> Format:
    """Return the format of an output file after checking that it supports the picture.

    Raises:
        ImageError: it does not; the message names formats that do.
    """
    target = _format_of_suffix(path)
    if not _holds(target, picture):
        fitting = [name for name in (".png", ".tif", ".npy") if _holds(_SUFFIXES[name], picture)]
        raise ImageError(path, f"{target} does not support {_describe(picture)}; write {' or '.join(fitting)}")
    return target


def _holds(target: Format, picture: Picture) -> bool:
    """Return whether a format supports a picture without conversion; JPEG counts as such.

    In WebP gray becomes three equal channels, and full opacity is omitted.
    """
    spec = picture.spec
    return (
        spec.dtype in _DTYPES.get(target, ("uint8",))
        and (spec.channels in (1, 3) or target in ("tiff", "npy"))
        and (not picture.has_alpha or target in ("png", "webp", "tiff"))
    )


def _describe(picture: Picture) -> str:
    channels = picture.spec.channels
    opacity = " with opacity" if picture.has_alpha else ""
    return f"{channels} channel{'s' if channels > 1 else ''} of {picture.spec.dtype}{opacity}"


def _format_of_suffix(path: Path) -> Format:
    """Return the format to write, by the file name's suffix.

    Raises:
        ImageError: no format has this suffix.
    """
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ImageError(path, f"unknown format {path.suffix!r}; end the name in {', '.join(_SUFFIXES)}")
    return found
