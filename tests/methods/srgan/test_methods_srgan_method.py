import pytest
import torch
from test_methods_srresnet_method import SmallInput
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from ganvas.errors import ConfigError, WeightsError
from ganvas.methods import SRGANConfig, perceptual
from ganvas.methods.base import Progress, build
from ganvas.methods.srgan import method as srgan_method
from ganvas.networks.feature_extractors import VGG

SMALL = {"width": 8, "num_blocks": 1, "scale": 2, "discriminator_width": 4}


class TestOnPixels(SmallInput):
    config = SRGANConfig(**SMALL, content="pixels", content_weight=1.0)
    overfit_steps = 150


class TestRelativistic(SmallInput):
    config = SRGANConfig(
        **SMALL, norm="none", residual=True, content="pixels", content_weight=1.0, pixel_weight=0.01,
        objective="relativistic", discriminator_norm="none", spectral=True,
    )  # fmt: skip
    overfit_steps = 150


def case(**more) -> SmallInput:
    made = SmallInput()
    made.config = SRGANConfig(**SMALL, **more)
    return made


@pytest.fixture
def vgg(monkeypatch):
    """Replace VGG16 by one with random weights at the requested layer."""
    torch.manual_seed(0)
    asked = []

    def load(name, *, pre_activation):
        asked.append((name, pre_activation))
        return VGG(depth=16, taps=("conv2_2" if pre_activation else "relu2_2",))

    monkeypatch.setattr(srgan_method, "load_content_features", load)
    return asked


def test_the_losses_are_those_of_the_paper(vgg):
    tested = case(content="vgg16-2,2")
    method, batch = tested.make(), tested.batch()
    turns = method.training_step(batch, Progress(0, 0))
    told = next(turns).losses
    with torch.no_grad():
        made = method.generator(batch.a)
        real, fake = method.discriminator(batch.b), method.discriminator(made)
    torch.testing.assert_close(told["real"].detach(), cross_entropy(real, torch.ones_like(real)))
    torch.testing.assert_close(told["fake"].detach(), cross_entropy(fake, torch.zeros_like(fake)))
    losses = next(turns).losses
    torch.testing.assert_close(losses["adversarial"].detach(), 1e-3 * cross_entropy(fake, torch.ones_like(fake)))
    network = method._features._network
    expected = 0.006 * (network(made)[0] - network(batch.b)[0]).square().mean()
    torch.testing.assert_close(losses["content"].detach(), expected)
    assert vgg == [("vgg16-2,2", False)]


def test_the_relativistic_losses_compare_with_the_mean_of_the_other_kind():
    tested = case(content="pixels", objective="relativistic")
    method, batch = tested.make(), tested.batch()
    turns = method.training_step(batch, Progress(0, 0))
    told = next(turns).losses["relativistic"]
    with torch.no_grad():
        real, fake = method.discriminator(batch.b), method.discriminator(method.generator(batch.a))
    more, less = real - fake.mean(), fake - real.mean()
    expected = (cross_entropy(more, torch.ones_like(more)) + cross_entropy(less, torch.zeros_like(less))) / 2
    torch.testing.assert_close(told.detach(), expected)
    adversarial = next(turns).losses["adversarial"].detach()
    opposite = (cross_entropy(less, torch.ones_like(less)) + cross_entropy(more, torch.zeros_like(more))) / 2
    torch.testing.assert_close(adversarial, 1e-3 * opposite)


def test_the_classifier_is_no_part_of_the_method(vgg):
    tested = case(content="vgg16-2,2", pre_activation=True)
    method = tested.make()
    names = set(method.state_dict())
    for turn in method.training_step(tested.batch(), Progress(0, 0)):
        sum(turn.losses.values()).backward(inputs=method.player_parameters(turn.player))
    assert vgg == [("vgg16-2,2", True)]
    assert set(method.state_dict()) == names
    assert all(name.startswith(("generator.", "discriminator.")) for name in names)


def test_weights_that_are_nowhere_are_told_at_the_first_step_and_not_before(monkeypatch):
    def nowhere(record):
        raise WeightsError(f"{record.title}: not found")

    monkeypatch.setattr(perceptual, "find_weights", nowhere)
    tested = case()
    method = tested.make()  # a trained run needs no classifier
    turns = method.training_step(tested.batch(), Progress(0, 0))
    next(turns)
    with pytest.raises(WeightsError, match=r"(?s)VGG19.*--content vgg16-5,3"):
        next(turns)


def test_features_of_color_cannot_compare_other_channels():
    with pytest.raises(ConfigError, match=r"need RGB or gray, but the outputs have 5 channels.*content pixels"):
        build(SRGANConfig(**SMALL), input_channels=5, output_channels=5, image_size=(32, 32))
    config = SRGANConfig(**SMALL, content_weight=0.0)
    assert build(config, input_channels=5, output_channels=5, image_size=(32, 32)).generator is not None


def test_features_of_gray_outputs_are_those_of_three_equal_channels(vgg):
    tested = case(content="vgg16-2,2")
    tested.input_channels = tested.output_channels = 1
    method, batch = tested.make(), tested.batch()
    _, turn = method.training_step(batch, Progress(0, 0))
    network = method._features._network
    with torch.no_grad():
        made, wanted = (network(gray.repeat(1, 3, 1, 1))[0] for gray in (method.generator(batch.a), batch.b))
    torch.testing.assert_close(turn.losses["content"].detach(), 0.006 * (made - wanted).square().mean())


def test_without_an_adversarial_weight_there_is_no_discriminator():
    tested = case(content="pixels", content_weight=1.0, adversarial_weight=0.0)
    method = tested.make()
    (turn,) = method.training_step(tested.batch(), Progress(0, 0))
    assert (turn.player, [*turn.losses]) == ("generator", ["content"])
    assert not any(name.startswith("discriminator") for name in method.state_dict())


@pytest.mark.parametrize("wrong", [{"content_weight": -1.0}, {"adversarial_weight": -1.0}, {"discriminator_width": 0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match="must"):
        SRGANConfig(**wrong)


def test_with_all_weights_0_nothing_would_be_learnt():
    with pytest.raises(ConfigError, match="all 0"):
        SRGANConfig(content_weight=0.0, adversarial_weight=0.0)


def test_a_crop_whose_last_layer_has_one_place_is_refused():
    with pytest.raises(ConfigError, match="at least 17"):
        build(SRGANConfig(**SMALL), input_channels=3, output_channels=3, image_size=(16, 16))
