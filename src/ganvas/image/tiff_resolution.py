"""Pixel sizes of TIFF files: resolution tags, ImageJ's units and OME's physical sizes, in and out."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Final, Literal

from ganvas.image.picture import Resolution

__all__ = ["read_resolution", "resolution_options"]

X_TAG, Y_TAG, UNIT_TAG, DESCRIPTION_TAG = 282, 283, 296, 270
UNITS: Final[dict[object, Literal["inch", "centimeter"]]] = {2: "inch", 3: "centimeter"}
"""Value of the ResolutionUnit tag -> its meaning (TIFF 6.0, section 8)."""
PER_CENTIMETER: Final = {
    "nm": Fraction(10**7),
    "um": Fraction(10**4),
    "µm": Fraction(10**4),
    "μm": Fraction(10**4),
    r"\u00B5m": Fraction(10**4),
    "micron": Fraction(10**4),
    "microns": Fraction(10**4),
    "mm": Fraction(10),
    "cm": Fraction(1),
    "m": Fraction(1, 100),
    "inch": Fraction(100, 254),
}
"""Unit of ImageJ or OME -> how many are in a centimeter."""
LARGEST: Final = 2**32 - 1
TURNED: Final = (5, 6, 7, 8)
"""Orientations that exchange rows and columns."""
_IMAGEJ_UNIT = re.compile(r"^unit=(.+)$", re.MULTILINE)


def read_resolution(page: Any, orientation: object) -> Resolution | None:
    """Return the resolution that a page states, upright, or None where it states none that makes sense."""
    description = str(page.tags.valueof(DESCRIPTION_TAG) or "")
    if "<OME" in description:
        found = _of_ome(description)
    elif description.startswith("ImageJ=") and (unit := _IMAGEJ_UNIT.search(description)):
        found = _of_tags(page, PER_CENTIMETER.get(unit[1].strip()), "centimeter")
    elif name := UNITS.get(page.tags.valueof(UNIT_TAG)):
        found = _of_tags(page, Fraction(1), name)
    else:
        found = None
    return found.turned() if found and orientation in TURNED else found


def resolution_options(resolution: Resolution | None) -> dict[str, Any]:
    """Return the arguments with which `tifffile.imwrite` states a resolution; none where it cannot be written."""
    if resolution is None:
        return {}
    sides = [side.limit_denominator(10**6) for side in (resolution.x, resolution.y)]
    if not all(0 < side.numerator <= LARGEST for side in sides):
        return {}
    pairs = tuple((side.numerator, side.denominator) for side in sides)
    return {"resolution": pairs, "resolutionunit": resolution.unit.upper()}


def _of_tags(page: Any, factor: Fraction | None, unit: Literal["inch", "centimeter"]) -> Resolution | None:
    """Return the resolution of the tags, multiplied by a factor."""
    values = page.tags.valueof(X_TAG), page.tags.valueof(Y_TAG)
    if factor is None or not all(isinstance(value, tuple) and len(value) == 2 and all(value) for value in values):
        return None
    x, y = (Fraction(*value) * factor for value in values)
    return Resolution(x, y, unit)


def _of_ome(description: str) -> Resolution | None:
    """Return the resolution of the first image that OME metadata describe; sizes are in micrometers by default."""
    found = re.search(r"<Pixels\b[^>]*>", description)
    attributes = dict(re.findall(r'(PhysicalSize[XY](?:Unit)?)="([^"]*)"', found[0])) if found else {}
    sides = []
    for name in ("PhysicalSizeX", "PhysicalSizeY"):
        per_centimeter = PER_CENTIMETER.get(attributes.get(f"{name}Unit", "µm"))
        size = re.fullmatch(r"\d{1,9}(\.\d{1,12})?([eE]-?\d)?", attributes.get(name, ""))
        if per_centimeter is None or size is None or not Fraction(size[0]):
            return None
        sides.append(per_centimeter / Fraction(size[0]))
    return Resolution(sides[0], sides[1], "centimeter")
