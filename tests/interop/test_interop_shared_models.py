import errno
import gzip
import json
import re

import numpy as np
import pytest
import torch
from community_models import compact, esrgan, nafnet
from safetensors.torch import load_file, save_file
from torch import Tensor

from ganvas import api
from ganvas.errors import ConfigError, RunError
from ganvas.image.picture import Picture
from ganvas.interop import import_checkpoints
from ganvas.interop.other_architectures import TELLTALES, name_other_architecture
from ganvas.interop.reference_checkpoint import read_reference
from ganvas.interop.shared_models import NotRecorded, find_shared_model, read_shared_model
from ganvas.methods import SRResNetConfig
from ganvas.methods.architectures import crop_multiple
from ganvas.methods.srresnet.method import make_upscaler
from ganvas.runs.record import SNAPSHOT_FORMAT, load_generators, read_run_record


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


# name -> (state dict and forward pass, scale, input channels, output channels, size multiple)
CASES = {
    "old_x4": (lambda: esrgan("old"), 4, 3, 3, 1),
    "old_x1": (lambda: esrgan("old", ups=()), 1, 3, 3, 1),
    "old_x2_gray": (lambda: esrgan("old", ups=(2,), channels=(1, 1)), 2, 1, 1, 1),
    "old_x8": (lambda: esrgan("old", ups=(2, 2, 2), blocks=1), 8, 3, 3, 1),
    "old_plus": (lambda: esrgan("old", plus=True), 4, 3, 3, 1),
    "trunk_x4": (lambda: esrgan("trunk", blocks=1), 4, 3, 3, 1),
    "trunk_x2_to_gray": (lambda: esrgan("trunk", ups=(2,), channels=(3, 1)), 2, 3, 1, 1),
    "trunk_plus": (lambda: esrgan("trunk", plus=True, blocks=1), 4, 3, 3, 1),
    "real_x1_eleven_blocks": (lambda: esrgan("real", blocks=11, width=2, growth=1, ups=()), 1, 3, 3, 1),
    "real_x1": (lambda: esrgan("real", ups=()), 1, 3, 3, 1),
    "real_x8": (lambda: esrgan("real", ups=(2, 2, 2)), 8, 3, 3, 1),
    "real_x2_unshuffle": (lambda: esrgan("real", unshuffle=2), 2, 3, 3, 2),
    "real_x1_unshuffle": (lambda: esrgan("real", unshuffle=4), 1, 3, 3, 4),
    "real_x1_unshuffle_2": (lambda: esrgan("real", ups=(2,), unshuffle=2), 1, 3, 3, 2),
    "real_x2_unshuffle_4_gray": (lambda: esrgan("real", ups=(2, 2, 2), unshuffle=4, channels=(1, 1)), 2, 1, 1, 4),
    "real_from_gray": (lambda: esrgan("real", channels=(1, 3)), 4, 1, 3, 1),
    "real_twelve_channels_at_x1": (lambda: esrgan("real", ups=(), channels=(12, 3)), 1, 12, 3, 1),
    "compact_x2": (lambda: compact(), 2, 3, 3, 1),
    "compact_x1": (lambda: compact(scale=1), 1, 3, 3, 1),
    "compact_x3": (lambda: compact(scale=3), 3, 3, 3, 1),
    "compact_x8_gray": (lambda: compact(scale=8, channels=(1, 1)), 8, 1, 1, 1),
    "compact_from_gray": (lambda: compact(channels=(1, 3)), 2, 1, 3, 1),
    "compact_four_channels": (lambda: compact(channels=(4, 4)), 2, 4, 4, 1),
    "nafnet": (lambda: nafnet(), 1, 3, 3, 1),
    "nafnet_gray": (lambda: nafnet(channels=1, encoder=(1, 0, 1), middle=2, decoder=(1, 1, 0)), 1, 1, 1, 1),
}


def unit_range(network, images: Tensor) -> Tensor:
    """Return the output in [0, 1] of a generator that works in [-1, 1]."""
    with torch.no_grad():
        return (network.eval()(2 * images - 1) + 1) / 2


@pytest.mark.parametrize("name", CASES)
def test_every_variant_is_recognized_and_agrees(name):
    make, scale, given, output, multiple = CASES[name]
    state, compute = make()
    model = find_shared_model(state)
    assert (model.config.scale, model.input_channels, model.output_channels) == (scale, given, output)
    network = make_upscaler(model.config, given, output)
    network.load_state_dict(model.weights)
    assert (network.scale, network.size_multiple) == (scale, multiple)
    images = torch.rand(1, given, 8, 16)
    torch.testing.assert_close(unit_range(network, images), compute(images), atol=1e-5, rtol=0)


def test_one_enlargement_may_be_by_three():
    state, compute = esrgan("real", ups=(3,))
    assert find_shared_model(state).config.scale == 2  # the scale of most such models
    model = find_shared_model(state, NotRecorded(scale=3))
    network = make_upscaler(model.config, 3, 3)
    network.load_state_dict(model.weights)
    images = torch.rand(1, 3, 5, 6)
    torch.testing.assert_close(unit_range(network, images), compute(images), atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="upscale 4 times, not 3"):
        find_shared_model(esrgan("real")[0], NotRecorded(scale=3))


@pytest.mark.parametrize("size", [(9, 14), (3, 2), (8, 13)])
def test_a_nafnet_pads_other_sizes_with_zeros_as_its_release(size):
    state, compute = nafnet()
    model = find_shared_model(state)
    network = make_upscaler(model.config, 3, 3)
    network.load_state_dict(model.weights)
    images = torch.rand(1, 3, *size)
    padded = torch.zeros(1, 3, *(-(-side // 4) * 4 for side in size))
    padded[..., : size[0], : size[1]] = images
    wanted = compute(padded)[..., : size[0], : size[1]]
    torch.testing.assert_close(unit_range(network, images), wanted, atol=1e-5, rtol=0)
    assert (network.size_multiple, crop_multiple(network)) == (1, 4)  # a translator pads nothing


RELEASED = {
    "RealESRGAN_x4plus_anime_6B": (
        lambda: esrgan("real", width=64, growth=32, blocks=6), {"scale": 4, "width": 64, "num_blocks": 6, "growth": 32},
    ),
    "RealESRGAN_x2plus": (
        lambda: esrgan("real", width=64, growth=32, blocks=3, unshuffle=2), {"scale": 2, "unshuffle": 2},
    ),
    "realesr-animevideov3": (
        lambda: compact(scale=4, width=64, blocks=16), {"scale": 4, "num_blocks": 16, "activation": "prelu"},
    ),
    "realesr-general-x4v3": (lambda: compact(scale=4, width=64, blocks=32), {"scale": 4, "num_blocks": 32}),
    "NAFNet-GoPro-width32": (
        lambda: nafnet(width=8, encoder=(1, 1, 1, 28), middle=1, decoder=(1, 1, 1, 1)),
        {"width": 8, "encoder_blocks": (1, 1, 1, 28), "middle_blocks": 1, "decoder_blocks": (1, 1, 1, 1)},
    ),
    "NAFNet-SIDD-width64": (
        lambda: nafnet(width=8, encoder=(2, 2, 4, 8), middle=12, decoder=(2, 2, 2, 2)),
        {"encoder_blocks": (2, 2, 4, 8), "middle_blocks": 12, "decoder_blocks": (2, 2, 2, 2)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASED)
def test_the_depths_of_released_models_are_read(name):
    """Numbers of blocks, convolutions and levels as in released files; some models are narrower here."""
    make, wanted = RELEASED[name]
    config = find_shared_model({f"params.{key}": value for key, value in make()[0].items()}).config
    assert {setting: getattr(config, setting) for setting in wanted} == wanted


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_the_activation_of_a_compact_without_slopes_is_told_by_the_user(activation):
    state, compute = compact(activation=activation)
    with pytest.raises(ConfigError, match="--activation relu or --activation leaky_relu"):
        find_shared_model(state)
    model = find_shared_model(state, NotRecorded(activation=activation))
    network = make_upscaler(model.config, 3, 3)
    network.load_state_dict(model.weights)
    images = torch.rand(1, 3, 5, 6)
    torch.testing.assert_close(unit_range(network, images), compute(images), atol=1e-5, rtol=0)
    for other in (compact()[0], nafnet()[0]):
        with pytest.raises(ConfigError, match="omit --activation"):
            find_shared_model(other, NotRecorded(activation=activation))


@pytest.mark.parity
def test_models_agree_with_the_numbers_of_spandrel(parity, tmp_path):
    folder = parity / "community"
    cases = json.loads((folder / "index.json").read_text())
    assert cases
    for name, case in cases.items():
        numbers = load_file(folder / f"{name}.numbers.safetensors")
        for path in folder.glob(f"{name}.pth"), folder.glob(f"{name}.safetensors"):
            for file in path:
                run = tmp_path / file.name
                api.import_reference((file,), out=run)
                method = load_generators(run)
                assert (method.scale, read_run_record(run).input.channels) == (case["scale"], case["input_channels"])
                # in float64: rounding differs between processors
                made = unit_range(method.generator.double(), numbers["input"].double()).float()
                torch.testing.assert_close(made, numbers["output"], atol=1e-5, rtol=0, msg=file.name)


STATE = esrgan("real", blocks=1)[0]


def keyed(prefix, state):
    return {f"{prefix}.{key}": value for key, value in state.items()}


ZEROS = {key: torch.zeros_like(value) for key, value in STATE.items()}
DISCRIMINATOR = {f"discriminator.{name}.weight": torch.zeros(2, 2) for name in "ab"} | {"step_counter": torch.zeros(1)}


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        ({"params": {key: value - 1 for key, value in STATE.items()}, "params_ema": STATE}, "params_ema"),
        ({"state_dict": STATE, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}}}, "state_dict"),
        ({"model": keyed("module", STATE)}, "model"),
        (keyed("module", STATE) | {"n_averaged": torch.tensor(7)}, ""),
        ({"state_dict": keyed("generator", STATE) | DISCRIMINATOR}, "state_dict.generator"),
        ({"state_dict": keyed("net_g", STATE) | keyed("net_d", DISCRIMINATOR)}, "state_dict.net_g"),
        ({"state_dict": keyed("generator", ZEROS) | keyed("generator_ema", STATE)}, "state_dict.generator_ema"),
        ({"net_g": ZEROS, "net_g_ema": STATE, "iter": 5}, "net_g_ema"),
        ({"params-ema": STATE, "params": ZEROS}, "params-ema"),
        ({"model_state_dict": keyed("module.netG", STATE), "epoch": 1}, "model_state_dict"),
        (keyed("_orig_mod.module", STATE), ""),
        (STATE | {"body.steps": torch.tensor(3)}, ""),
        (STATE | {"body.0.rdb1.num_batches_tracked": torch.tensor(3), "total_ops": torch.zeros(1)}, ""),
        (STATE | {"scale": 4, "name": "4x-Model"}, ""),
        ({key: value.half() for key, value in STATE.items()}, ""),
        ({key: value.double() for key, value in STATE.items()}, ""),
        ({key: value.bfloat16() for key, value in STATE.items()}, ""),
    ],
)  # fmt: skip
def test_wrappers_prefixes_counters_and_precisions(tmp_path, content, entry):
    torch.save(content, tmp_path / "model.pth")
    model = read_shared_model(tmp_path / "model.pth")
    assert model.entry == entry
    for name, value in model.weights.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, STATE[name], atol=4e-3, rtol=4e-3)


@pytest.mark.slow
def test_a_model_becomes_a_run_that_translates_in_exact_tiles(tmp_path):
    state, compute = esrgan("old", unshuffle=2, blocks=1)
    save_file(state, tmp_path / "2x_Model.safetensors")
    imported = api.import_reference((tmp_path / "2x_Model.safetensors",), out=tmp_path / "run")
    assert "ESRGAN (old keys), x2, 3 to 3 channels, width 6, 1 blocks of growth 4, pixel-unshuffle 2" in str(imported)
    translator = api.load(tmp_path / "run", device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (30, 150, 3), dtype=np.uint8)
    made = translator(picture)
    with torch.no_grad():
        wanted = compute(torch.from_numpy(picture / 255).float().permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert np.abs(made - (255 * wanted.clamp(0, 1)).numpy()).max() < 0.51
    context = load_generators(tmp_path / "run").context
    tiled = translator.translate_picture(Picture(picture), tile=2 * context + 8)
    assert tiled.tiling_note is None
    assert np.abs(tiled.picture.pixels.astype(int) - made.astype(int)).max() <= 1


def test_a_run_can_be_trained_further(tmp_path):
    torch.save(compact()[0], tmp_path / "model.pth")
    api.import_reference((tmp_path / "model.pth",), out=tmp_path / "run")
    config = read_run_record(tmp_path / "run").method
    assert config == SRResNetConfig(generator="compact", scale=2, width=5, num_blocks=2, norm="none", loss="l1")


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        (
            {key: value for key, value in STATE.items() if key != "conv_hr.bias"},
            "conv_hr.bias is missing: it is incomplete; download",
        ),
        (STATE | {"attention.0.weight": torch.zeros(2)}, "also holds attention.0.weight: a variant"),
        (STATE | {"am_list.0.fc.0.weight": torch.zeros(2)}, "looks like MM-RealSR, which is not supported"),
        (esrgan("old", blocks=1)[0] | {"f_HR_conv1.0.weight": torch.zeros(3)}, "looks like SPSR, which"),
        (nafnet()[0] | {"middle_ups.0.0.weight": torch.zeros(1)}, "looks like M3SNet, which"),
        (STATE | {"conv_first.weight": torch.zeros(6, 3, 5, 5)}, "not a 3x3 convolution"),
        (STATE | {"conv_body.weight": torch.zeros(6, 5, 3, 3)}, "conv_body.weight has shape"),
        (STATE | {"conv_body.weight": torch.full((6, 6, 3, 3), torch.nan)}, "NaN"),
        (STATE | {"conv_body.weight": torch.zeros(6, 6, 3, 3, dtype=torch.int8)}, "quantized"),
        (STATE | {"conv_body.weight": torch.zeros(6, 6, 3, 3, dtype=torch.complex64)}, "complex weights"),
        (STATE | {"conv_body.weight": torch.zeros(6, 6, 3, 3).to_sparse()}, "is sparse"),
        (STATE | {"conv_body.weight": torch.zeros(6, 6, 3, 3, device="meta")}, "without values"),
        (esrgan("real", ups=(2,) * 5, blocks=1)[0], "upscales 32 times; supported are 1, 2, 3, 4, 8, 16"),
        (esrgan("old", blocks=1)[0] | {"model.2.weight": torch.zeros(24, 6, 3, 3)}, "another kind of upsampling"),
        (compact(channels=(3, 7))[0], "no square number"),
        (compact(channels=(3, 1))[0], "no square number of pixels of 3 channels"),
        (nafnet()[0] | {"ending.weight": torch.zeros(1, 4, 3, 3)}, "takes 3 channels and returns 1"),
        (nafnet()[0] | {"middle_blks.0.se.1.weight": torch.zeros(1)}, "also holds middle_blks.0.se.1.weight"),
    ],
)
def test_variants_that_are_not_supported_say_so(state, complaint):
    with pytest.raises(RunError, match=complaint):
        find_shared_model(state)


def test_weights_of_8_bits_are_converted():
    rounded = {key: value.to(torch.float8_e4m3fn) for key, value in STATE.items()}
    found = find_shared_model(rounded)
    assert found is not None
    assert all(value.dtype == torch.float32 for value in found.weights.values())


TELLTALE_NAMES = {
    "HAT": ["conv_first.weight", "layers.0.residual_group.overlap_attn.qkv.weight"],
    "SwinIR": ["conv_first.weight", "layers.0.residual_group.blocks.0.attn.relative_position_index"],
    "DRCT": ["layers.0.swin1.norm1.weight", "layers.0.adjust1.weight"],
    "RGT": ["before_RG.1.weight", "layers.0.blocks.0.gamma", "layers.0.blocks.0.attn.qkv.weight"],
    "DAT": ["before_RG.1.weight", "layers.0.blocks.0.attn.channel_interaction.1.weight"],
    "OmniSR": ["residual_layer.0.residual_layer.0.layer.0.fn.0.weight"],
    "SPAN": ["conv_1.sk.weight", "block_1.c1_r.sk.weight"],
    "RealPLKSR or PLKSR": ["feats.0.weight", "feats.1.lk.conv.weight"],
    "NAFSSR, for pairs of stereo pictures": ["intro.weight", "body.0.module.blk.conv1.weight", "up.0.weight"],
    "the Baseline of NAFNet": ["intro.weight", "ending.weight", "encoders.0.0.se.1.weight"],
    "SPSR": ["model.0.weight", "f_HR_conv1.0.weight"],
    "MIRNet": ["conv_in.weight", "body.0.body.0.dau_top.body.0.weight"],
    "KBNet": ["patch_embed.proj.weight", "encoder_level1.0.attn.ga1", "refinement.0.attn.dwconv.0.weight"],
    "FeMaSR": ["multiscale_encoder.in_conv.weight", "quantize_group.0.embedding.weight"],
    "DDColor": ["encoder.arch.downsample_layers.0.0.weight", "refine_net.0.0.weight_orig"],
    "CodeFormer": ["quantize.embedding.weight", "ft_layers.0.self_attn.in_proj_weight"],
    "RestoreFormer or another VQGAN": ["encoder.conv_in.weight", "quantize.embedding.weight"],
    "SAFMN": ["to_feat.weight", "feats.0.safm.mfr.0.weight"],
    "Restormer": ["patch_embed.proj.weight", "encoder_level1.0.attn.temperature", "refinement.0.norm1.body.weight"],
    "GFPGAN": ["toRGB.0.weight", "stylegan_decoder.style_mlp.1.weight"],
    "MSRResNet, the SRResNet of BasicSR": ["conv_first.weight", "body.0.conv1.weight", "upconv1.weight"],
    "a U-Net of another project": ["inc.double_conv.0.weight"],
    "the U-Net discriminator of Real-ESRGAN": ["conv0.weight", "conv1.weight_orig"],
    "a discriminator of ESRGAN": ["conv0_0.weight", "linear1.weight"],
    "a VGG classifier or a discriminator": ["features.0.weight", "features.2.weight", "classifier.0.weight"],
    "a low-rank adapter (LoRA)": ["layer.lora_up.weight"],
}


@pytest.mark.parametrize("name", TELLTALE_NAMES)
def test_other_architectures_are_named(tmp_path, name):
    assert name_other_architecture(TELLTALE_NAMES[name]) == name
    assert name in TELLTALES
    torch.save({"params": {f"module.{key}": torch.zeros(1) for key in TELLTALE_NAMES[name]}}, tmp_path / "model.pth")
    with pytest.raises(RunError, match=re.escape(f"looks like {name}, which is not supported; known are ESRGAN")):
        api.import_reference((tmp_path / "model.pth",), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_known_is_no_other_architecture():
    for make, *_ in CASES.values():
        assert name_other_architecture(make()[0]) is None


def test_a_training_state_is_named(tmp_path):
    torch.save({"epoch": 3, "iter": 7, "optimizers": [{"state": {}}], "schedulers": []}, tmp_path / "7.state")
    with pytest.raises(RunError, match=r"the state of a training .* without the weights"):
        read_reference(tmp_path / "7.state")


def test_programs_are_named(tmp_path):
    with pytest.warns(DeprecationWarning, match="deprecated"):
        torch.jit.script(torch.nn.Conv2d(1, 1, 1)).save(tmp_path / "model.pt")
    with pytest.raises(RunError, match="TorchScript program, which contains code"):
        read_shared_model(tmp_path / "model.pt")
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(RunError, match=r"runs as it is: ganvas translate model\.onnx IN OUT"):
        read_shared_model(tmp_path / "model.onnx")


def test_settings_of_other_models_are_refused(tmp_path):
    torch.save(STATE, tmp_path / "model.pth")
    with pytest.raises(ConfigError, match="dropout: does not apply to a restoration model"):
        api.import_reference((tmp_path / "model.pth",), out=tmp_path / "run", dropout=0.5)
    with pytest.raises(RunError, match=r"is a ESRGAN .* imported by itself"):
        api.import_reference((tmp_path / "model.pth", tmp_path / "model.pth"), out=tmp_path / "run")
    torch.save({"net.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="scale: does not apply to checkpoints of the reference"):
        api.import_reference((tmp_path / "other.pth",), out=tmp_path / "run", scale=3)


def test_several_models_in_one_file_are_refused(tmp_path):
    torch.save({"a": STATE, "b": compact()[0]}, tmp_path / "model.pth")
    with pytest.raises(RunError, match=r"several models, 'a' \(ESRGAN \(Real-ESRGAN keys\)\), 'b' \(Compact"):
        read_shared_model(tmp_path / "model.pth")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["save_snapshot", "write_run_record"])
def test_a_failed_import_leaves_nothing(tmp_path, monkeypatch, error, step):
    """A full disk or Ctrl-C while the weights or the record are written; files that were there are kept."""
    torch.save(STATE, tmp_path / "model.pth")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(import_checkpoints, step, fail)
    (tmp_path / "run" / "snapshots").mkdir(parents=True)
    (tmp_path / "run" / "snapshots" / "mine.txt").write_text("kept")
    for folder in (tmp_path / "new" / "run", tmp_path / "run"):
        with pytest.raises(type(error)):
            api.import_reference((tmp_path / "model.pth",), out=folder)
    assert not (tmp_path / "new").exists()
    assert [path.name for path in (tmp_path / "run").rglob("*")] == ["snapshots", "mine.txt"]


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "it is empty: download the file again"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "a Git LFS pointer .* git lfs pull"),
        (gzip.compress(b"weights", mtime=0), r"compressed \(gzip\); unpack it"),
    ],
)
def test_failed_downloads_are_named_in_both_formats(tmp_path, name, content, cause):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{name}: not a checkpoint .*{cause}"):
        read_shared_model(tmp_path / name)


def test_damaged_safetensors_name_the_remedy(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    for length in (5, len(content) // 2):
        (tmp_path / "model.safetensors").write_bytes(content[:length])
        with pytest.raises(RunError, match=r"format \(.*; it is damaged or incomplete: download the file again\)"):
            read_shared_model(tmp_path / "model.safetensors")


def test_programs_of_torch_export_are_named(tmp_path):
    torch.export.save(torch.export.export(torch.nn.Identity(), (torch.zeros(1),)), tmp_path / "model.pt2")
    with pytest.raises(RunError, match=r"a program of torch\.export, which runs in PyTorch as it is"):
        read_shared_model(tmp_path / "model.pt2")


def test_a_file_without_entries_is_named(tmp_path):
    torch.save({}, tmp_path / "model.pth")
    with pytest.raises(RunError, match=r"'netG'$"):
        read_shared_model(tmp_path / "model.pth")


def test_runs_need_no_import(tmp_path):
    torch.save(STATE, tmp_path / "model.pth")
    run = api.import_reference((tmp_path / "model.pth",), out=tmp_path / "run").folder
    with pytest.raises(RunError, match=r"run: a run already, which needs no import: ganvas translate \S*run IN OUT"):
        api.import_reference((run,), out=tmp_path / "again")
    save_file({"a_to_b.stem.weight": torch.zeros(1)}, tmp_path / "last.safetensors", {"format": SNAPSHOT_FORMAT})
    with pytest.raises(RunError, match=r"last\.safetensors: the weights of a run of ganvas, .* pass its folder"):
        api.import_reference((tmp_path / "last.safetensors",), out=tmp_path / "again")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"library_name": "diffusers"}')
    with pytest.raises(RunError, match="a folder; pass the checkpoint file in it"):
        api.import_reference((foreign,), out=tmp_path / "again")
    assert not (tmp_path / "again").exists()
