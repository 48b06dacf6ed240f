"""The figures of `ganvas density`, as PNG files. Matplotlib is loaded when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganvas.data.density import Floats, grid_points, piecewise_density
from ganvas.errors import MissingDependency
from ganvas.filesystem.atomic import atomic_file
from ganvas.toy.collapse import Trial
from ganvas.toy.density import Curves, Sampling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GRAY = "#2a6fbb", "#d1622b", "#9a9a9a"
DOTS_PER_INCH = 110


def check_matplotlib() -> None:
    """Raise MissingDependency, with the install command, unless figures can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingDependency("matplotlib", "figures", "drawing figures") from error


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG atomically, the same bytes for the same figure."""
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata={"Software": None})


def _panels(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels of the given size in inches, in row-major order."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(panels.flat)


def draw_sampling(sampling: Sampling) -> Figure:
    """Draw the density beside the histogram of the samples."""
    figure, (exact, drawn) = _panels(1, 2, width=4.6, height=3.2)
    x = grid_points()
    exact.plot(x, piecewise_density(x), color=BLUE)
    exact.set(title="density", xlabel="x", ylabel="p(x)", ylim=(0, 0.34))
    drawn.hist(sampling.samples, bins=60, range=(-3, 3), density=True, color=BLUE, alpha=0.75)
    drawn.set(title=f"{len(sampling.samples):,} samples", xlabel="x", ylim=(0, 0.34))
    return figure


def draw_likelihood(curves: Curves) -> Figure:
    """Draw cross-entropy, its estimate from samples and KL over the model's mean, each with its minimum."""
    figure, (axes,) = _panels(1, 1, width=6.4, height=4.2)
    lines = {
        "cross-entropy H(P, Q)": (curves.cross_entropy, BLUE, "-"),
        "- mean log q(x), samples": (curves.likelihood, ORANGE, "--"),
        "KL(P || Q)": (curves.kl, "black", "-"),
    }
    for name, (curve, color, style) in lines.items():
        lowest = int(curve.argmin())
        axes.plot(curves.means, curve, style, color=color, label=f"{name}: lowest at {curves.means[lowest]:.2f}")
        axes.plot(curves.means[lowest], curve[lowest], "o", color=color, markersize=5)
    at = float(curves.means[len(curves.means) // 6])
    low, high = (float(np.interp(at, curves.means, curve)) for curve in (curves.kl, curves.cross_entropy))
    axes.annotate("", (at, low), (at, high), arrowprops={"arrowstyle": "<->", "color": GRAY})
    axes.text(at + 0.04, (low + high) / 2, f"H(P) = {curves.entropy:.3f}", color=GRAY)
    axes.set(xlabel="mean of the model", ylabel="nats", ylim=(0, None))
    axes.legend(frameon=False, loc="center right")
    return figure


def draw_points(made: Mapping[str, Floats], real: Sequence[Floats], *, columns: int) -> Figure:
    """Draw generated points over real ones in gray, one panel each.

    Args:
        made: title -> (N, 2).
        real: (M, 2) for each of them.
        columns: panels in a row; what lies far beyond the real points is left out.
    """
    figure, panels = _panels(-(-len(made) // columns), columns, width=2.9, height=3.1)
    for axes, (title, points), wanted in zip(panels, made.items(), real, strict=False):
        span = 1.25 * float(np.abs(wanted).max())
        axes.scatter(wanted[:, 0], wanted[:, 1], s=6, color=GRAY, linewidths=0)
        axes.scatter(points[:, 0], points[:, 1], s=3, color=BLUE, alpha=0.35, linewidths=0)
        axes.set(title=title, xlim=(-span, span), ylim=(-span, span), aspect="equal")
    return figure


def draw_over_time(panels_of: Mapping[str, Mapping[str, tuple[Sequence[int], Sequence[float]]]]) -> Figure:
    """Draw one panel per title, with named curves (steps, values)."""
    figure, panels = _panels(1, len(panels_of), width=3.4, height=3.0)
    for axes, (title, lines) in zip(panels, panels_of.items(), strict=True):
        for (name, (steps, values)), color in zip(lines.items(), (BLUE, ORANGE, GRAY), strict=False):
            axes.plot(steps, values, color=color, label=name, linewidth=1.2)
        axes.set(title=title, xlabel="step")
    panels[0].legend(frameon=False, fontsize="small")
    return figure


def draw_covered(trials: Sequence[Trial]) -> Figure:
    """Draw modes covered and modes held of every trial: a panel per target, a line per method, a dot per seed."""
    targets = list(dict.fromkeys(trial.target for trial in trials))
    games = list(dict.fromkeys(trial.game for trial in trials))
    figure, panels = _panels(1, len(targets), width=4.8, height=3.0)
    for axes, target in zip(panels, targets, strict=True):
        own = [trial for trial in trials if trial.target == target]
        for offset, color, name in ((-0.12, BLUE, "covered"), (0.12, ORANGE, "held")):
            places = [games.index(trial.game) + offset + 0.03 * (trial.seed - 2) for trial in own]
            axes.plot([getattr(trial.coverage, name) for trial in own], places, "o", color=color, label=name, alpha=0.6)
        axes.set(title=target, xlabel="modes", xlim=(-0.5, own[0].coverage.modes + 0.5))
        axes.set_yticks(range(len(games)), games)
        axes.invert_yaxis()
    panels[0].legend(frameon=False, fontsize="small", loc="lower left")
    return figure
