"""ICC color management: pictures with a profile of another RGB space are converted to sRGB when they are read."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ganvas.image.picture import Pixels
from ganvas.image.pixel_values import strips

__all__ = ["to_srgb"]

LEVELS = (0, 8, 16, 32, 64, 96, 128, 160, 192, 224, 255)
"""Of each channel, in the colors that a profile is tried on."""
TOLERANCE = 2
"""Of 255: a profile that moves no color further is sRGB, as written by one of its many authors."""
BROKEN = "its color profile is damaged and was ignored; colors were taken as sRGB"
NOT_RGB = "its color profile is not for RGB and was ignored; colors were taken as sRGB"
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC


def to_srgb(pixels: Pixels, profile: object, *, has_alpha: bool) -> tuple[Pixels, tuple[str, ...]]:
    """Convert RGB samples by the ICC profile of their file to sRGB, relative colorimetric.

    Args:
        pixels: (H, W, C) of three colors, changed in place, and opacity, kept; others come back as they are.
        profile: the bytes of the profile, or None.
        has_alpha: the last channel is opacity.

    Returns:
        The pixels, and notes on what was done, empty for no profile and for sRGB, which changes no sample.
    """
    if not isinstance(profile, bytes) or pixels.shape[2] - has_alpha != 3:
        return pixels, ()
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        if opened.profile.xcolor_space.strip() != "RGB":
            return pixels, (NOT_RGB,)
        if _is_srgb(opened):
            return pixels, ()
        name = _name(opened)
        if pixels.dtype == np.float32:
            return pixels, (f"its color profile {name} is not applied to float samples",)
        convert = _convert_8_bits if pixels.dtype == np.uint8 else _convert_16_bits
        for rows in strips(pixels):
            pixels[rows, :, :3] = convert(np.ascontiguousarray(pixels[rows, :, :3]), opened)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError, RuntimeError):
        return pixels, (BROKEN,)
    return pixels, (f"colors were converted from the file's profile {name} to sRGB",)


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether the profile moves no color visibly; names of sRGB profiles are many, and anything may be called so."""
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
