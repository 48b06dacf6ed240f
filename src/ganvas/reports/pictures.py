"""Pictures of the HTML reports: encoded as data URIs, in grids, with captions and difference images.

These functions do not run the content gate: give pictures that passed it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ganvas.image.files import encode_image
from ganvas.image.picture import Picture, all_channels
from ganvas.reports.html import breakable, prose

__all__ = [
    "BLANK",
    "Encoded",
    "Image",
    "Tile",
    "animation",
    "encode",
    "hero",
    "picture",
    "picture_grid",
    "side_by_side",
]

Image = Picture | NDArray[np.uint8]
"""A picture, or (H, W), (H, W, 1) or (H, W, 3) uint8."""
SMALL = 128
"""Largest side in pixels of pictures that are enlarged by repeating pixels, without smoothing."""
DIFFERENCE = "difference from the target"
LARGEST = 640
"""Largest side of a picture in pixels; larger pictures are downsampled, to limit the size of reports."""


@dataclass(frozen=True)
class Encoded:
    """Picture that is ready for a page.

    Attributes:
        source: data URI of a PNG or JPEG file.
        height: in pixels.
        width: in pixels.
    """

    source: str
    height: int
    width: int


@dataclass(frozen=True)
class Tile:
    """Cell of a picture grid.

    Attributes:
        image: the picture; None if there is none to show.
        caption: plain text below the picture.
        difference: difference image below the picture.
        blank: whether the cell stays empty; otherwise a missing picture is marked as not shown.
    """

    image: Encoded | None = None
    caption: str = ""
    difference: Encoded | None = None
    blank: bool = False


BLANK: Final = Tile(blank=True)


def encode(image: Image, *, lossy: bool = False) -> Encoded:
    """Encode a picture as 8-bit RGB in a data URI, with no side above `LARGEST` pixels.

    Args:
        image: the picture; unless it has 1 or 3 channels, they are shown side by side in gray.
        lossy: JPEG instead of PNG, for many photographs.
    """
    if not isinstance(image, Picture):
        image = Picture(image if image.ndim == 3 else image[:, :, None])
    rgb = _reduced(all_channels(image))
    kind = "jpeg" if lossy else "png"
    data = base64.b64encode(encode_image(Picture(rgb), f".{kind}")).decode()
    return Encoded(f"data:image/{kind};base64,{data}", rgb.shape[0], rgb.shape[1])


def _reduced(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    if max(height, width) <= LARGEST:
        return rgb
    scale = LARGEST / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(PillowImage.fromarray(rgb).resize(size, PillowImage.Resampling.BICUBIC))


def animation(path: Path, title: str) -> str:
    """Return an unchanged GIF, WebP or PNG file, so that an animation plays, with a caption in plain text."""
    kind, data = path.suffix[1:].lower(), base64.b64encode(path.read_bytes()).decode()
    shown = f'<img src="data:image/{kind};base64,{data}" alt="{escape(title)}">'
    return f"<figure>{shown}<figcaption>{escape(title)}</figcaption></figure>"


def side_by_side(shown: Sequence[str]) -> str:
    """Return a few figures side by side, or stacked on a phone."""
    return f'<div class="hero">{"".join(shown)}</div>'


def hero(pictures: Sequence[tuple[Image, str]]) -> str:
    """Return a few large pictures side by side, or stacked on a phone, from (picture, caption in plain text)."""
    return side_by_side([picture(image, title, caption=title, lossy=True) for image, title in pictures])


def picture_grid(
    rows: Sequence[Sequence[Image | Tile | None]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    *,
    captions: Sequence[Sequence[str]] = (),
    lossy: bool = False,
    anchors: Mapping[int, str] | None = None,
) -> str:
    """Return pictures in rows and columns; a click or the space bar enlarges one to the size of the window.

    On a phone each row becomes a block of two or three pictures per line, each with the title of its column.

    Args:
        rows: pictures or tiles, or None for a missing (refused) picture.
        column_titles: plain text for each column.
        row_titles: plain text for each row.
        captions: below each picture, plain text, in the layout of `rows`; may be shorter. A tile has its own.
        lossy: JPEG instead of PNG, for many photographs.
        anchors: number of a row -> its id, for links within the page.
    """
    num_columns = max((len(row) for row in rows), default=0)
    lead = '<span class="corner"></span>' if row_titles else ""
    head = "".join(_title("column", title) for title in column_titles)
    cells = [f'{lead}{head}<i class="end"></i>'] if column_titles else []
    for y, row in enumerate(rows):
        name = row_titles[y] if y < len(row_titles) else ""
        cells.append(_title("row", name, key=(anchors or {}).get(y)))
        for x in range(num_columns):
            title = column_titles[x] if x < len(column_titles) else ""
            caption = captions[y][x] if y < len(captions) and x < len(captions[y]) else ""
            label = ", ".join(part for part in (name, title) if part)
            image = row[x] if x < len(row) else None
            cells.append(picture(image, label, title=title, caption=caption, lossy=lossy))
    narrow = num_columns if num_columns in (1, 3) else 2
    columns = f"--columns:{num_columns};--narrow:{narrow};--lead:{'minmax(4rem,9rem)' if row_titles else '0'}"
    kind = "grid titled" if row_titles else "grid"
    return f'<div class="block"><div class="{kind}" style="{columns}">{"".join(cells)}</div></div>'


def _title(kind: str, text: str, *, key: str | None = None) -> str:
    """Return the title of a row or a column, with the full text in its tooltip."""
    place = "" if key is None else f' id="{escape(key)}"'
    tooltip = f' title="{escape(text)}"' if text else ""
    return f'<span class="{kind}"{place}{tooltip}>{breakable(text)}</span>'


def picture(image: Image | Tile | None, label: str, *, title: str = "", caption: str = "", lossy: bool = False) -> str:
    """Return one picture with a caption; `label` is its alternative text, `title` is shown on a phone only."""
    tile = image if isinstance(image, Tile) else Tile(None if image is None else encode(image, lossy=lossy), caption)
    if tile.blank:
        return "<figure></figure>"
    which = _title("which", title) if title else ""
    below = f"<figcaption>{which}{prose(tile.caption)}</figcaption>" if which or tile.caption else ""
    if tile.image is None:
        return f'<figure><div class="absent">not shown</div>{below}</figure>'
    difference = _zoomable(tile.difference, f"{label}, {DIFFERENCE}", tooltip=DIFFERENCE) if tile.difference else ""
    return f"<figure>{_zoomable(tile.image, label)}{difference}{below}</figure>"


def _zoomable(image: Encoded, label: str, *, tooltip: str = "") -> str:
    small = ' class="small"' if max(image.height, image.width) <= SMALL else ""
    size = f'width="{image.width}" height="{image.height}"'
    shown = f'<img{small} src="{image.source}" {size} alt="{escape(label)}">'
    zoom = f'<input type="checkbox" aria-label="Enlarge {escape(label)}">'
    title = f' title="{escape(tooltip)}"' if tooltip else ""
    return f"<label{title}>{zoom}{shown}</label>"
