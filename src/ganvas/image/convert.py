"""Conversion of decoded pixels to a Picture: orientation, data types, CMYK, opacity and ICC profiles."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ganvas.errors import ImageError
from ganvas.image.picture import NATURAL_RANGE, Pixels
from ganvas.image.ranges import round_to_dtype, strips

__all__ = [
    "ADOBE_RGB",
    "claims_adobe_rgb",
    "cmyk_to_rgb",
    "exif_orientation",
    "plain_dtype",
    "straight_alpha",
    "to_srgb",
    "upright",
]

ORIENTATION_TAG, INTEROPERABILITY_TAG = 0x0112, 0xA005
ADOBE_RGB = "its EXIF declares Adobe RGB, but it contains no color profile; colors were interpreted as sRGB"
UNREADABLE = (SyntaxError, ValueError, TypeError, LookupError, OSError)
"""Exceptions of Pillow on broken metadata, after which the picture is still readable."""

# EXIF 2.3, tag 274: transformation of the stored picture to the upright one.
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}


def upright(pixels: Pixels, orientation: object) -> Pixels:
    """Apply an EXIF orientation, 1 to 8, to (H, W, C); other values leave it unchanged."""
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def exif_orientation(image: Image.Image) -> object:
    """Return the EXIF orientation, or 1 if it is missing or unreadable."""
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except UNREADABLE:
        return 1


def claims_adobe_rgb(image: Image.Image) -> bool:
    """Return whether EXIF declares Adobe RGB, as cameras do without a profile (DCF 2.0, option file)."""
    try:
        return str(image.getexif().get_ifd(INTEROPERABILITY_TAG).get(1, "")).startswith("R03")
    except UNREADABLE:
        return False


def plain_dtype(array: NDArray[Any], path: Path) -> Pixels:
    """Convert an array to uint8, uint16 or float32 in native byte order.

    Exact for bool (to 0 and 255), int8, int16 and float16; float64 is rounded to float32. Wider integers are refused,
    because their white level is unknown.

    Raises:
        ImageError: another type, a negative level, or a value that is not finite.
    """
    kind = array.dtype.newbyteorder("=").name
    if kind == "bool":
        return array.astype(np.uint8) * np.uint8(255)
    if kind in ("int8", "int16") and (array >= 0).all():
        return array.astype(f"u{kind}")
    if kind in ("float16", "float32", "float64"):
        return _finite_float32(array, path)
    if kind in ("uint8", "uint16"):
        return array.astype(kind, copy=False)
    raise ImageError(path, f"{kind} samples; save them as uint8, uint16 or float32 (none of them negative)")


def _finite_float32(array: NDArray[Any], path: Path) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # values too large for float32 become infinite and are refused below
        values = array.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise ImageError(path, "some pixel values are NaN or infinite; replace them before use")
    return values


def straight_alpha(pixels: Pixels) -> Pixels:
    """Convert (H, W, C + 1) from premultiplied to straight opacity; fully transparent pixels stay 0."""
    high = NATURAL_RANGE[pixels.dtype.name][1]
    color, alpha = pixels[:, :, :-1].astype(np.float64), pixels[:, :, -1:].astype(np.float64)
    straight = np.divide(color * high, alpha, out=np.zeros_like(color), where=alpha > 0)
    return np.concatenate([round_to_dtype(np.clip(straight, 0, high), pixels.dtype.name), pixels[:, :, -1:]], axis=2)


def cmyk_to_rgb(pixels: Pixels, profile: bytes | None = None) -> Pixels:
    """Convert CMYK (H, W, 4) uint8 or uint16 (0 is no ink) to RGB (H, W, 3), by the ICC profile to sRGB if given."""
    if profile and pixels.dtype == np.uint8:
        try:
            return _through_profile(pixels, profile)
        except (ImageCms.PyCMSError, OSError):  # a broken profile: use plain colors instead
            pass
    high = NATURAL_RANGE[pixels.dtype.name][1]
    light = high - pixels.astype(np.float64)
    return round_to_dtype(light[:, :, :3] * light[:, :, 3:] / high, pixels.dtype.name)


def _through_profile(pixels: Pixels, profile: bytes) -> Pixels:
    inks = Image.frombytes("CMYK", pixels.shape[1::-1], pixels.tobytes())
    source, target = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    return np.array(ImageCms.profileToProfile(inks, source, target, outputMode="RGB"))


LEVELS = (0, 8, 16, 32, 64, 96, 128, 160, 192, 224, 255)
"""Levels of each channel in the test colors of a profile."""
TOLERANCE = 2
"""Largest change, of 255, by which a profile counts as sRGB."""
BROKEN = "its color profile is damaged and was ignored; colors were interpreted as sRGB"
NOT_RGB = "its color profile is not for RGB and was ignored; colors were interpreted as sRGB"
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC


def to_srgb(pixels: Pixels, profile: object, *, has_alpha: bool) -> tuple[Pixels, tuple[str, ...]]:
    """Convert RGB samples by the ICC profile of their file to sRGB, relative colorimetric.

    Args:
        pixels: (H, W, C), three color channels, which are changed in place, and optionally opacity; other channel
            counts are returned unchanged.
        profile: the bytes of the profile, or None.
        has_alpha: the last channel is opacity.

    Returns:
        The pixels, and notes on the conversion, which are empty without a profile and for sRGB.
    """
    if not isinstance(profile, bytes) or pixels.shape[2] - has_alpha != 3:
        return pixels, ()
    # A profile that cannot be applied leaves the pixels unchanged, with a note: slightly wrong colors are more useful
    # than an error.
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        if opened.profile.xcolor_space.strip() != "RGB":
            return pixels, (NOT_RGB,)
        if _is_srgb(opened):
            return pixels, ()
        name = _name(opened)
        if pixels.dtype == np.float32:
            return pixels, (f"its color profile {name} is not applied to float pixel values",)
        convert = _convert_8_bits if pixels.dtype == np.uint8 else _convert_16_bits
        for rows in strips(pixels):
            pixels[rows, :, :3] = convert(np.ascontiguousarray(pixels[rows, :, :3]), opened)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError, RuntimeError):
        return pixels, (BROKEN,)
    return pixels, (f"colors were converted from the file's profile {name} to sRGB",)


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Return whether the profile changes no color visibly; names of profiles are not reliable."""
    colors = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS), axis=-1).astype(np.uint8).reshape(-1, len(LEVELS), 3)
    moved = np.abs(_convert_8_bits(colors, profile).astype(np.int16) - colors)
    return int(moved.max()) <= TOLERANCE


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    described = str(profile.profile.profile_description or "without a name")
    return repr("".join(letter for letter in described if letter.isprintable())[:40])


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _convert_8_bits(colors: NDArray[np.uint8], profile: ImageCms.ImageCmsProfile) -> NDArray[np.uint8]:
    transform = ImageCms.buildTransform(profile, _srgb(), "RGB", "RGB", renderingIntent=INTENT)
    return np.asarray(ImageCms.applyTransform(Image.fromarray(colors), transform))


def _convert_16_bits(colors: NDArray[np.uint16], profile: ImageCms.ImageCmsProfile) -> NDArray[np.uint16]:
    """Convert (H, W, 3); Pillow has no RGB of 16 bits."""
    import imagecodecs  # slow to import

    return np.asarray(
        imagecodecs.cms_transform(
            colors,
            profile.tobytes(),
            _srgb().tobytes(),
            colorspace="rgb",
            outcolorspace="rgb",
            intent=int(INTENT),
            flags=int(ImageCms.Flags.HIGHRESPRECALC),
        ),
        np.uint16,
    )
