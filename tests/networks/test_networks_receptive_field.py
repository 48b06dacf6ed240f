import pytest
import torch

from ganvas.networks import EncoderDecoder, PatchGAN, PixelGAN, ResNet, UNet, receptive_field
from ganvas.networks.receptive_field import before_convolution, before_transposed


@pytest.mark.parametrize(("num_layers", "pixels"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_a_patchgan_sees_what_the_paper_says(num_layers, pixels):
    assert receptive_field([(4, 2)] * num_layers + [(4, 1), (4, 1)]) == pixels
    assert PatchGAN(6, width=1, num_layers=num_layers).receptive_field == pixels


def test_a_pixelgan_sees_one_pixel():
    assert PixelGAN(6, width=1).receptive_field == receptive_field([(1, 1)] * 3) == 1


def test_a_score_depends_on_exactly_its_receptive_field():
    images = torch.zeros(1, 1, 64, 64, requires_grad=True)
    scores = PatchGAN(1, width=4, num_layers=2, norm="none")(images)
    scores[0, 0, 7, 7].backward()
    rows = images.grad[0, 0].abs().sum(dim=1).nonzero()
    assert rows.max() - rows.min() + 1 == 34


def test_intervals_through_single_layers():
    assert before_convolution((0, 0), kernel=4, stride=2, padding=1) == (-1, 2)
    assert before_transposed((0, 0), kernel=4, stride=2, padding=1) == (-1, 0)
    assert before_transposed((1, 1), kernel=4, stride=2, padding=1) == (0, 1)
    assert before_transposed((4, 4), kernel=3, stride=2, padding=1) == (2, 2)
    assert before_transposed((5, 5), kernel=3, stride=2, padding=1) == (2, 3)


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **options: UNet(1, 1, width=2, depth=1, **options),
        lambda **options: UNet(1, 1, width=2, depth=3, **options),
        lambda **options: EncoderDecoder(1, 1, width=2, depth=2, **options),
        lambda **options: ResNet(1, 1, width=2, num_blocks=2, **options),
    ],
    ids=["unet1", "unet3", "encoder_decoder", "resnet"],
)
def test_context_is_the_farthest_pixel_that_reaches(make, upsampling):
    network = make(norm="none", dropout=0.0, upsampling=upsampling)
    for parameter in network.parameters():  # positive weights: every path counts
        torch.nn.init.constant_(parameter, 0.01)
    size = 4 * (network.context // network.size_multiple + 2) * network.size_multiple
    distances = []
    for pixel in range(size // 2, size // 2 + network.size_multiple):
        images = torch.rand(1, 1, size, size, requires_grad=True)
        network(images)[0, 0, pixel, pixel].backward()
        reached = images.grad[0, 0].abs().sum(dim=1).nonzero()
        distances += [pixel - reached.min().item(), reached.max().item() - pixel]
    assert max(distances) == network.context


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_with_a_norm_the_context_is_the_whole_picture(norm):
    assert UNet(1, 1, width=2, depth=3, norm=norm).context is None
