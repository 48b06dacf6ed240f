import json

import pytest
import torch
from reference_steps import compare_weights, play_as_reference
from safetensors.torch import load_file

from ganvas.errors import ConfigError
from ganvas.interop.reference_methods import import_reference
from ganvas.methods import Pix2PixConfig
from ganvas.methods.architectures import choose_depth
from ganvas.methods.base import Batch, Progress, build
from ganvas.testing import MethodContract

TINY = {"width": 4, "discriminator_width": 4}


class TestPaper(MethodContract):
    config = Pix2PixConfig(**TINY)


class TestRestoring(MethodContract):
    config = Pix2PixConfig(**TINY, norm="none", dropout=0.0, residual=True, upsampling="resize", depth=2)


class TestThreeFrames(MethodContract):
    config = Pix2PixConfig(**TINY, norm="none", dropout=0.0, residual=True, depth=2, frames=3)

    def test_it_starts_as_the_middle_frame(self):
        images = self.batch().a
        with torch.no_grad():
            torch.testing.assert_close(self.make().eval().translate(images), images[:, 3:6])


class TestChannels(MethodContract):
    config = Pix2PixConfig(**TINY, norm="instance", objective="least_squares", receptive_field=16)
    input_channels, output_channels, image_size = 5, 1, (32, 48)


class TestEncoderDecoder(MethodContract):
    config = Pix2PixConfig(**TINY, generator="encoder_decoder", objective="hinge", receptive_field=1, dropout=0.0)
    overfit_steps = 120
    overfit_is_slow = True


class TestResidualBlocks(MethodContract):
    config = Pix2PixConfig(**TINY, generator="resnet", residual_blocks=1, objective="wasserstein", receptive_field=34)
    overfit_is_slow = True


class TestL1Alone(MethodContract):
    config = Pix2PixConfig(**TINY, norm="none", dropout=0.0, adversarial_weight=0.0)
    overfit_is_slow = True

    def test_it_has_no_discriminator(self):
        method = self.make()
        assert not hasattr(method, "discriminator")
        assert [turn.player for turn in method.training_step(self.batch(), Progress(0, 0))] == ["generator"]


def test_cgan_alone_has_no_l1():
    method = build(Pix2PixConfig(**TINY, l1_weight=0.0), input_channels=3, output_channels=3, image_size=(32, 32))
    images = torch.rand(1, 3, 32, 32)
    turns = {turn.player: set(turn.losses) for turn in method.training_step(Batch(images, images), Progress(0, 0))}
    assert turns == {"discriminator": {"fake", "real"}, "generator": {"adversarial"}}


@pytest.mark.parametrize(
    ("image_size", "depth"),
    [((256, 256), 8), ((256, 512), 8), ((128, 128), 7), ((64, 96), 5), ((384, 384), 7), ((1024, 1024), 8), ((8, 8), 3)],
)
def test_the_depth_follows_the_crop(image_size, depth):
    assert choose_depth(None, image_size) == depth


@pytest.mark.parametrize(
    ("options", "image_size", "mend"),
    [
        ({}, (250, 256), "multiples of 32, for example 224x256"),
        ({}, (33, 33), "multiples of 8, for example 32x32"),
        ({"depth": 5}, (48, 64), "multiples of 32, not 48x64: set crop_size, for example to 32x64"),
        ({"generator": "resnet"}, (30, 32), "multiples of 4, not 30x32: set crop_size, for example to 28x32"),
        ({"receptive_field": 286}, (64, 64), "receptive_field 286 needs crops of at least 96"),
    ],
)
def test_a_crop_that_does_not_fit_is_told_the_mend(options, image_size, mend):
    with pytest.raises(ConfigError, match=mend):
        build(Pix2PixConfig(**TINY, **options), input_channels=3, output_channels=3, image_size=image_size)


def test_residual_needs_equal_channels():
    with pytest.raises(ConfigError, match="use equal numbers of channels"):
        build(Pix2PixConfig(residual=True), input_channels=1, output_channels=3, image_size=(32, 32))


@pytest.mark.parametrize("receptive_field", [1, 16, 34, 70, 142, 286])
def test_the_discriminator_sees_what_was_asked(receptive_field):
    config = Pix2PixConfig(width=1, discriminator_width=1, receptive_field=receptive_field)
    method = build(config, input_channels=3, output_channels=2, image_size=(128, 128))
    assert method.discriminator.receptive_field == receptive_field
    assert method.discriminator.blocks[0].conv.in_channels == 5


def test_a_wasserstein_critic_has_no_batch_norm():
    config = Pix2PixConfig(**TINY, objective="wasserstein", norm="batch")
    method = build(config, input_channels=3, output_channels=3, image_size=(32, 32))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in method.discriminator.modules())


def test_only_known_settings_build_a_method():
    with pytest.raises(ConfigError, match=r"no method has the config int; known: .*Pix2PixConfig"):
        build(3, input_channels=3, output_channels=3, image_size=(32, 32))


def two_steps(parity, *, l1_weight=100.0, **adam):
    """Return the folder of the reference's steps, the method after the same steps, and the reported losses."""
    folder = parity / "pix2pix_steps"
    method = import_reference(folder / "before_net_G.pth", folder / "before_net_D.pth", l1_weight=l1_weight).method
    inputs = load_file(folder / "inputs.safetensors")
    batches = [Batch(inputs[f"a{step}"], inputs[f"b{step}"]) for step in range(2)]
    return folder, method, play_as_reference(method, batches, **adam)


@pytest.mark.parity
def test_two_steps_agree_with_the_reference(parity):
    wanted = json.loads((parity / "index.json").read_text())["pix2pix_steps"]["losses"]
    folder, method, played = two_steps(parity)
    for step, (losses, reported) in enumerate(zip(played.losses, wanted, strict=True)):
        # the reference reports D's losses before halving them
        ours = {"G_GAN": losses["generator/adversarial"], "G_L1": losses["generator/l1"]}
        ours |= {"D_real": 2 * losses["discriminator/real"], "D_fake": 2 * losses["discriminator/fake"]}
        assert ours == pytest.approx(reported, rel=1e-5 if step == 0 else 1e-4)
    compare_weights(method.generator, folder / "after_net_G.pth", played)
    compare_weights(method.discriminator, folder / "after_net_D.pth", played)


@pytest.mark.parity
@pytest.mark.parametrize("wrong", [{"betas": (0.9, 0.999)}, {"betas": (0.5, 0.99)}, {"rate": 2.02e-4}])
def test_another_adam_does_not_agree_with_the_reference(parity, wrong):
    folder, method, played = two_steps(parity, **wrong)
    for network, name in ((method.generator, "G"), (method.discriminator, "D")):
        with pytest.raises(AssertionError, match=r"apart on average|weights, by up to"):
            compare_weights(network, folder / f"after_net_{name}.pth", played)


@pytest.mark.parity
def test_another_weight_of_l1_does_not_agree_with_the_reference(parity):
    folder, method, played = two_steps(parity, l1_weight=99.0)
    with pytest.raises(AssertionError, match="weights, by up to"):
        compare_weights(method.generator, folder / "after_net_G.pth", played)
