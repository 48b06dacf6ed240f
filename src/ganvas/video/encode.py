"""Reproducible encoding of frames to packets, and part files of a segment's packets."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from ganvas.errors import VideoError
from ganvas.filesystem.atomic import atomic_file
from ganvas.image.picture import Picture
from ganvas.video.codecs import Encoding, choose_encoding
from ganvas.video.color import PictureConverter, bit_depth, changed_box, put_changed
from ganvas.video.film import FilmInfo, Frame, WriteOptions
from ganvas.video.scheduling import keep_scheduling

__all__ = ["FilmEncoder", "Part", "PartWriter", "configure"]

DEFAULT_CRF = 18
THREADS = 4
"""Number of threads of an encoder, which is fixed because the bytes depend on it."""
QP_TO_LAMBDA = 118
FULL = 2
QUANTIZERS = {"mpeg2video": 2, "mpeg4": 2, "mjpeg": 2}
"""Encoders whose quality is a quantizer, 1 (best) to 31 -> default."""


def configure(context: VideoCodecContext, encoding: Encoding) -> None:
    """Configure an encoder, which is opened by its first frame or by a container's header."""
    if encoding.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only, because it writes directly to standard error
    context.width, context.height, context.pix_fmt = encoding.width, encoding.height, encoding.pixel_format
    context.framerate, context.time_base = encoding.rate, 1 / encoding.rate
    context.sample_aspect_ratio = encoding.aspect
    context.color_range = encoding.color.range_tag or (FULL if encoding.color.full_range else 0)
    context.colorspace, context.color_primaries = encoding.color.matrix, encoding.color.primaries
    context.color_trc = encoding.color.transfer
    context.thread_count = THREADS
    context.flags |= Flags.bitexact | (Flags.global_header if encoding.has_global_header else 0)
    quality = DEFAULT_CRF if encoding.crf is None else encoding.crf
    context.options = _settings(encoding, quality)
    if encoding.encoder in QUANTIZERS:
        context.flags |= Flags.qscale
        context.global_quality = QP_TO_LAMBDA * (QUANTIZERS[encoding.encoder] if encoding.crf is None else quality)
    if not encoding.may_reorder:
        context.max_b_frames = 0


def _settings(encoding: Encoding, quality: int) -> dict[str, str]:
    """Return the options that are specific to the encoder."""
    exact = encoding.is_lossless
    match encoding.encoder:
        case (
            "libx264" | "libx264rgb"
        ):  # x264's macroblock tree reads uninitialized memory, so the bytes differ from run to run
            return {"preset": "fast", "x264-params": "mbtree=0", **({"qp": "0"} if exact else {"crf": str(quality)})}
        case "libx265":
            fixed = f"log-level=error:info=0:pools={THREADS}:frame-threads=2:open-gop=0"
            hdr = "".join(f":{name}={value}" for name, value in x265_hdr(encoding.hdr).items())
            params = fixed + hdr + (":lossless=1" if exact else "")
            return {"preset": "fast", "x265-params": params, **({} if exact else {"crf": str(quality)})}
        case "libvpx-vp9":
            speed = {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
            return {**speed, **({"lossless": "1"} if exact else {"crf": str(quality), "b": "0"})}
        case "libvpx":  # without hidden frames, which are separate packets in VP8
            return {"crf": str(quality), "b": "50M", "deadline": "good", "cpu-used": "2", "auto-alt-ref": "0"}
        case "libsvtav1":
            return {"preset": "8", "crf": str(quality), "svtav1-params": f"lp={THREADS}"}
        case "ffv1":
            return {"level": "3", "slicecrc": "1", "g": "1"}
        case "prores_ks":
            return {"profile": "4444" if "444" in encoding.pixel_format else "hq"}
        case "dnxhd":
            return {"profile": "dnxhr_hqx" if bit_depth(encoding.pixel_format) > 8 else "dnxhr_hq"}
        case _:
            return {}


def x265_hdr(side_data: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Return x265's options for mastering display and content light level (SMPTE ST 2086, CTA-861.3).

    Args:
        side_data: AVMasteringDisplayMetadata (ten rationals, two flags) and AVContentLightMetadata (two integers).
    """
    found = dict(side_data)
    options = {}
    if (data := found.get("MASTERING_DISPLAY_METADATA")) and len(data) >= 88:
        numbers = struct.unpack("=20i2i", data[:88])
        values = [Fraction(numbers[at], numbers[at + 1] or 1) for at in range(0, 20, 2)]
        red, green, blue, white = ([round(v * 50000) for v in values[at : at + 2]] for at in (0, 2, 4, 6))
        low, high = round(values[8] * 10000), round(values[9] * 10000)
        points = "".join(f"{name}({x},{y})" for name, (x, y) in zip("GBR", (green, blue, red), strict=True))
        options["master-display"] = f"{points}WP({white[0]},{white[1]})L({high},{low})"
    if (data := found.get("CONTENT_LIGHT_LEVEL")) and len(data) >= 8:
        options["max-cll"] = "{},{}".format(*struct.unpack("=2I", data[:8]))
    return options


class FilmEncoder:
    """Encoding of the frames of a film, or of a segment of it.

    Args:
        info: the film of the frames.
        encoding: encoding of the frames.
        out: path for messages.
    """

    def __init__(self, info: FilmInfo, encoding: Encoding, out: Path) -> None:
        self.info, self.encoding, self.out = info, encoding, out
        self._convert = PictureConverter(info, encoding.pixel_format, encoding.color)
        self._keeps_planes = encoding.orientation == info.orientation and not info.is_animation
        self._context = self._open()
        self._count = 0

    def _open(self) -> VideoCodecContext:
        context = av.CodecContext.create(self.encoding.encoder, "w")
        assert isinstance(context, VideoCodecContext)
        configure(context, self.encoding)
        return context

    @property
    def extradata(self) -> bytes:
        """Return the stream's headers, known once a frame was encoded."""
        return bytes(self._context.extradata or b"")

    def encode(self, frame: Frame) -> Iterator[tuple[int, bool, bytes]]:
        """Encode one frame, and yield the finished packets: number of the frame, whether it is a key frame, data.

        Raises:
            VideoError: the frame has another size, or the encoder fails; the first frame is encoded on trial.
        """
        stored = self._stored(frame)
        if self._count == 0:
            self._try(stored)
        stored.pts, stored.time_base = self._count, 1 / self.encoding.rate
        self._count += 1
        yield from self._packets(stored)

    def finish(self) -> Iterator[tuple[int, bool, bytes]]:
        """Yield the remaining packets of the encoder."""
        yield from self._packets(None)

    def _packets(self, frame: VideoFrame | None) -> Iterator[tuple[int, bool, bytes]]:
        try:
            with nullcontext() if self._context.is_open else keep_scheduling():  # the first frame opens it
                packets = self._context.encode(frame)
            for packet in packets:
                if packet.pts is None:
                    raise VideoError(self.out, f"{self.encoding.encoder} returned a packet without a timestamp")
                yield packet.pts, packet.is_keyframe, bytes(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise self._failed(error) from error

    def _try(self, frame: VideoFrame) -> None:
        """Encode one real frame on trial, so that unsupported settings raise before any work."""
        context = self._open()
        try:
            with keep_scheduling():
                packets = [*context.encode(frame), *context.encode(None)]
        except (av.error.FFmpegError, ValueError) as error:
            raise self._failed(error) from error
        if not any(packet.size for packet in packets):
            raise VideoError(self.out, f"{self.encoding.encoder} returned no packet for a frame; choose another codec")

    def _failed(self, error: Exception) -> VideoError:
        if isinstance(error, VideoError):
            return error
        size = f"{self.encoding.width} x {self.encoding.height} pixels of {self.encoding.pixel_format}"
        return VideoError(
            self.out, f"{self.encoding.encoder} cannot encode {size} ({error}); choose another codec (h264, ffv1)"
        )

    def _stored(self, frame: Frame) -> VideoFrame:
        """Return the frame to encode: native values where nothing changed, the picture's elsewhere."""
        stored = self._picture_or_planes(frame)
        stored.color_range = self.encoding.color.range_tag or (FULL if self.encoding.color.full_range else 0)
        stored.colorspace, stored.color_primaries = self.encoding.color.matrix, self.encoding.color.primaries
        stored.color_trc = self.encoding.color.transfer
        return stored

    def _picture_or_planes(self, frame: Frame) -> VideoFrame:
        if frame.native is not None and self._keeps_planes:
            native = self._convert.as_stored(frame.native)
            if frame.changed is None:
                return native
            changed = np.ascontiguousarray(self.encoding.orientation.stored(frame.changed))
            if box := changed_box(changed):
                fresh = self._convert.to_frame(frame.picture, self.encoding.orientation, box)
                put_changed(native, fresh, box, changed)
            return native
        self._check_size(frame.picture, frame.index)
        return self._convert.to_frame(frame.picture, self.encoding.orientation)

    def _check_size(self, picture: Picture, index: int) -> None:
        turned = self.encoding.orientation.transpose
        wanted = (self.encoding.width, self.encoding.height) if turned else (self.encoding.height, self.encoding.width)
        if (picture.height, picture.width) != wanted:
            found = f"{picture.width} x {picture.height} pixels, but the previous frames have {wanted[1]} x {wanted[0]}"
            raise VideoError(self.out, f"{found}; all frames of a film must have the same size", frame=index)


MAGIC = b"ganvas film part 1\n"
RECORD = struct.Struct("<qqBI")
"""Header of a record: timestamp and duration in units of the film's time base, key frame flag, number of data bytes."""
END = 0xFFFFFFFF


class PartWriter:
    """Writer of a part file: the packets of consecutive frames, with the timestamps of their frames.

    Args:
        file: file open for writing.
        info: the film of the frames.
        out: the final film.
        options: options of the encoding.
    """

    def __init__(self, file: BinaryIO, info: FilmInfo, out: Path, options: WriteOptions) -> None:
        self._file, self._info, self._out, self._options = file, info, out, options
        self._encoder: FilmEncoder | None = None
        self._shown: list[tuple[int, int]] = []

    def write(self, frame: Frame) -> None:
        """Encode one frame.

        Raises:
            VideoError: it is not later than the previous frame, has another size, or the encoder fails.
        """
        if self._shown and frame.pts <= self._shown[-1][0]:
            raise VideoError(
                self._out, "not later than the previous frame, which no container supports", frame=frame.index
            )
        self._shown.append((frame.pts, frame.duration))
        if self._encoder is None:
            size = frame.picture.height, frame.picture.width
            encoding = choose_encoding(self._info, self._out, self._options, size)
            self._encoder = FilmEncoder(self._info, encoding, self._out)
            packets = [*self._encoder.encode(frame)]
            self._write_header(size, self._encoder)
            self._write(packets)
        else:
            self._write(self._encoder.encode(frame))

    def finish(self) -> None:
        """Write the remaining packets of the encoder, and the end of the file.

        Raises:
            VideoError: no frame was written.
        """
        if self._encoder is None:
            raise VideoError(self._out, "no frame to write; a film needs at least one")
        self._write(self._encoder.finish())
        self._file.write(RECORD.pack(len(self._shown), 0, 0, END))

    def _write_header(self, size: tuple[int, int], encoder: FilmEncoder) -> None:
        header = {"size": size, "encoding": digest(encoder.encoding), "extradata": encoder.extradata.hex()}
        text = json.dumps(header).encode()
        self._file.write(MAGIC + struct.pack("<I", len(text)) + text)

    def _write(self, packets: Iterable[tuple[int, bool, bytes]]) -> None:
        for number, is_key, data in packets:
            self._file.write(RECORD.pack(*self._shown[number], is_key, len(data)))
            self._file.write(data)


def write_part(path: Path, frames: Iterable[Frame], info: FilmInfo, out: Path, options: WriteOptions) -> int:
    """Encode frames to a part file, atomically; return their number (see `ganvas.video.write_segment`)."""
    count = 0
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        part = PartWriter(file, info, out, options)
        for frame in frames:
            part.write(frame)
            count += 1
        part.finish()
    return count


def digest(encoding: Encoding) -> str:
    """Return a hash of everything that determines the bytes."""
    return hashlib.sha256(repr((encoding, THREADS, DEFAULT_CRF, av.__version__)).encode()).hexdigest()


@dataclass(frozen=True)
class Part:
    """Complete part file.

    Attributes:
        path: the file.
        size: height and width of the upright frames.
        digest: hash of its encoding.
        extradata: headers of its stream.
        start: position of the first record.
    """

    path: Path
    size: tuple[int, int]
    digest: str
    extradata: bytes
    start: int

    @staticmethod
    def open(path: Path) -> Part:
        """Read the header of a part file.

        Raises:
            VideoError: it is not a part file.
        """
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise VideoError(path, "not a part of a film; remove it and run the command again")
            header = json.loads(file.read(struct.unpack("<I", file.read(4))[0]))
            height, width = header["size"]
            return Part(path, (height, width), header["encoding"], bytes.fromhex(header["extradata"]), file.tell())

    def records(self, *, with_data: bool) -> Iterator[tuple[int, int, bool, bytes]]:
        """Yield timestamp, duration, key frame flag, and the data (or nothing), in decoding order.

        Raises:
            VideoError: the file is not complete.
        """
        with self.path.open("rb") as file:
            file.seek(self.start)
            while len(head := file.read(RECORD.size)) == RECORD.size:
                pts, duration, is_key, size = RECORD.unpack(head)
                if size == END:
                    return
                data = file.read(size) if with_data else b""
                if not with_data:
                    file.seek(size, 1)
                yield pts, duration, bool(is_key), data
        raise VideoError(self.path, "a truncated part of a film; remove it and run the command again")
