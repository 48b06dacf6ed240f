"""Studies of `ganvas density`: each question answered with figures, a table and a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ganvas.data.density import Floats, Mixture, ring
from ganvas.filesystem import claimed
from ganvas.filesystem.atomic import write_json
from ganvas.metrics.distribution import PROTOCOL_SAMPLES, measure_coverage
from ganvas.progress import Progress
from ganvas.toy import DensityConfig
from ganvas.toy.adversarial import GAN, NOISE_SIZE, WGAN, ConditionalGAN
from ganvas.toy.collapse import COMPARED, TARGETS, Trial, run_trial
from ganvas.toy.density import likelihood_curves, sample_piecewise
from ganvas.toy.dual import as_panels, watch_dual_learning
from ganvas.toy.figures import (
    check_matplotlib,
    draw_likelihood,
    draw_over_time,
    draw_points,
    draw_sampling,
    save_figure,
)
from ganvas.toy.game import normal_noise, points_of, seeded, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, str | float]
KNOWN_PAIRS = (8, 5)
"""All modes of the toy, and too few of them."""


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        rows: of the table.
        figure: the picture.
        more: what QUESTION.json holds beside the rows.
    """

    rows: Sequence[Row]
    figure: Figure
    more: dict[str, object] = field(default_factory=dict)


def answer_sample(*, seed: int, **_training: object) -> Answer:
    """Draw the density beside the histogram, and run the Kolmogorov-Smirnov test."""
    drawn = sample_piecewise(seed=seed)
    row: Row = {"samples": len(drawn.samples), "ks_distance": drawn.distance, "p_value": drawn.p_value}
    return Answer([row], draw_sampling(drawn))


def answer_likelihood(*, seed: int, **_training: object) -> Answer:
    """Compute the minima of likelihood, cross-entropy and KL, and the gap between the last two."""
    curves = likelihood_curves(seed=seed)
    rows: list[Row] = [{"curve": name, "lowest_at": place} for name, place in curves.minimizers.items()]
    more = {"entropy": curves.entropy, "largest_gap_error": curves.largest_gap_error}
    return Answer(rows, draw_likelihood(curves), dict(more))


def answer_gan(*, seed: int, steps: int, tell: Progress) -> Answer:
    """Train GAN, WGAN and conditional GAN on the ring; the last is queried for each mode equally often."""
    target = ring()
    made: dict[str, Floats] = {}
    for name, kind in {"GAN": GAN, "WGAN": WGAN}.items():
        with seeded(seed) as rng:
            game = kind(normal_noise(NOISE_SIZE), points_of(target, rng), input_size=NOISE_SIZE)
            train(game, steps=steps, name=name, tell=tell)
            made[name] = game.sample(PROTOCOL_SAMPLES).double().numpy()
    asked = np.arange(PROTOCOL_SAMPLES) % len(target.means)
    made["conditional GAN"] = conditional_points(target, asked, seed=seed, steps=steps, tell=tell)
    rows = [{"method": name, **_coverage(points, target)} for name, points in made.items()]
    figure = draw_points(made, [_real(target)] * len(made), columns=len(made))
    nearest = np.linalg.norm(made["conditional GAN"][:, None] - target.means, axis=-1).argmin(axis=1)
    return Answer(rows, figure, {"conditional_share_nearest_to_the_mode_asked": float((nearest == asked).mean())})


def conditional_points(target: Mixture, asked: np.ndarray, *, seed: int, steps: int, tell: Progress) -> Floats:
    """Train a conditional GAN on a mixture, and ask it for a point of each of the (N,) modes: (N, 2)."""
    modes = len(target.means)
    with seeded(seed) as rng:
        game = ConditionalGAN(
            lambda count: torch.from_numpy(rng.integers(modes, size=count)),
            lambda mode: torch.from_numpy(target.sample_modes(mode.numpy(), rng)).float(),
            modes=modes,
        )
        train(game, steps=steps, name="conditional GAN", tell=tell)
        return game.sample(torch.from_numpy(asked)).double().numpy()


def answer_collapse(*, seed: int, steps: int, tell: Progress) -> Answer:
    """Measure which modes each of `COMPARED` keeps on each of `TARGETS`."""
    pairs = [(target, game) for target in TARGETS for game in COMPARED]
    trials = [run_trial(target, game, seed=seed, steps=steps, tell=tell) for target, game in pairs]
    rows: list[Row] = [{"target": one.target, "method": one.game, **asdict(one.coverage)} for one in trials]
    return Answer(rows, draw_trials(trials))


def draw_trials(trials: Sequence[Trial]) -> Figure:
    """Draw the points of each trial over its target's, one row per target; targets have equally many trials."""
    made = {f"{one.game}: {one.coverage.covered} of {one.coverage.modes}": one.samples for one in trials}
    real = [_real(TARGETS[one.target]()) for one in trials]
    return draw_points(made, real, columns=len(trials) // len(TARGETS))


def answer_dual(*, seed: int, steps: int, tell: Progress) -> Answer:
    """Run dual learning after a warm start on pairs of all modes, and of too few."""
    runs = [watch_dual_learning(pairs=pairs, seed=seed, steps=steps, tell=tell) for pairs in KNOWN_PAIRS]
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
"""Of the questions that train."""


@dataclass(frozen=True)
class Study:
    """A question answered; printed, its table and where the files lie."""

    rows: Sequence[Row]
    figure: Path
    metrics: Path

    def __str__(self) -> str:
        return f"{as_table(self.rows)}\nFigure: {self.figure}\nMetrics: {self.metrics}"


def study(config: DensityConfig, *, tell: Progress) -> Study:
    """Answer a question and write OUT/QUESTION.png and OUT/QUESTION.json, each whole or not at all.

    Args:
        config: the question and the folder to write.
        tell: called with what is trained, the step and the last step.

    Raises:
        MissingDependency: matplotlib is not installed.
        DivergenceError: a training ended in NaN or infinity.
        OSError: the folder cannot be written.
    """
    question, out, seed = config.question, config.out, config.seed
    steps = USUAL_STEPS.get(question) if config.steps is None else config.steps
    check_matplotlib()
    with claimed(out):
        answer = ANSWERS[question](seed=seed, steps=steps or 0, tell=tell)
        figure, metrics = out / f"{question}.png", out / f"{question}.json"
        save_figure(answer.figure, figure)
        asked = {"question": question, "seed": seed, "steps": steps}
        write_json(metrics, {**asked, "rows": answer.rows, **answer.more})
    return Study(answer.rows, figure, metrics)


def as_table(rows: Sequence[Row]) -> str:
    """Format rows of the same names as lines with aligned columns."""
    names = list(rows[0])
    lines = [names, *([_shown(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _shown(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
