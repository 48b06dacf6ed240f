"""Mode collapse of a GAN, a Wasserstein GAN and a GAN with the cycle term, on the same two domains.

Each generator translates points of a spiral of as many Gaussians into the target, so that the three differ by their
objective alone: network, optimizer, data and number of steps are the same where the method leaves them open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, pstdev

from ganvas.data.density import Floats, Mixture, grid, ring, spiral
from ganvas.metrics.distribution import PROTOCOL_SAMPLES, Coverage, measure_coverage
from ganvas.progress import SILENT, Progress
from ganvas.toy.adversarial import GAN, WGAN, CycleGAN
from ganvas.toy.game import Draw, points_of, seeded, train

SLOW_RATE = 1e-4
"""Of the discriminator, the generator's being 1e-3: the published program of unrolled GANs (poolio/unrolled_gan)."""
TARGETS: dict[str, Callable[[], Mixture]] = {"ring of 8": ring, "grid of 25": grid}
GAMES: dict[str, Callable[[Draw, Draw], GAN | CycleGAN]] = {
    "GAN alone": GAN,
    "WGAN": WGAN,
    "GAN + cycle": CycleGAN,
    "GAN alone, slow D": partial(GAN, discriminator_rate=SLOW_RATE),
    "GAN + cycle, slow D": partial(CycleGAN, discriminator_rate=SLOW_RATE),
}
COMPARED = ("GAN alone", "WGAN", "GAN + cycle")


@dataclass(frozen=True)
class Trial:
    """One training from one seed.

    Attributes:
        samples: (2500, 2) of the trained generator.
        seconds: of processor time.
    """

    target: str
    game: str
    seed: int
    coverage: Coverage
    samples: Floats
    seconds: float


def run_trial(target: str, game: str, *, seed: int, steps: int, tell: Progress = SILENT) -> Trial:
    """Train one of `GAMES` on one of `TARGETS` and measure it.

    Raises:
        DivergenceError: the losses became NaN or infinite.
    """
    started = time.process_time()
    mixture = TARGETS[target]()
    with seeded(seed) as rng:
        played = GAMES[game](points_of(spiral(len(mixture.means)), rng), points_of(mixture, rng))
        train(played, steps=steps, name=f"{game}, {target}", tell=tell)
        samples = played.sample(PROTOCOL_SAMPLES).double().numpy()
    coverage = measure_coverage(samples, mixture.means, deviation=mixture.deviation)
    return Trial(target, game, seed, coverage, samples, seconds=time.process_time() - started)


def summarize(trials: Sequence[Trial]) -> list[dict[str, str | float]]:
    """Return one row per target and game, in their first order: mean and deviation over the seeds."""
    groups = dict.fromkeys((trial.target, trial.game) for trial in trials)
    return [_row([trial for trial in trials if (trial.target, trial.game) == group]) for group in groups]


def _row(trials: Sequence[Trial]) -> dict[str, str | float]:
    row: dict[str, str | float] = {"target": trials[0].target, "method": trials[0].game, "seeds": len(trials)}
    for name in ("covered", "held", "high_quality"):
        values = [float(getattr(trial.coverage, name)) for trial in trials]
        row |= {name: round(fmean(values), 3), f"{name}_deviation": round(pstdev(values), 3)}
    return row | {"seconds": round(fmean(trial.seconds for trial in trials), 1)}
