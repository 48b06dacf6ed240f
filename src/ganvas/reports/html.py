"""HTML reports: a whole page and its parts, self-contained, without scripts and external resources.

Each function returns a fragment of HTML; `page` assembles them. All text from outside is escaped. Names break only
after separators; a name that does not fit ends in an ellipsis, and its tooltip shows it completely.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from ganvas.reports.style import STYLE
from ganvas.reports.tables import Cell, format_value

BREAKS = re.compile(r"(?<=[/\\_])(?=[^/\\_])")
"""Positions where a name may break: after a slash or an underscore; browsers also break after a hyphen."""
SPACES = re.compile(r"(\s+)")
LONG = 16
"""Largest number of characters of a name that never breaks within a paragraph."""
WORDS = 32
"""Smallest number of characters of a table cell that is left-aligned and wraps."""


def breakable(text: str) -> str:
    """Return plain text as HTML in which names break after their separators."""
    return "<wbr>".join(escape(part) for part in BREAKS.split(text))


def prose(text: str) -> str:
    """Return plain text as HTML in which only long names break, after their separators."""
    return "".join(breakable(part) if len(part) > LONG else escape(part) for part in SPACES.split(text))


def page(title: str, intro: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return a whole HTML document.

    Args:
        title: plain text.
        intro: HTML below the title, for example a `paragraph`.
        sections: (heading as plain text, body as HTML); the heading may be empty.
    """
    body = "".join(
        f"<section>{f'<h2>{prose(heading)}</h2>' if heading else ''}{content}</section>\n"
        for heading, content in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><main><header><h1>{prose(title)}</h1>{intro}</header>\n{body}</main></body></html>\n"
    )


def paragraph(text: str) -> str:
    """Return plain text as a paragraph."""
    return f"<p>{prose(text)}</p>"


def note(text: str) -> str:
    """Return plain text as a note that qualifies the preceding content."""
    return f'<p class="note">{prose(text)}</p>'


def points(sentences: Sequence[str], *, numbered: bool = False) -> str:
    """Return plain sentences as a list."""
    kind = "ol" if numbered else "ul"
    return f'<{kind} class="points">{"".join(f"<li>{prose(sentence)}</li>" for sentence in sentences)}</{kind}>'


def commands(lines: Sequence[str]) -> str:
    """Return command lines in plain text as a code block."""
    return f'<pre class="commands">{escape(chr(10).join(lines))}</pre>'


def folded(summary: str, text: str) -> str:
    """Return preformatted plain text behind a summary that opens it."""
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"


def links(targets: Mapping[str, str]) -> str:
    """Return links within the page, from text -> id."""
    parts = [f'<a href="#{escape(key)}">{escape(words)}</a>' for words, key in targets.items()]
    return f'<p class="links">{" ".join(parts)}</p>'


def heading(text: str, key: str) -> str:
    """Return a heading below that of a section, with an id for links."""
    return f'<h3 id="{escape(key)}">{prose(text)}</h3>'


def figures(values: Sequence[tuple[str, str]]) -> str:
    """Return a row of large numbers: (value, label), plain text."""
    cells = "".join(f"<div><strong>{escape(value)}</strong><span>{escape(what)}</span></div>" for value, what in values)
    return f'<div class="figures">{cells}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]], *, caption: str = "") -> str:
    """Return a table of plain text and numbers: numbers right-aligned, None as a dash; the first column names the row.

    On a phone each row becomes a list of column names and values. Elsewhere a wide table scrolls horizontally.
    """
    head = "".join(f'<th scope="col">{breakable(name)}</th>' for name in header)
    body = "".join(f"<tr>{_row(row, header)}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="block"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(values: Sequence[Cell], header: Sequence[str]) -> str:
    name = format_value(values[0]) if values else ""
    first = f'<th scope="row" title="{escape(name)}">{breakable(name)}</th>' if values else ""
    return first + "".join(_cell(value, column) for value, column in zip(values[1:], header[1:], strict=True))


def _cell(value: Cell, column: str) -> str:
    words = isinstance(value, str) and len(value) >= WORDS
    text = prose(format_value(value))
    return f'<td{" class=words" if words else ""} data-column="{escape(column)}">{text}</td>'
