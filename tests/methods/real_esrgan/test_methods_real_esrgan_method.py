"""Real-ESRGAN: the method contract, its losses, and that the perceptual network is not part of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_methods_srresnet_method import SmallInput
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from ganvas.errors import ConfigError, WeightsError
from ganvas.methods import RealESRGANConfig, SRResNetConfig, perceptual
from ganvas.methods.base import Progress, build
from ganvas.networks.feature_extractors import VGG
from ganvas.recipes import real_restoration, real_restoration_l1
from ganvas.testing import MethodContract

SMALL = {"width": 8, "num_blocks": 1, "scale": 2, "discriminator_width": 4}
COMPACT = RealESRGANConfig(**SMALL, generator="compact", perceptual="none")


class TestCompact(SmallInput):
    config = COMPACT
    overfit_steps = 150
    overfit_rate = 5e-3


@pytest.mark.slow
class TestRRDB(SmallInput):
    config = replace(COMPACT, generator="rrdb", width=4, growth=2, unshuffle=2)
    overfit_steps = 150
    overfit_is_slow = True
    overfit_rate = 1e-2


@pytest.mark.slow
class TestSameSizeGray(MethodContract):
    config = replace(COMPACT, scale=1)
    input_channels = output_channels = 1
    overfit_steps = 150
    overfit_rate = 5e-3


@pytest.fixture
def vgg(monkeypatch):
    """Replace the classifier by one with random weights at the requested layers."""
    asked = []

    def load(name, taps, *, otherwise):
        asked.append((name, taps, otherwise))
        torch.manual_seed(0)
        return VGG(depth=16 if name == "vgg16" else 19, taps=taps)

    monkeypatch.setattr(perceptual, "load_vgg", load)
    return asked


def case(config) -> SmallInput:
    made = SmallInput()
    made.config = config
    return made


def test_the_losses_are_those_of_the_paper(vgg) -> None:
    tested = case(replace(COMPACT, perceptual="vgg16"))
    method, batch = tested.make(), tested.batch()
    turns = method.training_step(batch, Progress(0, 0))
    told = next(turns).losses
    method.eval()  # keeps the estimates of spectral norms
    with torch.no_grad():
        made = method.generator(batch.a)
        real, fake = method.discriminator(batch.b), method.discriminator(made)
    assert real.shape == (2, 1, 32, 32)
    torch.testing.assert_close(told["real"].detach(), cross_entropy(real, torch.ones_like(real)), atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(told["fake"].detach(), cross_entropy(fake, torch.zeros_like(fake)), atol=1e-2, rtol=1e-2)
    losses = {name: loss.detach() for name, loss in next(turns).losses.items()}
    torch.testing.assert_close(losses["adversarial"], 0.1 * cross_entropy(fake, torch.ones_like(fake)))
    torch.testing.assert_close(losses["pixels"], (made - batch.b).abs().mean() / 2)  # for pictures in [0, 1]
    network = method._perceptual._network
    expected = sum(
        weight * (ours - theirs).abs().mean()
        for weight, ours, theirs in zip((0.1, 0.1, 1, 1, 1), network(made), network(batch.b), strict=True)
    )
    torch.testing.assert_close(losses["perceptual"], expected)
    places = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
    assert vgg == [("vgg16", places, "--perceptual vgg16, or --perceptual none")]


@pytest.mark.slow
def test_the_classifier_is_no_part_of_the_method_and_sees_gray_pictures(vgg) -> None:
    tested = case(replace(COMPACT, perceptual="vgg19"))
    tested.input_channels = tested.output_channels = 1
    method = tested.make()
    names = set(method.state_dict())
    for turn in method.training_step(tested.batch(), Progress(0, 0)):
        sum(turn.losses.values()).backward(inputs=method.player_parameters(turn.player))
    assert set(method.state_dict()) == names
    assert all(name.startswith(("generator.", "discriminator.")) for name in names)
    assert [asked[:2] for asked in vgg] == [("vgg19", ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"))]


@pytest.mark.slow
def test_missing_weights_are_told_at_the_first_step_with_the_remedy(monkeypatch) -> None:
    def nowhere(record):
        raise WeightsError(f"{record.title}: not found")

    monkeypatch.setattr(perceptual, "find_weights", nowhere)
    tested = case(replace(COMPACT, perceptual="vgg19"))
    turns = tested.make().training_step(tested.batch(), Progress(0, 0))  # a trained run needs no classifier
    next(turns)
    with pytest.raises(WeightsError, match=r"(?s)VGG19.*--perceptual vgg16, or --perceptual none"):
        next(turns)


def test_weights_of_zero_leave_losses_out() -> None:
    tested = case(replace(COMPACT, adversarial_weight=0.0))
    method = tested.make()
    (turn,) = method.training_step(tested.batch(), Progress(0, 0))
    assert (turn.player, [*turn.losses]) == ("generator", ["pixels"])
    assert not any(name.startswith("discriminator") for name in method.state_dict())


@pytest.mark.slow
class TestWithoutADiscriminator(SmallInput):
    config = replace(COMPACT, adversarial_weight=0.0)
    overfit_steps = 150
    overfit_rate = 5e-3


def test_features_cannot_compare_other_channels() -> None:
    with pytest.raises(ConfigError, match="--perceptual none"):
        build(RealESRGANConfig(**SMALL), input_channels=5, output_channels=5, image_size=(32, 32))


@pytest.mark.parametrize(
    "wrong",
    [
        {"pixel_weight": -1.0},
        {"adversarial_weight": -0.1},
        {"discriminator_width": 0},
        {"pixel_weight": 0.0, "perceptual_weight": 0.0, "adversarial_weight": 0.0},
        {"pixel_weight": 0.0, "perceptual": "none", "adversarial_weight": 0.0},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match=r"must|nothing would be learned"):
        RealESRGANConfig(**wrong)


def test_a_crop_too_small_for_the_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 16"):
        build(RealESRGANConfig(**SMALL), input_channels=3, output_channels=3, image_size=(12, 12))


def test_the_recipe_continues_from_the_first_stage() -> None:
    first, second = real_restoration_l1(), real_restoration()
    assert isinstance(second.method, RealESRGANConfig)
    same = ("generator", "scale", "width", "num_blocks", "activation", "residual", "loss")
    assert all(getattr(first.method, name) == getattr(second.method, name) for name in same)
    assert first.data == second.data
    assert first.data.degrade == "second_order"
    weights = second.method.pixel_weight, second.method.perceptual_weight, second.method.adversarial_weight
    assert weights == (1, 1, 0.1)
    assert second.training.ema_half_life > 0
    assert issubclass(RealESRGANConfig, SRResNetConfig)
