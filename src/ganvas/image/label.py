"""Mark pictures that a model made or changed, so that people and programs can tell.

The mark is the IPTC digital source type in an XMP packet (PNG, JPEG, WebP, TIFF; PNG has it as text too), or a JSON
file beside the picture where the format has no place for one (BMP, .npy).
https://cv.iptc.org/newscodes/digitalsourcetype/
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

__all__ = ["SOURCE_TYPE", "SyntheticLabel", "sidecar_path"]

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""Part of the picture was made by a trained model."""

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
    """What a synthetic picture says about itself."""

    software: str
    """The program, for example "ganvas 0.1"."""
    model: str
    """The method and run that made it."""
    note: str
    """One sentence for people."""

    def as_text(self) -> dict[str, str]:
        """PNG text: keyword -> text."""
        return {"Software": self.software, "Source": self.model, "Comment": self.note, "DigitalSourceType": SOURCE_TYPE}

    def as_xmp(self) -> bytes:
        """The XMP packet."""
        fields = {"software": self.software, "model": self.model, "note": self.note, "source_type": SOURCE_TYPE}
        return _PACKET.format(**{name: quoteattr(text) for name, text in fields.items()}).encode()

    def as_record(self) -> dict[str, str]:
        """The content of the JSON file beside a BMP or .npy picture."""
        return {"digital_source_type": SOURCE_TYPE, "software": self.software, "model": self.model, "note": self.note}


def sidecar_path(path: Path) -> Path:
    """Where the label of a BMP or .npy picture lies: NAME.npy.json beside NAME.npy."""
    return path.with_name(path.name + ".json")


def source_type_in_xmp(packet: bytes) -> str | None:
    """The digital source type that an XMP packet gives, as attribute or element.

    A pattern, not an XML parser: packets come from anywhere, and entities can be made to grow without end.
    """
    found = re.search(rb"Iptc4xmpExt:DigitalSourceType\s*(?:=\s*[\"']|>\s*)([^\"'<\s]+)", packet)
    return found.group(1).decode(errors="replace") if found else None


def source_type_in_sidecar(path: Path) -> str | None:
    """The digital source type that a picture's JSON file gives, or None where there is none."""
    try:
        record = json.loads(sidecar_path(path).read_bytes())
    except (OSError, ValueError):
        return None
    value = record.get("digital_source_type") if isinstance(record, dict) else None
    return value if isinstance(value, str) else None
