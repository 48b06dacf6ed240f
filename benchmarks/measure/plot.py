"""Log-log line plots in several panels, as an SVG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ganvas.reports.chart import Axis, Point, log_axis, tick_text

WIDTH, HEIGHT = 460, 340
LEFT, RIGHT, TOP, BOTTOM = 66, 32, 34, 48
COLORS = ("#2b6cb8", "#c8551b", "#2e8b57", "#9b4f9f", "#8a6d1d", "#c2366b")
"""Colors that are distinguishable with color blindness."""
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#404754}.title{font-weight:600;fill:#1d2129}line{stroke:#e3e0da}"
    ".axis{stroke:#8b93a0}path{fill:none;stroke-width:1.8}"
)


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        series: name -> points (x, y), both positive.
    """

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[Point]]


def write_panels(path: Path, panels: Sequence[Panel]) -> None:
    """Write a figure with a legend of all series below."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    colors = {name: COLORS[place % len(COLORS)] for place, name in enumerate(names)}
    width, height = WIDTH * len(panels), HEIGHT + 20 * len(names) + 10
    drawn = "".join(
        f'<g transform="translate({WIDTH * place} 0)">{_panel(panel, colors)}</g>' for place, panel in enumerate(panels)
    )
    legend = "".join(_key(name, colors[name], HEIGHT + 20 * row + 12) for row, name in enumerate(names))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{drawn}{legend}</svg>\n',
        encoding="utf-8",
    )


def _key(name: str, color: str, y: int) -> str:
    mark = f'<rect x="{LEFT}" y="{y - 5}" width="18" height="4" fill="{color}"/>'
    return f'{mark}<text x="{LEFT + 26}" y="{y}">{escape(name)}</text>'


def _panel(panel: Panel, colors: Mapping[str, str]) -> str:
    points = [point for line in panel.series.values() for point in line]
    title = f'<text class="title" x="{LEFT}" y="18">{escape(panel.title)}</text>'
    if not points:
        return title
    x_axis, y_axis = log_axis([x for x, _ in points]), log_axis([y for _, y in points])
    lines = "".join(_line(line, x_axis, y_axis, colors[name]) for name, line in panel.series.items() if line)
    return f"{title}{_frame(panel, x_axis, y_axis)}{lines}"


def _line(points: Sequence[Point], x_axis: Axis, y_axis: Axis, color: str) -> str:
    places = [(_x(x_axis, x), _y(y_axis, y)) for x, y in points]
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places)
    return f'<path d="{path}" stroke="{color}"/>{dots}'


def _frame(panel: Panel, x_axis: Axis, y_axis: Axis) -> str:
    bottom, right, parts = HEIGHT - BOTTOM, WIDTH - RIGHT, []
    for tick in y_axis.ticks:
        y = f"{_y(y_axis, tick):.1f}"
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y}" text-anchor="end" dominant-baseline="middle">{tick_text(tick)}</text>'
        )
    for tick in x_axis.ticks:
        x = f"{_x(x_axis, tick):.1f}"
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{tick_text(tick)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(f'<text x="{middle_x}" y="{HEIGHT - 10}" text-anchor="middle">{escape(panel.x_label)}</text>')
    turned = f'transform="rotate(-90 14 {middle_y})"'
    parts.append(f'<text x="14" y="{middle_y}" text-anchor="middle" {turned}>{escape(panel.y_label)}</text>')
    return "".join(parts)


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)
