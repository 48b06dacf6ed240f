"""HTML reports in one file: no script, nothing from outside, light and dark, wide screens and phones.

Each function returns a piece of HTML as text; `page` puts pieces together. Whatever comes from outside is escaped.
Nothing here asks the content gate: give pictures that passed it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from ganvas.image.files import encode_image
from ganvas.image.grid import all_channels
from ganvas.image.picture import Picture
from ganvas.metrics.style import STYLE

Image = Picture | NDArray[np.uint8]
"""A picture, or (H, W), (H, W, 1) or (H, W, 3) uint8."""
EN_DASH, MINUS = "\u2013", "\u2212"
SMALL = 128
"""Pictures with no side above so many pixels are enlarged by whole pixels, not smoothed."""


def page(title: str, intro: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole document.

    Args:
        title: plain text.
        intro: HTML below the title, for example a `paragraph`.
        sections: (heading as plain text, body as HTML); the heading may be empty.
    """
    body = "".join(
        f"<section>{f'<h2>{escape(heading)}</h2>' if heading else ''}{content}</section>\n"
        for heading, content in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><main><header><h1>{escape(title)}</h1>{intro}</header>\n{body}</main></body></html>\n"
    )


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """Plain text, set apart: what limits or qualifies what stands above."""
    return f'<p class="note">{escape(text)}</p>'


def points(sentences: Sequence[str], *, numbered: bool = False) -> str:
    """Return plain sentences as a list."""
    kind = "ol" if numbered else "ul"
    return f'<{kind} class="points">{"".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)}</{kind}>'


def commands(lines: Sequence[str]) -> str:
    """Return command lines, plain text, set as code."""
    return f'<pre class="commands">{escape(chr(10).join(lines))}</pre>'


def folded(summary: str, text: str) -> str:
    """Return preformatted plain text behind a summary that opens it."""
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"


def hero(pictures: Sequence[tuple[Image, str]]) -> str:
    """Return a few large pictures beside each other, one above the other on a phone: (picture, plain caption)."""
    shown = "".join(picture(image, title, caption=title, lossy=True) for image, title in pictures)
    return f'<div class="hero">{shown}</div>'


def figures(values: Sequence[tuple[str, str]]) -> str:
    """A row of large figures: (value, what it is), plain text."""
    cells = "".join(f"<div><strong>{escape(value)}</strong><span>{escape(what)}</span></div>" for value, what in values)
    return f'<div class="figures">{cells}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str | float | int | None]], *, caption: str = "") -> str:
    """A table of plain text and numbers: numbers to the right, None as a dash; the first column names the row.

    On a phone each row becomes a list, and each value carries the name of its column.
    """
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{_row(row, header)}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="block"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(values: Sequence[str | float | int | None], header: Sequence[str]) -> str:
    first = f'<th scope="row">{escape(format_value(values[0]))}</th>' if values else ""
    return first + "".join(
        f'<td data-column="{escape(name)}">{escape(format_value(value))}</td>'
        for value, name in zip(values[1:], header[1:], strict=True)
    )


def format_value(value: str | float | int | None, *, like: float | None = None) -> str:
    """A number as people read it: about four significant digits, a true minus sign; None as a dash.

    Args:
        value: text is left as it is.
        like: give as many digits as this number would get.
    """
    if value is None:
        return EN_DASH
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}".replace("-", MINUS)
    size = abs(value if like is None else like)
    digits = 2 if size >= 10 else 3 if size >= 1 else 4
    return f"{value:.{digits}f}".replace("-", MINUS)


def picture_grid(
    rows: Sequence[Sequence[Image | None]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    *,
    captions: Sequence[Sequence[str]] = (),
    lossy: bool = False,
) -> str:
    """Pictures in rows and columns; a click or the space bar shows one as large as the window.

    On a phone each row stands alone, two or three pictures beside each other, each with the title of its column.

    Args:
        rows: pictures, or None for an empty place (a refused picture).
        column_titles: one a column, plain text.
        row_titles: one a row, plain text.
        captions: below each picture, plain text, in the layout of `rows`; may be shorter.
        lossy: JPEG instead of PNG, for many photographs.
    """
    num_columns = max((len(row) for row in rows), default=0)
    lead = '<span class="corner"></span>' if row_titles else ""
    head = "".join(f'<span class="column">{escape(title)}</span>' for title in column_titles)
    cells = [f'{lead}{head}<i class="end"></i>'] if column_titles else []
    for y, row in enumerate(rows):
        name = row_titles[y] if y < len(row_titles) else ""
        cells.append(f'<span class="row">{escape(name)}</span>')
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


def picture(image: Image | None, label: str, *, title: str = "", caption: str = "", lossy: bool = False) -> str:
    """One picture with a caption; `label` is read aloud in its place, `title` is shown on a phone alone."""
    which = f'<span class="which">{escape(title)}</span>' if title else ""
    below = f"<figcaption>{which}{escape(caption)}</figcaption>" if which or caption else ""
    if image is None:
        return f'<figure><div class="absent">not shown</div>{below}</figure>'
    source, height, width = _data_uri(image, lossy)
    small = ' class="small"' if max(height, width) <= SMALL else ""
    shown = f'<img{small} src="{source}" width="{width}" height="{height}" alt="{escape(label)}">'
    zoom = f'<input type="checkbox" aria-label="Enlarge {escape(label)}">'
    return f"<figure><label>{zoom}{shown}</label>{below}</figure>"


def _data_uri(image: Image, lossy: bool) -> tuple[str, int, int]:
    """The picture as 8-bit RGB in a data URI, with its height and width."""
    if not isinstance(image, Picture):
        image = Picture(image if image.ndim == 3 else image[:, :, None])
    rgb = all_channels(image)
    kind = "jpeg" if lossy else "png"
    data = base64.b64encode(encode_image(Picture(rgb), f".{kind}")).decode()
    return f"data:image/{kind};base64,{data}", rgb.shape[0], rgb.shape[1]
