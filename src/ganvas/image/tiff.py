"""TIFF files of one picture: 1 to 32 channels, three data types, contiguous or planar, common compressions.

A TIFF file is a list of pages, and tools disagree on the meaning of a page: a picture, a smaller copy, a mask, a
channel. This module reads one picture from all pages or refuses the file; it never selects a page silently.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, FILETYPE, PHOTOMETRIC

from ganvas.errors import ImageError
from ganvas.image.convert import cmyk_to_rgb, plain_dtype, straight_alpha, to_srgb, upright
from ganvas.image.integrity import check_size
from ganvas.image.picture import MAX_CHANNELS, NATURAL_RANGE, Picture, Pixels, Resolution
from ganvas.image.ranges import round_to_dtype
from ganvas.image.tiff_check import check_contiguous, check_page, logged_problems

__all__ = [
    "encode_tiff",
    "read_resolution",
    "read_tiff",
    "resolution_options",
    "tiff_has_white_zero",
    "tiff_size",
    "tiff_xmp",
]

XMP_TAG, ORIENTATION_TAG, PROFILE_TAG = 700, 274, 34675
BYTE = 1
ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)


def read_tiff(file: BinaryIO, path: Path, *, max_pixels: int) -> Picture:
    """Read the one picture of a TIFF file, upright; smaller copies (thumbnails, pyramids) are skipped.

    Channels written as pages (what `tifffile.imwrite` makes of a bare (H, W, 5) or (5, H, W) array, ImageJ and OME
    stacks) are combined.
    """
    with logged_problems(path), _open(file) as tiff:
        # 1. Sort the pages by their declared type; smaller copies contain no additional information.
        full_size = [page for page in _walk(tiff, path) if not page.is_reduced]
        pages = [page for page in full_size if not page.subfiletype & FILETYPE.MASK]
        masks = [page for page in full_size if page.subfiletype & FILETYPE.MASK]
        if not pages:
            raise ImageError(path, "a TIFF without a picture; write it again")
        # 2. Read several pages as channels if the metadata allow it; a single page has rows, columns and channels.
        if _is_stack(tiff, pages):
            return _read_stack(tiff, pages, path, max_pixels)
        return _read_page(pages[0], masks, path, max_pixels)


def tiff_xmp(file: BinaryIO, path: Path) -> bytes | None:
    """Return the XMP packet of the first page."""
    with logged_problems(path), _open(file) as tiff:
        value = tiff.pages.first.tags.valueof(XMP_TAG)
        return bytes(value) if value is not None else None


def tiff_size(file: BinaryIO, path: Path) -> tuple[int, int]:
    """Return height and width of the first page."""
    with logged_problems(path), _open(file) as tiff:
        return int(tiff.pages.first.imagelength), int(tiff.pages.first.imagewidth)


def tiff_has_white_zero(file: BinaryIO, path: Path) -> bool:
    """Return whether the first page declares that 0 is white."""
    with logged_problems(path), _open(file) as tiff:
        return bool(tiff.pages.first.photometric == PHOTOMETRIC.MINISWHITE)


def encode_tiff(picture: Picture, *, xmp: bytes | None = None) -> bytes:
    """Return a TIFF file: channels contiguous, deflate, opacity marked, no metadata but `xmp` and the resolution."""
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
        **resolution_options(picture.resolution),
        extratags=[(XMP_TAG, BYTE, len(xmp), xmp, True)] if xmp else [],
    )
    return stream.getvalue()


def _open(file: BinaryIO) -> Any:
    """Open a single TIFF file; other files that OME, MicroManager and NDTiff files refer to are never opened."""
    return tifffile.TiffFile(file, _multifile=False, is_mmstack=False, is_ndtiff=False)


def _walk(tiff: Any, path: Path) -> Iterator[Any]:
    """Yield all pages in order; detects links to an earlier page in damaged files, an endless loop in tifffile."""
    seen = set()
    for page in tiff.pages:
        if page.offset in seen:
            raise ImageError(path, "its list of pages is an endless loop; write it again")
        seen.add(page.offset)
        yield page


def _read_page(page: Any, masks: list[Any], path: Path, max_pixels: int) -> Picture:
    """Read one page, with an internal mask as its opacity."""
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ImageError(path, f"a TIFF of axes {page.axes}; write one picture of rows, columns and channels")
    # The order matters: a color profile applies to straight colors, so premultiplied opacity is divided out first.
    # Orientation comes last, because masks are stored in the orientation of the pixels.
    stored = _samples(page, path, max_pixels)
    pixels = _by_photometric(stored, page, path)
    has_alpha = bool(page.extrasamples) and page.extrasamples[-1] in ALPHA
    if has_alpha and page.extrasamples[-1] == EXTRASAMPLE.ASSOCALPHA:
        pixels = straight_alpha(pixels)
    if masks and not has_alpha:
        pixels = np.concatenate([pixels, _opacity(masks, pixels, path, max_pixels)], axis=2)
    has_alpha |= bool(masks)
    profile = None if page.photometric == PHOTOMETRIC.SEPARATED else page.tags.valueof(PROFILE_TAG)
    pixels, notes = to_srgb(np.ascontiguousarray(pixels), profile, has_alpha=has_alpha)
    orientation = page.tags.valueof(ORIENTATION_TAG)
    return Picture(upright(pixels, orientation), has_alpha, path, notes, read_resolution(page, orientation))


def _samples(page: Any, path: Path, max_pixels: int) -> NDArray[Any]:
    """Check the size, strips and tiles of a page, and return its stored pixels, (H, W, C)."""
    _check_announced(path, page.imagelength, page.imagewidth, page.samplesperpixel, page.dtype, max_pixels)
    if page.is_tiled:
        check_size(path, height=page.tilelength, width=page.tilewidth, bytes_per_pixel=1, max_pixels=max_pixels)
    check_page(page, path)
    stored: NDArray[Any] = page.asarray()
    return np.moveaxis(stored, 0, -1) if page.axes == "SYX" else stored.reshape(*stored.shape[:2], -1)


def _opacity(masks: list[Any], pixels: Pixels, path: Path, max_pixels: int) -> Pixels:
    """Return (H, W, 1): the internal mask of a file (1 is inside), as GDAL writes it, in the range of the pixels."""
    if len(masks) > 1 or (masks[0].imagelength, masks[0].imagewidth) != pixels.shape[:2]:
        raise ImageError(path, "internal masks that do not match its picture; save it without them")
    inside = _samples(masks[0], path, max_pixels)[:, :, :1] > 0
    return np.asarray(inside * NATURAL_RANGE[pixels.dtype.name][1], pixels.dtype)


def _by_photometric(stored: NDArray[Any], page: Any, path: Path) -> Pixels:
    """Convert samples (H, W, C) to gray, RGB or plain channels, by the photometric interpretation."""
    match page.photometric:
        case PHOTOMETRIC.MINISBLACK | PHOTOMETRIC.RGB:
            return _full_scale(stored, page.bitspersample, path)
        case PHOTOMETRIC.MINISWHITE if page.sampleformat == 1:
            levels = _full_scale(stored, page.bitspersample, path)
            return np.asarray((1 << max(page.bitspersample, 8)) - 1 - levels.astype(np.int32), levels.dtype)
        case PHOTOMETRIC.PALETTE if stored.shape[2] == 1:
            colors: Pixels = _color_map(page)[stored[:, :, 0].astype(np.intp)]
            return colors
        case PHOTOMETRIC.SEPARATED if stored.shape[2] == 4:
            return cmyk_to_rgb(plain_dtype(stored, path), page.tags.valueof(PROFILE_TAG))
        case PHOTOMETRIC.YCBCR if page.compression == COMPRESSION.JPEG:  # decoded to RGB by its codec
            return plain_dtype(stored, path)
    raise ImageError(path, f"colors stored as {page.photometric!r}; convert the picture to RGB or gray")


def _color_map(page: Any) -> NDArray[np.uint8]:
    """Return the colors of a palette, (N, 3); old writers store 8 instead of 16 bits, which libtiff supports too."""
    colors = page.colormap.T
    return np.ascontiguousarray(colors if colors.max(initial=0) < 256 else colors >> 8, np.uint8)


def _full_scale(stored: NDArray[Any], bits: int, path: Path) -> Pixels:
    """Scale levels of 1 to 7 bits to 8; keep deeper ones (12 bits in 16 stay 0..4095)."""
    if bits < 8:
        return round_to_dtype(stored * (255 / ((1 << bits) - 1)), "uint8")
    return plain_dtype(stored, path)


def _is_stack(tiff: Any, pages: list[Any]) -> bool:
    """Return whether the file contains more than its first page: as further pages, or behind one (ImageJ, tifffile)."""
    if len(pages) > 1:
        return True
    described = tiff.is_imagej or tiff.is_shaped
    return bool(described) and math.prod(tiff.series[0].shape) != math.prod(pages[0].shape)


def _read_stack(tiff: Any, pages: list[Any], path: Path, max_pixels: int) -> Picture:
    """Read several pages as the channels of one picture (H, W, C), if the metadata or shape show that they are."""
    series = tiff.series[0]
    axes = _channel_axes(series) if tiff.is_shaped or tiff.is_imagej or tiff.is_ome else []
    if not axes:
        raise ImageError(
            path, "several pages; keep one, or write the channels of each pixel together (planarconfig='contig')"
        )
    if len(axes) > 1:
        problem = f"an array of shape {series.shape}, whose first or last axis may be that of the channels"
        remedy = "write it with metadata={'axes': 'CYX'} or {'axes': 'YXC'}"
        raise ImageError(path, f"{problem}; {remedy}")
    # Check the announced size, then that no bytes are missing: tifffile fills missing pages and strips with zeros.
    shape = list(series.shape)
    channels = shape.pop(axes[0])
    _check_announced(path, shape[0], shape[1], channels, series.dtype, max_pixels)
    if series.dataoffset is not None:
        check_contiguous(series, path)
    elif None in series.pages:
        raise ImageError(path, "some of the pages that its description names are missing; copy it again")
    for page in pages:
        check_page(page.aspage(), path)
    planes = plain_dtype(np.moveaxis(series.asarray(), axes[0], -1), path)
    orientation = pages[0].tags.valueof(ORIENTATION_TAG)
    pixels = upright(np.ascontiguousarray(planes), orientation)
    return Picture(pixels, source=path, resolution=read_resolution(pages[0], orientation))


def _channel_axes(series: Any) -> list[int]:
    """Return the possible channel axes: the named one, else the first and last of a bare array with <= 32 entries."""
    if len(series.shape) != 3:
        return []
    for name in "CS":
        if name in series.axes:
            return [int(series.axes.index(name))]
    return [axis for axis in (0, 2) if series.kind == "shaped" and series.shape[axis] <= MAX_CHANNELS]


def _check_announced(path: Path, height: int, width: int, channels: int, dtype: Any, max_pixels: int) -> None:
    if channels > MAX_CHANNELS + 1:
        raise ImageError(path, f"{channels} channels, more than {MAX_CHANNELS}; write fewer")
    check_size(
        path, height=height, width=width, bytes_per_pixel=channels * np.dtype(dtype).itemsize, max_pixels=max_pixels
    )


X_TAG, Y_TAG, UNIT_TAG, DESCRIPTION_TAG = 282, 283, 296, 270
UNITS: Final[dict[object, Literal["inch", "centimeter"]]] = {2: "inch", 3: "centimeter"}
"""Value of the ResolutionUnit tag -> its meaning (TIFF 6.0, section 8)."""
PER_CENTIMETER: Final = {
    "nm": Fraction(10**7),
    "um": Fraction(10**4),
    "µm": Fraction(10**4),
    "μm": Fraction(10**4),
    r"\u00B5m": Fraction(10**4),
    "micron": Fraction(10**4),
    "microns": Fraction(10**4),
    "mm": Fraction(10),
    "cm": Fraction(1),
    "m": Fraction(1, 100),
    "inch": Fraction(100, 254),
}
"""Unit of ImageJ or OME -> number of units in a centimeter."""
LARGEST: Final = 2**32 - 1
TURNED: Final = (5, 6, 7, 8)
"""Orientations that swap rows and columns."""
_IMAGEJ_UNIT = re.compile(r"^unit=(.+)$", re.MULTILINE)


def read_resolution(page: Any, orientation: object) -> Resolution | None:
    """Return the declared resolution of a page, upright; None if there is no valid one."""
    description = str(page.tags.valueof(DESCRIPTION_TAG) or "")
    if "<OME" in description:
        found = _of_ome(description)
    elif description.startswith("ImageJ=") and (unit := _IMAGEJ_UNIT.search(description)):
        found = _of_tags(page, PER_CENTIMETER.get(unit[1].strip()), "centimeter")
    elif name := UNITS.get(page.tags.valueof(UNIT_TAG)):
        found = _of_tags(page, Fraction(1), name)
    else:
        found = None
    return found.turned() if found and orientation in TURNED else found


def resolution_options(resolution: Resolution | None) -> dict[str, Any]:
    """Return the arguments of `tifffile.imwrite` for a resolution; empty if it cannot be written."""
    if resolution is None:
        return {}
    sides = [side.limit_denominator(10**6) for side in (resolution.x, resolution.y)]
    if not all(0 < side.numerator <= LARGEST for side in sides):
        return {}
    pairs = tuple((side.numerator, side.denominator) for side in sides)
    return {"resolution": pairs, "resolutionunit": resolution.unit.upper()}


def _of_tags(page: Any, factor: Fraction | None, unit: Literal["inch", "centimeter"]) -> Resolution | None:
    """Return the resolution of the tags, multiplied by a factor."""
    values = page.tags.valueof(X_TAG), page.tags.valueof(Y_TAG)
    if factor is None or not all(isinstance(value, tuple) and len(value) == 2 and all(value) for value in values):
        return None
    x, y = (Fraction(*value) * factor for value in values)
    return Resolution(x, y, unit)


def _of_ome(description: str) -> Resolution | None:
    """Return the resolution of the first image that OME metadata describe; sizes are in micrometers by default."""
    found = re.search(r"<Pixels\b[^>]*>", description)
    attributes = dict(re.findall(r'(PhysicalSize[XY](?:Unit)?)="([^"]*)"', found[0])) if found else {}
    sides = []
    for name in ("PhysicalSizeX", "PhysicalSizeY"):
        per_centimeter = PER_CENTIMETER.get(attributes.get(f"{name}Unit", "µm"))
        size = re.fullmatch(r"\d{1,9}(\.\d{1,12})?([eE]-?\d)?", attributes.get(name, ""))
        if per_centimeter is None or size is None or not Fraction(size[0]):
            return None
        sides.append(per_centimeter / Fraction(size[0]))
    return Resolution(sides[0], sides[1], "centimeter")
