"""pix2pixHD: the method contract, each loss compared with an independent computation, and exact training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import l1_loss, mse_loss
from training_runs import tensors_of, tiny_picture, tiny_run

from ganvas.errors import ConfigError, WeightsError
from ganvas.methods import Pix2PixConfig, Pix2PixHDConfig, perceptual
from ganvas.methods.base import Batch, Progress, build
from ganvas.methods.pix2pix_hd.method import VGG_LAYERS, Pix2PixHD, feature_matching
from ganvas.networks.feature_extractors import VGG
from ganvas.recipes import RECIPES
from ganvas.testing import MethodContract, play
from ganvas.training.loop import train

TINY = {"width": 4, "discriminator_width": 4, "residual_blocks": 1, "halvings": 2, "receptive_field": 16}


class TestPaper(MethodContract):
    config = Pix2PixHDConfig(**TINY)


class TestEnhancers(MethodContract):
    overfit_is_slow = True
    config = Pix2PixHDConfig(
        **TINY | {"halvings": 1, "width": 8}, norm="none", enhancers=1, enhancer_blocks=1, discriminator_scales=2,
        residual=True, l1_weight=10.0,
    )  # fmt: skip


class TestUNet(MethodContract):
    overfit_is_slow = True
    config = Pix2PixHDConfig(
        **TINY, generator="unet", depth=2, norm="batch", objective="wasserstein", residual=True, l1_weight=10.0,
        feature_weight=0.0,
    )  # fmt: skip


def made(size: int = 32, **options: object) -> tuple[Pix2PixHD, Batch]:
    torch.manual_seed(0)
    method = build(Pix2PixHDConfig(**TINY | options), input_channels=3, output_channels=3, image_size=(size, size))
    assert isinstance(method, Pix2PixHD)
    return method, Batch(torch.rand(2, 3, size, size) * 2 - 1, torch.rand(2, 3, size, size) * 2 - 1)


def layers_at_each_scale(method: Pix2PixHD, a: torch.Tensor, b: torch.Tensor) -> list[list[torch.Tensor]]:
    """Return the outputs of all blocks, block by block; means of 3x3 pixels count only those inside the picture."""
    images, found = torch.cat([a, b], dim=1), []
    for scale in method.discriminator.scales:
        outputs = [images]
        for block in scale.blocks:
            outputs.append(block(outputs[-1].clone()).clone())
        found.append(outputs[1:])
        sums = torch.nn.functional.avg_pool2d(images, 3, 2, 1, divisor_override=1)
        images = sums / torch.nn.functional.avg_pool2d(torch.ones_like(images), 3, 2, 1, divisor_override=1)
    return found


def test_the_losses_are_those_of_the_paper() -> None:
    method, batch = made(norm="none")
    turns = method.training_step(batch, Progress(0, 0))
    judged = next(turns).losses
    with torch.no_grad():
        output = method.generator(batch.a)
        real, fake = layers_at_each_scale(method, batch.a, batch.b), layers_at_each_scale(method, batch.a, output)
    for name, outputs, wanted in (("real", real, 1.0), ("fake", fake, 0.0)):
        expected = sum(mse_loss(layers[-1], torch.full_like(layers[-1], wanted)) for layers in outputs) / 2
        torch.testing.assert_close(judged[name].detach(), expected)
    losses = next(turns).losses
    assert set(losses) == {"adversarial", "feature_matching"}
    expected = sum(mse_loss(layers[-1], torch.ones_like(layers[-1])) for layers in fake)
    torch.testing.assert_close(losses["adversarial"].detach(), expected)
    # weights of the released code: lambda 10, 4 / (n_layers + 1) with one strided layer, 1 / the number of scales
    each = [l1_loss(one, two) for scale in zip(fake, real, strict=True) for one, two in zip(*scale, strict=True)]
    hidden = [value for index, value in enumerate(each) if index % 3 < 2]  # every third output is that of the scores
    torch.testing.assert_close(losses["feature_matching"].detach(), 10 * 4 / 2 / 3 * sum(hidden))


def test_feature_matching_by_hand() -> None:
    """Two scales: layers that differ by 1 and 3 (mean 2), and by 5 and 0 (2.5); scores do not count."""
    zeros = [torch.zeros(2, 4, 3, 3), torch.zeros(2, 8, 2, 2), torch.zeros(2, 1, 1, 1)]
    first = [torch.full_like(one, value) for one, value in zip(zeros, (1.0, -3.0, 100.0), strict=True)]
    second = [torch.full_like(one, value) for one, value in zip(zeros, (5.0, 0.0, 100.0), strict=True)]
    assert feature_matching([first, second], [zeros, zeros]).item() == pytest.approx(4 * (2 + 2.5) / 2)


def test_no_gradient_reaches_the_features_of_real_pictures() -> None:
    fake = [[torch.rand(1, 2, 3, 3, requires_grad=True), torch.rand(1, 1, 2, 2)]]
    real = [[torch.rand(1, 2, 3, 3, requires_grad=True), torch.rand(1, 1, 2, 2)]]
    feature_matching(fake, real).backward()
    assert fake[0][0].grad is not None
    assert real[0][0].grad is None
    method, batch = made()
    target = batch.b.clone().requires_grad_()
    *_, turn = method.training_step(Batch(batch.a, target), Progress(0, 0))
    loss = turn.losses["feature_matching"]
    assert torch.autograd.grad(loss, target, retain_graph=True, allow_unused=True) == (None,)
    (gradient,) = torch.autograd.grad(loss, [method.generator.first.conv.weight])
    assert gradient.abs().max() > 0


def test_all_weights_0_but_one_leave_one_loss() -> None:
    method, batch = made(feature_weight=0.0)
    turns = {turn.player: set(turn.losses) for turn in method.training_step(batch, Progress(0, 0))}
    assert turns == {"discriminator": {"fake", "real"}, "generator": {"adversarial"}}
    method, batch = made(feature_weight=0.0, adversarial_weight=0.0, l1_weight=1.0)
    assert {turn.player: set(turn.losses) for turn in method.training_step(batch, Progress(0, 0))} == {
        "generator": {"l1"}
    }


@pytest.fixture
def vgg(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace VGG16 by one with random weights, and record the requested layers."""
    asked: list[str] = []

    def load(name: str, taps: tuple[str, ...], *, otherwise: str) -> VGG:
        asked.append(name)
        torch.manual_seed(1)
        return VGG(depth=16, taps=taps)

    monkeypatch.setattr(perceptual, "load_vgg", load)
    return asked


def test_the_perceptual_loss_by_hand(vgg: list[str]) -> None:
    method, batch = made(perceptual="vgg19", perceptual_weight=3.0)
    names = set(method.state_dict())
    assert vgg == []  # a trained run needs no classifier
    *_, turn = method.training_step(batch, Progress(0, 0))
    with torch.no_grad():
        output = method.generator(batch.a)
        torch.manual_seed(1)
        network = VGG(depth=16, taps=tuple(VGG_LAYERS))
        each = [l1_loss(one, two) for one, two in zip(network(output), network(batch.b), strict=True)]
    expected = 3 * sum(weight * value for weight, value in zip((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), each, strict=True))
    torch.testing.assert_close(turn.losses["perceptual"].detach(), expected)
    assert vgg == ["vgg19"]
    assert set(method.state_dict()) == names
    turn.losses["perceptual"].backward(inputs=method.player_parameters("generator"))
    assert method.generator.first.conv.weight.grad.abs().max() > 0


def test_the_perceptual_loss_can_be_the_only_one(vgg: list[str]) -> None:
    method, batch = made(perceptual="vgg16", adversarial_weight=0.0, feature_weight=0.0)
    (turn,) = method.training_step(batch, Progress(0, 0))
    assert (turn.player, set(turn.losses), vgg) == ("generator", {"perceptual"}, ["vgg16"])


def test_weights_that_are_nowhere_name_the_settings_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(record: object) -> None:
        raise WeightsError(f"{record.title}: not found")  # type: ignore[attr-defined]

    monkeypatch.setattr(perceptual, "find_weights", nowhere)
    method, batch = made(perceptual="vgg19")
    turns = method.training_step(batch, Progress(0, 0))
    next(turns)
    with pytest.raises(WeightsError, match=r"(?s)VGG19.*--perceptual vgg16, or --perceptual none"):
        next(turns)


@pytest.mark.parametrize("perceptual_weight", [0.0, 2.0])
def test_features_of_gray_outputs_are_those_of_three_equal_channels(
    perceptual_weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = VGG(depth=16, taps=tuple(VGG_LAYERS))
    monkeypatch.setattr(perceptual, "load_vgg", lambda *given, **named: network)
    config = Pix2PixHDConfig(**TINY, perceptual="vgg16", perceptual_weight=perceptual_weight, norm="none")
    method = build(config, input_channels=5, output_channels=1, image_size=(32, 32))
    batch = Batch(torch.rand(2, 5, 32, 32) * 2 - 1, torch.rand(2, 1, 32, 32) * 2 - 1)
    _, turn = method.training_step(batch, Progress(0, 0))
    if not perceptual_weight:
        assert "perceptual" not in turn.losses
        return
    with torch.no_grad():
        output = method.generator(batch.a).expand(2, 3, 32, 32)
        pairs = zip(VGG_LAYERS.values(), network(output), network(batch.b.expand(2, 3, 32, 32)), strict=True)
        expected = 2 * sum(weight * l1_loss(one, other) for weight, one, other in pairs)
    torch.testing.assert_close(turn.losses["perceptual"].detach(), expected)


@pytest.mark.parametrize(
    ("options", "channels", "reason"),
    [
        ({"perceptual": "vgg16"}, 5, "need RGB or gray, but the outputs have 5 channels: use --perceptual none"),
        ({"discriminator_scales": 4}, 3, "scales 4 with receptive_field 16 needs crops of at least 44"),
        ({"receptive_field": 70}, 3, "scales 3 with receptive_field 70 needs crops of at least 96 pixels"),
        ({"enhancers": 2}, 3, "crops of at least 32"),
        ({"halvings": 8, "width": 256, "residual_blocks": 9}, 3, "of weights, the machine"),
    ],
)
def test_networks_that_do_not_fit_are_refused(options: dict[str, object], channels: int, reason: str) -> None:
    size = (512, 512) if "halvings" in options else (24, 24)
    with pytest.raises(ConfigError, match=reason):
        build(Pix2PixHDConfig(**TINY | options), input_channels=3, output_channels=channels, image_size=size)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"halvings": 0}, r"halvings 0 must lie in 1\.\.8"),
        ({"discriminator_scales": 0}, "discriminator_scales 0"),
        ({"enhancers": 1, "width": 3}, "halves the width 3: use a multiple of 2"),
        ({"enhancers": 1, "generator": "unet"}, "need the generator resnet, not unet"),
        ({"feature_weight": -1.0}, "must not be negative"),
        ({"adversarial_weight": 0.0, "l1_weight": 1.0}, "set feature_weight to 0"),
        ({"adversarial_weight": 0.0, "feature_weight": 0.0}, "no loss is left"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Pix2PixHDConfig(**options)


def test_the_recipe_is_the_papers() -> None:
    run = RECIPES["pix2pix_hd"]()
    method = run.method
    assert isinstance(method, Pix2PixHDConfig)
    assert (method.generator, method.width, method.halvings, method.residual_blocks) == ("resnet", 64, 4, 9)
    assert (method.discriminator_scales, method.receptive_field, method.objective) == (3, 70, "least_squares")
    assert (method.feature_weight, method.l1_weight, method.perceptual, method.perceptual_weight) == (10, 0, "none", 10)
    assert (run.training.epochs, run.training.constant_fraction, run.training.batch_size) == (200, 0.5, 1)


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_to_the_bit_as_one_never_stopped(tmp_path: Path, rng: np.random.Generator) -> None:
    for split in ("train", "val"):
        for index in range(3):
            picture = tiny_picture(rng)
            for side, pixels in (("a", picture), ("b", 255 - picture)):
                folder = tmp_path / "data" / split / side
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    method = Pix2PixHDConfig(**TINY | {"halvings": 1}, dropout=0.5, discriminator_scales=2, enhancers=1)
    rare = {"sample_every": 1000, "validate_every": 1000, "constant_fraction": 1.0, "threads": 1}
    run = replace(tiny_run(tmp_path / "data", epochs=4, **rare), method=method)
    train(run, tmp_path / "whole", quiet=True)
    train(replace(run, training=replace(run.training, epochs=2)), tmp_path / "run", quiet=True)
    train(run, tmp_path / "run", resume=True, quiet=True)
    one, two = (tensors_of(tmp_path / folder / "state.safetensors") for folder in ("whole", "run"))
    assert one.keys() == two.keys()
    assert [name for name in one if not name.startswith("losses") and not torch.equal(one[name], two[name])] == []


def test_pix2pix_takes_the_steps_it_took_before_pix2pix_hd() -> None:
    """A plain loop over U-Net and PatchGAN, without the method, gives bitwise equal weights."""
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    from ganvas.networks import PatchGAN, UNet

    random = torch.Generator().manual_seed(5)
    a, b = (torch.rand(1, 3, 32, 32, generator=random) * 2 - 1 for _ in range(2))
    torch.manual_seed(3)
    method = build(
        Pix2PixConfig(width=4, discriminator_width=4), input_channels=3, output_channels=3, image_size=(32, 32)
    )
    torch.manual_seed(7)
    play(method, Batch(a, b), steps=3, betas=(0.5, 0.999))
    torch.manual_seed(3)
    generator, discriminator = UNet(3, 3, width=4, depth=5), PatchGAN(6, width=4)
    optimizers = [torch.optim.Adam(one.parameters(), lr=2e-4, betas=(0.5, 0.999)) for one in (generator, discriminator)]
    torch.manual_seed(7)
    for _ in range(3):
        fake = generator(a)
        scores = discriminator(torch.cat([a, fake.detach()], 1))
        loss = 0.5 * cross_entropy(scores, torch.zeros_like(scores))
        scores = discriminator(torch.cat([a, b], 1))
        loss = loss + 0.5 * cross_entropy(scores, torch.ones_like(scores))
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        scores = discriminator(torch.cat([a, fake], 1))
        loss = cross_entropy(scores, torch.ones_like(scores)) + 100 * l1_loss(fake, b)
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
    for ours, plain in ((method.generator, generator), (method.discriminator, discriminator)):
        assert [
            name for name, value in ours.state_dict().items() if not torch.equal(value, plain.state_dict()[name])
        ] == []
