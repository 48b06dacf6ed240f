from dataclasses import replace

import pytest
import torch
from test_methods_srresnet_method import SmallInput
from torch.nn import functional

from ganvas.errors import ConfigError
from ganvas.methods import SRResNetConfig
from ganvas.testing import MethodContract


class TestRRDB(SmallInput):
    config = SRResNetConfig(generator="rrdb", width=4, growth=2, num_blocks=1, scale=2, unshuffle=2, loss="l1")
    overfit_steps = 150
    overfit_is_slow = True
    overfit_rate = 1e-2


class TestCompact(SmallInput):
    config = SRResNetConfig(generator="compact", width=8, num_blocks=1, scale=2, activation="leaky_relu", loss="l1")
    overfit_steps = 150


class TestNAFNet(SmallInput):
    config = SRResNetConfig(
        generator="nafnet", width=4, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,), scale=2, loss="l1"
    )
    overfit_steps = 150
    overfit_is_slow = True
    overfit_rate = 1e-2


class TestResidualUNet(SmallInput):
    config = replace(TestNAFNet.config, generator="residual_unet")
    overfit_steps = 150
    overfit_is_slow = True
    overfit_rate = 1e-2


@pytest.mark.slow
class TestThreeFrames(SmallInput):
    config = SRResNetConfig(generator="compact", width=8, num_blocks=1, scale=2, loss="l1", frames=3)
    overfit_steps = 150


class TestOneChannelForThree(MethodContract):
    config = SRResNetConfig(generator="compact", width=8, num_blocks=1, scale=1, loss="l1")
    input_channels = 1
    overfit_steps = 150
    overfit_is_slow = True
    overfit_rate = 1e-2


def test_a_residual_rrdbnet_starts_as_the_middle_frame_enlarged():
    case = SmallInput()
    case.config = SRResNetConfig(generator="rrdb", width=4, growth=2, num_blocks=1, scale=2, residual=True, frames=3)
    images = case.batch().a
    with torch.no_grad():
        made = case.make().eval().translate(images)
    expected = functional.interpolate(images[:, 3:6], scale_factor=2, mode="bicubic", antialias=True).clamp(-1, 1)
    torch.testing.assert_close(made, expected)


def test_crops_are_multiples_of_scale_and_strides():
    case = SmallInput()
    case.config, case.image_size = (
        SRResNetConfig(generator="rrdb", width=4, num_blocks=1, scale=2, unshuffle=2),
        (34, 32),
    )
    with pytest.raises(ConfigError, match="rrdb needs crops that are multiples of 4, not 34x32"):
        case.make()
