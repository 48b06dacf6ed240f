"""HTML reports: complete, self-contained pages, on wide and narrow screens."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from balanced_html import parse

from ganvas.image.picture import Picture
from ganvas.reports import html
from ganvas.reports.chart import line_chart
from ganvas.reports.html import breakable, commands, figures, folded, page, paragraph, points, table
from ganvas.reports.pictures import hero, picture_grid

EVIL = '<script>alert("x")</script>&'


def sample_page() -> str:
    small = np.zeros((16, 16, 3), np.uint8)
    grid = picture_grid(
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
    grid = picture_grid([[np.zeros((4, 4), np.uint8)], []], ["one"])
    assert grid.count("<figure>") == 2
    assert "not shown" in grid


def test_lossy_pictures_are_jpeg() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    assert "data:image/jpeg" in picture_grid([[picture]], lossy=True)
    assert "data:image/png" in picture_grid([[picture]])


def test_values_and_pictures_carry_their_column_for_phones() -> None:
    assert table(["", "PSNR (dB)", "a < b"], [["row", 1.5, None]]).count("data-column") == 2
    assert 'data-column="a &lt; b"' in table(["", "PSNR (dB)", "a < b"], [["row", 1.5, None]])
    grid = picture_grid([[np.zeros((4, 4), np.uint8)] * 2] * 3, ["input", "output"], captions=[["", "20 dB"]])
    assert grid.count('<span class="which" title="input">input</span>') == 3
    assert grid.count('<span class="row">') == 3  # where a phone starts a new line


def test_names_break_after_their_separators_alone_and_are_whole_in_the_tooltip() -> None:
    assert breakable("runs/a_b/x-y <&>") == "runs/<wbr>a_<wbr>b/<wbr>x-y &lt;&amp;&gt;"
    short, long = "unit_port", "a_rather_long_name"
    assert paragraph(f"{short} and {long}") == f"<p>{short} and a_<wbr>rather_<wbr>long_<wbr>name</p>"
    grid = picture_grid([[np.zeros((4, 4), np.uint8)]], ["unit_port"], ["a_1"])
    assert '<span class="column" title="unit_port">unit_<wbr>port</span>' in grid
    assert '<span class="row" title="a_1">a_<wbr>1</span>' in grid
    assert '<th scope="row" title="a_1">a_<wbr>1</th>' in table(["", "n"], [["a_1", 1]])


def test_words_in_a_table_wrap_and_numbers_do_not() -> None:
    shown = table(["", "why", "n"], [["a", "x" * 31, 1.5], ["b", "x" * 32, None]])
    assert shown.count("<td data-column") == 3
    assert shown.count("<td class=words") == 1


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LAYOUT = """
<iframe id="f" src="{page}" width="{width}" height="900" style="border:0"></iframe><pre id="out"></pre><script>
f.onload = () => {{
  const inside = f.contentDocument, root = inside.documentElement, beyond = root.scrollWidth - root.clientWidth;
  const shown = [...inside.querySelectorAll("main *")].filter(one => one.checkVisibility());
  const wide = shown.filter(one => {{
    const scrolls = ["auto", "scroll"].includes(inside.defaultView.getComputedStyle(one).overflowX);
    return scrolls ? {width} < 500 && one.scrollWidth > one.clientWidth + 1
      : !one.closest(".block") && one.getBoundingClientRect().right > {width} + 1; }});
  const broken = shown.flatMap(one => [...one.childNodes]).filter(node => {{
    if (node.nodeType != 3 || /[\\s-]/.test(node.data.trim()) || node.data.length > 60) return false;
    const range = inside.createRange();
    range.selectNodeContents(node);
    return new Set([...range.getClientRects()].map(place => place.top)).size > 1; }});
  out.textContent = "beyond " + beyond + ", wide " + wide.map(one => one.outerHTML.slice(0, 60))
    + ", broken " + broken.map(node => node.data);
}}</script>"""
NAMES = ["horse2zebra_port_with_a_long_name", "unit_port", "a" * 80, "2024/scans/plate_0001_field_0002.tiff"]


def layout_of(folder: Path, document: str, width: int) -> str:
    """Return the width of the page beyond the window, overflowing elements, and names broken at wrong positions."""
    (folder / "page.html").write_text(document, encoding="utf-8")
    frame = LAYOUT.format(page=(folder / "page.html").as_uri(), width=width)
    (folder / "frame.html").write_text(frame, encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    flags += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    dom = subprocess.run(
        [CHROMIUM, *flags, (folder / "frame.html").as_uri()], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom
    return found[1]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("columns", [2, 3, 9])
def test_nothing_scrolls_sideways_on_a_phone_and_no_name_breaks_inside(
    tmp_path: Path, columns: int, width: int
) -> None:
    names = [f"measure {number} (dB)" for number in range(columns)]
    methods = (NAMES * 3)[:columns]
    picture = np.zeros((90, 120, 3), np.uint8)
    body = [
        hero([(picture, "before"), (picture, "after")]) + figures([("+2 dB", "over the mosaic")] * 4),
        table(["", *names], [[name, *[21.5] * columns] for name in NAMES]),
        table(["", *methods], [["p", *[21.5] * columns], ["q", "the weights became NaN or infinite by image 1,000"] +
              [None] * (columns - 1)]),
        line_chart({name: [(0, 1.0), (90_000, 2.0)] for name in methods}, "images", "loss", title="Training losses"),
        picture_grid([[picture] * columns] * 4, methods, NAMES) + picture_grid([[picture] * columns]),
        points(["one", "two"]) + commands(["ganvas train restore --data PHOTOS --out runs/restore   # " + "x" * 60]),
        folded("All figures", '{"a_rather_long_key_without_any_space_in_it_that_does_not_end_here_or_there": 1}'),
    ]  # fmt: skip
    title = f"{NAMES[0]} and {NAMES[1]} compared; {NAMES[3]} failed"
    document = page(title, paragraph(f"Pictures of {NAMES[3]}."), [("heading", part) for part in body])
    assert layout_of(tmp_path, document, width) == "beyond 0, wide , broken "
