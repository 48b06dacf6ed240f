"""Reading of films and animations: which files are films, their properties, frames and segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

from ganvas.errors import MissingDependency
from ganvas.image.files import open_regular
from ganvas.video.film import FilmInfo, Frame, Segment

__all__ = [
    "FILM_SUFFIXES",
    "WRITTEN_SUFFIXES",
    "has_film_suffix",
    "is_film",
    "plan_segments",
    "probe",
    "read_video",
    "require_av",
]

FILM_SUFFIXES = frozenset((
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv",
    ".ts", ".vob", ".webm", ".wmv",
))  # fmt: skip
WRITTEN_SUFFIXES = FILM_SUFFIXES - {".mxf", ".ogv", ".vob", ".wmv"}
"""Suffixes of the video files that are written."""
_SIGNATURES = (
    (4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"), (8, b"AVI "), (0, b"FLV\x01"), (0, b"\x00\x00\x01\xba"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), (0, b"\x06\x0e\x2b\x34"),
)  # fmt: skip
"""Position and magic bytes of each container: MP4, Matroska, AVI, FLV, MPEG program stream, ASF, MXF."""
TS_PACKET, TS_SYNC = 188, b"\x47"
AMBIGUOUS = frozenset((".ts", ".mts", ".vob"))
"""Suffixes that other file types share, such as TypeScript's: here the content decides."""
STILL_BRANDS = frozenset((b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"crx "))
"""Brands of MP4-like files that contain still pictures."""


def require_av(purpose: str = "reading and writing films") -> None:
    """Verify that PyAV is installed.

    Raises:
        MissingDependency: it is not.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise MissingDependency("PyAV", "video", purpose) from error


def is_film(path: Path | str) -> bool:
    """Return whether a file is a film, judging by its content, or by its suffix if the content is inconclusive.

    GIF, WebP and PNG files are films if they contain more than one frame. A file with a film's suffix and a damaged
    header counts as a film, so that reading it reports the damage. Nothing is decoded, and PyAV is not needed.

    Raises:
        OSError: the file cannot be read.
        ImageError: the file is a device or a pipe.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in FILM_SUFFIXES - AMBIGUOUS:
        return True
    with open_regular(path) as file:
        start = file.read(2 * TS_PACKET)
        if start.startswith((b"GIF8", b"\x89PNG\r\n\x1a\n")) or start[8:12] == b"WEBP":
            from ganvas.video.animation import num_frames  # Pillow is slow to import

            return num_frames(file, start) > 1
        return _has_signature(start)


def has_film_suffix(name: str) -> bool:
    """Return whether a file name has a suffix of films only; those shared with pictures do not count."""
    return PurePath(name).suffix.lower() in FILM_SUFFIXES | {".gif", ".apng"}


def _has_signature(start: bytes) -> bool:
    if start[4:8] == b"ftyp" and start[8:12] in STILL_BRANDS:
        return False
    if any(start.startswith(magic, place) for place, magic in _SIGNATURES):
        return True
    return any(  # the sync bytes of a packet and the next; m2ts has four more bytes before each
        start[extra : extra + 1] == start[2 * extra + TS_PACKET :][:1] == TS_SYNC for extra in (0, 4)
    )


def probe(path: Path | str) -> FilmInfo:
    """Return the properties of a film or an animation, from its header and its first frame.

    Raises:
        VideoError: the file is not a film, is truncated, or has no video stream, no supported codec or no frame.
        MissingDependency: PyAV is not installed.
        OSError: the file cannot be read.
    """
    path = Path(path)
    if is_animation(path):
        from ganvas.video.animation import probe_animation  # slow to import

        return probe_animation(path)
    require_av()
    from ganvas.video.container import probe_film  # slow to import

    return probe_film(path)


def read_video(
    film: Path | str | FilmInfo,
    *,
    start: int = 0,
    stop: int | None = None,
    segment: Segment | None = None,
    skip_damaged: bool = False,
) -> Iterator[Frame]:
    """Yield the frames of a film or an animation in presentation order, one at a time.

    Pictures are upright, RGB (RGBA if the film has opacity), converted with the film's own matrix and range, uint8, or
    uint16 for more than 8 bits. The file is closed when the iterator ends or is closed.

    Args:
        film: the file, or its properties from `probe`.
        start: index of the first frame; decoding begins at the key frame before it.
        stop: index of the frame after the last.
        segment: read one segment of `plan_segments` instead.
        skip_damaged: replace a damaged frame by the previous one, with `Frame.repeated` set, instead of raising.

    Raises:
        VideoError: the file is not a film, is truncated or damaged, or has no video stream, no supported codec or no
            frame; names frame and second.
        MissingDependency: PyAV is not installed.
        OSError: the file cannot be read.
    """
    info = film if isinstance(film, FilmInfo) else probe(film)
    if info.is_animation:
        from ganvas.video.animation import read_animation  # slow to import

        return read_animation(info, start=start, stop=stop)
    require_av()
    from ganvas.video.decode import read_film  # slow to import

    return read_film(info, start=start, stop=stop, segment=segment, skip_damaged=skip_damaged)


def plan_segments(film: Path | str | FilmInfo, *, seconds: float = 10.0) -> list[Segment]:
    """Divide a film at key frames into segments of at least `seconds`, which contain every frame once.

    The plan is a function of the file and `seconds`. An animation, and a film whose container does not store timestamps
    of frames, are one segment.

    Raises:
        VideoError: see `probe`.
        MissingDependency: PyAV is not installed.
    """
    info = film if isinstance(film, FilmInfo) else probe(film)
    if info.is_animation:
        return [Segment(number=0, first=0, num_frames=None)]
    require_av()
    from ganvas.video.decode import plan_film  # slow to import

    return plan_film(info, seconds)


def is_animation(path: Path) -> bool:
    """Return whether a file is a GIF, WebP or PNG, judging by its first bytes."""
    with open_regular(path) as file:
        start = file.read(16)
    return start.startswith((b"GIF8", b"\x89PNG\r\n\x1a\n")) or start[8:12] == b"WEBP"
