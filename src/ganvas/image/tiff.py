"""TIFF of one picture: 1 to 32 channels, three types, contiguous or planar, any compression that imagecodecs knows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from ganvas.errors import ImageError
from ganvas.image.convert import cmyk_to_rgb, plain_dtype, straight_alpha, upright
from ganvas.image.formats import check_size
from ganvas.image.picture import MAX_CHANNELS, Picture, Pixels
from ganvas.image.ranges import round_to_dtype

__all__ = ["encode_tiff", "read_tiff", "tiff_size", "tiff_xmp"]

XMP_TAG, ORIENTATION_TAG, PROFILE_TAG = 700, 274, 34675
BYTE = 1
ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)


def read_tiff(file: BinaryIO, path: Path, *, max_pixels: int) -> Picture:
    """The one picture of a TIFF file, upright; smaller copies of it (thumbnails, pyramids) are passed over.

    Channels written as pages (what `tifffile.imwrite` makes of a bare (H, W, 5) or (5, H, W) array, ImageJ and OME
    stacks) are put together.
    """
    with _open(file) as tiff:
        pages = [page for page in _walk(tiff, path) if not page.is_reduced]
        if not pages:
            raise ImageError(path, "a TIFF without a picture in it; write it again")
        _check_whole(tiff, pages, path)
        if _is_stack(tiff, pages):
            return Picture(_read_stack(tiff, path, max_pixels), source=path)
        return _read_page(pages[0], path, max_pixels)


def tiff_xmp(file: BinaryIO) -> bytes | None:
    """The XMP packet of the first page."""
    with _open(file) as tiff:
        value = tiff.pages.first.tags.valueof(XMP_TAG)
        return bytes(value) if value is not None else None


def tiff_size(file: BinaryIO) -> tuple[int, int]:
    """Height and width of the first page."""
    with _open(file) as tiff:
        return int(tiff.pages.first.imagelength), int(tiff.pages.first.imagewidth)


def encode_tiff(picture: Picture, *, xmp: bytes | None = None) -> bytes:
    """A TIFF file: channels contiguous, deflate without loss, opacity marked as such, no metadata but `xmp`."""
    channels = picture.spec.channels
    photometric = PHOTOMETRIC.RGB if channels == 3 else PHOTOMETRIC.MINISBLACK
    extra = [EXTRASAMPLE.UNSPECIFIED] * (0 if channels == 3 else channels - 1)
    if picture.has_alpha:
        extra.append(EXTRASAMPLE.UNASSALPHA)
    many = picture.pixels.shape[2] > 1
    stream = BytesIO()
    tifffile.imwrite(
        stream,
        picture.pixels if many else picture.pixels[:, :, 0],
        photometric=photometric,
        planarconfig="contig" if many else None,
        extrasamples=extra or None,
        compression="zlib",
        predictor=picture.pixels.dtype.kind == "u",
        metadata=None,
        software=False,
        extratags=[(XMP_TAG, BYTE, len(xmp), xmp, True)] if xmp else [],
    )
    return stream.getvalue()


def _open(file: BinaryIO) -> Any:
    """A TIFF file by itself: OME, MicroManager and NDTiff files may name others, which we never follow."""
    return tifffile.TiffFile(file, _multifile=False, is_mmstack=False, is_ndtiff=False)


def _walk(tiff: Any, path: Path) -> Iterator[Any]:
    """All pages, in order. A damaged file may lead back to an earlier one, and tifffile would go round for ever."""
    seen = set()
    for page in tiff.pages:
        if page.offset in seen:
            raise ImageError(path, "its list of pages goes round in a circle; write it again")
        seen.add(page.offset)
        yield page


def _check_whole(tiff: Any, pages: list[Any], path: Path) -> None:
    """A strip past the end of the file would be read as zeros (0 bytes at 0 is a hole left on purpose)."""
    end = tiff.filehandle.size
    for page in pages:
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if offset + count > end:
                raise ImageError(path, f"cut short: {offset + count - end} bytes are missing; copy it again")


def _read_page(page: Any, path: Path, max_pixels: int) -> Picture:
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ImageError(path, f"a TIFF of axes {page.axes}; write one picture of rows, columns and channels")
    samples = page.samplesperpixel
    _check_announced(path, page.imagelength, page.imagewidth, samples, page.dtype, max_pixels)
    stored = page.asarray()
    stored = np.moveaxis(stored, 0, -1) if page.axes == "SYX" else stored.reshape(*stored.shape[:2], -1)
    pixels = _by_photometric(stored, page, path)
    has_alpha = bool(page.extrasamples) and page.extrasamples[-1] in ALPHA
    if has_alpha and page.extrasamples[-1] == EXTRASAMPLE.ASSOCALPHA:
        pixels = straight_alpha(pixels)
    pixels = upright(np.ascontiguousarray(pixels), page.tags.valueof(ORIENTATION_TAG))
    return Picture(pixels, has_alpha, path)


def _by_photometric(stored: NDArray[Any], page: Any, path: Path) -> Pixels:
    """Samples (H, W, C) as grey, RGB or plain channels, by what the file says that they mean."""
    match page.photometric:
        case PHOTOMETRIC.MINISBLACK | PHOTOMETRIC.RGB:
            return _full_scale(stored, page.bitspersample, path)
        case PHOTOMETRIC.MINISWHITE if page.sampleformat == 1:
            levels = _full_scale(stored, page.bitspersample, path)
            return np.asarray((1 << max(page.bitspersample, 8)) - 1 - levels.astype(np.int32), levels.dtype)
        case PHOTOMETRIC.PALETTE:
            return np.asarray(page.colormap.T[stored[:, :, 0]] >> 8, np.uint8)
        case PHOTOMETRIC.SEPARATED if stored.shape[2] == 4:
            return cmyk_to_rgb(plain_dtype(stored, path), page.tags.valueof(PROFILE_TAG))
        case PHOTOMETRIC.YCBCR if page.compression == COMPRESSION.JPEG:  # decoded to RGB by its codec
            return plain_dtype(stored, path)
    raise ImageError(path, f"colours stored as {page.photometric!r}; convert the picture to RGB or grey")


def _full_scale(stored: NDArray[Any], bits: int, path: Path) -> Pixels:
    """Levels of 1 to 7 bits spread over 8; deeper ones as they are (12 bits in 16 stay 0..4095)."""
    if bits < 8:
        return round_to_dtype(stored * (255 / ((1 << bits) - 1)), "uint8")
    return plain_dtype(stored, path)


def _is_stack(tiff: Any, pages: list[Any]) -> bool:
    """Whether the file holds more than its first page: as further pages, or behind one (ImageJ, tifffile)."""
    if len(pages) > 1:
        return True
    described = tiff.is_imagej or tiff.is_shaped
    return bool(described) and math.prod(tiff.series[0].shape) != math.prod(pages[0].shape)


def _read_stack(tiff: Any, path: Path, max_pixels: int) -> Pixels:
    """Several pages as the channels of one picture (H, W, C), where the file says or shows that they are."""
    axis = _channel_axis(tiff.series[0]) if tiff.is_shaped or tiff.is_imagej or tiff.is_ome else None
    if axis is None:
        raise ImageError(path, "several pages; keep one, or write the channels as samples (planarconfig='contig')")
    series = tiff.series[0]
    shape = list(series.shape)
    channels = shape.pop(axis)
    _check_announced(path, shape[0], shape[1], channels, series.dtype, max_pixels)
    return np.ascontiguousarray(plain_dtype(np.moveaxis(series.asarray(), axis, -1), path))


def _channel_axis(series: Any) -> int | None:
    """Which axis counts channels: the named one, else, of a bare array's first and last, the one of at most 32."""
    if len(series.shape) != 3:
        return None
    for name in "CS":
        if name in series.axes:
            return int(series.axes.index(name))
    few = [axis for axis in (0, 2) if series.shape[axis] <= MAX_CHANNELS]
    return few[0] if series.kind == "shaped" and len(few) == 1 else None


def _check_announced(path: Path, height: int, width: int, channels: int, dtype: Any, max_pixels: int) -> None:
    if channels > MAX_CHANNELS + 1:
        raise ImageError(path, f"{channels} channels, more than {MAX_CHANNELS}; write fewer")
    check_size(
        path, height=height, width=width, bytes_per_pixel=channels * np.dtype(dtype).itemsize, max_pixels=max_pixels
    )
