import json
from dataclasses import replace

import pytest
import torch
from reference_steps import compare_weights, play_as_reference
from safetensors.torch import load_file

from ganvas.errors import ConfigError
from ganvas.interop.reference_methods import AS_RELEASED, NETWORK_NAMES, import_cyclegan
from ganvas.methods import CycleGANConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.methods.cyclegan.method import Replay
from ganvas.networks import ResNet, UNet
from ganvas.testing import MethodContract, play

TINY = {"width": 4, "discriminator_width": 4, "residual_blocks": 1}


class TestPaper(MethodContract):
    config = CycleGANConfig(**TINY, pool_size=3)
    overfit_steps = 100
    overfit_is_slow = True


class TestPhotographs(MethodContract):
    config = CycleGANConfig(
        **TINY, identity_weight=0.5, cycle_weight=30.0, order="discriminators_first", objective="vanilla"
    )
    overfit_steps = 150


class TestChannels(MethodContract):
    config = CycleGANConfig(**TINY, norm="none", receptive_field=1, pool_size=0, upsampling="resize")
    input_channels, output_channels, image_size = 4, 1, (32, 48)
    overfit_steps = 120
    overfit_is_slow = True


class TestUNet(MethodContract):
    config = CycleGANConfig(
        width=8,
        depth=3,
        discriminator_width=4,
        generator="unet",
        norm="batch",
        dropout=0.2,
        objective="hinge",
        cycle_weight=30.0,
    )
    overfit_steps = 150
    overfit_is_slow = True


def tiny(image_size=(32, 32), channels=(3, 3), **options):
    config = CycleGANConfig(**TINY | options)
    return build(config, input_channels=channels[0], output_channels=channels[1], image_size=image_size)


def random_batch(count=1, size=32):
    return Batch(*(torch.rand(2, count, 3, size, size) * 2 - 1))


@pytest.mark.parametrize(
    ("options", "losses"),
    [
        ({}, {"adversarial_a", "adversarial_b", "cycle_a", "cycle_b"}),
        ({"cycle_weight": 0.0}, {"adversarial_a", "adversarial_b"}),
        ({"cycle": "forward"}, {"adversarial_a", "adversarial_b", "cycle_a"}),
        ({"cycle": "backward"}, {"adversarial_a", "adversarial_b", "cycle_b"}),
        (
            {"identity_weight": 0.5},
            {"adversarial_a", "adversarial_b", "cycle_a", "cycle_b", "identity_a", "identity_b"},
        ),
    ],
)
def test_a_loss_of_weight_zero_is_left_out(options, losses):
    turns = list(tiny(**options).training_step(random_batch(), Progress(0, 0)))
    assert [turn.player for turn in turns] == ["generators", "discriminators"]
    assert set(turns[0].losses) == losses
    assert set(turns[1].losses) == {"real_a", "fake_a", "real_b", "fake_b"}


def test_each_cycle_has_its_own_weight():
    """As in the released code: lambda_A weights pictures of a, also in the identity loss; lambda_B those of b."""
    plain, weighed = (
        {"norm": "none", "cycle_weight": 1.0, "identity_weight": 0.5},
        {"cycle_weight_a": 3.0, "cycle_weight_b": 7.0},
    )
    method, batch = tiny(**plain), random_batch()
    other = tiny(**plain | weighed)
    other.load_state_dict(method.state_dict())
    one, two = (next(each.training_step(batch, Progress(0, 0))).losses for each in (method, other))
    for name, factor in {"cycle_a": 3, "identity_a": 3, "cycle_b": 7, "identity_b": 7, "adversarial_a": 1}.items():
        torch.testing.assert_close(two[name], factor * one[name])


def test_one_cycle_can_be_left_out_by_its_weight():
    losses = next(tiny(cycle_weight_b=0.0, identity_weight=0.5).training_step(random_batch(), Progress(0, 0))).losses
    assert set(losses) == {"adversarial_a", "adversarial_b", "cycle_a", "identity_a"}


def test_discriminators_can_move_first():
    turns = tiny(order="discriminators_first").training_step(random_batch(), Progress(0, 0))
    assert [turn.player for turn in turns] == ["discriminators", "generators"]


def test_what_is_made_is_turned_back_by_the_other():
    method, batch = tiny(norm="none"), random_batch()
    losses = next(method.training_step(batch, Progress(0, 0))).losses
    with torch.no_grad():
        again = method.translate(method.translate(batch.a), direction="b_to_a")
    torch.testing.assert_close(losses["cycle_a"].detach(), 10 * (again - batch.a).abs().mean())


def test_the_discriminators_are_shown_past_fakes():
    method, batches = tiny(pool_size=1), [random_batch() for _ in range(8)]
    made = []
    for batch in batches:
        with torch.no_grad():
            made.append(method.translate(batch.a))
        list(method.training_step(batch, Progress(0, 0)))  # no player is updated
    (kept,) = method.replay_b.images
    assert any(torch.equal(kept, fake[0]) for fake in made)
    assert not torch.equal(kept, torch.zeros_like(kept))


def test_the_memory_is_in_the_state_and_not_in_the_generators():
    method, state = tiny(pool_size=2), None
    play(method, random_batch(), steps=3)
    state = method.state_dict()
    assert {"replay_a.images", "replay_a.count", "replay_b.images", "replay_b.count"} <= set(state)
    assert state["replay_a.count"] == 2
    assert not any("replay" in name for name in method.generators)
    again = tiny(pool_size=2)
    again.load_state_dict(state)
    torch.manual_seed(5)
    wanted = play(method, random_batch(), steps=2)
    torch.manual_seed(5)
    assert play(again, random_batch(), steps=2)[0] == wanted[0]


def test_without_a_pool_there_is_no_memory():
    assert not any("replay" in name for name in tiny(pool_size=0).state_dict())


@pytest.mark.parametrize(("size", "blocks"), [((128, 128), 6), ((256, 128), 6), ((256, 256), 9), ((512, 256), 9)])
def test_the_blocks_follow_the_crop(size, blocks):
    method = tiny(size, width=1, discriminator_width=1, residual_blocks=None, pool_size=0)
    assert isinstance(method.a_to_b, ResNet)
    assert len(method.a_to_b.residual_blocks) == len(method.b_to_a.residual_blocks) == blocks


def test_a_u_nets_depth_follows_the_crop_or_the_settings():
    assert isinstance(tiny(generator="unet").a_to_b, UNet)
    assert tiny(generator="unet").a_to_b.depth == 5
    assert tiny(generator="unet", depth=3).b_to_a.depth == 3


def test_channels_may_differ_unless_a_picture_must_stay_as_it_is():
    method = tiny(channels=(1, 3))
    assert method.translate(torch.zeros(1, 3, 32, 32), direction="b_to_a").shape == (1, 1, 32, 32)
    assert method.discriminator_a.blocks[0].conv.in_channels == 1
    with pytest.raises(ConfigError, match=r"1 and 3 channels.*equal numbers of channels, or set identity_weight to 0"):
        tiny(channels=(1, 3), identity_weight=0.5)


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"cycle_weight": -1.0}, "must not be negative"),
        ({"pool_size": -1}, "must not be negative"),
        ({"cycle_weight_a": -1.0}, "must not be negative"),
        ({"cycle_weight_a": 0.0, "cycle_weight_b": 0.0, "identity_weight": 0.5}, "set both, or neither"),
        ({"cycle_weight": 0.0, "identity_weight": 0.5}, "set both, or neither"),
        ({"residual_blocks": 0}, "at least 1"),
        ({"dropout": 1.0}, r"must lie in \[0, 1\)"),
        ({"depth": 0}, r"1\.\.10"),
    ],
)
def test_settings_that_make_no_sense(options, mend):
    with pytest.raises(ConfigError, match=mend):
        CycleGANConfig(**options)


def test_a_crop_that_does_not_fit_is_told_the_mend():
    with pytest.raises(ConfigError, match="multiples of 4, not 30x32: set crop_size, for example to 28x32"):
        tiny((30, 32))


def two_steps(parity, **training):
    """Return the folder of the reference's steps, the method after the same steps, and the reported losses."""
    folder = parity / "cyclegan_steps"
    paths = [folder / f"before_net_{name}.pth" for name in NETWORK_NAMES]
    method = import_cyclegan(*paths, training=replace(AS_RELEASED, pool_size=0, **training)).method
    inputs = load_file(folder / "inputs.safetensors")
    batches = [Batch(inputs[f"a{step}"], inputs[f"b{step}"]) for step in range(2)]
    return folder, method, play_as_reference(method, batches)


@pytest.mark.slow
@pytest.mark.parity
def test_two_steps_agree_with_the_reference(parity):
    wanted = json.loads((parity / "index.json").read_text())["cyclegan_steps"]["losses"]
    folder, method, played = two_steps(parity)
    for step, (losses, reported) in enumerate(zip(played.losses, wanted, strict=True)):
        assert theirs(losses) == pytest.approx(reported, rel=1e-5 if step == 0 else 1e-4)
    for name, role in NETWORK_NAMES.items():
        compare_weights(getattr(method, role), folder / f"after_net_{name}.pth", played)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("wrong", "networks"),
    [
        ({"order": "discriminators_first"}, NETWORK_NAMES),
        ({"cycle_weight": 9.9}, ("G_A", "G_B")),
        ({"identity_weight": 0.45}, ("G_A", "G_B")),
    ],
)
def test_other_steps_do_not_agree_with_the_reference(parity, wrong, networks):
    folder, method, played = two_steps(parity, **wrong)
    for name in networks:
        with pytest.raises(AssertionError, match="weights, by up to"):
            compare_weights(getattr(method, NETWORK_NAMES[name]), folder / f"after_net_{name}.pth", played)


def theirs(losses):
    """Names of the reference: its D_A scores b, its cycle_A is a -> b -> a, its idt_A is G_A's output for b."""
    named = {}
    for side, domain, other in (("A", "a", "b"), ("B", "b", "a")):
        named[f"G_{side}"] = losses[f"generators/adversarial_{other}"]
        named[f"D_{side}"] = losses[f"discriminators/real_{other}"] + losses[f"discriminators/fake_{other}"]
        named[f"cycle_{side}"] = losses[f"generators/cycle_{domain}"]
        named[f"idt_{side}"] = losses[f"generators/identity_{other}"]
    return named


def pictures(*values):
    """Return one constant picture for each value."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def shown(replay, *values):
    return [int(picture.mean()) for picture in replay(pictures(*values))]


def test_while_it_fills_it_shows_the_newest():
    replay = Replay(4, (3, 2, 2))
    assert shown(replay, 1, 2, 3) == [1, 2, 3]
    assert replay.count == 3
    assert shown(replay, 4) == [4]
    assert replay.count == 4
    assert torch.equal(replay.images, pictures(1, 2, 3, 4))


def test_a_full_one_changes_places_half_of_the_time():
    torch.manual_seed(0)
    replay, old = Replay(5, (3, 2, 2)), 0
    shown(replay, *range(5))
    for value in range(5, 1005):
        before = {int(image.mean()) for image in replay.images}
        (given,) = shown(replay, value)
        after = {int(image.mean()) for image in replay.images}
        assert after == (before if given == value else before - {given} | {value})
        old += given != value
    assert 440 < old < 560  # 3.8 standard deviations


def test_every_place_is_drawn():
    torch.manual_seed(0)
    replay = Replay(3, (3, 2, 2))
    shown(replay, *range(100))
    assert min(int(image.mean()) for image in replay.images) > 3


def test_a_batch_is_taken_picture_by_picture():
    whole, single = Replay(2, (3, 2, 2)), Replay(2, (3, 2, 2))
    torch.manual_seed(0)
    together = [shown(whole, 1, 2, 3), shown(whole, 4, 5, 6)]
    assert together[0][:2] == [1, 2]
    assert set(together[0] + together[1]) <= set(range(1, 7))
    assert sorted(int(image.mean()) for image in whole.images) != [0, 0]
    assert shown(single, 1) + shown(single, 2) == [1, 2]


def test_nothing_is_remembered_with_no_capacity():
    replay, made = Replay(0, (3, 2, 2)), pictures(1).requires_grad_()
    assert torch.equal(replay(made), made)
    assert not replay(made).requires_grad
    assert not replay.state_dict()


def test_what_it_shows_has_no_gradient_and_the_order_of_memory_of_what_came():
    replay = Replay(1, (3, 2, 2))
    made = torch.rand(2, 3, 2, 2, requires_grad=True).contiguous(memory_format=torch.channels_last)
    given = replay(made)
    assert not given.requires_grad
    assert given.is_contiguous(memory_format=torch.channels_last)
    assert replay(made.bfloat16()).dtype == torch.float32


def test_a_reloaded_one_goes_on_as_the_first():
    first, second = Replay(3, (3, 2, 2)), Replay(3, (3, 2, 2))
    shown(first, *range(5))
    second.load_state_dict(first.state_dict())
    torch.manual_seed(1)
    wanted = shown(first, *range(5, 20))
    torch.manual_seed(1)
    assert shown(second, *range(5, 20)) == wanted
