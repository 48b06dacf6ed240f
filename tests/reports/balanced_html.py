"""HTML parser for tests: checks that tags close in order, and collects external resources."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "input", "br", "wbr"}


class Balance(HTMLParser):
    """Collect tags that do not close in order, and all resources to fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(document: str) -> Balance:
    parser = Balance()
    parser.feed(document)
    parser.close()
    assert parser.open == []
    return parser
