"""Numbers and tables as text, and HTML reports."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ganvas.image.picture import Picture
from ganvas.reports import html
from ganvas.reports.chart import line_chart, linear_axis, log_axis, thin, tick_text
from ganvas.reports.html import (
    EN_DASH,
    commands,
    figures,
    folded,
    format_value,
    hero,
    page,
    paragraph,
    picture_grid,
    points,
    table,
    tables_as_text,
)


def test_numbers_stand_to_the_right_and_what_is_missing_is_a_dash() -> None:
    told = tables_as_text({"Sizes": (["", "seen"], [["one", 1234], ["another", None]])}).splitlines()
    assert [line.rstrip() for line in told] == [
        "Sizes", "          seen", "one      1,234", f"another      {EN_DASH}"
    ]  # fmt: skip


EVIL = '<script>alert("x")</script>&'
VOID = {"meta", "img", "input", "br"}


class Balance(HTMLParser):
    """Collects tags that do not close in order, and everything that would be fetched."""

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


def sample_page() -> str:
    small = np.zeros((16, 16, 3), np.uint8)
    grid = html.picture_grid(
        [[small, None], [Picture(np.zeros((200, 100, 1), np.uint16)), small[:, :, 0]]],
        [EVIL, "b"],
        [EVIL, "row"],
        captions=[[EVIL]],
    )
    sections = [
        (EVIL, html.paragraph(EVIL) + html.note(EVIL) + html.figures([(EVIL, EVIL)])),
        ("", grid + html.table([EVIL, "n"], [[EVIL, 1.5], ["none", None]], caption=EVIL)),
        ("chart", line_chart({EVIL: [(0, 1), (1, 2)]}, EVIL, EVIL, title=EVIL)),
    ]
    return html.page(EVIL, html.paragraph(EVIL), sections)


def test_pages_are_well_formed_escaped_and_self_contained() -> None:
    document = sample_page()
    parsed = parse(document)
    assert "<script" not in document
    assert parsed.tags.count("img") == 3
    assert all(source.startswith("data:image/") for source in parsed.sources)
    assert "url(" not in document
    assert "@import" not in document


def test_no_picture_leaves_a_named_gap() -> None:
    grid = html.picture_grid([[np.zeros((4, 4), np.uint8)], []], ["one"])
    assert grid.count("<figure>") == 2
    assert "not shown" in grid


def test_lossy_pictures_are_jpeg() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    assert "data:image/jpeg" in html.picture_grid([[picture]], lossy=True)
    assert "data:image/png" in html.picture_grid([[picture]])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\u2013"), ("a", "a"), (12345, "12,345"), (24.318, "24.32"), (-1.5, "\u22121.500"), (0.03, "0.0300")],
)
def test_numbers_as_people_read_them(value: str | float | None, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize("log_y", [False, True])
def test_charts_survive_odd_points(log_y: bool) -> None:
    series = {
        "odd": [(0.0, math.nan), (1.0, math.inf), (2.0, 0.5), (3.0, -1.0), (4.0, 0.0), (5.0, 3.0)],
        "one": [(2.0, 2.0)],
        "none": [],
    }
    chart = line_chart(series, "images", "loss", log_y=log_y, title="losses")
    parse(chart)
    svg = ElementTree.fromstring(chart[chart.index("<svg") : chart.index("</svg>") + 6])
    assert len(svg.findall("path")) == 1
    assert len(svg.findall("circle")) == 1
    assert not re.search(r"\b(nan|inf|infinity)\b", chart, re.IGNORECASE)
    assert "Nothing to draw" in line_chart({"none": []}, "x", "y", title="none")
    parse(line_chart({"flat": [(1, 2), (2, 2)], "point": [(1, 2)]}, "x", "y", log_y=log_y, title="flat"))


def test_axes_have_round_ticks_that_span_the_values() -> None:
    axis = linear_axis([0.13, 0.87])
    assert axis.ticks == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1.0))
    assert axis.place(0.5) == pytest.approx(0.5)
    tight = linear_axis([3, 97], tight=True)
    assert (tight.low, tight.high) == (3, 97)
    assert tight.ticks == pytest.approx((20, 40, 60, 80))
    log = log_axis([0.004, 30])
    assert log.ticks == pytest.approx((0.001, 0.01, 0.1, 1, 10, 100))
    assert log.place(0.001) == 0
    assert linear_axis([5, 5]).low < 5 < linear_axis([5, 5]).high
    assert [tick_text(value) for value in (0, 0.25, 12000, 2e7, 1e-6)] == ["0", "0.25", "12,000", "2e+07", "1e-06"]


def test_long_series_are_thinned_but_spikes_stay() -> None:
    points = [(float(i), 1.0) for i in range(10_000)]
    points[7777] = (7777.0, 99.0)
    kept = thin(points)
    assert len(kept) < 700
    assert (7777.0, 99.0) in kept
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert kept == sorted(kept)


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize("difference", [1e-16, 2.5e-16, 1e-12, 1e-9, 3e-9, 1e-7])
def test_values_almost_equal_can_be_drawn(log_y: bool, difference: float) -> None:
    assert "<path" in line_chart({"l1": [(0, 1.0), (1, 1.0 + difference)]}, "images", "loss", log_y, title="l1")


def test_a_chart_shows_its_title_and_fits_both_widths() -> None:
    chart = line_chart({"l1": [(0, 1.0), (20_000, 2.0)]}, "images", "loss", title="Losses & all")
    assert "<h3>Losses &amp; all</h3>" in chart
    assert [re.search(rf'<svg class="{kind}" viewBox="0 0 (\d+)', chart)[1] for kind in ("wide", "narrow")] == [
        "720",
        "380",
    ]
    assert chart.count('aria-label="Losses &amp; all"') == 2


def test_values_and_pictures_carry_their_column_for_phones() -> None:
    assert table(["", "PSNR (dB)", "a < b"], [["row", 1.5, None]]).count("data-column") == 2
    assert 'data-column="a &lt; b"' in table(["", "PSNR (dB)", "a < b"], [["row", 1.5, None]])
    grid = picture_grid([[np.zeros((4, 4), np.uint8)] * 2] * 3, ["input", "output"], captions=[["", "20 dB"]])
    assert grid.count('<span class="which">input</span>') == 3
    assert grid.count('<span class="row">') == 3  # where a phone begins a new line


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OVERFLOW = """
<iframe id="f" src="{page}" width="420" height="900" style="border:0"></iframe><pre id="out"></pre><script>
f.onload = () => {{
  const inside = f.contentDocument, wide = [...inside.querySelectorAll("*")].filter(one => {{
    const style = inside.defaultView.getComputedStyle(one);
    return style.display != "none" && (one.getBoundingClientRect().right > 421 ||
      (["auto", "scroll"].includes(style.overflowX) && one.scrollWidth > one.clientWidth + 1)); }});
  const root = inside.documentElement, beyond = root.scrollWidth - root.clientWidth;
  out.textContent = "beyond " + beyond + ", wide " + wide.map(one => one.outerHTML.slice(0, 60));
}}</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("columns", [2, 3, 9])
def test_nothing_scrolls_sideways_on_a_phone(tmp_path: Path, columns: int) -> None:
    names = [f"measure {number} (dB)" for number in range(columns)]
    picture = np.zeros((90, 120, 3), np.uint8)
    body = [
        hero([(picture, "before"), (picture, "after")]) + figures([("+2 dB", "over the mosaic")] * 4),
        table(["", *names], [["a_rather_long_name_of_a_picture_without_any_space_in_it", *[21.5] * columns]] * 2),
        line_chart({name: [(0, 1.0), (90_000, 2.0)] for name in names}, "images", "loss", title="Training losses"),
        picture_grid([[picture] * columns] * 2, names, ["first", "second"]) + picture_grid([[picture] * columns]),
        points(["one", "two"]) + commands(["ganvas train restore --data PHOTOS --out runs/restore   # " + "x" * 60]),
        folded("All figures", '{"a_rather_long_key_without_any_space_in_it_that_does_not_end_here_or_there": 1}'),
    ]
    (tmp_path / "page.html").write_text(page("A page", paragraph("intro"), [("heading", part) for part in body]))
    (tmp_path / "frame.html").write_text(OVERFLOW.format(page=(tmp_path / "page.html").as_uri()))
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    dom = subprocess.run([CHROMIUM, *flags, (tmp_path / "frame.html").as_uri()], capture_output=True, text=True).stdout
    assert re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)[1] == "beyond 0, wide "
