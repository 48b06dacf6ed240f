"""Plain networks for exporters: every generator of every method, with every setting that changes its layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import nn

from ganvas.errors import ConfigError, ExportError
from ganvas.image.ranges import signed_from_unit, unit_from_signed
from ganvas.inference.tiling import translate_padded
from ganvas.interop.export.network import exported_network, without_draws
from ganvas.interop.export.plain_layers import FixedNorm, PictureNorm
from ganvas.methods import (
    CoGANConfig,
    CUTConfig,
    CycleGANConfig,
    DiscoGANConfig,
    DomainGANConfig,
    DualGANConfig,
    Pix2PixConfig,
    Pix2PixHDConfig,
    RealESRGANConfig,
    SRGANConfig,
    SRResNetConfig,
    UNITConfig,
    VAEConfig,
    VAEGANConfig,
)
from ganvas.methods.base import Method, build, methods
from ganvas.methods.config import RESTORATION

RESTORING = {"growth": 2, "encoder_blocks": (1,), "middle_blocks": 1, "decoder_blocks": (1,)}
SMALL: list[Any] = [
    CoGANConfig(width=16, z_size=4),
    CUTConfig(width=4, residual_blocks=1, discriminator_width=4),
    CycleGANConfig(width=4, residual_blocks=1, discriminator_width=4, depth=2),
    DiscoGANConfig(width=4),
    DomainGANConfig(width=4, z_size=4),
    DualGANConfig(width=4, depth=2, discriminator_width=4),
    Pix2PixConfig(width=4, residual_blocks=1, depth=2, adversarial_weight=0.0, **RESTORING),
    Pix2PixHDConfig(width=4, residual_blocks=1, halvings=1, depth=2, receptive_field=1, **RESTORING),
    RealESRGANConfig(width=4, num_blocks=1, perceptual="none", discriminator_width=4, scale=2, **RESTORING),
    SRGANConfig(width=4, num_blocks=1, content="pixels", discriminator_width=4, scale=2, **RESTORING),
    SRResNetConfig(width=4, num_blocks=1, scale=2, **RESTORING),
    UNITConfig(width=8, residual_blocks=2, shared_blocks=1, discriminator_width=4),
    VAEConfig(width=4, latent_size=4),
    VAEGANConfig(width=4, latent_size=4),
]
TOGETHER = ("generator", "norm", "upsampling")
"""Settings that are tested in every combination."""
ALONE: dict[str, tuple[Any, ...]] = {
    "antialias": (True, False), "variant": ("paper", "pytorch"), "residual": (True,), "dense_skips": (True,),
    "unshuffle": (2,), "activation": ("relu", "leaky_relu"), "scale": (1, 3, 4, 8), "frames": (3,), "bottleneck": (4,),
    "shared_blocks": (0, 2), "depth": (1, 3), "residual_scale": (0.1,), "encoder_after": (0,), "enhancers": (1, 2),
}  # fmt: skip
"""Settings that are tested one by one, with each generator."""


def choices(config: Any, name: str) -> tuple[Any, ...]:
    """Return the values of a setting, or its default if the config does not have it."""
    return get_args(get_type_hints(type(config))[name]) if hasattr(config, name) else ()


def variants(config: Any) -> Iterator[Any]:
    """Return every config that differs in the layers of its networks."""
    names = [name for name in TOGETHER if hasattr(config, name)]
    found = []
    for values in product(*(choices(config, name) for name in names)):
        chosen = dict(zip(names, values, strict=True))
        if chosen.get("generator") in RESTORATION:
            chosen |= {name: getattr(config, name) for name in ("norm", "upsampling") if hasattr(config, name)}
        found.append(chosen)
    for generator in choices(config, "generator") or (None,):
        start = {"generator": generator} if generator else {}
        found += [start | {name: value} for name, values in ALONE.items() if hasattr(config, name) for value in values]
    seen = set[Any]()
    for settings in found:
        try:
            made = replace(config, **settings)
        except ConfigError:  # this generator does not have the setting
            continue
        if made not in seen:
            seen.add(made)
            yield made


def shaken(method: Method) -> Method:
    """Return the method in evaluation mode, with random scales, offsets and statistics of norms."""
    for layer in method.modules():
        for name in ("weight", "bias", "running_mean", "running_var"):
            values = getattr(layer, name, None) if isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d) else None
            if values is not None:
                values.data.uniform_(0.5, 1.5)
    return method.eval()


def built(config: Any) -> Method | None:
    """Return the method; None if its parts do not fit together."""
    size = (64, 64) if isinstance(config, DiscoGANConfig) else (48, 48)
    torch.manual_seed(0)
    try:
        return shaken(build(config, input_channels=3, output_channels=3, image_size=size))
    except ConfigError:
        return None


def assert_agrees(method: Method, direction: Any, *, half: bool = False) -> None:
    channels = method.num_frames * 3
    network = exported_network(method, direction, channels, with_noise=False, half=half)
    images = torch.rand(2, channels, 21, 35, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), without_draws(method):
        wanted = translate_padded(method, signed_from_unit(images), direction=direction)
        made = network(images)
    torch.testing.assert_close(made, unit_from_signed(wanted), atol=6 / 255 if half else 1e-4, rtol=0)
    for layer in network.modules():
        for part in layer.children():
            if isinstance(part, nn.BatchNorm2d | nn.InstanceNorm2d):  # otherwise it would use statistics of the batch
                assert isinstance(layer, FixedNorm), "a norm with the statistics of a picture is a PictureNorm"
                assert not part.training
                assert part.running_mean is not None


def test_every_method_is_tried() -> None:
    built_in = {name for name, method in methods().items() if method.__module__.startswith("ganvas.")}
    assert {type(config).__name__ for config in SMALL} == built_in


@pytest.mark.slow
@pytest.mark.parametrize("config", SMALL, ids=lambda config: type(config).__name__)
def test_every_generator_becomes_a_plain_network_that_agrees(config: Any) -> None:
    """Batches of odd sizes, in each direction; a method that searches raises an error."""
    tried = 0
    for variant in variants(config):
        if (method := built(variant)) is None:
            continue
        for direction in method.directions:
            tried += 1
            if method.translates_by_search:
                with pytest.raises(ExportError, match="gradient-based search, which cannot be exported"):
                    exported_network(method, direction, 3, with_noise=False, half=False)
            else:
                assert_agrees(method, direction)
    assert tried >= len(list(variants(config))) - 2


ENHANCED = Pix2PixHDConfig(width=4, residual_blocks=1, halvings=1, enhancers=1, receptive_field=1)


@pytest.mark.slow
@pytest.mark.parametrize("config", [*SMALL, ENHANCED], ids=lambda config: type(config).__name__)
def test_every_method_has_a_network_of_half_precision(config: Any) -> None:
    """The limit is twice that of an export, since the weights are random."""
    method = built(config)
    assert method is not None
    for direction in method.directions:
        if not method.translates_by_search:
            assert_agrees(method, direction, half=True)


@pytest.mark.parametrize("config", [Pix2PixConfig(width=4, depth=3), CycleGANConfig(width=4, residual_blocks=1)])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_norms_of_a_picture_become_instance_norms_with_what_they_learned(config: Any, norm: Any) -> None:
    method = built(replace(config, norm=norm))
    assert method is not None
    network = exported_network(method, "a_to_b", 3, with_noise=False, half=False)
    plain = [layer for layer in network.modules() if isinstance(layer, PictureNorm)]
    generator = method.get_submodule(method.generators[0])
    learned = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d)]
    assert len(plain) == len(learned) > 2
    for made, given in zip(plain, learned, strict=True):
        assert (made.weight is None) == (given.weight is None) == (norm == "instance")
        if given.weight is not None:
            assert torch.equal(made.weight, given.weight)
            assert torch.equal(made.bias, given.bias)


@pytest.mark.parametrize("config", [Pix2PixConfig(width=4, depth=3), SRResNetConfig(width=4, num_blocks=1, scale=2)])
def test_half_keeps_the_norms_in_float32(config: Any) -> None:
    method = built(config)
    assert method is not None
    network = exported_network(method, "a_to_b", 3, with_noise=False, half=True)
    norms = 0
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            assert {value.dtype for value in layer.parameters()} == {torch.float16}
        elif isinstance(layer, PictureNorm | FixedNorm):
            assert {value.dtype for value in layer.parameters()} == {torch.float32}
            norms += 1
    assert norms
    assert network(torch.rand(1, 3, 20, 20)).dtype == torch.float32
