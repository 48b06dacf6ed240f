"""Studies of `ganvas density`: each experiment gives numbers, a table and a plot.

`collapse` compares a GAN, a Wasserstein GAN and a GAN with the cycle term on the same two domains. Each generator
translates points of a spiral of equally many Gaussians to the target. Network, optimizer, data and number of steps are
equal unless the method specifies them, so that only the objective differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ganvas.errors import MissingDependency
from ganvas.filesystem import claimed
from ganvas.filesystem.atomic import atomic_file, write_json
from ganvas.metrics.distribution import PROTOCOL_SAMPLES, Coverage, measure_coverage
from ganvas.progress import SILENT, Progress
from ganvas.toy import DensityConfig, games
from ganvas.toy.densities import Floats, Mixture, grid, grid_points, piecewise_density, ring, spiral
from ganvas.toy.experiments import Curves, Sampling, as_panels, likelihood_curves, sample_piecewise, watch_dual_learning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, str | float]
KNOWN_PAIRS = (8, 5)
"""Numbers of known pairs: all eight modes, and too few of them."""


@dataclass(frozen=True)
class Answer:
    """Result of an experiment.

    Attributes:
        rows: rows of the table.
        figure: the figure.
        more: further content of QUESTION.json.
    """

    rows: Sequence[Row]
    figure: Figure
    more: dict[str, object] = field(default_factory=dict)


def answer_sample(*, seed: int, **_training: object) -> Answer:
    """Plot the density beside the histogram, and run the Kolmogorov-Smirnov test."""
    drawn = sample_piecewise(seed=seed)
    row: Row = {"samples": len(drawn.samples), "ks_distance": drawn.distance, "p_value": drawn.p_value}
    return Answer([row], draw_sampling(drawn))


def answer_likelihood(*, seed: int, **_training: object) -> Answer:
    """Compute the minima of likelihood, cross-entropy and KL, and the gap between the last two."""
    curves = likelihood_curves(seed=seed)
    rows: list[Row] = [{"curve": name, "lowest_at": place} for name, place in curves.minimizers.items()]
    more = {"entropy": curves.entropy, "largest_gap_error": curves.largest_gap_error}
    return Answer(rows, draw_likelihood(curves), dict(more))


def answer_gan(*, seed: int, steps: int, progress: Progress) -> Answer:
    """Train GAN, WGAN and conditional GAN on the ring; the last is sampled equally often for each mode."""
    target = ring()
    samples: dict[str, Floats] = {}
    for name, kind in {"GAN": games.GAN, "WGAN": games.WGAN}.items():
        with games.seeded(seed) as rng:
            game = kind(games.normal_noise(games.NOISE_SIZE), games.points_of(target, rng), input_size=games.NOISE_SIZE)
            games.train(game, steps=steps, name=name, progress=progress)
            samples[name] = game.sample(PROTOCOL_SAMPLES).double().numpy()
    modes = np.arange(PROTOCOL_SAMPLES) % len(target.means)
    samples["conditional GAN"] = conditional_points(target, modes, seed=seed, steps=steps, progress=progress)
    rows = [{"method": name, **_coverage(points, target)} for name, points in samples.items()]
    figure = draw_points(samples, [_real(target)] * len(samples), columns=len(samples))
    nearest = np.linalg.norm(samples["conditional GAN"][:, None] - target.means, axis=-1).argmin(axis=1)
    return Answer(rows, figure, {"conditional_share_nearest_to_the_mode_asked": float((nearest == modes).mean())})


def conditional_points(target: Mixture, modes: np.ndarray, *, seed: int, steps: int, progress: Progress) -> Floats:
    """Train a conditional GAN on a mixture, and sample a point of each of the (N,) modes: (N, 2)."""
    count_modes = len(target.means)
    with games.seeded(seed) as rng:
        game = games.ConditionalGAN(
            lambda count: torch.from_numpy(rng.integers(count_modes, size=count)),
            lambda mode: torch.from_numpy(target.sample_modes(mode.numpy(), rng)).float(),
            modes=count_modes,
        )
        games.train(game, steps=steps, name="conditional GAN", progress=progress)
        return game.sample(torch.from_numpy(modes)).double().numpy()


SLOW_RATE = 1e-4
"""Learning rate of a slow discriminator, with 1e-3 for the generator: the published unrolled GANs
(poolio/unrolled_gan)."""
TARGETS: dict[str, Callable[[], Mixture]] = {"ring of 8": ring, "grid of 25": grid}
GAMES: dict[str, Callable[[games.Draw, games.Draw], games.GAN | games.CycleGAN]] = {
    "GAN alone": games.GAN,
    "WGAN": games.WGAN,
    "GAN + cycle": games.CycleGAN,
    "GAN alone, slow D": partial(games.GAN, discriminator_rate=SLOW_RATE),
    "GAN + cycle, slow D": partial(games.CycleGAN, discriminator_rate=SLOW_RATE),
}
COMPARED = ("GAN alone", "WGAN", "GAN + cycle")


@dataclass(frozen=True)
class Trial:
    """Training run from one seed.

    Attributes:
        samples: (2500, 2) samples of the trained generator.
        seconds: processor time.
    """

    target: str
    game: str
    seed: int
    coverage: Coverage
    samples: Floats
    seconds: float


def run_trial(target: str, game: str, *, seed: int, steps: int, progress: Progress = SILENT) -> Trial:
    """Train one of `GAMES` on one of `TARGETS` and measure it.

    Raises:
        DivergenceError: the losses became NaN or infinite.
    """
    started = time.process_time()
    mixture = TARGETS[target]()
    with games.seeded(seed) as rng:
        played = GAMES[game](games.points_of(spiral(len(mixture.means)), rng), games.points_of(mixture, rng))
        games.train(played, steps=steps, name=f"{game}, {target}", progress=progress)
        samples = played.sample(PROTOCOL_SAMPLES).double().numpy()
    coverage = measure_coverage(samples, mixture.means, deviation=mixture.deviation)
    return Trial(target, game, seed, coverage, samples, seconds=time.process_time() - started)


def answer_collapse(*, seed: int, steps: int, progress: Progress) -> Answer:
    """Measure the mode coverage of each of `COMPARED` on each of `TARGETS`."""
    pairs = [(target, game) for target in TARGETS for game in COMPARED]
    trials = [run_trial(target, game, seed=seed, steps=steps, progress=progress) for target, game in pairs]
    rows: list[Row] = [{"target": one.target, "method": one.game, **asdict(one.coverage)} for one in trials]
    return Answer(rows, draw_trials(trials))


def draw_trials(trials: Sequence[Trial]) -> Figure:
    """Plot the points of each trial over those of its target, one row per target; targets have equally many trials."""
    samples = {f"{one.game}: {one.coverage.covered} of {one.coverage.modes}": one.samples for one in trials}
    real = [_real(TARGETS[one.target]()) for one in trials]
    return draw_points(samples, real, columns=len(trials) // len(TARGETS))


def answer_dual(*, seed: int, steps: int, progress: Progress) -> Answer:
    """Run dual learning after a warm start on pairs of all modes, and of too few."""
    runs = [watch_dual_learning(pairs=pairs, seed=seed, steps=steps, progress=progress) for pairs in KNOWN_PAIRS]
    rows: list[Row] = [
        {
            "known_pairs": run.pairs,
            "step": run.steps[moment],
            "distance": run.distance[moment],
            "right": run.right[moment],
            "fluent": run.fluent[moment],
        }
        for run in runs
        for moment in (0, -1)
    ]
    return Answer(rows, draw_over_time(as_panels(runs)), {"runs": [asdict(run) for run in runs]})


def _coverage(points: Floats, target: Mixture) -> Row:
    return asdict(measure_coverage(points, target.means, deviation=target.deviation))


def _real(target: Mixture) -> Floats:
    return target.sample(PROTOCOL_SAMPLES, np.random.default_rng(0))


ANSWERS: dict[str, Callable[..., Answer]] = {
    "sample": answer_sample,
    "likelihood": answer_likelihood,
    "gan": answer_gan,
    "collapse": answer_collapse,
    "dual": answer_dual,
}


USUAL_STEPS = {"gan": 4000, "collapse": 3000, "dual": 2000}
"""Default number of steps of the experiments that train."""


@dataclass(frozen=True)
class Study:
    """Result of an experiment with its files; `str` gives the table and the paths."""

    rows: Sequence[Row]
    figure: Path
    metrics: Path

    def __str__(self) -> str:
        return f"{as_table(self.rows)}\nFigure: {self.figure}\nMetrics: {self.metrics}"


def study(config: DensityConfig, *, progress: Progress) -> Study:
    """Run an experiment, and write OUT/QUESTION.png and OUT/QUESTION.json atomically.

    Args:
        config: the experiment and the output folder.
        progress: receives the training steps.

    Raises:
        MissingDependency: matplotlib is not installed.
        DivergenceError: training ended in NaN or infinity.
        OSError: the folder cannot be written.
    """
    question, out, seed = config.question, config.out, config.seed
    steps = USUAL_STEPS.get(question) if config.steps is None else config.steps
    check_matplotlib()
    with claimed(out):
        answer = ANSWERS[question](seed=seed, steps=steps or 0, progress=progress)
        figure, metrics = out / f"{question}.png", out / f"{question}.json"
        save_figure(answer.figure, figure)
        settings = {"question": question, "seed": seed, "steps": steps}
        write_json(metrics, {**settings, "rows": answer.rows, **answer.more})
    return Study(answer.rows, figure, metrics)


def as_table(rows: Sequence[Row]) -> str:
    """Format rows of equal keys as lines with aligned columns."""
    names = list(rows[0])
    lines = [names, *([_shown(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _shown(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


BLUE, ORANGE, GRAY = "#2a6fbb", "#d1622b", "#9a9a9a"
DOTS_PER_INCH = 110


def check_matplotlib() -> None:
    """Raise MissingDependency, with the install command, unless figures can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingDependency("matplotlib", "figures", "drawing figures") from error


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG atomically, with the same bytes for the same figure."""
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata={"Software": None})


def make_panels(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels of the given size in inches, in row-major order."""
    from matplotlib.figure import Figure  # optional dependency

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(panels.flat)


def draw_sampling(sampling: Sampling) -> Figure:
    """Plot the density beside the histogram of the samples."""
    figure, (exact, drawn) = make_panels(1, 2, width=4.6, height=3.2)
    x = grid_points()
    exact.plot(x, piecewise_density(x), color=BLUE)
    exact.set(title="density", xlabel="x", ylabel="p(x)", ylim=(0, 0.34))
    drawn.hist(sampling.samples, bins=60, range=(-3, 3), density=True, color=BLUE, alpha=0.75)
    drawn.set(title=f"{len(sampling.samples):,} samples", xlabel="x", ylim=(0, 0.34))
    return figure


def draw_likelihood(curves: Curves) -> Figure:
    """Plot cross-entropy, its estimate from samples and KL over the model's mean, each with its minimum."""
    figure, (axes,) = make_panels(1, 1, width=6.4, height=4.2)
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


def draw_points(generated: Mapping[str, Floats], real: Sequence[Floats], *, columns: int) -> Figure:
    """Plot generated points over real ones in gray, one panel each.

    Args:
        generated: title -> (N, 2).
        real: (M, 2) for each title.
        columns: panels per row; points far beyond the real ones are not shown.
    """
    figure, panels = make_panels(-(-len(generated) // columns), columns, width=2.9, height=3.1)
    for axes, (title, points), targets in zip(panels, generated.items(), real, strict=False):
        span = 1.25 * float(np.abs(targets).max())
        axes.scatter(targets[:, 0], targets[:, 1], s=6, color=GRAY, linewidths=0)
        axes.scatter(points[:, 0], points[:, 1], s=3, color=BLUE, alpha=0.35, linewidths=0)
        axes.set(title=title, xlim=(-span, span), ylim=(-span, span), aspect="equal")
    return figure


def draw_over_time(panels_of: Mapping[str, Mapping[str, tuple[Sequence[int], Sequence[float]]]]) -> Figure:
    """Plot one panel per title, with named curves (steps, values)."""
    figure, panels = make_panels(1, len(panels_of), width=3.4, height=3.0)
    for axes, (title, lines) in zip(panels, panels_of.items(), strict=True):
        for (name, (steps, values)), color in zip(lines.items(), (BLUE, ORANGE, GRAY), strict=False):
            axes.plot(steps, values, color=color, label=name, linewidth=1.2)
        axes.set(title=title, xlabel="step")
    panels[0].legend(frameon=False, fontsize="small")
    return figure
