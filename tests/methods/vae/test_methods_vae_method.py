from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from ganvas.errors import ConfigError
from ganvas.losses import (
    bernoulli_negative_log_likelihood,
    gaussian_negative_log_likelihood,
    kl_to_standard_normal,
)
from ganvas.methods import VAEConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.methods.vae.method import draw_code
from ganvas.networks.convolutions import ResizeConvolution
from ganvas.recipes import RECIPES
from ganvas.testing import MethodContract, play

TINY = {"width": 4, "latent_size": 8}


class VAEContract(MethodContract):
    overfit_pictures = 4


class TestPaper(VAEContract):
    config = VAEConfig(**TINY)
    overfit_is_slow = True


class TestDigits(VAEContract):
    config = VAEConfig(**TINY, likelihood="bernoulli")
    input_channels, output_channels = 1, 1
    overfit_is_slow = True


class TestChannels(VAEContract):
    config = VAEConfig(**TINY, deviation=0.5, upsampling="resize")
    input_channels, output_channels, image_size = 4, 1, (32, 48)


def tiny(image_size=(32, 32), **options):
    torch.manual_seed(0)
    return build(VAEConfig(**TINY | options), input_channels=3, output_channels=3, image_size=image_size)


def random_batch(count=4, size=32):
    pictures = torch.rand(count, 3, size, size) * 2 - 1
    return Batch(pictures, pictures)


def test_kl_is_torchs():
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    code = Independent(Normal(mean, torch.exp(log_variance / 2)), 1)
    prior = Independent(Normal(torch.zeros(5, 7), torch.ones(5, 7)), 1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), kl_divergence(code, prior).mean())
    assert kl_to_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)) == 0


def test_likelihoods_are_torchs_up_to_a_constant():
    made, wanted = torch.rand(4, 3, 5, 5), torch.rand(4, 3, 5, 5)
    gaussian = Independent(Normal(made, 0.3), 3)
    unlikely = gaussian_negative_log_likelihood(made, wanted, deviation=0.3)
    constant = -gaussian.log_prob(made).mean()
    torch.testing.assert_close(unlikely + constant, -gaussian.log_prob(wanted).mean())
    bits, logits = (wanted > 0.5).float(), torch.randn(4, 3, 5, 5)
    bernoulli = Independent(Bernoulli(logits=logits), 3)
    torch.testing.assert_close(bernoulli_negative_log_likelihood(logits, bits), -bernoulli.log_prob(bits).mean())


def test_the_drawn_code_has_the_mean_and_the_deviation_asked_for():
    codes = draw_code(torch.full((20_000, 1), 3.0), torch.full((20_000, 1), 2 * torch.tensor(0.5).log().item()))
    assert codes.mean().item() == pytest.approx(3.0, abs=0.02)
    assert codes.std().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_losses_are_the_bound_of_the_pictures_decoded(likelihood):
    method, batch = tiny(likelihood=likelihood), random_batch()
    torch.manual_seed(3)
    (turn,) = method.training_step(batch, Progress(0, 0))
    torch.manual_seed(3)
    mean, log_variance = method.encoder(batch.a)
    made = method.decode(draw_code(mean, log_variance))
    unit, wanted = (made + 1) / 2, (batch.b + 1) / 2
    if likelihood == "gaussian":
        unlikely = 0.5 * ((made - batch.b) ** 2).sum()
    else:
        unlikely = nn.functional.binary_cross_entropy(unit, wanted, reduction="sum")
    torch.testing.assert_close(turn.losses["reconstruction"], unlikely / len(made), rtol=1e-4, atol=0)
    torch.testing.assert_close(turn.losses["kl"], kl_to_standard_normal(mean, log_variance))


def test_the_layers_are_those_of_the_table():
    method = build(VAEConfig(), input_channels=3, output_channels=3, image_size=(64, 64))
    convs = [layer for layer in method.encoder.modules() if isinstance(layer, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in convs] == [(n, (5, 5), (2, 2)) for n in (64, 128, 256)]
    linear = [layer.out_features for layer in method.encoder.modules() if isinstance(layer, nn.Linear)]
    assert linear == [2048, 2 * 128]
    assert method.decoder.small == (256, 8, 8)
    up = [layer for layer in method.decoder.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in up] == [(n, (5, 5), (2, 2)) for n in (256, 128, 32)]
    assert method.decoder.last.kernel_size == (5, 5)


def test_resizing_takes_the_place_of_transposed_convolutions():
    decoder = tiny(upsampling="resize").decoder
    assert not any(isinstance(layer, nn.ConvTranspose2d) for layer in decoder.modules())
    assert sum(isinstance(layer, ResizeConvolution) for layer in decoder.modules()) == 3


def test_a_reconstruction_comes_from_the_mean():
    method, images = tiny().eval(), random_batch().a
    with torch.no_grad():
        first, second = method.translate(images), method.translate(images)
        assert torch.equal(first, second)
        assert torch.equal(first, method.decode(method.encoder(images)[0]))


def test_samples_are_decoded_from_the_prior():
    method = tiny().eval()
    torch.manual_seed(5)
    with torch.no_grad():
        (pictures,) = method.sample(6)
        torch.manual_seed(5)
        assert torch.equal(pictures, method.decode(torch.randn(6, 8)))
    assert method.samples == ("b",)
    assert pictures.shape == (6, 3, 32, 32)
    assert not any(torch.equal(one, other) for one, other in pairwise(pictures))


def test_other_sizes_go_through_that_of_a_crop():
    method, images = tiny().eval(), torch.rand(1, 3, 45, 70) * 2 - 1
    with torch.no_grad():
        assert method.translate(images).shape == images.shape


@pytest.mark.slow
def test_training_brings_reconstructions_nearer_than_the_mean_picture():
    method = tiny(latent_size=16)
    smooth = nn.functional.interpolate(torch.rand(8, 3, 4, 4) * 2 - 1, (32, 32), mode="bilinear")
    batch = Batch(smooth, smooth)
    play(method, batch, steps=100, rate=5e-3)
    method.eval()
    with torch.no_grad():
        error = (method.translate(batch.a) - batch.a).square().mean()
    assert error < (batch.a - batch.a.mean(dim=0)).square().mean()


def test_one_picture_has_no_statistics():
    with pytest.raises(ConfigError, match="raise batch_size"):
        next(tiny().training_step(random_batch(1), Progress(0, 0)))


@pytest.mark.parametrize(
    ("options", "mend"),
    [({"width": 0}, "width 0"), ({"latent_size": 0}, "latent_size 0"), ({"deviation": 0.0}, "must be positive")],
)
def test_settings_that_make_no_sense(options, mend):
    with pytest.raises(ConfigError, match=mend):
        VAEConfig(**options)


def test_a_crop_that_does_not_fit_is_told_the_mend():
    with pytest.raises(ConfigError, match="multiples of 8, not 30x32: set crop_size, for example to 24x32"):
        tiny((30, 32))


@pytest.mark.parametrize("name", ["vae", "vae_gan"])
def test_recipes_have_the_papers_settings(name):
    config = RECIPES[name]()
    training = config.training
    assert (training.optimizer, training.learning_rate, training.batch_size) == ("rmsprop", 3e-4, 64)
    assert (config.data.layout, config.data.degrade, config.data.crop_size) == ("single", "identity", (64, 64))
    assert config.method.latent_size == 128
