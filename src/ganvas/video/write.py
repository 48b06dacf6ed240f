"""Writer of films and animations: whole films, and segments to join."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from ganvas.errors import ConfigError, VideoError
from ganvas.filesystem.atomic import temporary_path
from ganvas.image.picture import Picture
from ganvas.video.film import ColorTags, FilmInfo, Frame, WriteOptions, WriteReport
from ganvas.video.read import probe, read_video, require_av

__all__ = ["FilmWriter", "check_writable", "join_segments", "write_segment", "write_video"]

DEFAULTS = WriteOptions()
ANIMATED = (".gif", ".webp", ".png", ".apng")
BT709 = ColorTags(matrix=1, range_tag=1, primaries=1, transfer=1)


class _Sink(Protocol):
    """Receiver of frames: a part of a film, or an animation."""

    def write(self, frame: Frame) -> None: ...
    def finish(self) -> None: ...


class FilmWriter:
    """Writer of a film, frame by frame; the film is moved into place at the end of the `with` block.

    Frames are encoded to a hidden part file beside it, then joined with the sound and other streams of the original
    film. The result is verified by reading it back: it must have as many frames with the same timestamps.

    Args:
        out: the file; its suffix determines the container. `.gif`, `.webp` and `.png` become animations.
        like: the film of the frames, from which timestamps, colors, codec, orientation, sound and other streams are
            taken.
        options: codec, quality, and streams to copy.

    Attributes:
        report: report on the written film, available after the block.

    Raises:
        VideoError: while writing, if the encoder fails; at the end of the block, if the container does not support a
            stream or the finished file is wrong. `check_writable` detects this before any work.
        MissingDependency: PyAV is not installed.
    """

    def __init__(self, out: Path | str, *, like: FilmInfo | Path | str, options: WriteOptions = DEFAULTS) -> None:
        self.out, self.options = Path(out), options
        self.info = _info(like)
        self.report: WriteReport | None = None
        self._part = temporary_path(self.out.with_suffix(".part"))
        self._sink: _Sink | None = None

    def __enter__(self) -> FilmWriter:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.callback(self._part.unlink, missing_ok=True)
            self._file = stack.enter_context(self._part.open("w+b"))
            self._sink = self._open_sink(self._file)
            self._stack = stack.pop_all()
        return self

    def _open_sink(self, file: BinaryIO) -> _Sink:
        if _is_animated(self.out):
            from ganvas.video.animate import AnimationWriter  # slow to import

            return AnimationWriter(file, self.info, self.out, self.options)
        require_av()
        from ganvas.video.encode import PartWriter  # slow to import

        return PartWriter(file, self.info, self.out, self.options)

    def write(self, frame: Frame) -> None:
        """Add the next frame.

        Raises:
            VideoError: it is not later than the previous one, has another size, or cannot be encoded.
        """
        assert self._sink is not None, "use the writer in a with block"
        self._sink.write(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None and self._sink is not None:
                self._sink.finish()
                self._file.close()
                self.report = join_segments(self.out, [self._part], like=self.info, options=self.options)


def write_video(
    out: Path | str,
    frames: Iterable[Frame | Picture],
    *,
    like: FilmInfo | Path | str | None = None,
    rate: Fraction | float | None = None,
    options: WriteOptions = DEFAULTS,
) -> WriteReport:
    """Write a film atomically.

    Args:
        out: the file; its suffix determines the container.
        frames: frames of a film, in order, or pictures (RGB, uint8 or uint16) of equal size.
        like: the film of the frames (see `FilmWriter`).
        rate: pictures per second, for pictures that do not come from a film.
        options: codec, quality, and streams to copy.

    Raises:
        VideoError: see `FilmWriter`.
        ConfigError: neither or both of `like` and `rate` are given.
        MissingDependency: PyAV is not installed.
    """
    out, items = Path(out), iter(frames)
    if (like is None) == (rate is None):
        raise ConfigError("pass either like, the film of the frames, or rate, the pictures per second")
    first = next(items, None)
    if first is None:
        raise VideoError(out, "no frame to write; a film needs at least one")
    given = chain([first], items)
    info = _info(like) if like is not None else _plain_info(first, Fraction(rate or 25).limit_denominator(1001))
    with FilmWriter(out, like=info, options=options) as writer:
        for number, item in enumerate(given):
            writer.write(item if isinstance(item, Frame) else _plain_frame(item, number, info))
    assert writer.report is not None
    return writer.report


def write_segment(
    part: Path | str,
    frames: Iterable[Frame],
    *,
    like: FilmInfo | Path | str,
    out: Path | str,
    options: WriteOptions = DEFAULTS,
) -> int:
    """Encode the frames of one segment to a part file, atomically; return their number.

    Equal frames and options give equal bytes, so that a film joined from parts does not depend on when they were
    written.

    Args:
        part: the output file, with any name.
        frames: frames of the segment, in order.
        like: the film of the frames.
        out: the film to join from the parts; its suffix determines the container.
        options: the same as for `join_segments`.

    Raises:
        VideoError: see `FilmWriter.write`.
        MissingDependency: PyAV is not installed.
    """
    out, info = Path(out), _info(like)
    if _is_animated(out):
        from ganvas.video.animate import write_animation  # slow to import

        return write_animation(Path(part), frames, info, out, options)
    require_av()
    from ganvas.video.encode import write_part  # slow to import

    return write_part(Path(part), frames, info, out, options)


def join_segments(
    out: Path | str, parts: Sequence[Path | str], *, like: FilmInfo | Path | str, options: WriteOptions = DEFAULTS
) -> WriteReport:
    """Join part files to a film with sound and other streams, verify it by reading it back, and move it into place.

    Args:
        out: the file.
        parts: the part files of `write_segment`, in order; they are not removed.
        like: the film of the frames.
        options: the same as for `write_segment`.

    Raises:
        VideoError: a part is missing or has other settings, the container does not support a stream, or frames or
            timestamps of the finished file differ from the written ones.
        MissingDependency: PyAV is not installed.
    """
    out, info, paths = Path(out), _info(like), [Path(part) for part in parts]
    if not paths:
        raise VideoError(out, "no part to join; a film needs at least one")
    if _is_animated(out):
        from ganvas.video.animate import finish_animation  # slow to import

        return finish_animation(out, paths)
    require_av()
    from ganvas.video.finish import join_parts  # slow to import

    return join_parts(out, paths, info, options)


def check_writable(
    out: Path | str,
    *,
    like: FilmInfo | Path | str,
    options: WriteOptions = DEFAULTS,
    picture: Picture | None = None,
) -> None:
    """Verify before any work that a film can be written: container, codec, sound, subtitles, and a real frame.

    Args:
        out: the output file, which is not touched.
        like: the film of the frames.
        options: codec, quality, and streams to copy.
        picture: a picture of the output size; unset: the film's first frame.

    Raises:
        VideoError: it cannot be written; names the reason and the remedy.
        MissingDependency: PyAV is not installed.
    """
    out, info = Path(out), _info(like)
    if _is_animated(out):
        from ganvas.video.animate import check_animation  # slow to import

        check_animation(out, info, options)
        return
    require_av()
    from ganvas.video.finish import try_film  # slow to import

    frames = read_video(info, stop=1, skip_damaged=not info.is_animation)
    frame = next(frames)
    try_film(out, info, options, frame if picture is None else frame.with_picture(picture))


def _info(like: FilmInfo | Path | str) -> FilmInfo:
    return like if isinstance(like, FilmInfo) else probe(like)


def _is_animated(out: Path) -> bool:
    return out.suffix.lower() in ANIMATED


def _plain_info(item: Frame | Picture, rate: Fraction) -> FilmInfo:
    """Return the properties of a film of pictures: H.264, BT.709, at a constant rate."""
    picture = item.picture if isinstance(item, Frame) else item
    deep = picture.pixels.dtype.name != "uint8"
    return FilmInfo(
        path=picture.source or Path("pictures"),
        container="",
        codec="h264",
        height=picture.height,
        width=picture.width,
        time_base=1 / rate,
        rate=rate,
        pixel_format="yuv420p10le" if deep else "yuv420p",
        bit_depth=10 if deep else 8,
        has_alpha=picture.has_alpha,
        color=BT709,
    )


def _plain_frame(picture: Picture, number: int, info: FilmInfo) -> Frame:
    return Frame(index=number, pts=number, time=float(number * info.time_base), duration=1, picture=picture)
