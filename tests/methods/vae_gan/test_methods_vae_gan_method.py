import copy

import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError
from ganvas.losses import kl_to_standard_normal
from ganvas.methods import VAEGANConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.methods.vae.method import draw_code
from ganvas.networks import as_in_training
from ganvas.testing import MethodContract

TINY = {"width": 4, "latent_size": 8}


class VAEGANContract(MethodContract):
    overfit_pictures = 4
    overfit_steps = 200

    def distance(self, method, batch):
        """Return the distance of reconstructions from their own pictures, relative to the other pictures."""
        with torch.no_grad(), as_in_training(method):
            made = method.translate(batch.a)
            seen, seen_again = method.discriminator.features(torch.cat([batch.b, made])).flatten(1).chunk(2)
        distances = torch.cdist(seen_again, seen).square()
        own = distances.diagonal().mean()
        return (own / (distances.sum() - distances.trace()) * (distances.numel() - len(distances))).item()


class TestPaper(VAEGANContract):
    config = VAEGANConfig(width=8, latent_size=8, gamma=1.0)
    image_size = (16, 16)
    overfit_is_slow = True


class TestNonSaturating(VAEGANContract):
    config = VAEGANConfig(width=8, latent_size=8, gamma=10.0, adversarial="non_saturating")
    input_channels, output_channels, image_size = 4, 1, (16, 24)


def tiny(**options):
    torch.manual_seed(0)
    return build(VAEGANConfig(**TINY | options), input_channels=3, output_channels=3, image_size=(32, 32))


def random_batch(count=4):
    pictures = torch.rand(count, 3, 32, 32) * 2 - 1
    return Batch(pictures, pictures)


def losses_of_algorithm_1(method, real):
    """Return L_prior, L_llike and L_GAN as in the paper, on one graph; L_GAN as a cross-entropy."""
    mean, log_variance = method.encoder(real)
    code, prior_code = draw_code(mean, log_variance), torch.randn(len(real), 8)
    reconstructed, drawn = method.decode(code), method.decode(prior_code)
    scores, seen = method.discriminator(torch.cat([real, reconstructed, drawn]))
    likely = torch.sigmoid(scores).flatten()
    count = len(real)
    l_gan = -(
        likely[:count].log().mean()
        + (1 - likely[count : 2 * count]).log().mean()
        + (1 - likely[2 * count :]).log().mean()
    )
    l_like = 0.5 * (seen[count : 2 * count] - seen[:count].detach()).square().sum() / count
    return kl_to_standard_normal(mean, log_variance), l_like, l_gan


def test_the_three_turns_are_the_papers_simultaneous_update():
    """Plain gradient steps turn by turn, compared with gradients that were all computed before any update."""
    gamma, rate = 0.3, 1e-3
    method = tiny(gamma=gamma).double()
    together, batch = copy.deepcopy(method), Batch(*(2 * [random_batch().a.double()]))

    torch.manual_seed(9)
    with torch.random.fork_rng():
        prior, like, gan = losses_of_algorithm_1(together, batch.a)
    parts = {"encoder": prior + like, "decoder": gamma * like - gan, "discriminator": gan}
    gradients = {
        player: torch.autograd.grad(loss, together.player_parameters(player), retain_graph=True)
        for player, loss in parts.items()
    }
    with torch.no_grad():
        for player, found in gradients.items():
            for parameter, gradient in zip(together.player_parameters(player), found, strict=True):
                parameter -= rate * gradient

    torch.manual_seed(9)
    for turn in method.training_step(batch, Progress(0, 0)):
        optimizer = torch.optim.SGD(method.player_parameters(turn.player), lr=rate)
        optimizer.zero_grad()
        sum(turn.losses.values()).backward(inputs=method.player_parameters(turn.player))
        optimizer.step()
        torch.testing.assert_close(sum(turn.losses.values()), parts[turn.player])
    for mine, theirs in zip(method.parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-9)


def test_the_players_take_their_turns_in_order():
    turns = [turn.player for turn in tiny().training_step(random_batch(), Progress(0, 0))]
    assert turns == ["encoder", "decoder", "discriminator"]


def test_the_encoder_hears_nothing_of_the_gan():
    """Algorithm 1: its losses are those of the prior and of the features only."""
    turn = next(tiny().training_step(random_batch(), Progress(0, 0)))
    assert set(turn.losses) == {"kl", "features"}


def test_the_decoder_raises_the_gans_loss_or_fools():
    batch = random_batch()
    for adversarial, names in (
        ("minimax", {"features", "real", "reconstructed", "drawn"}),
        ("non_saturating", {"features", "reconstructed", "drawn"}),
    ):
        torch.manual_seed(1)
        _, decoder, discriminator = tiny(adversarial=adversarial).training_step(batch, Progress(0, 0))
        assert set(decoder.losses) == names
        if adversarial == "minimax":
            for name in names - {"features"}:
                torch.testing.assert_close(decoder.losses[name], -discriminator.losses[name])
        else:
            assert all(loss > 0 for loss in decoder.losses.values())


def test_gamma_weighs_the_features_for_the_decoder_alone():
    batch, seen = random_batch(), []
    for gamma in (1.0, 0.25):
        torch.manual_seed(1)
        encoder, decoder, _ = tiny(gamma=gamma).training_step(batch, Progress(0, 0))
        seen.append((encoder.losses["features"], decoder.losses["features"]))
    torch.testing.assert_close(seen[0][0], seen[1][0])
    torch.testing.assert_close(0.25 * seen[0][1], seen[1][1])
    torch.testing.assert_close(seen[0][0], seen[0][1])


def test_the_discriminators_layers_are_those_of_the_table():
    method = build(VAEGANConfig(), input_channels=3, output_channels=3, image_size=(64, 64))
    convs = [layer for layer in method.discriminator.modules() if isinstance(layer, nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in convs] == [(32, 1), (128, 2), (256, 2), (256, 2)]
    linear = [layer.out_features for layer in method.discriminator.modules() if isinstance(layer, nn.Linear)]
    assert linear == [512, 1]
    assert method.discriminator.features(torch.zeros(1, 3, 64, 64)).shape == (1, 256, 8, 8)


def test_a_negative_gamma_makes_no_sense():
    with pytest.raises(ConfigError, match="gamma"):
        VAEGANConfig(gamma=-1.0)
