"""Conversion of decoded planes to RGB and back with libswscale, with the film's own matrix and range."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from ganvas.errors import VideoError
from ganvas.image.picture import Box, Picture, PictureSpec
from ganvas.image.ranges import from_unit
from ganvas.video.film import UNSPECIFIED, ColorTags, FilmInfo, Orientation

__all__ = ["PictureConverter", "bit_depth", "changed_box", "color_tags", "has_alpha", "put_changed"]

RGB, BT709, BT601, BT2020 = 0, 1, 5, 9
"""Matrix coefficients (ITU-T H.273, table 4)."""
KNOWN_MATRICES = frozenset((RGB, BT709, 4, BT601, 6, 7, BT2020))
LIMITED, FULL = 1, 2
MARGIN = 32
"""Number of pixels around a changed region that are converted with it."""
PRIMARIES_OF_2020 = 9
WIDTH_OF_HD, HEIGHT_OF_SD = 1280, 576
FLAGS = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)
"""Flags of libswscale; without the accuracy flags, levels are 1 to 3 too low."""


def bit_depth(pixel_format: str) -> int:
    """Return the bits of the deepest component of an FFmpeg pixel format."""
    layout = av.VideoFormat(pixel_format)
    return 8 if layout.has_palette else max(component.bits for component in layout.components)


def has_alpha(pixel_format: str) -> bool:
    """Return whether an FFmpeg pixel format has opacity; palettes count as opaque."""
    layout = av.VideoFormat(pixel_format)
    return any(component.is_alpha for component in layout.components)


def color_tags(frame: VideoFrame) -> ColorTags:
    """Return the color tags of a decoded frame."""
    layout = frame.format
    full = layout.is_rgb or layout.name.startswith("yuvj") or frame.color_range == FULL
    return ColorTags(
        matrix=RGB if layout.is_rgb else int(frame.colorspace),
        full_range=bool(full),
        range_tag=int(frame.color_range),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def _matrix(info: FilmInfo, tags: ColorTags) -> int:
    """Return the matrix to convert with; if unspecified, that of most players: BT.709 from HD on, else BT.601.

    Raises:
        VideoError: libswscale does not support the matrix.
    """
    if tags.matrix in (UNSPECIFIED, 3):
        if tags.is_hdr or tags.primaries == PRIMARIES_OF_2020:
            return BT2020
        is_hd = max(info.width, info.height) >= WIDTH_OF_HD or min(info.width, info.height) > HEIGHT_OF_SD
        return BT709 if is_hd else BT601
    if tags.matrix not in KNOWN_MATRICES:
        raise VideoError(
            info.path, f"its colors are stored with matrix {tags.matrix} of ITU-T H.273; convert it to BT.709 first"
        )
    return BT601 if tags.matrix == RGB else tags.matrix


class PictureConverter:
    """Conversion between the frames of one film and upright pictures; not thread-safe.

    Args:
        info: the film that determines colors, depth and orientation.
        pixel_format: pixel format of the frames made by `to_frame`; unset: the film's.
        color: color tags of those frames; unset: the film's.
    """

    def __init__(self, info: FilmInfo, pixel_format: str | None = None, color: ColorTags | None = None) -> None:
        self.info, self.pixel_format = info, pixel_format or info.pixel_format
        stored = color or info.color
        self._matrix, self._range = _matrix(info, info.color), FULL if info.color.full_range else LIMITED
        self._stored_matrix, self._stored_range = _matrix(info, stored), FULL if stored.full_range else LIMITED
        if av.VideoFormat(self.pixel_format).is_rgb:
            self._stored_range = FULL
        deep, alpha = info.bit_depth > 8, info.has_alpha
        self._rgb_format = {
            (False, False): "rgb24", (False, True): "rgba", (True, False): "rgb48le", (True, True): "rgba64le",
        }[deep, alpha]  # fmt: skip
        # one scaler per direction: its memory grows if it is set up repeatedly
        self._to_rgb, self._from_rgb, self._between = VideoReformatter(), VideoReformatter(), VideoReformatter()

    def to_picture(self, frame: VideoFrame) -> Picture:
        """Return a decoded frame as an upright picture, RGB or RGBA, uint8 or uint16."""
        converted = self._to_rgb.reformat(
            _bare(frame), format=self._rgb_format, src_colorspace=self._matrix, dst_colorspace=self._matrix,
            src_color_range=FULL if frame.format.is_rgb else self._range, dst_color_range=FULL,
            interpolation=FLAGS, dst_color_trc=UNSPECIFIED, dst_color_primaries=UNSPECIFIED,
        )  # fmt: skip
        pixels = self.info.orientation.upright(converted.to_ndarray())
        return Picture(np.ascontiguousarray(pixels), self.info.has_alpha, source=self.info.path)

    def to_frame(self, picture: Picture, orientation: Orientation, box: Box | None = None) -> VideoFrame:
        """Convert an upright picture to a frame of the pixel format in its stored orientation.

        Opacity is dropped if the pixel format has none, and full if the picture has none.

        Args:
            picture: RGB or RGBA, or gray.
            orientation: rotation by which players turn the stored frame.
            box: part of the stored frame to return; unset: all.
        """
        stored = orientation.stored(picture.pixels)
        part = stored if box is None else stored[box.top : box.bottom, box.left : box.right]
        pixels = np.ascontiguousarray(_as_rgb(replace(picture, pixels=part)))
        letters = "rgba" if picture.has_alpha else "rgb"
        name = {"uint8": {"rgb": "rgb24", "rgba": "rgba"}, "uint16": {"rgb": "rgb48le", "rgba": "rgba64le"}}
        frame = VideoFrame.from_ndarray(pixels, format=name[pixels.dtype.name][letters])
        return self._from_rgb.reformat(
            frame, format=self.pixel_format, src_colorspace=self._stored_matrix, dst_colorspace=self._stored_matrix,
            src_color_range=FULL, dst_color_range=self._stored_range, interpolation=FLAGS,
        )  # fmt: skip

    def as_stored(self, native: VideoFrame) -> VideoFrame:
        """Return a copy of decoded planes in the pixel format, without tags and side data."""
        bare = _bare(native)
        is_alike = (self._matrix, self._range) == (self._stored_matrix, self._stored_range)
        if native.format.name == self.pixel_format and (is_alike or native.format.is_rgb):
            return bare
        return self._between.reformat(
            bare, format=self.pixel_format, src_colorspace=self._matrix, dst_colorspace=self._stored_matrix,
            src_color_range=FULL if native.format.is_rgb else self._range, dst_color_range=self._stored_range,
            interpolation=FLAGS,
        )  # fmt: skip


def _bare(frame: VideoFrame) -> VideoFrame:
    """Return a copy of a frame's planes without tags, captions and other side data.

    libswscale would place chroma samples by the frame's tag on the way to RGB, and by its default on the way back.
    """
    copy = VideoFrame(frame.width, frame.height, frame.format.name)
    for target, source in zip(copy.planes, frame.planes, strict=True):
        size = min(target.line_size, source.line_size)
        new, old = _bytes_of(target), _bytes_of(source)
        rows = min(len(new), len(old))
        new[:rows, :size] = old[:rows, :size]
    return copy


def _as_rgb(picture: Picture) -> NDArray[Any]:
    """Return (H, W, 3 or 4) of uint8 or uint16; gray is repeated."""
    pixels = picture.pixels
    if pixels.dtype == np.float32:
        pixels = from_unit(pixels, PictureSpec(dtype="uint16"))
        picture = replace(picture, pixels=pixels)
    if picture.color.shape[2] == 1:
        parts = [np.repeat(picture.color, 3, axis=2)]
        pixels = np.concatenate([*parts, *([picture.pixels[:, :, -1:]] if picture.has_alpha else [])], axis=2)
    return pixels


def changed_box(changed: NDArray[np.bool_]) -> Box | None:
    """Return the part of a stored frame to convert again: all changed pixels with a MARGIN, on a grid of MARGIN.

    Inside, values equal those of a conversion of the whole frame: filters are smaller than the margin, and chroma is in
    phase.
    """
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not rows.size:
        return None
    height, width = changed.shape
    top, left = (max(0, int(first) // MARGIN - 1) * MARGIN for first in (rows[0], columns[0]))
    bottom, right = ((int(last) // MARGIN + 2) * MARGIN for last in (rows[-1], columns[-1]))
    return Box(left, top, min(right, width), min(bottom, height))


def put_changed(native: VideoFrame, fresh: VideoFrame, box: Box, changed: NDArray[np.bool_]) -> None:
    """Replace values of native planes where a pixel has changed; all others stay bit-exact.

    Args:
        native: a copy of the decoded planes, written to.
        fresh: the part of the new frame in `box`, of the same format.
        box: position of the part.
        changed: (H, W) bool, in stored orientation. A chroma value counts as changed if any of its pixels has.
    """
    inside = changed[box.top : box.bottom, box.left : box.right]
    for plane, (rows, columns, size) in enumerate(_units(native)):
        blocks = _blocks(inside, rows, columns)
        height, width = blocks.shape
        top, left = box.top // rows, box.left // columns * size
        target = _bytes_of(native.planes[plane])[top : top + height, left : left + width * size]
        source = _bytes_of(fresh.planes[plane])[:height, : width * size]
        np.copyto(target, source, where=np.repeat(blocks, size, axis=1))


def _units(frame: VideoFrame) -> list[tuple[int, int, int]]:
    """Return for each plane the rows and columns of pixels in one unit, and the bytes of the unit."""
    layout = frame.format
    across, down = 16 // layout.chroma_width(16), 16 // layout.chroma_height(16)
    if len(frame.planes) == 1:  # a unit consists of the pixels that share a chroma value
        return [(down, across, layout.padded_bits_per_pixel * across // 8)]
    found = []
    for plane in range(len(frame.planes)):
        parts = [component for component in layout.components if component.plane == plane]
        size = sum((component.bits + 7) // 8 for component in parts)
        chroma = plane in (1, 2) and not layout.is_rgb
        found.append((down, across, size) if chroma else (1, 1, size))
    return found


def _blocks(mask: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return whether any pixel of each block is True; blocks at the edges may be smaller."""
    if (rows, columns) == (1, 1):
        return mask
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % rows), (0, -width % columns)))
    parts = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return cast("NDArray[np.bool_]", parts.any(axis=(1, 3)))


def _bytes_of(plane: Any) -> NDArray[np.uint8]:
    """Return a view (rows, bytes per row) uint8 of the memory of a plane."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
