import pytest
import torch
from torch import nn

from ganvas.methods.domain_gan.method import ClassGenerator, PictureReader
from ganvas.methods.vae.method import VAEDecoder, VAEEncoder
from ganvas.methods.vae_gan.method import FeatureDiscriminator
from ganvas.networks.latent import FullyConnected, LatentDecoder, initialize_by_fan_in


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (24, 40)])
def test_vae_shapes(size):
    encoder = VAEEncoder(3, 5, width=4, image_size=size)
    mean, log_variance = encoder(torch.zeros(2, 3, *size))
    assert mean.shape == log_variance.shape == (2, 5)
    assert VAEDecoder(5, 1, width=4, image_size=size)(mean).shape == (2, 1, *size)
    scores, seen = FeatureDiscriminator(3, width=4, image_size=size)(torch.zeros(2, 3, *size))
    assert scores.shape == (2, 1, 1, 1)
    assert seen.shape == (2, 16, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (32, 48)])
def test_domain_gan_shapes(size):
    generator = ClassGenerator(7, num_classes=2, embedding_size=3, output_channels=4, width=2, image_size=size)
    drawn = generator(torch.randn(3, 7), torch.tensor([0, 1, 1]))
    assert drawn.shape == (3, 4, *size)
    assert drawn.abs().max() <= 1
    one, two = PictureReader(4, (1, 2), width=2, image_size=size)(drawn)
    assert (one.shape, two.shape) == ((3, 1), (3, 2))


def test_a_fully_connected_layer_takes_features_of_lower_precision():
    layer = FullyConnected(12, 5)
    features = torch.randn(2, 3, 2, 2)
    torch.testing.assert_close(
        layer(features)[..., 0, 0], nn.functional.linear(features.flatten(1), layer.weight, layer.bias)
    )
    assert layer(features.bfloat16()).dtype == torch.float32


def test_the_decoder_doubles_as_often_as_it_is_asked_to():
    for doubles_last in (False, True):
        decoder = LatentDecoder(4, 3, channels=(8, 6, 4), image_size=(16, 32), doubles_last=doubles_last)
        assert decoder.small == (8, 2, 4) if doubles_last else (8, 4, 8)
        assert decoder(torch.randn(2, 4)).shape == (2, 3, 16, 32)


@pytest.mark.parametrize(
    ("layer", "given"),
    [
        (nn.Linear(400, 300), (64, 400)),
        (nn.Conv2d(40, 200, 5, 2, 2), (4, 40, 32, 32)),
        (nn.ConvTranspose2d(40, 200, 5, 2, 2, output_padding=1), (4, 40, 16, 16)),
    ],
)
def test_layers_keep_the_size_of_what_they_are_given(layer, given):
    torch.manual_seed(0)
    initialize_by_fan_in(layer)
    made = layer(torch.randn(given))
    assert made.std().item() == pytest.approx(1, abs=0.1)
    assert not layer.bias.any()
