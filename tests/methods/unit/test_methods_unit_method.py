import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from ganvas.errors import ConfigError
from ganvas.inference.prepacking import make_ready
from ganvas.methods import UNITConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.methods.unit.method import divergence
from ganvas.testing import MethodContract

TINY = {"width": 4, "residual_blocks": 2, "discriminator_width": 4}


class TestPaper(MethodContract):
    config = UNITConfig(**TINY | {"width": 8})
    overfit_steps = 120
    overfit_is_slow = True


class TestReleased(MethodContract):
    config = UNITConfig(
        **TINY | {"width": 8},
        shared_blocks=0,
        objective="least_squares",
        judged="translations",
        discriminator_scales=3,
        adversarial_weight=1.0,
        kl_weight=0.01,
        reconstruction_weight=10.0,
        cycle_weight=10.0,
    )
    overfit_steps = 120
    overfit_is_slow = True


class TestAdapting(MethodContract):
    config = UNITConfig(**TINY | {"width": 8}, discriminator_shared_layers=2, norm="none", objective="hinge")
    input_channels, output_channels, image_size = 4, 1, (32, 48)
    overfit_steps = 80


class TestBatchNorm(MethodContract):
    config = UNITConfig(**TINY | {"width": 8}, norm="batch", shared_blocks=2)
    overfit_steps = 120
    overfit_is_slow = True


def tiny(size=(16, 16), channels=(1, 3), **options):
    torch.manual_seed(0)
    config = UNITConfig(**TINY | options)
    return build(config, input_channels=channels[0], output_channels=channels[1], image_size=size)


def random_batch(count=2, size=16):
    return Batch(torch.rand(count, 1, size, size) * 2 - 1, torch.rand(count, 3, size, size) * 2 - 1)


def replay(method, batch):
    """Repeat all random draws and outputs of a step, in its order, by the equations."""
    mean_a, mean_b = method.encoder(batch.a, "a"), method.encoder(batch.b, "b")
    code_a, code_b, prior = mean_a + noise(mean_a), mean_b + noise(mean_b), noise(mean_a)
    codes = {"a": (code_a, code_b, prior), "b": (code_b, code_a, prior)}
    made = {domain: [method.decoder(code, domain) for code in codes[domain]] for domain in "ab"}
    mean_there = method.encoder(made["b"][1], "b")
    back_a = method.decoder(mean_there + noise(mean_there), "a")
    return mean_a, made, mean_there, back_a


def noise(like):
    return torch.randn_like(like)


def test_each_loss_is_as_in_the_paper():
    method, batch = tiny(), random_batch()
    torch.manual_seed(5)
    turns = method.training_step(batch, Progress(0, 0))
    judging, making = next(turns), next(turns)
    torch.manual_seed(5)
    mean, made, mean_there, back = replay(method, batch)
    squares = mean.square().mean() / 2
    wanted = {
        "kl_a": 0.1 * squares,
        "reconstruction_a": 100 * (made["a"][0] - batch.a).abs().mean(),
        "cycle_kl_a": 0.1 * (squares + mean_there.square().mean() / 2),
        "cycle_a": 100 * (back - batch.a).abs().mean(),
    }
    for domain in "ab":
        scores = torch.cat([method.discriminator(kind, domain)[0] for kind in made[domain]])
        wanted[f"adversarial_{domain}"] = -10 * functional.logsigmoid(scores).mean()
        real = method.discriminator(batch.a if domain == "a" else batch.b, domain)[0]
        torch.testing.assert_close(judging.losses[f"real_{domain}"], -functional.logsigmoid(real).mean())
        torch.testing.assert_close(judging.losses[f"fake_{domain}"], -functional.logsigmoid(-scores).mean())
    assert (judging.player, making.player) == ("discriminators", "generators")
    assert len(making.losses) == 10
    for name, value in wanted.items():
        torch.testing.assert_close(making.losses[name], value, msg=name)


def test_the_divergence_is_that_of_two_gaussians():
    mean = torch.randn(2, 3, 4, 4)
    each = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, 1.0), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(divergence(mean), each.mean())


def test_discriminators_may_see_translations_alone():
    method, batch = tiny(judged="translations"), random_batch(3)
    seen = []
    method.discriminator.register_forward_pre_hook(lambda _, given: seen.append((given[1], len(given[0]))))
    next(method.training_step(batch, Progress(0, 0)))
    assert seen == [("a", 3), ("a", 3), ("b", 3), ("b", 3)]
    seen.clear()
    method.config = UNITConfig(**TINY)
    next(method.training_step(batch, Progress(0, 0)))
    assert seen == [("a", 3), ("a", 9), ("b", 3), ("b", 9)]


def test_the_last_of_the_encoders_and_the_first_of_the_generators_are_one_and_the_same():
    method = tiny(residual_blocks=4, shared_blocks=1)
    assert [name for name, _ in method.encoder.named_children()] == ["own", "shared"]
    assert (len(method.encoder.shared), len(method.decoder.shared)) == (1, 1)
    assert len(method.encoder.own["a"][-1]) == len(method.decoder.own["b"][0]) == 3
    shared = [*method.encoder.shared.parameters(), *method.decoder.shared.parameters()]
    for domain, image in zip("ab", (random_batch().a, random_batch().b), strict=True):
        gradients = torch.autograd.grad(
            method.decoder(method.encoder(image, domain), domain).square().sum(), shared, allow_unused=True
        )
        assert all(gradient is not None for gradient in gradients)
    own = list(method.encoder.own["b"].parameters()) + list(method.decoder.own["b"].parameters())
    made = method.decoder(method.encoder(random_batch().a, "a"), "a").sum()
    assert all(gradient is None for gradient in torch.autograd.grad(made, own, allow_unused=True))


def test_shared_layers_get_the_sum_of_both_domains_gradients():
    method, batch = tiny(), random_batch()
    torch.manual_seed(5)
    turns = method.training_step(batch, Progress(0, 0))
    next(turns)
    losses, shared = next(turns).losses, list(method.decoder.shared.parameters())
    sides = [
        torch.autograd.grad(sum(v for k, v in losses.items() if k.endswith(d)), shared, retain_graph=True) for d in "ab"
    ]
    for a, b, total in zip(*sides, torch.autograd.grad(sum(losses.values()), shared), strict=True):
        torch.testing.assert_close(a + b, total, rtol=1e-4, atol=1e-4)


def test_nothing_is_shared_where_nothing_should_be():
    method = tiny(shared_blocks=0)
    assert not list(method.encoder.shared.parameters())
    assert not list(method.decoder.shared.parameters())
    assert len(method.encoder.own["a"][-1]) == 2


@pytest.mark.parametrize("shared", [0, 1, 2, 3])
def test_discriminators_share_as_many_of_their_last_layers_as_asked(shared):
    method = tiny(size=(32, 32), discriminator_shared_layers=shared)
    (scale,) = method.discriminator.scales
    assert len(scale.shared) == shared
    assert [len(scale.own[domain]) for domain in "ab"] == [4 - shared] * 2
    assert len(scale.last) == (1 if shared else 2)


def test_translations_go_through_the_mean_and_need_no_noise():
    method, images = tiny().eval(), random_batch().a
    before = torch.get_rng_state()
    with torch.no_grad():
        made = method.translate(images)
        torch.testing.assert_close(made, method.decoder(method.encoder(images, "a"), "b"))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_drawn_corresponds():
    method = tiny(size=(24, 32)).eval()
    torch.manual_seed(2)
    a, b = method.sample(3)
    torch.manual_seed(2)
    codes = torch.randn(3, 16, 6, 8)
    assert (a.shape, b.shape) == ((3, 1, 24, 32), (3, 3, 24, 32))
    assert torch.equal(method.decoder(codes, "b"), b)


@pytest.mark.parametrize("shared", [0, 1])
@pytest.mark.parametrize("direction", ["a_to_b", "b_to_a"])
def test_made_ready_it_makes_the_same_both_ways(shared, direction):
    method = tiny(shared_blocks=shared).eval()
    plain, images = copy.deepcopy(method), random_batch(1)
    make_ready(method, precision="float32")
    given = images.a if direction == "a_to_b" else images.b
    with torch.inference_mode():
        made, wanted = (one.translate(given, direction=direction) for one in (method, plain))
    torch.testing.assert_close(made, wanted, rtol=0, atol=2e-5)


def test_a_snapshot_holds_what_is_shared_once():
    method = tiny()
    names = [name for name in method.state_dict() if name.startswith(("encoder", "decoder"))]
    assert len(names) == len({value.data_ptr() for name, value in method.state_dict().items() if name in names})
    assert isinstance(method.encoder.shared, nn.Sequential)


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"width": 0}, "at least 1"),
        ({"shared_blocks": 3}, r"must lie in 0\.\.2, the residual_blocks"),
        ({"discriminator_shared_layers": -1}, "must not be negative"),
        ({"kl_weight": -1.0}, "must not be negative"),
        ({"adversarial_weight": 0.0}, "must be positive"),
    ],
)
def test_settings_that_make_no_sense(options, mend):
    with pytest.raises(ConfigError, match=mend):
        UNITConfig(**TINY | options)


@pytest.mark.parametrize(
    ("size", "options", "mend"),
    [
        ((30, 32), {}, "UNIT needs crops that are multiples of 4, not 30x32: set crop_size, for example to 28x32"),
        ((4, 16), {}, "at least 8 pixels a side, not 4x16"),
        ((12, 12), {"discriminator_scales": 3}, "at least 16 pixels a side, not 12x12"),
    ],
)
def test_a_crop_that_does_not_fit_is_told_the_mend(size, options, mend):
    with pytest.raises(ConfigError, match=mend):
        tiny(size, **options)
