"""Provenance labels of synthetic pictures and films: XMP packets, PNG text and JSON sidecar files.

The label is the IPTC digital source type in an XMP packet (PNG, JPEG, WebP, TIFF; PNG has it as text too), or a JSON
file beside the picture if the format cannot store one (BMP, .npy). `ganvas.video.label` labels films.
https://cv.iptc.org/newscodes/digitalsourcetype/
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from ganvas.serialization import read_json
from ganvas.terminal import one_line

__all__ = ["SOURCE_TYPE", "SyntheticLabel", "sidecar_path", "with_sidecar"]

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""Digital source type: a trained model generated a part of the picture."""

SIDECAR_SUFFIXES = (".bmp", ".npy", ".3gp", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg")
"""Suffixes of formats that cannot store a label."""

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmp:CreatorTool={software}
    photoshop:Instructions={note}
    Iptc4xmpExt:AISystemUsed={model}
    Iptc4xmpExt:DigitalSourceType={source_type}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True, kw_only=True)
class SyntheticLabel:
    """Provenance label of a synthetic picture."""

    software: str
    """Program, for example "ganvas 0.1"."""
    model: str
    """Method and run that generated the picture."""
    note: str
    """Note in one sentence, for people."""

    def as_text(self) -> dict[str, str]:
        """Return the PNG text chunks, keyword -> text."""
        texts = {"Software": self.software, "Source": self.model, "Comment": self.note}
        return {**{keyword: one_line(text) for keyword, text in texts.items()}, "DigitalSourceType": SOURCE_TYPE}

    def as_xmp(self) -> bytes:
        """Return the XMP packet."""
        fields = {"software": self.software, "model": self.model, "note": self.note, "source_type": SOURCE_TYPE}
        return _PACKET.format(**{name: quoteattr(one_line(text)) for name, text in fields.items()}).encode()

    def as_record(self) -> dict[str, str]:
        """Return the content of the JSON sidecar file."""
        return {"digital_source_type": SOURCE_TYPE, "software": self.software, "model": self.model, "note": self.note}


def sidecar_path(path: Path) -> Path:
    """Return the path of the sidecar file of a format without labels: NAME.npy.json beside NAME.npy."""
    return path.with_name(path.name + ".json")


def with_sidecar(path: Path) -> tuple[Path, ...]:
    """Return the files of a labeled picture or film: the file itself and, if its format needs one, the sidecar."""
    return (path, sidecar_path(path)) if path.suffix.lower() in SIDECAR_SUFFIXES else (path,)


def source_type_in_xmp(packet: bytes) -> str | None:
    """Return the digital source type in an XMP packet, as attribute or element.

    Uses a pattern instead of an XML parser, because packets are untrusted and entities can expand without limit.
    """
    found = re.search(rb"Iptc4xmpExt:DigitalSourceType\s*(?:=\s*[\"']|>\s*)([^\"'<\s]+)", packet)
    return found.group(1).decode(errors="replace") if found else None


def source_type_in_sidecar(path: Path) -> str | None:
    """Return the digital source type in the sidecar file of a picture or film, or None."""
    try:
        record = read_json(sidecar_path(path))
    except (OSError, ValueError):
        return None
    value = record.get("digital_source_type") if isinstance(record, dict) else None
    return value if isinstance(value, str) else None


PNG_HEADER = 8 + 25
"""Size in bytes of the signature and the IHDR chunk, which always comes first (PNG 3rd edition, 5.6)."""


def insert_text(data: bytes, texts: dict[str, str], xmp: bytes) -> bytes:
    """Return a PNG file with text chunks (keyword -> text) and an XMP packet inserted after its header."""
    notes = b"".join(_text_chunk(keyword, text.encode()) for keyword, text in texts.items())
    return data[:PNG_HEADER] + notes + _text_chunk("XML:com.adobe.xmp", xmp) + data[PNG_HEADER:]


def _text_chunk(keyword: str, text: bytes) -> bytes:
    """Return an iTXt chunk: UTF-8, not compressed, no language (PNG 3rd edition, 11.3.3.4)."""
    return _chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
