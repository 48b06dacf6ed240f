from itertools import pairwise

import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError
from ganvas.methods import CUTConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.methods.cut.method import mirror
from ganvas.recipes import RECIPES
from ganvas.testing import MethodContract, play

TINY = {"width": 4, "discriminator_width": 4, "residual_blocks": 1, "projection": 8, "patches": 64}


class CUTContract(MethodContract):
    overfit_steps = 80

    def distance(self, method, batch):
        """Return how badly output patches are matched to the input patches they were made from; there are no pairs."""
        torch.manual_seed(0)
        with torch.no_grad():
            fake_b = method._translated(batch.a)
            return method._contrast(fake_b).item()


class TestPaper(CUTContract):
    config = CUTConfig(**TINY)
    overfit_is_slow = True


class TestFast(CUTContract):
    config = CUTConfig(
        **TINY | {"residual_blocks": 6}, contrast_weight=10.0, identity_weight=0.0, flip_equivariance=True
    )
    overfit_is_slow = True


class TestStrides(CUTContract):
    config = CUTConfig(
        **TINY,
        antialias=False,
        initialization="normal",
        norm="none",
        receptive_field=1,
        objective="hinge",
        contrast_weight=10.0,
    )
    input_channels, output_channels, image_size = 1, 1, (32, 48)
    overfit_steps = 240
    overfit_is_slow = True


class TestBatchNorm(CUTContract):
    config = CUTConfig(**TINY, norm="batch", receptive_field=16, objective="vanilla")


def tiny(image_size=(32, 32), **options):
    config = CUTConfig(**TINY | options)
    return build(config, input_channels=3, output_channels=3, image_size=image_size)


def random_batch(count=1, size=32):
    return Batch(*(torch.rand(2, count, 3, size, size) * 2 - 1))


def turns_of(method, batch, **options):
    return list(method.training_step(batch, Progress(0, 0), **options))


@pytest.mark.parametrize(
    ("options", "losses"),
    [
        ({}, {"adversarial", "contrast", "identity"}),
        ({"identity_weight": 0.0}, {"adversarial", "contrast"}),
        ({"contrast_weight": 0.0}, {"adversarial", "identity"}),
    ],
)
def test_the_discriminator_moves_first_and_a_loss_of_weight_zero_is_left_out(options, losses):
    discriminator, generator = turns_of(tiny(**options), random_batch())
    assert (discriminator.player, set(discriminator.losses)) == ("discriminator", {"fake", "real"})
    assert (generator.player, set(generator.losses)) == ("generator", losses)


def test_the_losses_are_those_of_the_paper():
    """All positions are compared, so that none is drawn at random; the cross-entropy is written out."""
    method, batch = tiny(patches=32 * 32, contrast_weight=3.0, identity_weight=2.0), random_batch(2)
    discriminator, generator = turns_of(method, batch)
    with torch.no_grad():
        fake = method.generator(batch.a)
        torch.testing.assert_close(generator.losses["adversarial"], (method.discriminator(fake) - 1).square().mean())
        torch.testing.assert_close(discriminator.losses["fake"], method.discriminator(fake).square().mean() / 2)
        torch.testing.assert_close(
            discriminator.losses["real"], (method.discriminator(batch.b) - 1).square().mean() / 2
        )
        torch.testing.assert_close(generator.losses["contrast"], 3 * by_hand(method, batch.a, fake))
        torch.testing.assert_close(
            generator.losses["identity"], 2 * by_hand(method, batch.b, method.generator(batch.b))
        )


def by_hand(method, given, made):
    """Return the mean over layers, pictures and positions of -log(exp(q.k+ / tau) / sum over k of exp(q.k / tau))."""
    losses = []
    encoded = (method.generator.encode(pictures) for pictures in (given, made))
    for head, *features in zip(method.heads.heads, *encoded, strict=True):
        for picture in range(len(given)):
            rows = [head(values[picture].flatten(1).T) for values in features]
            keys, queries = (values / values.norm(dim=1, keepdim=True).clamp(min=1e-12) for values in rows)
            likeness = (queries @ keys.T / 0.07).double().exp()
            losses.append(-(likeness.diag() / likeness.sum(dim=1)).log().mean())
    return torch.stack(losses).mean().float()


def test_heads_and_generator_are_one_player_and_a_snapshot_has_no_heads():
    method = tiny()
    assert method.players["generator"] == ("generator", "heads")
    assert method.generators == ("generator",)
    assert len(method.heads.heads) == 4  # one block is both the first and the last


def test_the_picture_and_its_features_come_from_one_pass(monkeypatch):
    method, passes = tiny(), []
    last, first = method.generator.last, method.generator.first
    last.register_forward_hook(lambda *_: passes.append("decoder"))
    first.register_forward_hook(lambda *_: passes.append("encoder"))
    turns_of(method, random_batch())
    assert passes.count("decoder") == 2  # for a and for b
    assert passes.count("encoder") == 4  # and for their outputs


def test_keys_are_of_the_picture_as_it_was_and_queries_are_mirrored_back():
    """The generator is the identity: mirrored and mirrored back, each patch matches its own key."""
    method = tiny(flip_equivariance=True, antialias=False)
    real, mirrored = random_batch(8).a, []
    for seed in range(3):
        torch.manual_seed(seed)
        made = method._translated(real)
        assert made.mirrored.shape == (8, 1, 1, 1)
        mirrored += made.mirrored.flatten().tolist()
        torch.testing.assert_close(made.picture, method.generator(mirror(real, made.mirrored)))
        assert all(torch.equal(*both) for both in zip(made.keys, method.generator.encode(real), strict=True))
        assert not any(key.requires_grad for key in made.keys)
    assert {True, False} == set(mirrored)


def test_mirroring_takes_the_chosen_pictures_alone():
    values = torch.arange(8.0).view(2, 1, 1, 4)
    chosen = torch.tensor([True, False]).view(2, 1, 1, 1)
    assert mirror(values, chosen).flatten().tolist() == [3, 2, 1, 0, 4, 5, 6, 7]


@pytest.mark.parametrize("options", [{}, {"flip_equivariance": True}])
def test_bfloat16_moves_every_weight_that_float32_does(options):
    """Weights that autocast caches without gradients must not be reused where gradients are needed."""
    method, batch, moved = tiny(**options), random_batch(), []
    for enabled in (False, True):
        turns = method.training_step(batch, Progress(0, 0))
        next(turns)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            losses = next(turns).losses
        gradients = torch.autograd.grad(sum(losses.values()), method.player_parameters("generator"), allow_unused=True)
        moved.append([gradient is not None for gradient in gradients])
    assert all(moved[0])
    assert moved[0] == moved[1]


def test_initial_weights_are_the_released_codes_or_cyclegans():
    for initialization, wanted in (("xavier", 0.02 * (2 / (2 * 64 * 9)) ** 0.5), ("normal", 0.02)):
        torch.manual_seed(0)
        method = tiny(width=16, initialization=initialization)
        weight = method.generator.residual_blocks[0].first.conv.weight
        assert weight.std().item() == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize(("size", "blocks"), [((128, 128), 6), ((256, 256), 9)])
def test_the_blocks_follow_the_crop(size, blocks):
    with torch.device("meta"):
        method = tiny(size, residual_blocks=None, width=1)
    assert len(method.generator.residual_blocks) == blocks


def test_channels_must_agree():
    with pytest.raises(ConfigError, match="1 and 3 channels"):
        build(CUTConfig(**TINY), input_channels=1, output_channels=3, image_size=(32, 32))


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"contrast_weight": -1.0}, "must not be negative"),
        ({"contrast_weight": 0.0, "identity_weight": 0.0}, "are both 0"),
        ({"patches": 1}, "at least 2"),
        ({"projection": 0}, "at least 1"),
        ({"temperature": 0.0}, "must be positive"),
    ],
)
def test_settings_that_make_no_sense(options, mend):
    with pytest.raises(ConfigError, match=mend):
        CUTConfig(**options)


def test_the_recipes_are_the_papers_and_the_released_codes():
    weights = {
        name: (RECIPES[name]().method.contrast_weight, RECIPES[name]().method.identity_weight)
        for name in ("cut", "cut_port", "fastcut")
    }
    assert weights == {"cut": (1, 1), "cut_port": (0.5, 0.5), "fastcut": (10, 0)}
    assert [RECIPES[name]().training.epochs for name in weights] == [400, 400, 200]
    assert [name for name in weights if RECIPES[name]().method.flip_equivariance] == ["fastcut"]


@pytest.mark.slow
def test_a_patch_learns_to_be_known(monkeypatch):
    """After training on the contrastive loss alone, patches are matched better than by chance."""
    torch.manual_seed(2)
    method = tiny(identity_weight=0.0)
    trace = play(method, random_batch(size=32), steps=40, rate=2e-3)
    losses = [step["generator/contrast"] for step in trace]
    assert losses[-1] < 0.5 * losses[0]
    assert all(isinstance(module, nn.Module) for module in method.children())
    assert max(abs(b - a) for a, b in pairwise(losses)) < losses[0]
