"""Line charts as inline SVG, with their values as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ganvas.reports.html import breakable, prose, table
from ganvas.reports.tables import Cell

Point = tuple[float, float]
LEFT, RIGHT, TOP, BOTTOM = 62, 26, 12, 46
SIZES = {"wide": (720, 340), "narrow": (380, 300)}
"""CSS class -> width and height; the style sheet shows the one that fits, so that text keeps its size on a phone."""
MAX_POINTS = 600
"""Longer series are thinned to the lowest and highest point of each interval, which preserves spikes."""
SERIES_COLORS = ("--s1", "--s2", "--s3", "--s4", "--s5", "--s6", "--s7", "--s8")
"""CSS variables of chart series, in order; distinguishable on light and dark backgrounds and with color blindness."""
DASHES = (("solid", ""), ("dashed", "8 4"), ("dotted", "2 4"))
"""CSS border style of the legend and SVG dashes of the line: lines can be distinguished without colors."""
Ink = tuple[str, str, str]
"""CSS variable of the color, border style, and dashes."""


@dataclass(frozen=True)
class Axis:
    """Axis that maps data values to relative positions.

    Attributes:
        low, high: the values at its ends.
        ticks: values with a label.
        log: powers of ten are evenly spaced.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Return the relative position: 0 at the low end, 1 at the high end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Frame:
    """Drawing with both axes and a size in pixels."""

    x_axis: Axis
    y_axis: Axis
    width: int
    height: int

    @property
    def right(self) -> int:
        """Return the right end of the x axis."""
        return self.width - RIGHT

    @property
    def bottom(self) -> int:
        """Return the lower end of the y axis."""
        return self.height - BOTTOM

    def x(self, value: float) -> float:
        """Return the position of a value in pixels from the left."""
        return LEFT + self.x_axis.place(value) * (self.right - LEFT)

    def y(self, value: float) -> float:
        """Return the position of a value in pixels from the top."""
        return self.bottom - self.y_axis.place(value) * (self.bottom - TOP)


def line_chart(
    series: Mapping[str, Sequence[Point]], x_label: str, y_label: str, log_y: bool = False, *, title: str
) -> str:
    """Return a line chart with a title, axes and a legend, as HTML.

    Args:
        series: name -> points (x, y) by rising x; values that are not finite (or not positive on a logarithmic
            axis) are skipped.
        x_label: plain text below the x axis.
        y_label: plain text beside the y axis.
        log_y: whether the y axis is logarithmic.
        title: plain text above the chart.
    """
    clean = {name: thin([p for p in points if _drawable(p, log_y)]) for name, points in series.items()}
    everything = [point for points in clean.values() for point in points]
    if not everything:
        return '<p class="note">Nothing to draw yet.</p>'
    y_values = [y for _, y in everything]
    y_axis = log_axis(y_values) if log_y else linear_axis(y_values)
    inks = {name: (SERIES_COLORS[i % len(SERIES_COLORS)], *DASHES[i % len(DASHES)]) for i, name in enumerate(clean)}
    legend = "".join(
        f'<li style="--c:var({color});--d:{border}" title="{escape(name)}">{breakable(name)}</li>'
        for name, (color, border, _) in inks.items()
    )
    drawings = []
    for kind, (width, height) in SIZES.items():
        x_axis = linear_axis([x for x, _ in everything], tight=True, steps=width // 120)
        frame = Frame(x_axis, y_axis, width, height)
        lines = "".join(_line(name, points, frame, inks[name]) for name, points in clean.items() if points)
        drawings.append(
            f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
            f"{_axes(frame, x_label, y_label)}{lines}</svg>"
        )
    head = f'<h3>{prose(title)}</h3><ul class="legend">{legend}</ul>'
    return f'<div class="chart">{head}{"".join(drawings)}{_values(clean, x_label)}</div>'


def _values(series: Mapping[str, Sequence[Point]], x_label: str) -> str:
    """Return the first, lowest, highest and last value of each line as a collapsed table."""
    rows: list[list[Cell]] = []
    for name, points in series.items():
        if points:
            values = [y for _, y in points]
            chosen = values[0], min(values), max(values), values[-1]
            rows.append([name, *(f"{value:.4g}" for value in chosen), f"{points[-1][0]:.6g}"])
    header = ["", "first", "lowest", "highest", "last", f"at {x_label}"]
    return f"<details><summary>Values</summary>{table(header, rows)}</details>"


def thin(points: Sequence[Point], limit: int = MAX_POINTS) -> list[Point]:
    """Return about `limit` points at most: the lowest and highest of each interval, and both ends."""
    if len(points) <= limit:
        return list(points)
    size = math.ceil(2 * len(points) / limit)
    kept = [points[0]]
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        extremes = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
        kept += sorted(extremes)
    return [*kept, points[-1]]


def linear_axis(values: Sequence[float], *, tight: bool = False, steps: int = 5) -> Axis:
    """Return an axis over the values with about `steps` round steps; `tight` ends at the values, else at ticks."""
    low, high = min(values), max(values)
    if math.isclose(low, high):
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    step = nice_step((high - low) / steps)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if not tight:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        low, high = first * step, last * step
    return Axis(low, high, tuple(i * step for i in range(first, last + 1)))


def log_axis(values: Sequence[float]) -> Axis:
    """Return an axis over positive values, with ticks at 1, 2 and 5 times the powers of ten, or at the powers alone."""
    low, high = min(values), max(values)
    if math.isclose(low, high, rel_tol=1e-6):  # otherwise both ends could round to the same tick
        low, high = low / 2, high * 2
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 1000 else (1,)
    grid = [factor * 10.0**decade for decade in decades for factor in factors]
    low = max((tick for tick in grid if tick <= low * (1 + 1e-9)), default=low)
    high = min((tick for tick in grid if tick >= high * (1 - 1e-9)), default=high)
    return Axis(low, high, tuple(tick for tick in grid if low <= tick <= high), log=True)


def nice_step(rough: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _drawable(point: Point, log_y: bool) -> bool:
    x, y = point
    return math.isfinite(x) and math.isfinite(y) and (y > 0 or not log_y)


def _line(name: str, points: Sequence[Point], frame: Frame, ink: Ink) -> str:
    places = [(frame.x(x), frame.y(y)) for x, y in points]
    last = f"{escape(name)}: {points[-1][1]:.4g} at {points[-1][0]:.6g}"
    color, _, dashes = ink
    if len(places) == 1:
        (x, y), style = places[0], f"fill:var({color})"
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" style="{style}"><title>{last}</title></circle>'
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{path}"{dashed} style="stroke:var({color})"><title>{last}</title></path>'


def _axes(frame: Frame, x_label: str, y_label: str) -> str:
    bottom, right = frame.bottom, frame.right
    parts = []
    for tick in frame.y_axis.ticks:
        y = f"{frame.y(tick):.1f}"
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y}" text-anchor="end" dominant-baseline="middle">{tick_text(tick)}</text>'
        )
    for tick in frame.x_axis.ticks:
        x = f"{frame.x(tick):.1f}"
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{tick_text(tick)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(f'<text x="{middle_x}" y="{frame.height - 6}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="rotate(-90 14 {middle_y})"'
    parts.append(f'<text x="14" y="{middle_y}" text-anchor="middle" {turned}>{escape(y_label)}</text>')
    return "".join(parts)


def tick_text(value: float) -> str:
    """Format a tick's number: 12,000, 0.25, 1e-05."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.3g}"
    return f"{round(value):,}" if abs(value) >= 1000 else f"{value:.6g}"
