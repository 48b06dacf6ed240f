import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError
from ganvas.methods import DiscoGANConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.recipes import RECIPES
from ganvas.testing import MethodContract, play

MOSTLY_RECONSTRUCTION = {"width": 8, "early_reconstruction": 0.99}


class TestPaper(MethodContract):
    config = DiscoGANConfig(**MOSTLY_RECONSTRUCTION)
    image_size = (64, 64)
    overfit_steps = 150
    overfit_is_slow = True


class TestPort(MethodContract):
    config = DiscoGANConfig(**MOSTLY_RECONSTRUCTION, discriminator_interval=3, bottleneck=16)
    image_size = (64, 80)
    input_channels = 1
    stages = (Progress(0, 0), Progress(2, 1))
    overfit_steps = 250
    overfit_is_slow = True


def tiny(image_size=(64, 64), channels=(3, 3), **options):
    config = DiscoGANConfig(**{"width": 2} | options)
    return build(config, input_channels=channels[0], output_channels=channels[1], image_size=image_size)


def random_batch(count=2, size=64):
    return Batch(*(torch.rand(2, count, 3, size, size) * 2 - 1))


def players(method, step):
    return [turn.player for turn in method.training_step(random_batch(), Progress(2 * step, step))]


def test_in_the_paper_all_move_in_each_step():
    method = tiny()
    assert [players(method, step) for step in range(3)] == [["discriminators", "generators"]] * 3


def test_in_the_released_code_discriminators_move_in_each_third_step_and_generators_in_the_others():
    method = tiny(discriminator_interval=3)
    moved = [players(method, step) for step in range(7)]
    assert moved == [["discriminators"], ["generators"], ["generators"]] * 2 + [["discriminators"]]


def test_the_share_of_the_reconstruction_follows_the_step():
    method = tiny(curriculum_steps=5)
    assert [method.reconstruction_share(Progress(64 * step, step)) for step in (0, 4, 5, 6)] == [0.01, 0.01, 0.5, 0.5]
    assert tiny().reconstruction_share(Progress(0, 9_999)) == 0.01
    assert tiny().reconstruction_share(Progress(0, 10_000)) == 0.5


@pytest.mark.parametrize(("step", "r"), [(0, 0.01), (10_000, 0.5)])
def test_what_generators_pay(step, r):
    """Each term written out, on pictures in [0, 1]: (0.1 GAN + 0.9 features)(1 - r) + r MSE."""
    method, batch = tiny(), random_batch(3)
    _, turn = method.training_step(batch, Progress(0, step))
    with torch.no_grad():
        for side, real, other in (("a", batch.a, batch.b), ("b", batch.b, batch.a)):
            made_of_real, made, discriminator = (
                (method.a_to_b, method.b_to_a, method.discriminator_a)
                if side == "a"
                else (method.b_to_a, method.a_to_b, method.discriminator_b)
            )
            again, fake = made(made_of_real(real)), made(other)
            scores, features = discriminator(fake)
            wanted = discriminator(real)[1]
            matching = sum(((f.mean(dim=0) - w.mean(dim=0)) ** 2).mean() for f, w in zip(features, wanted, strict=True))
            expected = {
                f"reconstruction_{side}": r * ((again - real) / 2).square().mean(),
                f"adversarial_{side}": (1 - r) * 0.1 * -torch.sigmoid(scores).log().mean(),
                f"features_{side}": (1 - r) * 0.9 * matching,
            }
            for name, value in expected.items():
                torch.testing.assert_close(turn.losses[name], value, rtol=1e-4, atol=1e-7)


def test_what_discriminators_pay():
    method, batch = tiny(), random_batch(3)
    turn = next(method.training_step(batch, Progress(0, 0)))
    with torch.no_grad():
        real, fake = method.discriminator_b(batch.b)[0], method.discriminator_b(method.a_to_b(batch.a))[0]
    torch.testing.assert_close(turn.losses["real_b"], -torch.sigmoid(real).log().mean() / 2)
    torch.testing.assert_close(turn.losses["fake_b"], -(1 - torch.sigmoid(fake)).log().mean() / 2)


def test_at_test_norms_have_the_statistics_of_training():
    method, batch = tiny(), random_batch(4)
    play(method, batch, steps=3)
    method.train()
    alone = method.translate(batch.a[:1])
    torch.testing.assert_close(alone, method.translate(batch.a)[:1])
    assert all(module.training for module in method.modules())
    method.eval()
    torch.testing.assert_close(alone, method.a_to_b(batch.a[:1]))


def test_a_step_of_discriminators_alone_keeps_no_gradients_of_generators():
    method = tiny(discriminator_interval=2)
    (turn,) = method.training_step(random_batch(), Progress(0, 0))
    generators = method.player_parameters("generators")
    gradients = torch.autograd.grad(sum(turn.losses.values()), generators, allow_unused=True)
    assert not any(gradient is not None for gradient in gradients)


@pytest.mark.parametrize("interval", [1, 3])
def test_bfloat16_moves_every_weight_that_float32_does(interval):
    """Weights that autocast caches without gradients must not be reused where gradients are needed."""
    method = tiny(discriminator_interval=interval)
    for enabled in (False, True):
        turns = method.training_step(random_batch(), Progress(2, 1))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            (*_, turn) = turns
        generators = method.player_parameters("generators")
        gradients = torch.autograd.grad(sum(turn.losses.values()), generators, allow_unused=True)
        assert all(gradient is not None for gradient in gradients)


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (96, 80)])
def test_other_sizes_work(size):
    method = tiny(size)
    batch = Batch(*(torch.rand(2, 2, 3, *size) * 2 - 1))
    assert [turn.player for turn in method.training_step(batch, Progress(0, 0))] == ["discriminators", "generators"]
    assert method.translate(batch.a).shape == batch.a.shape


def test_channels_may_differ():
    assert tiny(channels=(1, 3)).translate(torch.zeros(1, 3, 64, 64), direction="b_to_a").shape == (1, 1, 64, 64)


@pytest.mark.parametrize(("size", "mend"), [((48, 48), "at least 64"), ((72, 64), "multiples of 16")])
def test_a_crop_that_does_not_fit_is_told_the_mend(size, mend):
    with pytest.raises(ConfigError, match=mend):
        tiny(size)


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"width": 0}, "at least 1"),
        ({"discriminator_interval": 0}, "at least 1"),
        ({"bottleneck": -1}, "must not be negative"),
        ({"reconstruction": 1.5}, r"reconstruction 1.5 is a share"),
        ({"feature_matching": -0.1}, "feature_matching"),
    ],
)
def test_settings_that_make_no_sense(options, mend):
    with pytest.raises(ConfigError, match=mend):
        DiscoGANConfig(**options)


def test_the_recipes():
    paper, port = RECIPES["discogan"](), RECIPES["discogan_port"]()
    assert (paper.method.discriminator_interval, port.method.discriminator_interval) == (1, 3)
    for run in (paper, port):
        assert run.data.crop_size == (64, 64)
        assert (run.training.batch_size, run.training.weight_decay, run.training.betas) == (64, 1e-5, (0.5, 0.999))
    assert not any(isinstance(module, nn.Dropout) for module in tiny().modules())


def test_one_place_of_one_picture_has_no_statistics():
    method = tiny(bottleneck=4)
    with pytest.raises(ConfigError, match="raise batch_size"):
        next(method.training_step(Batch(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)), Progress(0, 0)))
