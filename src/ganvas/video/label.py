"""Provenance labels of synthetic films: container comment, XMP of animations, or a JSON sidecar file.

The label is the IPTC digital source type, as in pictures (`ganvas.image.label`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path

from ganvas.filesystem.atomic import write_json
from ganvas.image.files import open_regular
from ganvas.image.label import (
    SIDECAR_SUFFIXES,
    SOURCE_TYPE,
    SyntheticLabel,
    insert_text,
    sidecar_path,
    source_type_in_sidecar,
    source_type_in_xmp,
)
from ganvas.terminal import one_line

__all__ = [
    "COMMENT",
    "gif_label",
    "label_comment",
    "png_label",
    "read_film_label",
    "update_sidecar",
    "webp_label",
]

COMMENT = "comment"
"""Metadata key of the container's comment."""
GIF_XMP = b"!\xff\x0bXMP DataXMP"
"""Application extension of a GIF (XMP specification, part 3, sec. 1.1.2)."""
GIF_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
"""Bytes after the packet, so that a reader of sub-blocks finds their end from any position."""
SEARCHED = 2**20
"""Number of bytes at each end of an animation to search for its label."""


def label_comment(label: SyntheticLabel, former: Mapping[str, str]) -> str:
    """Return the comment of a labeled film, followed by its previous comment.

    Args:
        label: the label.
        former: metadata of the original film, with keys in any case.
    """
    own = one_line(f"{label.note} {label.software}; {label.model}; DigitalSourceType {SOURCE_TYPE}")
    before = [line for key, text in former.items() if key.lower() == COMMENT for line in text.splitlines()]
    return "\n".join([own, *(line for line in before if SOURCE_TYPE not in line)])


def update_sidecar(out: Path, label: SyntheticLabel | None) -> None:
    """Write the JSON file beside a film whose container has no comment; remove that of an earlier film.

    Call it before the film is moved into place, so that a kill at any moment leaves no synthetic film without a label.
    """
    if out.suffix.lower() not in SIDECAR_SUFFIXES:
        return
    if label is not None:
        write_json(sidecar_path(out), label.as_record())
    elif source_type_in_sidecar(out):
        sidecar_path(out).unlink()


def read_film_label(path: Path | str) -> str | None:
    """Return the IPTC digital source type in a film's metadata (a URI), or None.

    Raises:
        VideoError: the file is not a film.
        MissingDependency: PyAV is not installed.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with open_regular(path) as file:
        start = file.read(16)
        if start.startswith((b"GIF8", b"\x89PNG\r\n\x1a\n")) or start[8:12] == b"WEBP":
            head = start + file.read(SEARCHED)
            file.seek(max(0, path.stat().st_size - SEARCHED))
            return source_type_in_xmp(head) or source_type_in_xmp(file.read())
    if path.suffix.lower() in SIDECAR_SUFFIXES:
        return source_type_in_sidecar(path)
    from ganvas.video.container import open_film  # slow to import
    from ganvas.video.read import require_av

    require_av()
    with open_film(path) as film:
        comments = [text for key, text in film.metadata.items() if key.lower() == COMMENT]
    found = re.search(r"DigitalSourceType (\S+)", "\n".join(comments))
    return found.group(1) if found else None


def gif_label(label: SyntheticLabel) -> bytes:
    """Return the label as a GIF's application extension."""
    return GIF_XMP + label.as_xmp() + GIF_TRAILER


def png_label(label: SyntheticLabel) -> bytes:
    """Return the label as an APNG's chunks, text and XMP."""
    return insert_text(b"", label.as_text(), label.as_xmp())


def webp_label(label: SyntheticLabel) -> bytes:
    """Return the label as a WebP's last chunk."""
    packet = label.as_xmp()
    return b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
