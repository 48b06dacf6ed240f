import pytest
import torch

from ganvas.methods.cut.method import ContrastiveResNet, PatchHeads, draw_places


def network(**options):
    torch.manual_seed(0)
    return ContrastiveResNet(
        3, 3, **{"width": 2, "num_blocks": 6, "antialias": True, "upsampling": "bilinear"} | options
    )


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@pytest.mark.parametrize("antialias", [True, False])
def test_one_pass_gives_the_picture_and_the_features(norm, antialias):
    made = network(norm=norm, antialias=antialias)
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    picture, features = made.with_features(images)
    assert torch.equal(picture, made(images))
    assert all(torch.equal(*both) for both in zip(features, made.encode(images), strict=True))
    assert [values.shape[1] for values in features] == made.feature_channels
    assert features[0] is images


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_features_of_the_halving_convolutions_are_before_their_norm(norm):
    made, images = network(norm=norm), torch.rand(1, 3, 16, 16)
    first, second = made.encode_blocks
    hidden = made.first(images)
    wanted = [first.conv(hidden), second.conv(first(hidden))]
    for value, want in zip(made.encode(images)[1:3], wanted, strict=True):
        assert torch.equal(value, want)
        assert value.min() < 0


def test_features_are_of_the_first_and_the_fifth_block_or_the_last():
    made, images = network(), torch.rand(1, 3, 16, 16)
    hidden = made.encode_blocks[1](made.encode_blocks[0](made.first(images)))
    for number, block in enumerate(made.residual_blocks, start=1):
        hidden = block(hidden)
        if number in (1, 5):
            assert torch.equal(hidden, made.encode(images)[3 if number == 1 else 4])
    assert [len(network(num_blocks=count).encode(images)) for count in (1, 2, 9)] == [4, 5, 5]


def test_antialiased_features_see_as_much_as_in_the_paper():
    """1, 9, 15, 35 and 99 pixels, measured by the inputs with a gradient, without norms."""
    made = network(norm="none", width=1, num_blocks=5)
    for parameter in made.parameters():
        parameter.data = parameter.data.abs() + 0.01  # so that no ReLU blocks a path
    images = torch.rand(1, 3, 256, 256).requires_grad_()
    seen = []
    for values in made.encode(images):
        at = values.shape[-1] // 2
        (gradient,) = torch.autograd.grad(values[0, :, at, at].sum(), images, retain_graph=True)
        seen.append(int((gradient[0, 0].abs().sum(dim=0) > 0).sum()))
    assert seen == [1, 9, 15, 35, 99]


def test_heads_take_the_places_drawn():
    torch.manual_seed(0)
    features = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 3, 3)]
    places = draw_places(features, 16)
    assert [len(where) for where in places] == [16, 9]
    assert all(len(where.unique()) == len(where) for where in places)
    heads = PatchHeads([3, 5], size=7)
    projected = heads(features, places)
    assert [values.shape for values in projected] == [(2, 16, 7), (2, 9, 7)]
    place = int(places[0][4])
    torch.testing.assert_close(projected[0][1, 4], heads.heads[0](features[0][1, :, place // 8, place % 8]))


def test_places_are_spread_evenly():
    torch.manual_seed(0)
    counts = torch.zeros(16)
    for _ in range(400):
        (where,) = draw_places([torch.zeros(1, 1, 4, 4)], 4)
        counts[where] += 1
    assert counts.sum() == 1600
    assert counts.min() > 60
    assert counts.max() < 140
