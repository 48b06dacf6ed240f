"""What every method must keep. A test of a method is three lines:

class TestMine(MethodContract):
    config = MyConfig(width=4)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError
from ganvas.inference.prepacking import make_ready
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.registry import build
from ganvas.networks import as_in_training


def play(
    method: Method,
    batch: Batch | list[Batch],
    *,
    steps: int = 1,
    rate: float = 2e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    until: Callable[[], bool] = lambda: False,
) -> list[dict[str, float]]:
    """Train as the engine does, without its services.

    Args:
        method: the method to train.
        batch: the same for every step, or one for each.
        steps: how many at most, of one batch.
        rate: Adam's learning rate.
        betas: Adam's.
        until: asked after every tenth step whether that is enough.

    Returns:
        The losses of each step as "player/loss".
    """
    optimizers = {p: torch.optim.Adam(method.player_parameters(p), lr=rate, betas=betas) for p in method.players}
    trace = []
    for step, given in enumerate(batch if isinstance(batch, list) else [batch] * steps):
        losses = {}
        for turn in method.training_step(given, Progress(step * len(given.a), step)):
            optimizers[turn.player].zero_grad()
            sum(turn.losses.values()).backward(inputs=method.player_parameters(turn.player))
            optimizers[turn.player].step()
            losses.update({f"{turn.player}/{name}": loss.item() for name, loss in turn.losses.items()})
        trace.append(losses)
        if len(trace) % 10 == 0 and until():
            break
    return trace


def copies(parameters: list[nn.Parameter]) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def without_dropout(method: Method) -> Method:
    """Return the method itself, none of whose values is dropped any longer."""
    for module in method.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return method


class MethodContract:
    config: object
    input_channels = 3
    output_channels = 3
    image_size = (32, 32)
    overfit_steps = 60
    """At most; a multiple of ten."""
    overfit_pictures = 1
    """A method whose norms see numbers, not places, needs several."""
    overfit_rate = 2e-3
    overfit_betas = (0.9, 0.999)
    overfit_is_slow = False
    """Mark `test_one_batch_is_overfitted` slow: for a variant that takes over a second, beside a quicker one."""
    stages = (Progress(0, 0),)
    """A step of each kind that the method takes."""
    draws_at_test = False
    """Whether it draws for a translation other than by dropout: pictures are then compared after the same draws."""

    def make(self, seed: int = 0) -> Method:
        torch.manual_seed(seed)
        return build(
            self.config,
            input_channels=self.input_channels,
            output_channels=self.output_channels,
            image_size=self.image_size,
        )

    def batch(self, count: int = 2) -> Batch:
        """Smooth pictures; where channels allow, b is a darkened a."""
        random = torch.Generator().manual_seed(1)
        small = torch.rand(count, max(self.input_channels, self.output_channels), 4, 4, generator=random) * 2 - 1
        pictures = nn.functional.interpolate(small, self.image_size, mode="bilinear")
        return Batch(pictures[:, : self.input_channels], 0.8 * pictures[:, : self.output_channels] - 0.2)

    def turns(self, method: Method) -> Iterator[Turn]:
        """A step of each stage."""
        for progress in self.stages:
            yield from method.training_step(self.batch(), progress)

    def channels(self, direction: str) -> tuple[int, int]:
        """(given, made) of a direction."""
        given = (self.input_channels, self.output_channels)
        return given if direction == "a_to_b" else given[::-1]

    def test_it_says_what_it_holds(self):
        method = self.make()
        owners = [id(p) for player in method.players for p in method.player_parameters(player)]
        assert sorted(owners) == sorted(id(p) for p in method.parameters() if p.requires_grad)
        assert all(isinstance(getattr(method, name), nn.Module) for name in method.generators)
        assert method.size_multiple >= 1

    def test_each_turn_moves_exactly_its_own_player(self):
        method = self.make()
        for player in method.players:
            for p in method.player_parameters(player):  # away from zeros, so that every gradient is alive
                p.data += 0.01 * torch.randn_like(p)
        played = []
        for turn in self.turns(method):
            before = {player: copies(method.player_parameters(player)) for player in method.players}
            optimizer = torch.optim.Adam(method.player_parameters(turn.player))
            optimizer.zero_grad()
            sum(turn.losses.values()).backward(inputs=method.player_parameters(turn.player))
            optimizer.step()
            for player, old in before.items():
                same = [torch.equal(a, b) for a, b in zip(old, copies(method.player_parameters(player)), strict=True)]
                # a few of its own may have no gradient, as the last bias of a Wasserstein critic
                assert sum(same) < 0.5 * len(same) if player == turn.player else all(same)
            played.append(turn.player)
        assert set(played) == set(method.players)

    @pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
    def test_losses_are_finite_scalars(self, precision):
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
            sum(turn.losses.values()).backward(inputs=method.player_parameters(turn.player))
            assert all(torch.isfinite(p.grad).all() for p in method.player_parameters(turn.player))

    def test_it_translates_in_bfloat16(self):
        """Without dropout, which on some processors draws other noise in bfloat16 than in float32."""
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

    def test_seeded_runs_repeat_bitwise(self):
        first, second = self.make(), self.make()
        traces = []
        for method in (first, second):
            torch.manual_seed(7)
            traces.append(play(method, self.batch(), steps=2))
        assert traces[0] == traces[1]
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    def test_odd_sizes_work_once_padded_in_every_direction(self):
        method = self.make().eval()
        height, width = (37 + -37 % method.size_multiple, 51 + -51 % method.size_multiple)
        for direction in method.directions:
            given, wanted = self.channels(direction)
            with torch.no_grad():
                made = method.translate(torch.rand(1, given, height, width) * 2 - 1, direction=direction)
            assert made.shape == (1, wanted, method.scale * height, method.scale * width)
            assert made.abs().max() <= 1

    def test_a_direction_that_it_never_learned_is_refused(self):
        method = self.make()
        assert method.directions[0] == "a_to_b"
        if "b_to_a" not in method.directions:
            with pytest.raises(ConfigError, match="a_to_b only"):
                method.translate(self.batch().a, direction="b_to_a")

    def test_translation_repeats_with_the_seed_and_changes_nothing(self):
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

    def test_a_translation_does_not_depend_on_its_neighbours(self):
        method = without_dropout(self.make().eval())
        images = self.batch().a
        with torch.no_grad():
            torch.manual_seed(3)
            together = method.translate(images)
            if self.draws_at_test:
                torch.manual_seed(3)
            alone = method.translate(images[:1])
        torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=0)

    def distance(self, method: Method, batch: Batch) -> float:
        """How far it is from knowing the batch by heart: the pair, or without pairs each picture turned back."""
        with torch.no_grad(), as_in_training(method):
            if method.paired:
                return (method.translate(batch.a) - batch.b).abs().mean().item()
            back_a = method.translate(method.translate(batch.a), direction="b_to_a")
            back_b = method.translate(method.translate(batch.b, direction="b_to_a"))
            return ((back_a - batch.a).abs().mean() + (back_b - batch.b).abs().mean()).item()

    def test_one_batch_is_overfitted(self):
        method, batch = self.make(), self.batch(self.overfit_pictures)
        found = [self.distance(method, batch)]

        def is_near() -> bool:
            found.append(self.distance(method, batch))
            return found[-1] < 0.6 * found[0]

        rate, betas = self.overfit_rate, self.overfit_betas
        play(method, batch, steps=self.overfit_steps, rate=rate, betas=betas, until=is_near)
        assert found[-1] < 0.6 * found[0]

    def test_context_is_truthful(self):
        method = self.make().eval()
        if method.context is None:
            pytest.skip("the whole picture is its context")
        multiple, reach = method.size_multiple, method.context
        size = 2 * (reach // multiple + 2) * multiple
        centre = size // 2
        near = torch.rand(1, self.input_channels, size, size) * 2 - 1
        far = torch.rand_like(near) * 2 - 1
        inside = slice(centre - reach, centre + reach + 1)
        far[..., inside, inside] = near[..., inside, inside]
        with torch.no_grad():
            places = range(method.scale * centre, method.scale * (centre + 1))
            made = [method.translate(images)[..., places, places] for images in (near, far)]
        torch.testing.assert_close(*made, atol=1e-6, rtol=0)
