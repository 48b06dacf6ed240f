"""Film types: properties, streams, frames and segments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ConfigError
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.image.ranges import Transfer

__all__ = [
    "ColorTags",
    "FilmInfo",
    "Frame",
    "Orientation",
    "Segment",
    "StreamInfo",
    "WriteOptions",
    "WriteReport",
    "matrix_of",
    "orientation_of",
    "turned_aspect",
]

HDR: dict[int, Transfer] = {16: "pq", 18: "hlg"}
"""Transfer characteristics of HDR films (ITU-T H.273, table 3)."""
UNSPECIFIED = 2
StreamKind = Literal["video", "cover", "sound", "subtitles", "data", "attachment"]


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """Color description as code points of ITU-T H.273; 2 is "unspecified".

    Attributes:
        matrix: YUV matrix; 0 for RGB.
        full_range: whether levels use the whole range of the data type.
        range_tag: stored range: 0 unspecified, 1 limited, 2 full.
        primaries: chromaticities.
        transfer: characteristic curve; 16 is PQ, 18 is HLG.
    """

    matrix: int = UNSPECIFIED
    full_range: bool = False
    range_tag: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def is_hdr(self) -> bool:
        """Return whether the film is in high dynamic range (PQ or HLG)."""
        return self.hdr is not None

    @property
    def hdr(self) -> Transfer | None:
        """Return the transfer function of high dynamic range; None for standard range."""
        return HDR.get(self.transfer)


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """Transformation of stored frames to upright ones: transposition, then mirroring."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def is_identity(self) -> bool:
        """Return whether frames are stored upright."""
        return not (self.transpose or self.flip_rows or self.flip_columns)

    def upright(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return an upright view of stored pixels (H, W, ...)."""
        turned = stored.swapaxes(0, 1) if self.transpose else stored
        return turned[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def stored(self, upright: NDArray[Any]) -> NDArray[Any]:
        """Return a view of upright pixels (H, W, ...) in stored orientation; the inverse of `upright`."""
        mirrored = upright[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return mirrored.swapaxes(0, 1) if self.transpose else mirrored


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """One stream of a film.

    Attributes:
        index: number of the stream in the file.
        kind: video (of the film, or a second one), cover (attached picture), sound, subtitles, data, attachment.
        codec: FFmpeg's name, or None for data without one.
        language: stored language code ("eng"), or None.
        start: start in seconds on the film's clock, or None if unknown.
    """

    index: int
    kind: StreamKind
    codec: str | None = None
    language: str | None = None
    start: float | None = None


@dataclass(frozen=True, kw_only=True)
class FilmInfo:
    """Properties of a film, from its header and its first frame.

    Attributes:
        path: the file.
        container: FFmpeg's name of the container ("mov,mp4,m4a,3gp,3g2,mj2"), or "gif", "webp", "apng".
        is_animation: whether it is a GIF, WebP or APNG animation, read and written frame by frame without FFmpeg.
        codec: FFmpeg's name of the codec ("h264").
        is_lossless: whether the codec is lossless.
        height: height of the upright frames, in pixels.
        width: width of the upright frames, in pixels.
        orientation: transformation of stored frames to upright ones.
        rotation: counterclockwise degrees by which players rotate the stored frames; `matrix` includes mirroring.
        matrix: display matrix (nine numbers, as stored), or None.
        sample_aspect_ratio: width to height of an upright pixel.
        time_base: seconds per unit of `Frame.pts`.
        rate: average frames per second according to the header; each frame has its own timestamp.
        pixel_format: FFmpeg's name ("yuv420p10le").
        bit_depth: bits per value; more than 8 are read as uint16 over the whole range 0..65535.
        has_alpha: whether pictures have opacity.
        color: color tags.
        is_interlaced: whether the first frame is marked as interlaced.
        duration: duration in seconds estimated from the header, or None.
        num_frames: estimated number of frames for progress, or None; the exact number is known only after decoding.
        start: time of the first frame in seconds.
        streams: all streams of the file.
        video_index: index of the film's stream among them.
        loop: stored loop count of an animation, 0 for infinite; None if none is stored.
        num_chapters: number of chapters of the container.
        hdr_metadata: raw side data of mastering display and content light level; empty without HDR metadata.
    """

    path: Path
    container: str
    is_animation: bool = False
    codec: str
    is_lossless: bool = False
    height: int
    width: int
    orientation: Orientation = field(default_factory=Orientation)
    rotation: int = 0
    matrix: tuple[int, ...] | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    time_base: Fraction
    rate: Fraction | None = None
    pixel_format: str
    bit_depth: int = 8
    has_alpha: bool = False
    color: ColorTags = field(default_factory=ColorTags)
    is_interlaced: bool = False
    duration: float | None = None
    num_frames: int | None = None
    start: float = 0.0
    streams: tuple[StreamInfo, ...] = ()
    video_index: int = 0
    loop: int | None = None
    num_chapters: int = 0
    hdr_metadata: tuple[tuple[str, bytes], ...] = ()

    @property
    def is_hdr(self) -> bool:
        """Return whether the film is in high dynamic range (PQ or HLG)."""
        return self.color.is_hdr

    def expected_frames(self, seconds: float | None = None) -> int:
        """Return an estimate of the number of frames for progress; 0 if the header does not contain it.

        Args:
            seconds: seconds of a preview; None for the whole film.
        """
        total = self.num_frames or 0
        if seconds is None or not self.rate:
            return total
        shown = math.ceil(seconds * self.rate)
        return min(total, shown) if total else shown


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """One frame of a film.

    Attributes:
        index: number of the frame, from 0, in presentation order.
        pts: timestamp in units of `FilmInfo.time_base`.
        time: seconds, `pts` times the time base; films need not begin at 0.
        duration: duration in units of the time base; 0 if unknown.
        picture: the upright frame, RGB or RGBA, (H, W, 3 or 4) uint8, or uint16 for more than 8 bits.
        is_key: whether decoding can start at this frame.
        repeated: whether the frame was damaged and this is the previous one.
        native: decoded planes, which the writer keeps outside `changed`; None for other pictures.
        changed: (H, W) bool, True where `picture` differs from the native planes; None if it is independent of them.
    """

    index: int
    pts: int
    time: float
    duration: int = 0
    picture: Picture
    is_key: bool = False
    repeated: bool = False
    native: Any = None
    changed: NDArray[np.bool_] | None = None

    def with_picture(self, picture: Picture, changed: NDArray[np.bool_] | None = None) -> Frame:
        """Return the frame with another picture and the same timestamp.

        Args:
            picture: the new picture; another size is allowed if `changed` is None.
            changed: (H, W) bool, upright, True where the picture is new. Other values are written bit-exactly as
                decoded; a chroma value is new if any of its pixels is. None: everywhere.
        """
        return replace(self, picture=picture, native=self.native if changed is not None else None, changed=changed)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Part of a film from one key frame to another, which is decoded and encoded independently.

    Attributes:
        number: number of the segment, from 0.
        first: index of its first frame in the film.
        num_frames: number of frames, or None if it is known only after decoding.
        start: timestamp of the first frame; None for the beginning.
        stop: timestamp of the frame after the last; None for the end.
    """

    number: int
    first: int
    num_frames: int | None
    start: int | None = None
    stop: int | None = None


def orientation_of(matrix: tuple[int, ...] | None) -> Orientation:
    """Return the orientation in a display matrix (ISO/IEC 14496-12, 8.5.2); identity for other angles.

    The matrix (a b u; c d v; x y w) maps a stored point (p, q) to (a p + c q, b p + d q).
    """
    if matrix is None:
        return Orientation()
    a, b, _, c, d = matrix[:5]
    if a and d and not (b or c):
        return Orientation(flip_columns=a < 0, flip_rows=d < 0)
    if b and c and not (a or d):
        return Orientation(transpose=True, flip_columns=c < 0, flip_rows=b < 0)
    return Orientation()


def turned_aspect(aspect: Fraction | None, orientation: Orientation) -> Fraction:
    """Return the sample aspect ratio of upright pixels."""
    if not aspect:
        return Fraction(1)
    return 1 / aspect if orientation.transpose else aspect


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """Options of writing a film."""

    codec: str | None = None
    """h264, hevc, vp9, av1, mpeg2, ffv1, prores, or FFmpeg's name of an encoder; unset: one of the film's own
    family."""
    crf: int | None = None
    """Quality, smaller is better; unset: 18, or lossless for films of a lossless codec. For mpeg2, mpeg4 and mjpeg the
    quantizer, 1 to 31."""
    sound: bool = True
    """Copy all sound tracks, packet by packet."""
    subtitles: bool = True
    """Copy subtitles."""
    metadata: bool = True
    """Copy chapters, metadata (title, place, device), cover pictures, data streams and attachments."""
    until: float | None = None
    """Copy other streams only up to this time in seconds on the film's clock, for previews."""
    label: SyntheticLabel | None = None
    """Label that marks the film as synthetic: in the container's comment, before the film's own; in XMP for animations;
    in a JSON file beside the film if the container has no comment (.ts, .mpg, .3gp)."""

    def __post_init__(self) -> None:
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise ConfigError(f"crf {self.crf} must lie in 0..63; 18 is visually lossless")


@dataclass(frozen=True, kw_only=True)
class WriteReport:
    """Report on a written film.

    Attributes:
        path: the file.
        num_frames: number of frames of the file, counted by decoding it.
        encoder: FFmpeg's name.
        pixel_format: pixel format of the stored frames.
        is_lossless: whether the codec is lossless.
        offset: seconds by which all timestamps were shifted: 0, unless the container does not support the film's clock.
        sound_tracks: number of copied sound tracks.
        dropped: streams and metadata of the film that the file does not contain, each a phrase.
    """

    path: Path
    num_frames: int
    encoder: str
    pixel_format: str
    is_lossless: bool
    offset: float = 0.0
    sound_tracks: int = 0
    dropped: tuple[str, ...] = ()


def matrix_of(data: bytes) -> tuple[int, ...]:
    """Return the nine numbers of a display matrix."""
    return tuple(int(value) for value in np.frombuffer(data, np.int32))
