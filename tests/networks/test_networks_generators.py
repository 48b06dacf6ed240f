import threading

import pytest
import torch
from torch import nn

from ganvas.errors import ImageError
from ganvas.networks import EncoderDecoder, PatchGAN, ResNet, UNet, as_in_training, generators

GENERATORS = {
    "unet": lambda *channels, **options: UNet(*channels, width=4, depth=4, **options),
    "encoder_decoder": lambda *channels, **options: EncoderDecoder(*channels, width=4, depth=4, **options),
    "resnet": lambda *channels, **options: ResNet(*channels, width=4, num_blocks=2, **options),
}


@pytest.fixture(params=GENERATORS)
def make(request):
    return GENERATORS[request.param]


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_any_channels_and_any_multiple_of_the_size(make, norm, upsampling):
    network = make(5, 2, norm=norm, upsampling=upsampling)
    made = network(torch.rand(2, 5, 32, 48) * 2 - 1)
    assert made.shape == (2, 2, 32, 48)
    assert made.abs().max() <= 1


def test_a_residual_generator_starts_as_the_identity(make):
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(make(3, 3, residual=True)(images), images)


def test_a_wrong_size_names_the_multiple(make):
    network = make(3, 3)
    with pytest.raises(ImageError, match=f"multiples of {network.size_multiple}"):
        network.check_size(torch.zeros(1, 3, 33, 32))


def test_the_unet_of_the_paper_at_256_pixels():
    with torch.device("meta"):
        network = UNet(3, 3)
        bottleneck = nn.Sequential(*network.encode_blocks)(torch.zeros(1, 3, 256, 256))
    assert bottleneck.shape == (1, 512, 1, 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 54_413_955  # "54.414 M" in the PyTorch port
    assert [block.conv.out_channels for block in network.encode_blocks] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [block.conv.out_channels for block in network.decode_blocks] == [512, 512, 512, 512, 256, 128, 64, 3]
    normed = [isinstance(block.norm, nn.BatchNorm2d) for block in network.encode_blocks]
    assert normed == [False, True, True, True, True, True, True, False]
    assert [block.dropout.p for block in network.decode_blocks] == [0.5, 0.5, 0.5, 0, 0, 0, 0, 0]


def test_the_encoder_decoder_has_no_skips():
    network = EncoderDecoder(1, 1, width=4, depth=3, norm="none", dropout=0.0)
    nn.init.zeros_(network.encode_blocks[-1].conv.weight)
    assert torch.equal(network(torch.rand(1, 1, 8, 8)), network(torch.rand(1, 1, 8, 8)))


def test_thirty_by_thirty_scores_on_256_pixels():
    with torch.device("meta"):
        assert PatchGAN(6)(torch.zeros(1, 6, 256, 256)).shape == (1, 1, 30, 30)


def test_initial_weights_are_small_and_normal():
    torch.manual_seed(0)
    network = UNet(3, 3, width=16, depth=5)
    weights = torch.cat([block.conv.weight.flatten() for block in network.encode_blocks])
    assert abs(weights.std().item() - 0.02) < 5e-4
    assert network.last_layer.bias.abs().max() == 0


def test_the_order_of_memory_changes_nothing_in_a_wide_unet(monkeypatch):
    monkeypatch.setattr(generators, "HAS_AVX512", True)
    network = UNet(3, 2, width=64, depth=4, dropout=0.0).double()
    images, gradient = torch.rand(2, 3, 32, 48).double() * 2 - 1, torch.randn(2, 2, 32, 48).double()
    made = network(images)
    found = torch.autograd.grad(made, list(network.parameters()), gradient)
    orders = [network.ordered(torch.zeros(1, channels, 4, 4)) for channels in (3, 64, 256, 512)]
    assert [order.is_contiguous(memory_format=torch.channels_last) for order in orders] == [True, True, True, False]
    monkeypatch.setattr(generators, "HAS_AVX512", False)
    assert network.ordered(images) is images
    plain = network(images)
    torch.testing.assert_close(made, plain)
    for one, other in zip(found, torch.autograd.grad(plain, list(network.parameters()), gradient), strict=True):
        torch.testing.assert_close(one, other, atol=1e-9 * other.abs().max().item(), rtol=0)


def test_as_in_training_leaves_no_trace():
    network = UNet(3, 3, width=4, depth=3).eval()
    network(torch.rand(1, 3, 8, 8))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = torch.rand(1, 3, 8, 8)
    with as_in_training(network):
        drawn = [network(image) for _ in range(2)]
    assert not torch.equal(*drawn)
    assert not any(module.training for module in network.modules())
    assert all(module.track_running_stats for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(network(image), network(image))


def test_as_in_training_holds_for_a_thread_while_another_leaves_it():
    network = UNet(3, 3, width=4, depth=3).eval()
    entered, left = threading.Event(), threading.Event()

    def leave_early() -> None:
        with as_in_training(network):
            entered.set()
        left.set()

    with as_in_training(network), as_in_training(network.encode_blocks):
        threading.Thread(target=leave_early).start()
        entered.wait()
        left.wait()
        assert all(module.training for module in network.modules())
        assert not any(module.track_running_stats for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    assert not any(module.training for module in network.modules())
    assert all(module.track_running_stats for module in network.modules() if isinstance(module, nn.BatchNorm2d))
