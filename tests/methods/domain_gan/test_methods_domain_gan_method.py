import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError
from ganvas.methods import DomainGANConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.recipes import RECIPES
from ganvas.testing import MethodContract, copies, play

TINY = {"width": 4, "z_size": 8}
EASY = {"width": 4, "z_size": 2, "encoder_after": 80}
LATER = Progress(1_000_000, 1_000)


class TestPaper(MethodContract):
    config = DomainGANConfig(**EASY)
    stages = (Progress(0, 0), LATER)
    overfit_pictures, overfit_steps = 8, 120

    def distance(self, method, batch):
        """Return the error that the second stage can overfit: that of the noise recovered from generated pictures."""
        torch.manual_seed(0)
        with torch.no_grad():
            return method._encoder_loss(torch.tensor([0, 1]).repeat(16)).item()


class TestGray(MethodContract):
    config = DomainGANConfig(**EASY, class_weight=0.5, generator_steps=1)
    input_channels, output_channels, image_size = 1, 1, (16, 32)
    stages = (Progress(0, 0), LATER)
    overfit_pictures, overfit_steps = 8, 120
    distance = TestPaper.distance
    overfit_is_slow = True


def tiny(channels=(3, 3), image_size=(32, 32), **options):
    torch.manual_seed(0)
    config = DomainGANConfig(**TINY | options)
    return build(config, input_channels=channels[0], output_channels=channels[1], image_size=image_size)


def random_batch(count=2):
    return Batch(*(torch.rand(2, count, 3, 32, 32) * 2 - 1))


@pytest.mark.parametrize(
    ("images_seen", "steps", "players"),
    [
        (0, 1, ["discriminator", "generator"]),
        (99, 1, ["discriminator", "generator"]),
        (99, 2, ["discriminator", "generator", "generator"]),
        (100, 1, ["encoder"]),
        (10_000, 1, ["encoder"]),
    ],
)
def test_the_stage_follows_from_the_images_seen(images_seen, steps, players):
    method = tiny(encoder_after=100, generator_steps=steps)
    turns = [turn.player for turn in method.training_step(random_batch(), Progress(images_seen, 7))]
    assert turns == players


def test_the_discriminator_tells_real_from_drawn_and_the_sides_of_real_pictures():
    method, batch = tiny(class_weight=3.0), random_batch()
    torch.manual_seed(4)
    turn = next(method.training_step(batch, Progress(0, 0)))
    torch.manual_seed(4)
    classes = torch.tensor([0, 0, 1, 1])
    fake = method.generator(torch.randn(4, 8), classes)
    real_scores, sides = method.discriminator(torch.cat([batch.a, batch.b]))
    fake_scores, _ = method.discriminator(fake)
    torch.testing.assert_close(turn.losses["real"], -torch.sigmoid(real_scores).log().mean())
    torch.testing.assert_close(turn.losses["fake"], -(1 - torch.sigmoid(fake_scores)).log().mean())
    wanted = -3 * torch.log_softmax(sides, dim=1)[torch.arange(4), classes].mean()
    torch.testing.assert_close(turn.losses["side"], wanted)


def test_the_generator_is_told_of_its_own_pictures_alone():
    method, batch = tiny(generator_steps=1), random_batch()
    torch.manual_seed(4)
    _, turn = method.training_step(batch, Progress(0, 0))
    torch.manual_seed(4)
    classes = torch.tensor([0, 0, 1, 1])
    scores, sides = method.discriminator(method.generator(torch.randn(4, 8), classes))
    torch.testing.assert_close(turn.losses["adversarial"], -torch.sigmoid(scores).log().mean())
    torch.testing.assert_close(turn.losses["side"], nn.functional.cross_entropy(sides, classes))


def test_the_encoder_is_told_of_the_noise_that_it_missed():
    method, batch = tiny(), random_batch()
    torch.manual_seed(4)
    (turn,) = method.training_step(batch, LATER)
    torch.manual_seed(4)
    z = torch.randn(4, 8)
    with torch.no_grad():
        drawn = method.eval().generator(z, torch.tensor([0, 0, 1, 1]))
    (found,) = method.train().encoder(drawn)
    torch.testing.assert_close(turn.losses["noise"], (found - z).square().mean())


def test_in_the_second_stage_the_gan_stays_as_it_is():
    method = tiny(encoder_after=0)
    before = {name: value.clone() for name, value in method.generator.state_dict().items()}
    discriminator, encoder = copies([*method.discriminator.parameters()]), copies([*method.encoder.parameters()])
    play(method, random_batch(), steps=3)
    assert all(torch.equal(value, before[name]) for name, value in method.generator.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(discriminator, method.discriminator.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(encoder, method.encoder.parameters(), strict=True))
    assert method.generator.training


def test_a_picture_is_drawn_again_as_the_other_side():
    method, images = tiny().eval(), random_batch().a
    with torch.no_grad():
        (z,) = method.encoder(images)
        assert torch.equal(method.translate(images), method.generator(z, torch.tensor([1, 1])))
        back = method.translate(images, direction="b_to_a")
        assert torch.equal(back, method.generator(z, torch.tensor([0, 0])))


def test_samples_of_both_sides_come_from_the_same_noise():
    method = tiny().eval()
    torch.manual_seed(5)
    with torch.no_grad():
        a, b = method.sample(3)
        torch.manual_seed(5)
        z = torch.randn(3, 8)
        assert torch.equal(a, method.generator(z, torch.tensor([0, 0, 0])))
        assert torch.equal(b, method.generator(z, torch.tensor([1, 1, 1])))
    assert not torch.equal(a, b)


def test_the_layers_are_those_of_the_released_code():
    config = DomainGANConfig()
    method = build(config, input_channels=3, output_channels=3, image_size=(64, 64))
    convs = [layer for layer in method.discriminator.modules() if isinstance(layer, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in convs] == [
        (n, (5, 5), (2, 2)) for n in (64, 128, 256, 512)
    ]
    assert [head.out_features for head in method.discriminator.heads] == [1, 2]
    assert [head.out_features for head in method.encoder.heads] == [100]
    assert method.generator.decoder.small == (1024, 4, 4)
    up = [layer for layer in method.generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [c.out_channels for c in up] == [512, 256, 128, 3]
    assert method.generator.embedding.weight.shape == (2, 5)


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"width": 0}, "width 0"),
        ({"generator_steps": 0}, "generator_steps 0"),
        ({"class_weight": 0.0}, "must be positive"),
        ({"encoder_after": -1}, "must not be negative"),
    ],
)
def test_settings_that_make_no_sense(options, mend):
    with pytest.raises(ConfigError, match=mend):
        DomainGANConfig(**options)


def test_what_does_not_fit_is_told_the_mend():
    with pytest.raises(ConfigError, match="use equal numbers of channels"):
        tiny(channels=(1, 3))
    with pytest.raises(ConfigError, match="multiples of 16, not 40x32: set crop_size, for example to 32x32"):
        tiny(image_size=(40, 32))


def test_the_recipe_has_the_papers_settings():
    config = RECIPES["domain_gan"]()
    assert (config.training.learning_rate, config.training.betas) == (2e-4, (0.5, 0.999))
    assert 2 * config.training.batch_size == 64
    assert (config.method.z_size, config.data.crop_size) == (100, (64, 64))


def test_a_training_too_short_for_the_encoder_is_told_the_mend():
    assert tiny(encoder_after=99).left_untrained(100) is None
    assert "more --epochs" in tiny(encoder_after=100).left_untrained(100)
