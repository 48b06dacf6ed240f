import pytest
from test_methods_srresnet_method import SmallInput

from ganvas.methods import SRGANConfig
from ganvas.testing import MethodContract

PIXELS = {"content": "pixels", "content_weight": 1.0, "discriminator_width": 4, "loss": "l1"}


class TestRRDB(SmallInput):
    config = SRGANConfig(**PIXELS, generator="rrdb", width=4, growth=2, num_blocks=1, scale=2, dense_skips=True)
    overfit_steps = 150
    overfit_is_slow = True
    overfit_rate = 1e-2


@pytest.mark.slow
class TestCompact(SmallInput):
    config = SRGANConfig(**PIXELS, generator="compact", width=8, num_blocks=1, scale=2)
    overfit_steps = 150
    overfit_is_slow = True


@pytest.mark.slow
class TestNAFNet(MethodContract):
    config = SRGANConfig(
        **PIXELS, generator="nafnet", width=4, encoder_blocks=(1,), middle_blocks=0, decoder_blocks=(1,), scale=1
    )
    overfit_steps = 150
    overfit_is_slow = True
    overfit_rate = 1e-2
