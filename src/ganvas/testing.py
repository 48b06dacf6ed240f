"""Method contract: a pytest class for the translation methods of this package and of plugins.

    from ganvas.testing import MethodContract

    class TestMine(MethodContract):
        config = MyConfig(width=4)

Only this module needs pytest. Call `pytest.register_assert_rewrite("ganvas.testing")` in a conftest.py to see the
values of a failed assertion.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.autograd import backward

from ganvas.errors import ConfigError, ExportError
from ganvas.inference.prepacking import make_ready
from ganvas.inference.tiling import translate_padded
from ganvas.interop.export.network import exported_network, without_draws
from ganvas.methods.base import Batch, Method, Progress, Turn, build
from ganvas.networks import as_in_training

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("ganvas.testing needs pytest: pip install pytest", name="pytest") from error

__all__ = ["MethodContract", "copies", "play", "without_dropout"]


def play(
    method: Method,
    batch: Batch | list[Batch],
    *,
    steps: int = 1,
    rate: float = 2e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    until: Callable[[], bool] = lambda: False,
) -> list[dict[str, float]]:
    """Train like the trainer, but without checkpoints, validation and logs.

    Args:
        method: the method to train.
        batch: one batch for all steps, or one for each step.
        steps: largest number of steps with a single batch.
        rate: learning rate of Adam.
        betas: betas of Adam.
        until: function to call after every tenth step; training stops when it returns True.

    Returns:
        The losses of each step as "player/loss".
    """
    optimizers = {p: torch.optim.Adam(method.player_parameters(p), lr=rate, betas=betas) for p in method.players}
    trace = []
    for step, given in enumerate(batch if isinstance(batch, list) else [batch] * steps):
        losses = {}
        for turn in method.training_step(given, Progress(step * len(given.a), step)):
            optimizers[turn.player].zero_grad()
            backward(total_loss(turn), inputs=method.player_parameters(turn.player))
            optimizers[turn.player].step()
            losses.update({f"{turn.player}/{name}": loss.item() for name, loss in turn.losses.items()})
        trace.append(losses)
        if len(trace) % 10 == 0 and until():
            break
    return trace


def total_loss(turn: Turn) -> torch.Tensor:
    """Return the sum that the trainer minimizes in a turn."""
    first, *others = turn.losses.values()
    return sum(others, start=first)


def copies(parameters: list[nn.Parameter]) -> list[torch.Tensor]:
    """Return copies of the values of parameters."""
    return [parameter.detach().clone() for parameter in parameters]


def without_dropout(method: Method) -> Method:
    """Turn off all dropout of a method, in place, and return the method."""
    for module in method.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return method


class MethodContract:
    """Tests that every method must pass; a subclass defines a config of small networks, which train in seconds."""

    config: object
    input_channels = 3
    output_channels = 3
    image_size: tuple[int, int] = (32, 32)
    overfit_steps = 60
    """Largest number of training steps until one batch must be overfitted; a multiple of ten."""
    overfit_pictures = 1
    """Number of pictures in the batch to overfit; several for norms over a batch of vectors."""
    overfit_rate = 2e-3
    """Learning rate of Adam for overfitting."""
    overfit_betas = (0.9, 0.999)
    """Betas of Adam for overfitting."""
    stages: tuple[Progress, ...] = (Progress(0, 0),)
    """Training progress of one step of each kind of the method."""
    draws_at_test = False
    """Whether translation draws random numbers other than by dropout; pictures are then compared with equal draws."""

    def make(self, seed: int = 0) -> Method:
        """Build the method with seeded weights."""
        torch.manual_seed(seed)
        return build(
            self.config,
            input_channels=self.input_channels,
            output_channels=self.output_channels,
            image_size=self.image_size,
        )

    @property
    def num_frames(self) -> int:
        """Return the number of frames in the input of the method."""
        return getattr(self.config, "frames", 1)

    def batch(self, count: int = 2) -> Batch:
        """Return smooth pictures; where channels allow, b is a darkened a, or its middle frame."""
        random = torch.Generator().manual_seed(1)
        given, first = self.num_frames * self.input_channels, self.num_frames // 2 * self.input_channels
        small = torch.rand(count, max(given, first + self.output_channels), 4, 4, generator=random) * 2 - 1
        pictures = nn.functional.interpolate(small, self.image_size, mode="bilinear")
        return Batch(pictures[:, :given], 0.8 * pictures[:, first : first + self.output_channels] - 0.2)

    def turns(self, method: Method) -> Iterator[Turn]:
        """Yield the turns of one step of each stage."""
        for progress in self.stages:
            yield from method.training_step(self.batch(), progress)

    def channels(self, direction: str) -> tuple[int, int]:
        """Return the number of channels of the source (all frames together) and of the target in a direction."""
        both = (self.num_frames * self.input_channels, self.output_channels)
        return both if direction == "a_to_b" else both[::-1]

    def test_players_own_all_parameters(self) -> None:
        """Check that each trainable parameter belongs to one player, and that the generators exist."""
        method = self.make()
        owners = [id(p) for player in method.players for p in method.player_parameters(player)]
        assert sorted(owners) == sorted(id(p) for p in method.parameters() if p.requires_grad)
        assert all(isinstance(getattr(method, name), nn.Module) for name in method.generators)
        assert method.size_multiple >= 1

    def test_each_turn_updates_only_its_own_player(self) -> None:
        """Check that a turn changes only parameters of its own player, and that every player has a turn."""
        method = self.make()
        for player in method.players:
            for p in method.player_parameters(player):  # away from zeros, where gradients vanish
                p.data += 0.01 * torch.randn_like(p)
        played = []
        for turn in self.turns(method):
            before = {player: copies(method.player_parameters(player)) for player in method.players}
            optimizer = torch.optim.Adam(method.player_parameters(turn.player))
            optimizer.zero_grad()
            backward(total_loss(turn), inputs=method.player_parameters(turn.player))
            optimizer.step()
            for player, old in before.items():
                same = [torch.equal(a, b) for a, b in zip(old, copies(method.player_parameters(player)), strict=True)]
                # a few may have no gradient, such as the last bias of a Wasserstein critic
                assert sum(same) < 0.5 * len(same) if player == turn.player else all(same)
            played.append(turn.player)
        assert set(played) == set(method.players)

    @pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
    def test_losses_are_finite_scalars(self, precision: torch.dtype) -> None:
        """Check that losses are finite float32 scalars with finite gradients, with and without bfloat16 autocast."""
        method = self.make()
        turns = self.turns(method)
        while True:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
                turn = next(turns, None)
            if turn is None:
                break
            for loss in turn.losses.values():
                assert loss.shape == ()
                assert loss.dtype == torch.float32
                assert torch.isfinite(loss)
            backward(total_loss(turn), inputs=method.player_parameters(turn.player))
            assert all(p.grad is not None and p.grad.isfinite().all() for p in method.player_parameters(turn.player))

    def test_translation_in_bfloat16(self) -> None:
        """Check that translations in bfloat16 are close to those in float32.

        Dropout is off, because on some processors it draws different noise in bfloat16 and float32.
        """
        method = without_dropout(self.make().eval())
        images = self.batch().a
        with torch.no_grad():
            torch.manual_seed(3)
            precise = method.translate(images)
            make_ready(method, precision="bfloat16")
            torch.manual_seed(3)
            lowered = method.translate(images)
        assert lowered.dtype == torch.float32
        assert (lowered - precise).abs().mean() < 0.05

    def test_seeded_training_repeats_bitwise(self) -> None:
        """Check that two training runs with the same seed have bitwise equal losses and weights."""
        first, second = self.make(), self.make()
        traces = []
        for method in (first, second):
            torch.manual_seed(7)
            traces.append(play(method, self.batch(), steps=2))
        assert traces[0] == traces[1]
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    def test_any_multiple_of_the_size_translates_in_every_direction(self) -> None:
        """Check that any size that is a multiple of `size_multiple` translates, with the right channels and range."""
        method = self.make().eval()
        height, width = (37 + -37 % method.size_multiple, 51 + -51 % method.size_multiple)
        for direction in method.directions:
            source, target = self.channels(direction)
            with torch.no_grad():
                made = method.translate(torch.rand(1, source, height, width) * 2 - 1, direction=direction)
            assert made.shape == (1, target, method.scale * height, method.scale * width)
            assert made.abs().max() <= 1

    def test_unlearned_directions_are_errors(self) -> None:
        """Check that a direction that the method does not learn raises ConfigError."""
        method = self.make()
        assert method.directions[0] == "a_to_b"
        if "b_to_a" not in method.directions:
            with pytest.raises(ConfigError, match="a_to_b only"):
                method.translate(self.batch().a, direction="b_to_a")

    def test_translation_repeats_with_the_seed_and_changes_nothing(self) -> None:
        """Check that translation depends only on picture and seed, and does not change the state of the method."""
        method = self.make().eval()
        before = copy.deepcopy(method.state_dict())
        made = []
        for _ in range(2):
            torch.manual_seed(3)
            with torch.no_grad():
                made.append(method.translate(self.batch().a))
        assert torch.equal(*made)
        drawn = torch.get_rng_state()
        torch.manual_seed(3)
        assert method.draws_noise or torch.equal(drawn, torch.get_rng_state())
        assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
        assert not any(module.training for module in method.modules())

    def test_translation_is_independent_of_the_batch(self) -> None:
        """Check that a picture has the same translation alone and in a batch."""
        method = without_dropout(self.make().eval())
        images = self.batch().a
        with torch.no_grad():
            torch.manual_seed(3)
            together = method.translate(images)
            if self.draws_at_test:
                torch.manual_seed(3)
            alone = method.translate(images[:1])
        torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=0)

    def test_exported_network_agrees_in_every_direction(self) -> None:
        """Check that an exported network translates a batch of an odd size like the method translates each picture.

        A method that translates by search cannot be exported, and the error gives the reason.
        """
        method = self.make().eval()
        for direction in method.directions:
            channels = self.channels(direction)[0]
            if method.translates_by_search:
                with pytest.raises(ExportError, match="search"):
                    exported_network(method, direction, channels, with_noise=False, half=False)
                continue
            network = exported_network(method, direction, channels, with_noise=False, half=False)
            images = torch.rand(2, channels, 37, 51, generator=torch.Generator().manual_seed(1))
            with torch.no_grad(), without_draws(method):
                signed = translate_padded(method, 2 * images - 1, direction=direction)
                torch.testing.assert_close(network(images), (signed + 1) / 2, atol=1e-4, rtol=0)

    def distance(self, method: Method, batch: Batch) -> float:
        """Return the error on a batch: of the translation, or without pairs of the cycle reconstruction.

        Override it for a method that translates one way without pairs.
        """
        with torch.no_grad(), as_in_training(method):
            if method.paired:
                return (method.translate(batch.a) - batch.b).abs().mean().item()
            back_a = method.translate(method.translate(batch.a), direction="b_to_a")
            back_b = method.translate(method.translate(batch.b, direction="b_to_a"))
            return ((back_a - batch.a).abs().mean() + (back_b - batch.b).abs().mean()).item()

    def test_one_batch_is_overfitted(self) -> None:
        """Check that training on one batch reduces `distance` by 40 %."""
        method, batch = self.make(), self.batch(self.overfit_pictures)
        found = [self.distance(method, batch)]

        def is_near() -> bool:
            found.append(self.distance(method, batch))
            return found[-1] < 0.6 * found[0]

        rate, betas = self.overfit_rate, self.overfit_betas
        play(method, batch, steps=self.overfit_steps, rate=rate, betas=betas, until=is_near)
        assert found[-1] < 0.6 * found[0]

    def test_context_bounds_the_influence_of_pixels(self) -> None:
        """Check that pixels farther away than `context` do not change an output pixel."""
        method = self.make().eval()
        if method.context is None:
            pytest.skip("every pixel depends on the whole picture")
        multiple, reach = method.size_multiple, method.context
        size = 2 * (reach // multiple + 2) * multiple
        center = size // 2
        near = torch.rand(1, self.channels("a_to_b")[0], size, size) * 2 - 1
        far = torch.rand_like(near) * 2 - 1
        inside = slice(center - reach, center + reach + 1)
        far[..., inside, inside] = near[..., inside, inside]
        with torch.no_grad():
            places = range(method.scale * center, method.scale * (center + 1))
            made = [method.translate(images)[..., places, places] for images in (near, far)]
        torch.testing.assert_close(*made, atol=1e-6, rtol=0)
