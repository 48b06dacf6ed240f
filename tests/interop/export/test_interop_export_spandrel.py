import json

import pytest
import torch
from community_models import compact, esrgan, nafnet
from inference_runs import write_tiny_run
from safetensors import safe_open
from safetensors.torch import load_file

from ganvas import api
from ganvas.errors import ConfigError
from ganvas.interop.export.spandrel import as_known, to_spandrel
from ganvas.interop.shared_models import find_shared_model, read_shared_model
from ganvas.methods import CycleGANConfig, Pix2PixConfig, SRGANConfig, SRResNetConfig
from ganvas.methods.base import build
from ganvas.runs.export_metadata import ExportMetadata


def written(model):
    return to_spandrel(
        model.config, model.weights, input_channels=model.input_channels, output_channels=model.output_channels
    )


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parity
def test_written_models_have_names_shapes_and_values_of_those_read(parity):
    folder = parity / "community"
    files = {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pth")}
    newest = {name: value.shape for name, value in files["esrgan_4x_real_3ch_nf8_nb2"].items()}
    assert files.keys() == json.loads((folder / "index.json").read_text()).keys()
    for name, given in files.items():
        made = written(read_shared_model(folder / f"{name}.pth"))
        if "_old_" in name or "_trunk_" in name:  # older layouts are written in the newest one
            wanted = {key: shape for key, shape in newest.items() if not ("nb1" in name and key.startswith("body.1."))}
            assert {key: value.shape for key, value in made.items()} == wanted
            given = find_shared_model(given).weights
        assert_same(made, given)


@pytest.mark.parametrize(
    "make",
    [
        lambda: esrgan("real", growth=32, blocks=1),
        lambda: esrgan("real", growth=32, blocks=1, ups=()),
        lambda: esrgan("real", growth=32, blocks=1, ups=(2, 2, 2), channels=(1, 3)),
        lambda: esrgan("real", growth=32, blocks=1, unshuffle=4),
        lambda: esrgan("old", growth=32, blocks=2, plus=True),
        lambda: esrgan("old", growth=32, blocks=1, ups=(2,), unshuffle=2, plus=True),
        lambda: compact(scale=3),
        lambda: compact(scale=8, channels=(1, 1)),
        lambda: nafnet(channels=1),
    ],
)
def test_every_variant_is_written_as_it_was_read(make):
    state, _ = make()
    assert_same(written(find_shared_model(state)), state)


SMALL = {"width": 4, "num_blocks": 1}
SEEN = {"content": "pixels", "discriminator_width": 4}
LEVELS = {"encoder_blocks": (1,), "middle_blocks": 1, "decoder_blocks": (1,)}


@pytest.mark.parametrize(
    ("config", "channels", "complaint"),
    [
        (SRResNetConfig(**SMALL, generator="rrdb", growth=8), (3, 3), "growth is 8, not 32"),
        (SRResNetConfig(**SMALL, generator="rrdb", residual=True), (3, 3), "adds its enlarged input"),
        (SRResNetConfig(**SMALL, generator="rrdb", frames=3), (3, 3), "takes 3 frames together"),
        (SRResNetConfig(**SMALL, generator="rrdb", scale=3), (3, 3), r"scale 3, .* for another one: ESRGAN .*, x2"),
        (SRResNetConfig(**SMALL, generator="rrdb", scale=2), (12, 3), r"12 to 3 channels, .* pixel-unshuffle 2"),
        (SRResNetConfig(**SMALL, generator="compact", activation="relu"), (3, 3), "its activation is relu"),
        (SRResNetConfig(width=4, **LEVELS, generator="nafnet", scale=2), (3, 3), "keeps size and channels"),
        (
            Pix2PixConfig(width=4, **LEVELS, generator="nafnet", unshuffle=2),
            (3, 3),
            "for another one: NAFNet.* 12 to 12",
        ),
        (Pix2PixConfig(width=4, **LEVELS | {"middle_blocks": 0}, generator="nafnet"), (3, 3), "a size without blocks"),
    ],
)
def test_what_spandrel_does_not_have_is_refused(config, channels, complaint):
    method = build(config, input_channels=channels[0], output_channels=channels[1], image_size=(48, 48))
    with pytest.raises(ConfigError, match=complaint):
        to_spandrel(config, method.generator.state_dict(), input_channels=channels[0], output_channels=channels[1])


@pytest.mark.parametrize(
    "config",
    [
        Pix2PixConfig(width=4, residual_blocks=1, generator="rrdb", unshuffle=2),
        Pix2PixConfig(width=4, residual_blocks=1, generator="compact"),
        Pix2PixConfig(width=4, **LEVELS, generator="nafnet"),
        *(SRResNetConfig(**SMALL, generator="rrdb", scale=scale) for scale in (1, 2, 4, 8, 16)),
        SRResNetConfig(**SMALL, generator="rrdb", scale=2, unshuffle=2),
        *(SRResNetConfig(**SMALL, generator="compact", scale=scale) for scale in (1, 2, 3, 4, 8)),
        SRResNetConfig(width=4, **LEVELS, generator="nafnet", scale=1),
        SRGANConfig(**SMALL, **SEEN, generator="rrdb", scale=4),
        SRGANConfig(**SMALL, **SEEN, generator="compact", scale=2),
        SRGANConfig(width=4, **LEVELS, **SEEN, generator="nafnet", scale=1),
    ],
)
def test_runs_of_every_method_with_them_are_written(config):
    method = build(as_known(config), input_channels=3, output_channels=3, image_size=(48, 48))
    made = to_spandrel(config, method.generator.state_dict(), input_channels=3, output_channels=3)
    found = find_shared_model(made).config
    assert (found.generator, found.scale) == (config.generator, method.scale)
    assert_same(made, method.generator.state_dict())


@pytest.mark.parametrize(
    "config", [Pix2PixConfig(), CycleGANConfig(), SRResNetConfig(), SRResNetConfig(generator="residual_unet")]
)
def test_other_generators_are_unknown_to_it(config):
    with pytest.raises(ConfigError, match=f"no generator of {type(config).__name__} but rrdb, compact and nafnet"):
        as_known(config)


@pytest.mark.parametrize(
    "make",
    [
        compact,
        pytest.param(lambda: esrgan("old", growth=32, blocks=1, unshuffle=2), marks=pytest.mark.slow),
        pytest.param(nafnet, marks=pytest.mark.slow),
    ],
)
def test_an_imported_model_is_exported_as_it_was(tmp_path, make):
    state, _ = make()
    torch.save(state, tmp_path / "model.pth")
    api.import_reference((tmp_path / "model.pth",), out=tmp_path / "run")
    exported = api.export(tmp_path / "run", tmp_path / "model.safetensors", format="spandrel")
    assert max(check.largest for check in exported.checks) < 0.01
    assert_same(find_shared_model(load_file(tmp_path / "model.safetensors")).weights, find_shared_model(state).weights)
    scale = read_shared_model(tmp_path / "model.pth").config.scale
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert ExportMetadata.from_strings(file.metadata()).scale == scale


def test_other_runs_are_refused_before_anything_is_written(tmp_path):
    write_tiny_run(tmp_path / "run", SRResNetConfig(width=4, num_blocks=1, scale=2))
    with pytest.raises(ConfigError, match="run: spandrel supports no generator of SRResNetConfig"):
        api.export(tmp_path / "run", tmp_path / "model.safetensors", format="spandrel")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    with pytest.raises(ConfigError, match="format spandrel has no --half"):
        api.export(tmp_path / "run", tmp_path / "model.safetensors", format="spandrel", half=True)
