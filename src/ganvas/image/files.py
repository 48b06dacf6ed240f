"""Reading, writing and listing of picture files: PNG, JPEG, WebP, TIFF, BMP and .npy.

The content of a file determines its format when reading; pictures are upright and keep the levels of the file. The
suffix determines the format when writing; writing is atomic and stores only pixels: no location, time or thumbnail.
JPEG is the only format that changes levels (quality 95, no chroma subsampling).
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from io import BufferedReader, BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO

from ganvas.errors import ImageError
from ganvas.filesystem.atomic import write_bytes, write_json
from ganvas.filesystem.listing import FolderListing, is_folder, list_folder
from ganvas.image.codecs import IMAGE_SUFFIXES, decode, encode, has_white_zero, read_xmp, require_fit, stored_size
from ganvas.image.integrity import MAX_PIXELS
from ganvas.image.label import SyntheticLabel, sidecar_path, source_type_in_sidecar, source_type_in_xmp
from ganvas.image.picture import Picture, Pixels

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "PictureWarning",
    "SkippedWarning",
    "encode_image",
    "image_names",
    "list_images",
    "open_regular",
    "read_image",
    "read_image_bytes",
    "read_label",
    "read_size",
    "require_regular",
    "stores_white_as_zero",
    "warn_of_notes",
    "warn_of_repeated",
    "warn_of_skipped",
    "write_image",
]

REPEATED = "links to folders that are read anyway"
SYSTEM = "files of the operating system"


class PictureWarning(UserWarning):
    """Warning that a picture was converted on reading, or that its values use a small part of their range."""


def warn_of_notes(picture: Picture) -> None:
    """Issue the notes on reading a picture as warnings, each sentence once (by Python's filters)."""
    for note in picture.notes:
        warnings.warn(note, PictureWarning, stacklevel=2)


def require_regular(path: Path) -> None:
    """Raise for devices and pipes, which may never end.

    Raises:
        ImageError: there is something that is neither a file nor a folder.
        OSError: there is nothing.
    """
    kind = path.stat().st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise ImageError(path, "a device, pipe or socket; save the picture to a file and pass that")


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, after `require_regular`."""
    require_regular(path)
    return path.open("rb")


class SkippedWarning(UserWarning):
    """Warning that a folder contains files without the suffix of a picture format."""


def read_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read one picture, upright, as uint8, uint16 or float32 (H, W, C).

    Palettes become RGB or RGBA, CMYK becomes RGB, 1 to 7 bits become 8, 9 to 16 bits keep their levels.

    Args:
        path: the file; its content determines the format.
        max_pixels: larger pictures are refused before they are decoded.

    Raises:
        ImageError: the file is missing, truncated, of another format, too large, or has several frames or pages.
    """
    path = Path(path)
    with _reading(path) as file:
        return decode(file, path, max_pixels=max_pixels)


def read_image_bytes(data: bytes) -> Picture:
    """Read one picture from the bytes of a file, like `read_image`.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        return replace(decode(BytesIO(data), Path("picture in memory"), max_pixels=MAX_PIXELS), source=None)
    except ImageError:
        raise
    except Exception as error:
        raise _unreadable(Path("picture in memory"), error) from error


def read_size(path: Path | str) -> tuple[int, int]:
    """Return height and width from a file's header, before orientation is applied; nothing is decoded.

    Raises:
        ImageError: the header cannot be read.
    """
    path = Path(path)
    with _reading(path) as file:
        return stored_size(file, path)


def stores_white_as_zero(path: Path) -> bool:
    """Return whether a file is a TIFF that declares 0 to be white; `read_image` inverts it, `tifffile` does not.

    Raises:
        ImageError: the file cannot be read.
    """
    with _reading(path) as file:
        return has_white_zero(file, path)


def write_image(path: Path | str, picture: Picture | Pixels, *, synthetic: SyntheticLabel | None = None) -> None:
    """Write one picture atomically, in the format of the name's suffix, with no metadata but the label.

    Args:
        path: the output file; folders are created.
        picture: the picture, or an array (H, W) or (H, W, C); the format must support its type, channels and opacity.
        synthetic: label that marks it as synthetic; `.bmp` and `.npy` get NAME.npy.json beside them.

    Raises:
        ImageError: the format does not support the picture, or the file cannot be written.
    """
    path = Path(path)
    if not isinstance(picture, Picture):
        picture = Picture(picture[:, :, None] if picture.ndim == 2 else picture)
    target = require_fit(picture, path)
    data = encode(picture, target, path, synthetic)
    needs_sidecar = target in ("bmp", "npy")
    try:
        # Write the label first, so that a kill at any moment leaves no synthetic picture without a label.
        if needs_sidecar and synthetic:
            write_json(sidecar_path(path), synthetic.as_record())
        write_bytes(path, data)
        if needs_sidecar and not synthetic and source_type_in_sidecar(path):
            sidecar_path(path).unlink()
    except OSError as error:
        raise ImageError(path, f"cannot be written: {error.strerror or error}") from error


def encode_image(picture: Picture, suffix: str, *, synthetic: SyntheticLabel | None = None) -> bytes:
    """Encode a picture as the bytes of a file; `suffix` as in ".png". BMP and .npy cannot store a label.

    Raises:
        ImageError: the format does not support the picture.
    """
    path = Path(f"picture{suffix}")
    return encode(picture, require_fit(picture, path), path, synthetic)


def read_label(path: Path | str) -> str | None:
    """Return the IPTC digital source type in a picture's metadata (a URI), or None.

    Raises:
        ImageError: the file cannot be read.
    """
    path = Path(path)
    with _reading(path) as file:
        packet = read_xmp(file, path)
    return source_type_in_xmp(packet) if packet else source_type_in_sidecar(path)


def list_images(
    folder: Path | str, *, recursive: bool = False, also: Callable[[Path], bool] = lambda _: False
) -> list[Path]:
    """List the pictures of a folder by their suffixes, ordered by name, without hidden files and folders.

    Args:
        folder: the folder.
        recursive: include folders below it; linked ones are followed, and each real folder is listed once
            (`ganvas.filesystem.listing`).
        also: predicate of further files to list, for example films.

    Raises:
        ImageError: there is no such folder.
    """
    folder = Path(folder)
    _require_folder(folder)
    files = list_folder(folder).files if recursive else [folder / name for name in _visible_names(folder)]
    return [path for path in files if _is_image(path.name) or also(path)]


def image_names(folder: Path) -> list[str]:
    """List the names of the pictures of a folder, with a fifth of the memory of `list_images`.

    Raises:
        ImageError: there is no such folder.
    """
    _require_folder(folder)
    return [name for name in _visible_names(folder) if _is_image(name)]


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ImageError(folder, "no such folder; check the name")


def warn_of_skipped(
    folder: Path,
    *,
    recursive: bool = False,
    out: Path | None = None,
    also: Callable[[Path], bool] = lambda _: False,
) -> None:
    """Warn once of visible entries of a folder that `list_images` skips.

    These are files of other formats, such as GIFs, and either folders (without `recursive`) or links to listed folders.

    Args:
        folder: the listed folder.
        recursive: whether it was listed recursively.
        out: the output folder, which is excluded with its content.
        also: as for `list_images`.
    """
    listing = list_folder(folder) if recursive else FolderListing([folder / name for name in _visible_names(folder)])
    parts = {
        "files without the suffix of a format that ganvas reads": [
            p for p in listing.files if not (_is_image(p.name) or also(p))
        ],
        REPEATED: listing.repeated,
        SYSTEM: listing.system,
        "folders": [] if recursive else _visible_folders(folder),
    }
    written = None if out is None or folder.resolve().is_relative_to(out.resolve()) else out.resolve()
    others = {what: [p for p in paths if not _is_within(p, written)] for what, paths in parts.items()}
    _warn_of_skipped(folder, others)


def _is_within(path: Path, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.realpath(path)).is_relative_to(folder)


def warn_of_repeated(folder: Path, listing: FolderListing) -> None:
    """Warn once of skipped entries of a listing: links to listed folders, and files of the operating system."""
    _warn_of_skipped(folder, {REPEATED: listing.repeated, SYSTEM: listing.system})


def _warn_of_skipped(folder: Path, parts: Mapping[str, list[Path]]) -> None:
    parts_named = [f"{what}: {_some_paths(paths, folder)}" for what, paths in parts.items() if paths]
    if parts_named:
        warnings.warn(f"{folder}: skipped {'; '.join(parts_named)}", SkippedWarning, stacklevel=4)


def _some_paths(paths: list[Path], folder: Path) -> str:
    """Return the first five paths, relative to `folder`."""
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(path.relative_to(folder).as_posix() for path in paths[:5]) + more


def _visible_folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if not entry.name.startswith(".") and is_folder(entry))


def _visible_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:  # several times as fast as a stat of each path
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and not is_folder(entry))


def _is_image(name: str) -> bool:
    return PurePath(name).suffix.lower() in IMAGE_SUFFIXES


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Open a picture file; any exception inside the block becomes an ImageError."""
    try:
        with open_regular(path) as file:
            yield file
    except ImageError:
        raise
    except Exception as error:  # decoders raise many types on malicious bytes
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ImageError:
    if isinstance(error, OSError) and error.errno is not None:  # raised by the system, not by a decoder
        return ImageError(path, f"cannot be read: {error.strerror}; check the name and your permissions")
    problem = f"cannot be decoded ({error}); it may be truncated or damaged"
    return ImageError(path, f"{problem}: copy it again, or remove it")
