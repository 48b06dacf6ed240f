import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError
from ganvas.methods import DualGANConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.methods.dualgan.method import GlobalCritic
from ganvas.networks import PatchGAN
from ganvas.recipes import RECIPES
from ganvas.testing import MethodContract, play

TINY = {"width": 4, "depth": 3, "discriminator_width": 4}


class TestPaper(MethodContract):
    config = DualGANConfig(**TINY | {"width": 8}, dropout=0.2)
    overfit_steps = 200
    overfit_is_slow = True


class TestPort(MethodContract):
    config = DualGANConfig(**TINY, dropout=0.0, critic="global", critic_steps=1, clip=0.0, gradient_penalty=10.0)
    image_size = (64, 64)
    overfit_steps = 100
    overfit_is_slow = True


class TestChannels(MethodContract):
    config = DualGANConfig(**TINY, dropout=0.0, norm="none", receptive_field=16, upsampling="resize", critic_steps=2)
    input_channels, output_channels, image_size = 4, 1, (32, 48)
    overfit_steps, overfit_rate = 150, 5e-3


def tiny(image_size=(32, 32), **options):
    config = DualGANConfig(**TINY | options)
    return build(config, input_channels=3, output_channels=3, image_size=image_size)


def random_batch(count=1, size=32):
    return Batch(*(torch.rand(2, count, 3, size, size) * 2 - 1))


def test_critics_move_in_each_step_and_generators_in_each_third():
    method = tiny()
    moved = [[turn.player for turn in method.training_step(random_batch(), Progress(step, step))] for step in range(5)]
    assert moved == [["critics", "generators"], ["critics"], ["critics"], ["critics", "generators"], ["critics"]]


def test_critics_are_clipped_after_their_move_and_before_the_generators():
    method = tiny(clip=0.005)
    turns = method.training_step(random_batch(), Progress(0, 0))
    next(turns)
    critics, generators = (method.player_parameters(player) for player in ("critics", "generators"))
    before = [weight.detach().clone() for weight in critics]
    kept = [weight.detach().clone() for weight in generators]
    assert max(weight.abs().max() for weight in critics) > 0.005
    assert next(turns).player == "generators"
    for weight, old in zip(critics, before, strict=True):
        assert torch.equal(weight, old.clamp(-0.005, 0.005))
    assert all(torch.equal(*both) for both in zip(generators, kept, strict=True))


def test_critics_are_clipped_in_steps_without_generators_too():
    method = tiny()
    assert len(list(method.training_step(random_batch(), Progress(1, 1)))) == 1
    assert max(weight.abs().max() for weight in method.player_parameters("critics")) <= 0.01


def test_with_a_gradient_penalty_nothing_is_clipped():
    method = tiny(clip=0.0, gradient_penalty=10.0)
    turns = list(method.training_step(random_batch(), Progress(0, 0)))
    assert set(turns[0].losses) == {
        f"{name}_{side}" for name in ("real", "fake", "gradient_penalty") for side in ("a", "b")
    }
    assert max(weight.abs().max() for weight in method.player_parameters("critics")) > 0.02


def test_the_losses_are_those_of_the_paper():
    method, batch = tiny(dropout=0.0, recovery_weight_a=7.0, recovery_weight_b=3.0), random_batch(2)
    turns = method.training_step(batch, Progress(0, 0))
    critics = next(turns).losses
    with torch.no_grad():
        fake_b, fake_a = method.a_to_b(batch.a), method.b_to_a(batch.b)
        wanted = {
            "real_a": -method.discriminator_a(batch.a).mean(),
            "fake_a": method.discriminator_a(fake_a).mean(),
            "real_b": -method.discriminator_b(batch.b).mean(),
            "fake_b": method.discriminator_b(fake_b).mean(),
        }
    assert critics.keys() == wanted.keys()
    for name, loss in critics.items():
        torch.testing.assert_close(loss.detach(), wanted[name])
    generators = next(turns).losses
    with torch.no_grad():
        wanted = {
            "recovery_a": 7 * (method.b_to_a(fake_b) - batch.a).abs().mean(),
            "recovery_b": 3 * (method.a_to_b(fake_a) - batch.b).abs().mean(),
            "adversarial_a": -method.discriminator_a(fake_a).mean(),
            "adversarial_b": -method.discriminator_b(fake_b).mean(),
        }
    assert generators.keys() == wanted.keys()
    for name, loss in generators.items():
        torch.testing.assert_close(loss.detach(), wanted[name])


def test_dropout_is_noise_in_training_and_at_test():
    method, images = tiny().eval(), random_batch().a
    with torch.no_grad():
        assert not torch.equal(method.translate(images), method.translate(images))
        assert not torch.equal(*(method.translate(images, direction="b_to_a") for _ in range(2)))
    assert method.context is None
    assert sum(isinstance(module, nn.Dropout) and module.p == 0.5 for module in method.a_to_b.modules()) == 2
    quiet = tiny(dropout=0.0).eval()
    with torch.no_grad():
        assert torch.equal(quiet.translate(images), quiet.translate(images))


@pytest.mark.slow
def test_a_trained_critic_prefers_the_real():
    """With weight clipping it learns to score real pictures above generated ones."""
    method, batch = tiny(recovery_weight_a=0.0, recovery_weight_b=0.0, critic_steps=1000), random_batch(4)
    trace = play(method, batch, steps=30, rate=5e-3)
    losses = [step["critics/real_a"] + step["critics/fake_a"] for step in trace[1:]]
    assert losses[-1] < min(0.0, losses[0])


def test_the_critic_is_a_patchgan_or_gives_one_score():
    assert isinstance(tiny().discriminator_a, PatchGAN)
    method = tiny((64, 96), critic="global")
    assert isinstance(method.discriminator_b, GlobalCritic)
    assert method.discriminator_b(torch.zeros(2, 3, 64, 96)).shape == (2, 1)
    with pytest.raises(ConfigError, match="a global critic needs crops of at least 64"):
        tiny(critic="global")


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"critic_steps": 0}, "at least 1"),
        ({"dropout": 1.0}, r"\[0, 1\)"),
        ({"clip": 0.0}, "make one positive and the other 0"),
        ({"gradient_penalty": 10.0}, "make one positive and the other 0"),
        ({"recovery_weight_b": -1.0}, "must not be negative"),
        ({"depth": 11}, r"1\.\.10"),
    ],
)
def test_settings_that_make_no_sense(options, mend):
    with pytest.raises(ConfigError, match=mend):
        DualGANConfig(**options)


def test_the_recipes():
    paper, port = RECIPES["dualgan"](), RECIPES["dualgan_port"]()
    for run in (paper, port):
        assert (run.training.optimizer, run.training.learning_rate) == ("rmsprop", 5e-5)
        assert (run.method.recovery_weight_a, run.method.recovery_weight_b) == (500, 500)
    assert (paper.method.clip, paper.method.dropout, paper.method.critic) == (0.01, 0.5, "patch")
    assert (port.method.gradient_penalty, port.method.critic_steps, port.method.critic) == (10, 1, "global")


def test_critics_never_have_a_batch_norm():
    for constraint in ({}, {"clip": 0.0, "gradient_penalty": 10.0}):
        method = tiny(norm="batch", **constraint)
        assert any(isinstance(layer, nn.BatchNorm2d) for layer in method.a_to_b.modules())
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in method.discriminator_a.modules())
