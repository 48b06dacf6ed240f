"""Games on toy densities: each updates only its own players, is reproducible, and learns an easy target."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ganvas.errors import DivergenceError
from ganvas.metrics.distribution import measure_coverage
from ganvas.progress import SILENT
from ganvas.toy.densities import Mixture, ring, spiral
from ganvas.toy.experiments import Domain, DualLearning, log_density_of
from ganvas.toy.games import GAN, WGAN, ConditionalGAN, CycleGAN, Game, normal_noise, play, points_of, seeded, train
from ganvas.toy.study import COMPARED, GAMES, run_trial

TARGET = ring(4, deviation=0.3)
DOMAIN = Domain(points_of(TARGET, np.random.default_rng(0)), log_density_of(TARGET))
MAKERS: dict[str, Callable[[np.random.Generator], Game]] = {
    "gan": lambda rng: GAN(normal_noise(2), points_of(TARGET, rng), width=8),
    "wgan": lambda rng: WGAN(normal_noise(2), points_of(TARGET, rng), width=8),
    "cycle": lambda rng: CycleGAN(points_of(spiral(), rng), points_of(TARGET, rng), width=8),
    "dual": lambda rng: DualLearning(
        Domain(points_of(spiral(), rng), log_density_of(spiral())),
        Domain(points_of(TARGET, rng), log_density_of(TARGET)),
        width=8,
    ),
    "conditional": lambda rng: ConditionalGAN(
        lambda count: torch.from_numpy(rng.integers(4, size=count)),
        lambda mode: torch.from_numpy(TARGET.sample_modes(mode.numpy(), rng)).float(),
        modes=4,
        width=8,
    ),
}


def weights(game: Game) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in game.named_parameters()}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_each_turn_moves_its_own_player_alone(make: Callable[[np.random.Generator], Game]) -> None:
    with seeded(0) as rng:
        game = make(rng)
        optimizers = game.optimizers()
        assert optimizers.keys() == game.players.keys()
        moved = set()
        for turn in game.turns():
            before = weights(game)
            torch.stack(list(turn.losses.values())).sum().backward(inputs=game.player_parameters(turn.player))
            optimizers[turn.player].step()
            optimizers[turn.player].zero_grad()
            changed = {name.split(".")[0] for name, value in weights(game).items() if not value.equal(before[name])}
            assert changed == set(game.players[turn.player])
            moved.add(turn.player)
        assert moved == game.players.keys()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_seed_settles_the_weights(make: Callable[[np.random.Generator], Game]) -> None:
    ends = []
    for _ in range(2):
        with seeded(3) as rng:
            game = make(rng)
            train(game, steps=3, name="", progress=SILENT)
        ends.append(weights(game))
    assert all(value.equal(ends[1][name]) for name, value in ends[0].items())


def test_a_seed_leaves_the_callers_chance_alone() -> None:
    before = torch.get_rng_state()
    with seeded(0):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_critics_weights_are_clipped() -> None:
    with seeded(0) as rng:
        game = WGAN(normal_noise(2), points_of(TARGET, rng), width=8)
        train(game, steps=1, name="", progress=SILENT)
        assert max(float(value.detach().abs().max()) for value in game.discriminator.parameters()) <= 0.01
        assert max(float(value.detach().abs().max()) for value in game.generator.parameters()) > 0.01


def test_a_training_that_diverges_says_so() -> None:
    class Lost(GAN):
        def turns(self):
            for turn in super().turns():
                for name in turn.losses:
                    turn.losses[name] = turn.losses[name] * float("nan")
                yield turn

    with pytest.raises(DivergenceError, match="Lost on points"):
        list(play(game := Lost(normal_noise(2), DOMAIN.draw, width=4), game.optimizers(), steps=1))


def learned(kind: type[GAN], steps: int) -> float:
    easy = Mixture(np.array([[1.0, -1.0]]), deviation=0.5)
    with seeded(0) as rng:
        game = kind(normal_noise(2), points_of(easy, rng), width=32)
        train(game, steps=steps, name="", progress=SILENT)
        points = game.sample(1000).numpy()
    return measure_coverage(points, easy.means, deviation=0.5).high_quality


def test_a_gan_learns_one_gaussian() -> None:
    assert learned(GAN, 200) > 0.7


@pytest.mark.slow
def test_a_wgan_learns_one_gaussian() -> None:
    assert learned(WGAN, 1500) > 0.8


def test_a_trial_is_measured() -> None:
    trial = run_trial("ring of 8", "WGAN", seed=0, steps=2)
    assert (trial.game, trial.seed, trial.samples.shape) == ("WGAN", 0, (2500, 2))
    assert set(COMPARED) <= GAMES.keys()


def test_the_reward_is_the_weighted_sum() -> None:
    with seeded(0) as rng:
        game = MAKERS["dual"](rng)
        assert isinstance(game, DualLearning)
        train(game, steps=1, name="", progress=SILENT)
    rewards = game.rewards
    assert rewards["reward"] == pytest.approx(0.01 * rewards["fluency"] + 0.99 * rewards["reconstruction"], rel=1e-4)


def test_the_policy_gradient_agrees_with_the_exact_one() -> None:
    """With the fluency reward alone, E[grad] is that of the expected log density, here a quadratic of the mean."""
    one = Mixture(np.zeros((1, 2)), deviation=1.0)
    domain = Domain(lambda count: torch.zeros(count, 2), log_density_of(one))
    with seeded(0):
        game = DualLearning(domain, domain, alpha=1.0, noise=0.5, samples=16, batch_size=2000, width=8)
        with torch.no_grad():
            game.to_b.mean[-1].bias += 1.0
        (turn,) = game.turns()
        bias = game.to_b.mean[-1].bias
        (gradient,) = torch.autograd.grad(turn.losses["from_a"], bias)
        mean = game.to_b(torch.zeros(1, 2))[0]
    torch.testing.assert_close(gradient, mean * 15 / 16, atol=0.05, rtol=0.05)  # d/dm E[-log p] = m; own mean removed
