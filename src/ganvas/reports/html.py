"""Reports: tables as text for the terminal, and self-contained HTML without scripts or external resources.

Each function returns a piece of text or HTML; `page` puts pieces together. Whatever comes from outside is escaped.
These functions do not run the content gate: give pictures that passed it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ganvas.image.files import encode_image
from ganvas.image.picture import Picture, all_channels

Cell = str | float | int | None
Rows = tuple[list[str], list[list[Cell]]]
"""Header and rows."""
WIDTH = 150
"""Letters in a line."""
EN_DASH, MINUS = "\u2013", "\u2212"


def mean_and_deviation(mean: float | None, deviation: float | None) -> str | None:
    """Return "mean ± deviation" with the digits of the mean, or None where there is no mean."""
    if mean is None or deviation is None:
        return None
    return f"{format_value(mean)} ± {format_value(deviation, like=mean)}"


def tables_as_text(tables: Mapping[str, Rows], *, width: int = WIDTH) -> str:
    """Format each table under its title: first column left-aligned, others right-aligned, None as a dash."""
    stream = StringIO()
    console = Console(file=stream, width=width, force_terminal=False)
    for title, (header, rows) in tables.items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for index, name in enumerate(header):
            table.add_column(name, justify="right" if index else "left")
        for row in rows:
            table.add_row(*(format_value(value) for value in row))
        console.print(table, "")
    return stream.getvalue().rstrip()


def format_value(value: str | float | int | None, *, like: float | None = None) -> str:
    """Format a number with about four significant digits and a true minus sign; None as a dash.

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


Image = Picture | NDArray[np.uint8]
"""A picture, or (H, W), (H, W, 1) or (H, W, 3) uint8."""
SMALL = 128
"""Pictures with no side above so many pixels are enlarged by whole pixels, not smoothed."""
STYLE = """
:root{--ground:#fbfaf8;--card:#fff;--ink:#1d2129;--soft:#626a77;--line:#e3e0da;--accent:#2b5cad;
--s1:#2b6cb8;--s2:#c8551b;--s3:#2e8b57;--s4:#9b4f9f;--s5:#8a6d1d;--s6:#c2366b;--s7:#2a8f96;--s8:#5b6470}


@media (prefers-color-scheme:dark){:root{--ground:#15171b;--card:#1d2026;--ink:#e7e8ea;--soft:#9aa3b0;--line:#31363f;
--accent:#8ab4f0;--s1:#6aa8ef;--s2:#f0925f;--s3:#66c18c;--s4:#cc8fd0;--s5:#d3b45a;--s6:#ee7fa6;--s7:#62c3ca;
--s8:#a4adb9}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:70rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:clamp(1.6rem,4vw,2.3rem);line-height:1.2;letter-spacing:-.015em;margin:0 0 .5rem}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 .75rem}
h3{font-size:1rem;line-height:1.3;font-weight:600;margin:0 0 .5rem}
p{max-width:46rem;margin:0 0 1rem}
ul.points,ol.points{max-width:46rem;margin:0 0 1rem;padding-left:1.2rem}
p,li,h1,h2,h3,figcaption{overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem;margin:0 0 1.25rem}
pre.commands{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem;line-height:1.7}
details summary{cursor:pointer;color:var(--soft);margin-bottom:.75rem}
.hero{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(16rem,1fr));margin:1.25rem 0 1.5rem}
.hero figcaption{font-size:.95rem;color:var(--ink)}
header p{color:var(--soft);font-size:1.06rem}
section{margin-top:2.75rem}
.note{color:var(--soft);border-left:3px solid var(--line);padding-left:.9rem;font-size:.92rem}
.figures{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0 1.25rem}
.figures div{flex:1 1 9rem;background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}
.figures strong{display:block;font-size:1.5rem;font-weight:650;font-variant-numeric:tabular-nums}
.figures span{color:var(--soft);font-size:.85rem}
.block{margin:0 0 1.25rem;overflow-x:auto}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;min-width:min(100%,24rem)}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem}
th,td{padding:.4rem .9rem .4rem 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child{text-align:left;font-weight:500}
thead th{color:var(--soft);font-weight:500;font-size:.85rem}
tbody tr:last-child>*{border-bottom:0}
.grid{display:grid;gap:.6rem;grid-template-columns:repeat(var(--columns),minmax(7rem,1fr));
max-width:calc(var(--columns)*17rem)}
.grid.titled{grid-template-columns:var(--lead) repeat(var(--columns),minmax(7rem,1fr));
max-width:calc(var(--columns)*17rem + 9rem)}
.grid .end{display:none}
.column,.row{color:var(--soft);font-size:.85rem;align-self:end}
.row{align-self:center;overflow-wrap:anywhere}
.which{display:none}
.grid:not(.titled)>.row{display:none}
figure{margin:0;min-width:0}
figcaption{color:var(--soft);font-size:.8rem;margin-top:.2rem;font-variant-numeric:tabular-nums}
figure label{display:block;cursor:zoom-in}
figure input{position:absolute;opacity:0;width:1px;height:1px}
figure input:focus-visible+img{outline:3px solid var(--accent);outline-offset:2px}
img{display:block;width:100%;height:auto;border-radius:.3rem;background:var(--line)}
img.small{image-rendering:pixelated}
figure input:checked+img{position:fixed;inset:0;z-index:9;width:100vw;height:100vh;object-fit:contain;padding:1.5rem;
border-radius:0;background:rgba(10,11,13,.93);cursor:zoom-out}
.absent{display:grid;place-items:center;aspect-ratio:1;border:1px dashed var(--line);border-radius:.3rem;
color:var(--soft);font-size:.85rem}
.chart{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.9rem 1rem;margin:0 0 1.25rem;
max-width:48rem}
.chart svg{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",sans-serif}
.chart svg.narrow{display:none}
.chart text{fill:var(--soft)}
.chart .rule{stroke:var(--line);stroke-width:1}
.chart .axis{stroke:var(--soft);stroke-width:1}
.chart path{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;margin:0 0 .6rem;padding:0;list-style:none;font-size:.85rem}
.legend li::before{content:"";display:inline-block;width:.9rem;height:.2rem;border-radius:.1rem;background:var(--c);
margin-right:.4rem;vertical-align:middle}
@media (max-width:44rem){
main{padding:1.5rem 1rem 3rem}
.chart{padding:.75rem .6rem}
.chart svg.wide{display:none}
.chart svg.narrow{display:block}
.grid,.grid.titled{grid-template-columns:repeat(var(--narrow),minmax(0,1fr))}
.grid .column,.grid .corner{display:none}
.grid>.row,.grid:not(.titled)>.row{display:block;grid-column:1/-1}
.grid.titled>.row{margin-top:.6rem;color:var(--ink);font-weight:500}
.which{display:block}
.block:has(table){overflow-x:visible}
table,tbody,tr,td,tbody th,caption{display:block}
thead{display:none}
tbody tr{border-bottom:1px solid var(--line);padding:.5rem 0}
tbody th,td{border:0;padding:.1rem 0;white-space:normal;overflow-wrap:anywhere}
tbody th{font-weight:600}
td{display:flex;justify-content:space-between;gap:1rem}
td::before{content:attr(data-column);color:var(--soft);text-align:left;flex:none;max-width:45%}
}
@media print{body{background:#fff}section{break-inside:avoid}}
"""


def page(title: str, intro: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return a whole HTML document.

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
    """Return plain text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """Return plain text as a note that qualifies the preceding content."""
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


def animation(path: Path, title: str) -> str:
    """Return a GIF, WebP or PNG file as it is, so that an animation moves, with a plain caption."""
    kind, data = path.suffix[1:].lower(), base64.b64encode(path.read_bytes()).decode()
    shown = f'<img src="data:image/{kind};base64,{data}" alt="{escape(title)}">'
    return f"<figure>{shown}<figcaption>{escape(title)}</figcaption></figure>"


def side_by_side(shown: Sequence[str]) -> str:
    """Return a few figures beside each other, one above the other on a phone."""
    return f'<div class="hero">{"".join(shown)}</div>'


def hero(pictures: Sequence[tuple[Image, str]]) -> str:
    """Return a few large pictures beside each other, one above the other on a phone: (picture, plain caption)."""
    return side_by_side([picture(image, title, caption=title, lossy=True) for image, title in pictures])


def figures(values: Sequence[tuple[str, str]]) -> str:
    """Return a row of large numbers: (value, label), plain text."""
    cells = "".join(f"<div><strong>{escape(value)}</strong><span>{escape(what)}</span></div>" for value, what in values)
    return f'<div class="figures">{cells}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str | float | int | None]], *, caption: str = "") -> str:
    """Return a table of plain text and numbers: numbers right-aligned, None as a dash; the first column names the row.

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


def picture_grid(
    rows: Sequence[Sequence[Image | None]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    *,
    captions: Sequence[Sequence[str]] = (),
    lossy: bool = False,
) -> str:
    """Return pictures in rows and columns; a click or the space bar shows one as large as the window.

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
    """Return one picture with a caption; `label` is its alternative text, `title` is shown on a phone only."""
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
    """Encode the picture as 8-bit RGB in a data URI, and return its height and width."""
    if not isinstance(image, Picture):
        image = Picture(image if image.ndim == 3 else image[:, :, None])
    rgb = all_channels(image)
    kind = "jpeg" if lossy else "png"
    data = base64.b64encode(encode_image(Picture(rgb), f".{kind}")).decode()
    return f"data:image/{kind};base64,{data}", rgb.shape[0], rgb.shape[1]
