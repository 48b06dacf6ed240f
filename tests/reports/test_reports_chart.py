"""Line charts: axes, unusual points, long series, and lines that can be distinguished without color."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from balanced_html import parse

from ganvas.reports.chart import DASHES, line_chart, linear_axis, log_axis, thin, tick_text


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


def test_lines_differ_without_their_colors_and_have_their_values_in_a_table() -> None:
    chart = line_chart({name: [(0, 3.0), (5, 1.0), (9, 2.0)] for name in "abcd"}, "images seen", "loss", title="t")
    wide = chart[chart.index("<svg") : chart.index("</svg>")]
    assert re.findall(r'<path d="[^"]*"(?: stroke-dasharray="([^"]*)")?', wide) == [*(d for _, d in DASHES), ""]
    assert re.findall(r"--d:(\w+)", chart) == [*(border for border, _ in DASHES), "solid"]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", chart[chart.index("<tbody>") :])
    assert cells[:6] == ["a", "3", "1", "3", "2", "9"]
