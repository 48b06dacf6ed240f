"""Selection of container, encoder and pixel format of a film to write."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.codec.codec import Codec, PixFmtLoss, find_best_pix_fmt_of_list

from ganvas.errors import VideoError
from ganvas.video.color import bit_depth, has_alpha
from ganvas.video.film import ColorTags, FilmInfo, Orientation, WriteOptions

__all__ = ["ALIASES", "CONTAINERS", "Container", "Encoding", "NullFile", "choose_encoding"]

ALIASES = {
    "h264": "libx264", "avc": "libx264", "hevc": "libx265", "h265": "libx265", "vp8": "libvpx", "vp9": "libvpx-vp9",
    "av1": "libsvtav1", "mpeg2": "mpeg2video", "prores": "prores_ks", "dnxhr": "dnxhd",
}  # fmt: skip
FAMILIES = {
    **ALIASES, "mpeg2video": "mpeg2video", "mpeg1video": "mpeg2video", "mpeg4": "mpeg4", "mjpeg": "mjpeg",
    "ffv1": "ffv1", "huffyuv": "ffvhuff", "ffvhuff": "ffvhuff", "utvideo": "utvideo", "magicyuv": "magicyuv",
    "png": "png", "qtrle": "qtrle", "rawvideo": "rawvideo", "v210": "v210",
}  # fmt: skip
"""Codec of a film -> encoder of the same family."""
FALLBACKS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "mpeg2video", "mpeg4", "ffv1")
LOSSLESS_FALLBACKS = ("libx264", "libx265", "ffv1", "libvpx-vp9")
LOSSLESS_ENCODERS = frozenset(("ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv", "png", "qtrle", "rawvideo", "v210"))
CONTAINERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".ts": "mpegts",
    ".m2ts": "mpegts", ".mts": "mpegts", ".mpg": "mpeg", ".mpeg": "mpeg", ".avi": "avi", ".nut": "nut", ".3gp": "3gp",
    ".flv": "flv",
}  # fmt: skip
"""Suffix -> FFmpeg's name of the container to write."""
STREAM_CODECS = {
    "mpegts": ("libx264", "libx265", "mpeg2video", "mpeg4"), "mpeg": ("mpeg2video",),
    "flv": ("libx264", "libx265"),
}  # fmt: skip
"""Containers for which FFmpeg accepts any codec -> codecs that players support."""
GLOBAL_HEADER = 0x40
BT709 = ColorTags(matrix=1, full_range=False, range_tag=1, primaries=1, transfer=1)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """All settings of an encoder; equal encodings of equal frames give equal bytes.

    Attributes:
        encoder: FFmpeg's name ("libx264").
        pixel_format: pixel format of the stored frames.
        is_lossless: whether decoded frames equal the encoded ones.
        height: height of the stored frames, before rotation.
        width: width of the stored frames.
        aspect: sample aspect ratio of the stored frames.
        orientation: rotation by which players turn frames upright.
        matrix: display matrix to store, or None.
        rate: frames per second for rate control; timestamps are independent of it.
        color: tags to store.
        crf: quality, or None for codecs without this setting.
        has_global_header: whether the container stores the stream's headers separately from its packets.
        may_reorder: whether the container stores presentation timestamps.
        hdr: mastering display and content light level, as side data.
    """

    encoder: str
    pixel_format: str
    is_lossless: bool
    height: int
    width: int
    aspect: Fraction
    orientation: Orientation
    matrix: tuple[int, ...] | None
    rate: Fraction
    color: ColorTags
    crf: int | None
    has_global_header: bool
    may_reorder: bool
    hdr: tuple[tuple[str, bytes], ...]


def choose_encoding(info: FilmInfo, out: Path, options: WriteOptions, size: tuple[int, int]) -> Encoding:
    """Choose the encoding of a film.

    Args:
        info: the film of the frames, or a description of them.
        out: the output file; its suffix determines the container.
        options: codec and quality.
        size: height and width of the upright frames to write.

    Raises:
        VideoError: the encoder does not exist, or no encoder of the container preserves the required properties.
    """
    container = Container(out)
    wants_lossless = info.is_lossless and options.crf is None and not info.is_animation
    encoder = _choose_encoder(info, container, options, wants_lossless)
    is_lossless = wants_lossless and (options.codec is None or encoder in LOSSLESS_ENCODERS)
    orientation, matrix = (info.orientation, info.matrix) if container.keeps_matrix else (Orientation(), None)
    height, width = size[::-1] if orientation.transpose else size
    pixel_format = _pixel_format(encoder, info.pixel_format)[0]
    if (height % 2 or width % 2) and encoder.startswith("libx26"):
        pixel_format = _without_subsampling(pixel_format)  # H.264 and HEVC count chroma samples
    layout = av.VideoFormat(pixel_format)
    color = info.color if layout.is_rgb or info.color.matrix != 0 else BT709
    if encoder == "mjpeg":  # JPEG has the full range
        color = replace(color, full_range=True, range_tag=2)
    aspect = 1 / info.sample_aspect_ratio if orientation.transpose else info.sample_aspect_ratio
    return Encoding(
        encoder=encoder,
        pixel_format=pixel_format,
        is_lossless=is_lossless or encoder in LOSSLESS_ENCODERS,
        height=height,
        width=width,
        aspect=aspect,
        orientation=orientation,
        matrix=matrix,
        rate=_rate(info.rate, encoder),
        color=color,
        crf=None if is_lossless else options.crf,
        has_global_header=container.has_global_header,
        may_reorder=container.name != "avi",
        hdr=info.hdr_metadata,
    )


class Container:
    """Capabilities of the container of a suffix.

    Raises:
        VideoError: ganvas writes no container with this suffix.
    """

    def __init__(self, out: Path) -> None:
        name = CONTAINERS.get(out.suffix.lower())
        if name is None:
            known = ", ".join(sorted(CONTAINERS))
            raise VideoError(out, f"films cannot be written with the suffix {out.suffix!r}; choose of {known}")
        self.path, self.name = out, name
        with av.open(NullFile(), "w", format=name) as trial:
            self.has_global_header = bool(trial.format.flags & GLOBAL_HEADER)
        self.keeps_matrix = name in ("mp4", "mov", "3gp", "matroska", "webm")

    def holds(self, encoder: str) -> bool:
        """Return whether the container supports streams of an encoder."""
        if self.name in STREAM_CODECS:
            return encoder in STREAM_CODECS[self.name]
        try:
            with av.open(NullFile(), "w", format=self.name) as trial:
                trial.add_stream(encoder, rate=25)
        except ValueError:
            return False
        return True


class NullFile:
    """File object that discards its content."""

    def write(self, data: bytes) -> int:
        """Discard the bytes, and return their number."""
        return len(data)


def _choose_encoder(info: FilmInfo, container: Container, options: WriteOptions, lossless: bool) -> str:
    if options.codec is not None:
        encoder = ALIASES.get(options.codec.lower(), options.codec)
        _require(encoder, info, container)
        return encoder
    own = FAMILIES.get(info.codec)
    for encoder in [*([own] if own else []), *(LOSSLESS_FALLBACKS if lossless else FALLBACKS)]:
        if _fits(encoder, info, container, lossless=lossless):
            return "libx264rgb" if encoder == "libx264" and _is_rgb8(info) else encoder
    kept = f"{info.bit_depth} bits" + (" without loss" if lossless else "")
    raise VideoError(container.path, f"none of its codecs preserves {kept}; write .mkv, or choose codec and crf")


def _require(encoder: str, info: FilmInfo, container: Container) -> None:
    """Verify a codec chosen by the user.

    Raises:
        VideoError: FFmpeg does not have the encoder, the container does not support it, or it has fewer bits.
    """
    try:
        is_video = Codec(encoder, "w").type == "video"
    except ValueError:
        is_video = False
    if not is_video:
        raise VideoError(
            container.path,
            f"unknown encoder {encoder!r}; supported are {', '.join(sorted(ALIASES))} and FFmpeg's names",
        )
    if not container.holds(encoder):
        raise VideoError(
            container.path, f"{container.path.suffix} does not support {encoder}; write .mkv or choose another codec"
        )
    if _pixel_format(encoder, info.pixel_format)[1] & PixFmtLoss.DEPTH:
        raise VideoError(container.path, f"{encoder} has fewer than {info.bit_depth} bits; choose hevc or ffv1")


def _fits(encoder: str, info: FilmInfo, container: Container, *, lossless: bool) -> bool:
    loss = _pixel_format("libx264rgb" if encoder == "libx264" and _is_rgb8(info) else encoder, info.pixel_format)[1]
    forbidden = ~PixFmtLoss.NONE if lossless else PixFmtLoss.DEPTH
    return not loss & forbidden and container.holds(encoder)


def _is_rgb8(info: FilmInfo) -> bool:
    return info.color.matrix == 0 and info.bit_depth == 8 and not info.is_animation


def _pixel_format(encoder: str, source: str) -> tuple[str, PixFmtLoss]:
    """Return the pixel format of an encoder that preserves most of another format, and its losses."""
    source = source.replace("yuvj", "yuv")
    layout = av.VideoFormat(source)
    if layout.has_palette or layout.is_bit_stream:
        source = "rgb24"
    formats = [layout.name for layout in Codec(encoder, "w").video_formats or ()]
    if not formats or source in formats:
        return source, PixFmtLoss.NONE
    if encoder.startswith("lib"):  # their opacity is stored in side data, which only some players read
        formats = [name for name in formats if not name.startswith(("yuva", "gbrap"))]
    plain = [name for name in formats if not name.startswith("yuvj")]
    best, loss = find_best_pix_fmt_of_list(plain, source, has_alpha=has_alpha(source))
    if best is None:
        return plain[0], PixFmtLoss.DEPTH
    if bit_depth(best.name) < bit_depth(source):
        loss |= PixFmtLoss.DEPTH
    return best.name, loss


def _without_subsampling(pixel_format: str) -> str:
    return pixel_format.replace("420", "444").replace("422", "444").replace("nv12", "yuv444p")


def _rate(rate: Fraction | None, encoder: str) -> Fraction:
    """Return a rate near a film's average that an encoder supports; timestamps do not depend on it."""
    wanted = min(max(rate or Fraction(25), Fraction(1)), Fraction(240)).limit_denominator(1001)
    allowed = Codec(encoder, "w").frame_rates
    if allowed:
        return min((Fraction(each.num, each.den) for each in allowed), key=lambda each: abs(each - wanted))
    return wanted if wanted.numerator < 2**16 else Fraction(round(wanted))
