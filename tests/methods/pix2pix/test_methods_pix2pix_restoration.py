import pytest

from ganvas.errors import ConfigError
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import build
from ganvas.testing import MethodContract

TINY = {"discriminator_width": 4, "receptive_field": 16}


@pytest.mark.slow
class TestRRDB(MethodContract):
    config = Pix2PixConfig(**TINY, generator="rrdb", width=4, growth=2, residual_blocks=1, unshuffle=4)
    overfit_steps = 150
    overfit_is_slow = True


@pytest.mark.slow
class TestCompact(MethodContract):
    config = Pix2PixConfig(**TINY, generator="compact", width=4, residual_blocks=1)
    overfit_steps = 150
    overfit_is_slow = True


class TestNAFNet(MethodContract):
    config = Pix2PixConfig(
        **TINY, generator="nafnet", width=4, encoder_blocks=(1, 0), middle_blocks=1, decoder_blocks=(0, 1)
    )
    overfit_steps = 150
    overfit_is_slow = True


@pytest.mark.slow
class TestResidualUNet(MethodContract):
    config = Pix2PixConfig(
        **TINY, generator="residual_unet", width=4, encoder_blocks=(1, 0), middle_blocks=1, decoder_blocks=(0, 1)
    )
    overfit_steps = 150
    overfit_is_slow = True


def test_crops_suit_the_generator():
    config = Pix2PixConfig(**TINY, generator="nafnet", width=4)
    with pytest.raises(
        ConfigError, match="nafnet needs crops that are multiples of 16, not 40x48: set crop_size, for example to 32x48"
    ):
        build(config, input_channels=3, output_channels=3, image_size=(40, 48))


@pytest.mark.parametrize("generator", ["compact", "nafnet", "residual_unet"])
def test_generators_that_add_their_input_need_as_many_channels(generator):
    config = Pix2PixConfig(**TINY, generator=generator, width=4)
    with pytest.raises(ConfigError, match=rf"{generator} adds the input \(2 channels\).*or another generator"):
        build(config, input_channels=2, output_channels=3, image_size=(32, 32))


@pytest.mark.parametrize(
    "wrong",
    [
        {"growth": 0},
        {"encoder_blocks": (1, 1)},
        {"encoder_blocks": (0,) * 7, "decoder_blocks": (0,) * 7},
        {"middle_blocks": -1},
        {"middle_blocks": 1001},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match="must"):
        Pix2PixConfig(generator="nafnet", **wrong)
