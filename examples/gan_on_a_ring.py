"""GAN on eight Gaussians on a circle, with the number of covered modes during training.

python examples/gan_on_a_ring.py
"""

import numpy as np
import torch

from ganvas.metrics.distribution import Coverage, measure_coverage
from ganvas.toy.densities import ring
from ganvas.toy.games import GAN, normal_noise, play, points_of


def main(*, steps: int = 4000) -> Coverage:
    """Train, print a line four times during training, and return the last measurement."""
    torch.manual_seed(0)
    target = ring()
    game = GAN(normal_noise(2), points_of(target, np.random.default_rng(0)))
    for step, losses in enumerate(play(game, game.optimizers(), steps=steps), start=1):
        if step % (steps // 4) == 0:
            found = measure_coverage(game.sample(2500).numpy(), target.means, deviation=target.deviation)
            print(
                f"step {step}: {found.covered} of {found.modes} modes, "
                f"{found.high_quality:.0%} within 3 deviations, D {float(losses['discriminator/loss']):.3f}"
            )
    return found


if __name__ == "__main__":
    main()
