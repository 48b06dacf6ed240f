"""Settings without effect: those that are named change nothing in the networks, and all others do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest

from ganvas.methods import CycleGANConfig, Pix2PixConfig, Pix2PixHDConfig, SRResNetConfig
from ganvas.methods.base import Method
from ganvas.methods.config import SETTINGS_OF, idle_settings
from ganvas.methods.cyclegan.method import CycleGAN
from ganvas.methods.pix2pix.method import Pix2Pix
from ganvas.methods.pix2pix_hd.method import Pix2PixHD
from ganvas.methods.srresnet.method import SuperResolution

SMALL: dict[str, Any] = {
    "residual_blocks": 1, "num_blocks": 1, "growth": 2, "encoder_blocks": (1,), "middle_blocks": 1,
    "decoder_blocks": (1,), "depth": 3, "halvings": 2,
}  # fmt: skip
OTHER: dict[str, Any] = {
    "residual_blocks": 2, "num_blocks": 2, "growth": 3, "encoder_blocks": (2,), "middle_blocks": 2,
    "decoder_blocks": (2,), "depth": 4, "halvings": 1, "enhancers": 1, "norm": "none", "dropout": 0.25,
    "upsampling": "resize", "unshuffle": 2, "dense_skips": True, "activation": "relu",
}  # fmt: skip
"""Setting -> another value; `enhancer_blocks` and `residual_scale` are left out, which the listing does not show."""
METHODS: dict[type[Any], type[Method]] = {
    Pix2PixConfig: Pix2Pix,
    Pix2PixHDConfig: Pix2PixHD,
    SRResNetConfig: SuperResolution,
    CycleGANConfig: CycleGAN,
}
CASES = [(config, name) for config in METHODS for name in get_args(get_type_hints(config)["generator"])]


@pytest.mark.parametrize(("config", "generator"), CASES)
def test_settings_without_effect_change_no_network(config: type[Any], generator: str) -> None:
    fields = vars(config())
    changes = {"generator": generator, "width": 4, "discriminator_width": 4, "receptive_field": 16} | SMALL
    own = config(**{name: value for name, value in changes.items() if name in fields})
    listed, idle = listing(own), idle_settings(own)
    assert generator in SETTINGS_OF
    for name, value in OTHER.items():
        if name in fields and not (name == "enhancers" and generator != "resnet"):  # that is an error
            changed = listing(replace(own, **{name: value}))
            assert (changed == listed) is (name in idle), name


def listing(config: Any) -> str:
    """Return all layers of a method, with their sizes."""
    return repr(METHODS[type(config)](config, input_channels=3, output_channels=3, image_size=(32, 32)))


def test_what_a_discriminator_needs_has_no_effect_without_one() -> None:
    alone = idle_settings(Pix2PixConfig(adversarial_weight=0.0))
    assert {"receptive_field", "discriminator_width", "objective"} <= alone.keys()
    assert "norm" not in alone
    assert idle_settings(Pix2PixConfig(objective="wasserstein")).keys().isdisjoint({"gradient_penalty", "depth"})
    assert idle_settings(Pix2PixConfig())["gradient_penalty"] == "objective vanilla"
    assert idle_settings(Pix2PixHDConfig())["perceptual_weight"] == "perceptual none"
