import copy

import pytest
import torch
from torch.nn import functional

from ganvas.errors import ConfigError
from ganvas.inference.prepacked import Packed
from ganvas.inference.prepacking import make_ready
from ganvas.methods import CoGANConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.testing import MethodContract, play

TINY = {"width": 64, "z_size": 8, "discriminator_width": 4, "search_steps": 8, "search_restarts": 2}


class Learns:
    """The method does not know which pictures correspond, so the overfitting test compares sets of pictures."""

    draws_at_test = True

    overfit_pictures, overfit_steps, overfit_rate, overfit_betas = 8, 240, 3e-3, (0.5, 0.999)

    def distance(self, method, batch):
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(5)
            a, b = copy.deepcopy(method).train().sample(16)
        return ((a.mean(0) - batch.a.mean(0)).abs().mean() + (b.mean(0) - batch.b.mean(0)).abs().mean()).item()


class TestUniform(Learns, MethodContract):
    config = CoGANConfig(**TINY)
    overfit_is_slow = True


class TestNormal(Learns, MethodContract):
    config = CoGANConfig(**TINY, noise="normal")
    input_channels, output_channels, image_size = 1, 4, (28, 36)
    overfit_is_slow = True


def tiny(size=(28, 28), channels=(1, 3), **options):
    torch.manual_seed(0)
    config = CoGANConfig(**TINY | options)
    return build(config, input_channels=channels[0], output_channels=channels[1], image_size=size)


def random_batch(count=3, size=28):
    return Batch(torch.rand(count, 1, size, size) * 2 - 1, torch.rand(count, 3, size, size) * 2 - 1)


def test_the_discriminators_move_first_and_each_loss_is_as_in_the_paper():
    method, batch = tiny(), random_batch()
    turns = method.training_step(batch, Progress(0, 0))
    torch.manual_seed(7)
    first = next(turns)
    torch.manual_seed(7)
    fakes = copy.deepcopy(method).generator(2 * torch.rand(3, 8) - 1)
    discriminator = method.discriminator
    for domain, real, fake in (("a", batch.a, fakes[0]), ("b", batch.b, fakes[1])):
        wanted = -torch.log(torch.sigmoid(discriminator(real, domain))).mean()
        torch.testing.assert_close(first.losses[f"real_{domain}"], wanted)
        wanted = -torch.log(1 - torch.sigmoid(discriminator(fake, domain))).mean()
        torch.testing.assert_close(first.losses[f"fake_{domain}"], wanted)
    second = next(turns)
    assert (first.player, second.player) == ("discriminator", "generator")
    wanted = -torch.log(torch.sigmoid(discriminator(fakes[1], "b"))).mean()
    torch.testing.assert_close(second.losses["adversarial_b"], wanted)


def test_both_generators_share_all_layers_but_the_last():
    generator = tiny().generator
    assert [name for name, _ in generator.named_children()] == ["shared", "last"]
    for domain, moved, other in (("a", 0, "b"), ("b", 1, "a")):
        generator.zero_grad()
        generator(torch.rand(4, 8))[moved].square().sum().backward()
        assert all(p.grad.abs().sum() > 0 for name, p in generator.shared.named_parameters() if "weight" in name)
        assert generator.last[domain].weight.grad is not None
        assert generator.last[other].weight.grad is None


def test_both_discriminators_share_all_layers_but_the_first():
    discriminator, batch = tiny().discriminator, random_batch()
    assert [name for name, _ in discriminator.named_children()] == ["first", "shared", "last"]
    for domain, given, other in (("a", batch.a, "b"), ("b", batch.b, "a")):
        discriminator.zero_grad()
        discriminator(given, domain).sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in discriminator.shared.parameters())
        assert discriminator.first[domain].weight.grad is not None
        assert discriminator.first[other].weight.grad is None


def test_shared_layers_get_the_sum_of_both_domains_gradients():
    method, batch = tiny(), random_batch()
    turn = next(method.training_step(batch, Progress(0, 0)))
    shared = list(method.discriminator.shared.parameters())
    sides = [
        torch.autograd.grad(turn.losses[f"real_{d}"] + turn.losses[f"fake_{d}"], shared, retain_graph=True)
        for d in "ab"
    ]
    both = torch.autograd.grad(sum(turn.losses.values()), shared)
    for a, b, total in zip(*sides, both, strict=True):
        torch.testing.assert_close(a + b, total)


def test_what_is_drawn_corresponds_and_repeats_with_the_seed():
    method = tiny().eval()
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(method.sample(5))
    assert [pictures.shape for pictures in drawn[0]] == [(5, 1, 28, 28), (5, 3, 28, 28)]
    assert all(torch.equal(one, two) for one, two in zip(*drawn, strict=True))
    torch.manual_seed(3)
    z = 2 * torch.rand(5, 8) - 1
    assert torch.equal(method.generator.picture(z, "b"), drawn[0][1])


@pytest.mark.parametrize("direction", ["a_to_b", pytest.param("b_to_a", marks=pytest.mark.slow)])
def test_the_search_finds_the_z_of_a_picture_that_the_generator_can_make(direction):
    method = tiny(search_steps=100, search_restarts=8).eval()
    own, other = direction[0], direction[-1]
    torch.manual_seed(9)
    z = method.draw(2, like=torch.zeros(1))
    with torch.no_grad():
        given, wanted = method.generator.picture(z, own), method.generator.picture(z, other)
        drawn = method.generator.picture(method.draw(64, like=z), other)
    made = method.translate(given, direction=direction)
    assert (made - wanted).abs().mean() < 0.25 * (drawn - wanted[:1]).abs().mean()


def test_more_steps_and_restarts_come_nearer():
    far, near = tiny(search_steps=1, search_restarts=1).eval(), tiny(search_steps=60, search_restarts=6).eval()
    with torch.no_grad():
        image = far.generator.picture(torch.linspace(-1, 1, 8)[None], "a")

    def distance(method):
        torch.manual_seed(1)
        return method.distance(method.search(image, "a"), image, "a").item()

    assert distance(near) < 0.9 * distance(far)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_made_ready_it_still_searches_where_gradients_are_off(precision):
    method = tiny().eval()
    plain = copy.deepcopy(method)
    make_ready(method, precision=precision)
    assert not any(isinstance(layer, Packed) for layer in method.modules())
    made = []
    for one in (plain, method):
        torch.manual_seed(4)
        with torch.inference_mode():
            images = torch.linspace(-1, 1, 28 * 28).view(1, 1, 28, 28)
            made.append(one.translate(images).float())
    assert all(parameter.grad is None for parameter in method.parameters())
    if precision == "float32":
        assert torch.equal(*made)
    assert (made[0] - made[1]).abs().mean() < 0.1


def test_a_picture_of_another_size_is_translated_at_the_size_of_a_crop():
    method = tiny().eval()
    image = functional.interpolate(random_batch(1).a, (40, 21), mode="bilinear")
    assert method.translate(image).shape == (1, 3, 40, 21)


@pytest.mark.slow
def test_one_z_moves_both_pictures_while_training():
    method = tiny(channels=(1, 1))
    batch = Batch(torch.full((8, 1, 28, 28), 0.7), torch.full((8, 1, 28, 28), -0.7))
    play(method, batch, steps=40, rate=2e-3)
    a, b = method.sample(8)
    assert a.mean() > b.mean() + 0.5


@pytest.mark.parametrize(
    ("options", "mend"),
    [({"width": 0}, "at least 1"), ({"search_restarts": 0}, "at least 1"), ({"search_rate": 0.0}, "must be positive")],
)
def test_settings_that_make_no_sense(options, mend):
    with pytest.raises(ConfigError, match=mend):
        CoGANConfig(**options)


def test_a_crop_that_is_too_small_is_told_the_mend():
    with pytest.raises(ConfigError, match="CoGAN needs crops of at least 12 pixels a side, not 8x28"):
        tiny((8, 28))
