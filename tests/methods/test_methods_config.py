"""Settings without effect: the listed ones change nothing in the networks, and every other one does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest

from ganvas.methods import (
    CycleGANConfig,
    DualGANConfig,
    Pix2PixConfig,
    Pix2PixHDConfig,
    SRGANConfig,
    SRResNetConfig,
)
from ganvas.methods.base import Method
from ganvas.methods.config import SETTINGS_OF, differing_settings, idle_settings
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


def test_settings_that_differ_are_those_that_both_generators_have() -> None:
    nafnet = Pix2PixConfig(generator="nafnet", width=8, norm="none")
    both = Pix2PixConfig(generator="residual_unet", middle_blocks=3, unshuffle=2, adversarial_weight=0.0, l1_weight=5.0)
    told = ["generator nafnet, not residual_unet", "middle_blocks 12, not 3", "unshuffle 1, not 2", "width 8, not 64"]
    assert sorted(differing_settings(nafnet, both)) == told
    assert differing_settings(Pix2PixConfig(dropout=0.0), Pix2PixConfig(receptive_field=16)) == []
    assert differing_settings(Pix2PixConfig(norm="none"), Pix2PixConfig()) == ["norm none, not batch"]


def test_idle_settings_name_the_first_cause() -> None:
    assert idle_settings(Pix2PixConfig(adversarial_weight=0.0))["gradient_penalty"] == "adversarial_weight 0"
    assert {"spectral", "discriminator_norm"} <= idle_settings(SRGANConfig(adversarial_weight=0.0)).keys()
    assert idle_settings(DualGANConfig(critic="global")) == {"receptive_field": "critic global"}
    assert idle_settings(DualGANConfig()) == {}
    both = CycleGANConfig(cycle_weight_a=1.0, cycle_weight_b=2.0)
    assert idle_settings(both)["cycle_weight"] == "cycle_weight_a and cycle_weight_b"
    assert "cycle_weight" not in idle_settings(CycleGANConfig(cycle_weight_a=1.0))


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
