"""Networks prepared for inference: the same results as the plain network's, for any number of threads."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ganvas.inference.prepacked import Packed, PackedBlock, PictureNorm, PlainDropout
from ganvas.inference.prepacking import can_pack, lower, pack
from ganvas.methods.srresnet.method import SRResNet
from ganvas.networks import (
    Compact,
    EncoderDecoder,
    Generator,
    NAFNet,
    ResidualUNet,
    ResNet,
    RRDBNet,
    UNet,
    as_in_training,
)
from ganvas.networks.blocks import PReLU
from ganvas.networks.convolutions import ReflectConvolution
from ganvas.networks.residual_unet import PlainBlock

GENERATORS = {
    "unet": UNet(3, 3, width=8, depth=4),
    "unet without dropout": UNet(3, 2, width=8, depth=4, norm="instance", dropout=0.0, upsampling="resize"),
    "encoder-decoder": EncoderDecoder(3, 3, width=8, depth=3, norm="none", dropout=0.0),
    "resnet": ResNet(3, 3, width=8, num_blocks=2),
    "resnet with batch norm": ResNet(3, 3, width=8, num_blocks=1, norm="batch", dropout=0.5, upsampling="resize"),
    "residual": UNet(3, 3, width=8, depth=2, norm="none", dropout=0.0, residual=True, upsampling="resize"),
    "rrdb": RRDBNet(3, 3, scale=1, width=4, growth=4, num_blocks=1, unshuffle=2, dense_skips=True),
    "compact": Compact(3, 3, scale=2, width=8, num_blocks=2),
    "nafnet": NAFNet(3, 3, width=16, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,)),
    "residual unet": ResidualUNet(
        3, 3, width=16, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,), unshuffle=2
    ),
}


@pytest.fixture(params=GENERATORS)
def plain(request: pytest.FixtureRequest) -> Generator:
    """Return a method with large weights, so that outputs vary visibly over the picture."""
    network = copy.deepcopy(GENERATORS[request.param]).eval()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter)).mul_(2)
    return network


@pytest.fixture(autouse=True)
def needs_onednn() -> None:
    if not can_pack(nn.Conv2d(1, 1, 1)):
        pytest.skip("this torch has no oneDNN here")


def run(network: nn.Module, size: tuple[int, int] = (32, 48), *, threads: int = 1) -> torch.Tensor:
    """Return the output of the network for noise, with its own noise seeded."""
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    torch.set_num_threads(threads)
    with torch.random.fork_rng(), torch.inference_mode(), as_in_training(network):
        torch.manual_seed(2)
        return network(images)


def packed(network: Generator) -> Generator:
    made = copy.deepcopy(network)
    pack(made)
    return made


def test_a_packed_network_makes_the_same(plain: Generator) -> None:
    network = packed(plain)
    for size in ((32, 48), (64, 32), (32, 48)):  # the first size determines the layout of the weights
        made, wanted = run(network, size), run(plain, size)
        largest = max(1.0, wanted.abs().max().item())  # outputs of residual networks are not bounded
        torch.testing.assert_close(made, wanted, rtol=0, atol=2e-5 * largest)


def test_the_last_layer_of_bfloat16_makes_float32_near_the_plain_network(plain: Generator) -> None:
    network = copy.deepcopy(plain)
    lower(network)
    if not can_pack(network):
        pytest.skip("this processor has no bfloat16 for oneDNN")
    pack(network)
    made, expected = run(network), run(plain)
    assert made.dtype == torch.float32
    assert (made - expected).abs().mean() < 0.05 * expected.std()


def test_lowered_weights_need_no_packing(plain: Generator) -> None:
    network = copy.deepcopy(plain)
    lower(network)
    assert {layer.weight.dtype for layer in network.modules() if isinstance(layer, nn.Conv2d)} <= {torch.bfloat16}
    made = run(network)
    assert made.dtype == torch.float32
    assert made.isfinite().all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layer", [nn.BatchNorm2d(6), nn.InstanceNorm2d(6), nn.InstanceNorm2d(6, affine=True)])
def test_the_norm_of_one_picture(layer: nn.BatchNorm2d | nn.InstanceNorm2d, training: bool) -> None:
    layer = copy.deepcopy(layer).train(training)
    with torch.no_grad():
        for values in (*layer.parameters(), *(buffer for buffer in layer.buffers() if buffer.dtype.is_floating_point)):
            values.uniform_(0.5, 2)
    features = torch.randn(1, 6, 13, 17) * 3 + 5
    norm = PictureNorm(layer).train(training)
    expected = layer(features)
    for given in (features, features.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(norm(given), expected, rtol=0, atol=1e-5)
    assert norm(features.bfloat16()).dtype == torch.bfloat16


def test_norms_do_not_depend_on_neighbours_or_threads() -> None:
    norm = PictureNorm(nn.BatchNorm2d(24)).train()
    features = torch.randn(3, 24, 60, 50).contiguous(memory_format=torch.channels_last)
    together = norm(features)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        assert torch.equal(norm(features), together)
        assert torch.equal(torch.cat([norm(one) for one in features.split(1)]), together)


def test_dropout_draws_what_torch_draws() -> None:
    features = torch.randn(2, 5, 7, 9)
    for given in (features, features.contiguous(memory_format=torch.channels_last)):
        torch.manual_seed(3)
        expected = nn.Dropout(0.3)(features)
        torch.manual_seed(3)
        assert torch.equal(PlainDropout(0.3)(given), expected)
    assert PlainDropout(0.3).eval()(features) is features


def test_layers_of_unknown_kinds_stay() -> None:
    class Own(nn.Conv2d):
        pass

    network = nn.Sequential(Own(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), nn.Conv2d(3, 3, 1))
    kinds = [Own, nn.Conv2d, Packed]
    pack(network)
    assert [type(layer) for layer in network] == kinds


def with_statistics(network: nn.Module) -> nn.Module:
    """Return the network in evaluation mode, with statistics of batch norms as after training: no initial values."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(4)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                for values in (layer.running_var, layer.running_mean, layer.weight, layer.bias):
                    if values is not None:
                        values.uniform_(0.5, 2.0)
            if isinstance(layer, nn.PReLU):
                layer.weight.fill_(0.1)
    return network.eval()


CHAINS = {
    "norm": [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()],
    "norm without parameters": [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8, affine=False), nn.LeakyReLU(0.2)],
    "transposed": [nn.ConvTranspose2d(3, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), PReLU()],
    "grouped": [nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), PReLU()],
    "shuffle": [nn.Conv2d(3, 16, 3, padding=1), nn.PixelShuffle(2), PReLU()],
    "norm after a shuffle": [nn.Conv2d(3, 16, 3), nn.PixelShuffle(2), nn.BatchNorm2d(4), PReLU()],
    "a slope for each channel": [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.PReLU(8)],
    "activation first": [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3)],
    "instance norm": [nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, affine=True), nn.LeakyReLU(0.3)],
}


@pytest.mark.parametrize("kind", CHAINS)
def test_what_follows_a_convolution_is_taken_in(kind: str) -> None:
    network = with_statistics(nn.Sequential(*copy.deepcopy(CHAINS[kind])))
    images = torch.randn(1, network[0].in_channels, 12, 10)
    with torch.inference_mode():
        wanted = network(images)
        pack(network)
        for _ in range(2):
            torch.testing.assert_close(network(images), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [2, 24, 128], ids=["row by row", "direct", "winograd"])
def test_the_sum_of_a_residual_block_is_taken_in(channels: int) -> None:
    network = nn.Sequential(PlainBlock(channels))
    images = torch.randn(1, channels, 64, 64)
    with torch.inference_mode():
        wanted = network(images)
        pack(network)
        for _ in range(2):
            torch.testing.assert_close(network(images), wanted, rtol=1e-4, atol=1e-4)
    assert isinstance(network[0], PackedBlock)
    assert (network[0].second._winograd is not None) == (channels == 128)
    assert (network[0].second._num_rows > 0) == (channels == 2)


def test_a_norm_with_running_statistics_and_a_slope_cost_nothing() -> None:
    network = with_statistics(SRResNet(3, 3, width=8, num_blocks=2))
    images = torch.rand(1, 3, 9, 11) * 2 - 1
    with torch.inference_mode():
        wanted = network(images)
        pack(network)
        torch.testing.assert_close(network(images), wanted, rtol=0, atol=1e-5)
    assert not any(isinstance(layer, nn.Conv2d | nn.PReLU) for layer in network.modules())
    assert all(layer._folds for layer in network.modules() if isinstance(layer, Packed) and layer.norm is not None)


def test_a_folded_network_is_not_applied_as_in_training() -> None:
    network = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    pack(network)
    with torch.inference_mode():
        network(torch.rand(1, 3, 9, 9))
        with pytest.raises(AssertionError, match="evaluation"), as_in_training(network):
            network(torch.rand(1, 3, 9, 9))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 3, 9, 1, 4),
        nn.Conv2d(8, 1, 3, bias=False),
        nn.Conv2d(8, 2, (5, 3), padding=(1, 2)),
        ReflectConvolution(8, 3, 7, 1, 3),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_few_channels_are_made_row_by_row(layer: nn.Conv2d, count: int) -> None:
    features = torch.randn(count, 8, 20, 14)
    with torch.inference_mode():
        wanted = layer(features)
        packed_layer = Packed.of(layer)
        for given in (features, features.contiguous(memory_format=torch.channels_last)):
            torch.testing.assert_close(packed_layer(given), wanted, rtol=0, atol=1e-5)
    assert packed_layer._num_rows == layer.kernel_size[0]


def test_a_norm_that_is_packed_at_test_keeps_its_running_statistics() -> None:
    """Otherwise methods that translate in evaluation mode, such as VAE, would use other statistics than in training."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 3, 3)).eval()
    for statistics in (network[1].running_mean, network[1].running_var):
        nn.init.uniform_(statistics, 0.5, 2.0)
    images = torch.rand(1, 3, 9, 9)
    with torch.inference_mode():
        wanted = network(images)
        pack(network)
        assert not any(module.training for module in network.modules())
        torch.testing.assert_close(network(images), wanted)
