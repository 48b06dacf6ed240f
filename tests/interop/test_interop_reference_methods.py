import json
from dataclasses import replace

import numpy as np
import pytest
import reference_models as reference
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ganvas import api
from ganvas.errors import ConfigError, RunError
from ganvas.interop.import_checkpoints import load_discriminator
from ganvas.interop.reference_checkpoint import identify, read_reference
from ganvas.interop.reference_methods import import_reference
from ganvas.methods.base import Batch, Progress
from ganvas.runs.record import read_run_record

# model, size, kind, count, norm, and dropout according to the keys
CASES = {
    "unet_256": (lambda: reference.unet(8), 256, "unet", 8, "batch", None),
    "unet_128_five_channels": (lambda: reference.unet(7, channels=(5, 1)), 128, "unet", 7, "batch", None),
    "unet_32": (lambda: reference.unet(5, norm="instance"), 32, "unet", 5, "instance", None),
    "unet_no_norm": (lambda: reference.unet(5, norm="none"), 64, "unet", 5, "none", None),
    "unet_gray": (lambda: reference.unet(5, channels=(1, 2), width=6), 32, "unet", 5, "batch", None),
    "unet_old": (lambda: reference.unet(5, norm="old_instance"), 32, "unet", 5, "instance", None),
    "resnet_9": (lambda: reference.resnet(9), 32, "resnet", 9, "instance", 0.0),
    "resnet_9_dropout": (lambda: reference.resnet(9, dropout=True), 32, "resnet", 9, "instance", 0.5),
    "resnet_6_batch": (lambda: reference.resnet(6, norm="batch"), 32, "resnet", 6, "batch", 0.0),
    "resnet_6_batch_dropout": (lambda: reference.resnet(6, norm="batch", dropout=True), 32, "resnet", 6, "batch", 0.5),
    "resnet_1_no_norm": (lambda: reference.resnet(1, norm="none", channels=(4, 1)), 32, "resnet", 1, "none", 0.0),
    "resnet_old": (lambda: reference.resnet(6, norm="old_instance", dropout=True), 32, "resnet", 6, "instance", 0.5),
    "cut_9": (lambda: reference.cut(9), 32, "resnet", 9, "instance", 0.0),
    "cut_6_batch": (lambda: reference.cut(6, norm="batch"), 48, "resnet", 6, "batch", 0.0),
    "patchgan_1": (lambda: reference.patchgan(1), 32, "patchgan", 1, "batch", 0.0),
    "patchgan_5": (lambda: reference.patchgan(5, norm="instance", channels=2), 128, "patchgan", 5, "instance", 0.0),
    "patchgan_7": (lambda: reference.patchgan(7, norm="none"), 512, "patchgan", 7, "none", 0.0),
    "patchgan_old": (lambda: reference.patchgan(3, norm="old_instance"), 64, "patchgan", 3, "instance", 0.0),
    "pixelgan": (lambda: reference.pixelgan(), 32, "pixelgan", 0, "batch", 0.0),
    "pixelgan_instance": (lambda: reference.pixelgan(norm="instance"), 32, "pixelgan", 0, "instance", 0.0),
    "pixelgan_no_norm": (lambda: reference.pixelgan(norm="none"), 32, "pixelgan", 0, "none", 0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_every_network_is_recognised_and_agrees(name):
    make, size, kind, count, norm, dropout = CASES[name]
    theirs = make()
    network = identify(theirs.state)
    assert (network.kind, network.count, network.norm, network.dropout) == (kind, count, norm, dropout)
    for prefix in ("module.", "_orig_mod.module."):
        wrapped = identify({prefix + key: value for key, value in theirs.state.items()})
        assert replace(wrapped, weights={}) == replace(network, weights={})
        assert wrapped.weights.keys() == network.weights.keys()
        assert all(torch.equal(value, network.weights[key]) for key, value in wrapped.weights.items())
    ours = replace(network, dropout=0.0).build()
    torch.manual_seed(0)
    images = torch.rand(2, network.input_channels, size, size) * 2 - 1
    with torch.no_grad():
        for training in (False, True):
            made = ours.train(training)(images)
            torch.testing.assert_close(made, theirs(images, training=training), atol=1e-5, rtol=0)


@pytest.mark.parity
def test_networks_agree_with_the_numbers_of_the_reference(parity):
    cases = json.loads((parity / "index.json").read_text())
    networks = {name: case for name, case in cases.items() if case["kind"] in ("generator", "discriminator")}
    assert networks
    for name, case in networks.items():
        network, tensors = read_reference(parity / f"{name}.pth"), load_file(parity / f"{name}.safetensors")
        assert (network.norm, network.width, network.input_channels) == (
            case["norm"],
            case["width"],
            case["input_channels"],
        )
        ours = network.build()
        with torch.no_grad():
            for mode in ("eval", "train"):
                made = ours.train(mode == "train")(tensors["input"])
                torch.testing.assert_close(made, tensors[f"output_{mode}"], atol=1e-5, rtol=0, msg=f"{name} {mode}")


@pytest.mark.parity
def test_cyclegans_checkpoints_are_recognised(parity):
    for path in sorted((parity / "cyclegan_steps").glob("*.pth")):
        network = read_reference(path)
        assert network.kind == ("resnet" if "net_G" in path.name else "patchgan")
        assert network.norm == "instance"


def saved(tmp_path, **networks):
    paths = []
    for name, network in networks.items():
        paths.append(tmp_path / f"latest_net_{name}.pth")
        torch.save(network.state, paths[-1])
    return paths


def test_generator_and_discriminator_become_a_method(tmp_path):
    theirs = reference.unet(7, channels=(1, 3))
    paths = saved(tmp_path, D=reference.patchgan(2, channels=4, width=3), G=theirs)
    imported = import_reference(*paths, dropout=0.25)
    config = imported.config
    assert (config.generator, config.depth, config.width, config.norm) == ("unet", 7, 4, "batch")
    assert (config.receptive_field, config.discriminator_width, config.dropout) == (34, 3, 0.25)
    assert (imported.input_channels, imported.output_channels, imported.image_size) == (1, 3, (128, 128))
    images = torch.rand(1, 1, 128, 128)
    torch.testing.assert_close(imported.method.generator.eval()(images), theirs(images), atol=1e-5, rtol=0)
    statistics = imported.method.generator.encode_blocks[1].norm.running_mean
    assert torch.equal(statistics, theirs.state["model.model.1.model.2.running_mean"])


def test_what_the_file_cannot_tell_is_said(tmp_path):
    notes = "\n".join(import_reference(*saved(tmp_path, G=reference.unet(5))).notes)
    assert "does not record whether it was trained with dropout" in notes
    assert "no discriminator was given" in notes


def test_a_residual_generators_dropout_follows_from_its_parameter_names(tmp_path):
    paths = saved(tmp_path, G=reference.resnet(6, dropout=True))
    assert import_reference(*paths).config.dropout == 0.5
    with pytest.raises(RunError, match=r"names imply dropout 0\.5, not 0\.1"):
        import_reference(*paths, dropout=0.1)


def test_the_variant_trains_what_the_file_holds_and_no_more(tmp_path):
    imported = import_reference(*saved(tmp_path, G=reference.unet(5, norm="none"), D=reference.pixelgan(norm="none")))
    assert imported.config.variant == "pytorch"
    biases = [name for name, _ in imported.method.named_parameters() if name.endswith("bias")]
    assert biases == ["generator.decode_blocks.4.conv.bias", "discriminator.blocks.0.conv.bias"]


def test_a_wasserstein_critic_keeps_its_batch_norm_and_has_no_penalty(tmp_path):
    paths = saved(tmp_path, G=reference.unet(5), D=reference.patchgan(1))
    method = import_reference(*paths, objective="wasserstein", l1_weight=10.0).method
    assert isinstance(method.discriminator.blocks[1].norm, nn.BatchNorm2d)
    images = torch.rand(2, 3, 32, 32)
    turn = next(method.training_step(Batch(images, images), Progress(0, 0)))
    assert set(turn.losses) == {"fake", "real"}
    assert method.discriminator.blocks[1].norm.num_batches_tracked == 7 + 2


@pytest.mark.parametrize(("halvings", "dropped"), [(8, [1, 2, 3]), (7, [1, 2]), (5, [])])
def test_a_u_nets_dropout_lies_where_the_reference_has_it(tmp_path, halvings, dropped):
    generator = import_reference(*saved(tmp_path, G=reference.unet(halvings)), dropout=0.5).method.generator
    assert [level for level, block in enumerate(generator.decode_blocks) if block.dropout.p] == dropped


@pytest.mark.parametrize("make", [lambda: reference.patchgan(6, width=1, channels=4), reference.pixelgan])
def test_a_discriminator_alone_becomes_a_folder_of_its_own(tmp_path, make):
    theirs, folder = make(), tmp_path / "discriminator"
    (path,) = saved(tmp_path, D=theirs)
    imported = api.import_reference((path,), out=folder)
    assert imported.folder == folder
    assert "a discriminator without its generator" in str(imported)
    discriminator = load_discriminator(folder)
    images = torch.rand(1, theirs.state[next(iter(theirs.state))].shape[1], 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(discriminator(images), theirs(images), atol=1e-5, rtol=0)
    with pytest.raises(RunError, match=r"already contains a discriminator\.json"):
        api.import_reference((path,), out=folder)
    with pytest.raises(RunError, match="not a run folder"):
        api.load(folder)


def test_a_discriminators_folder_must_agree_with_itself(tmp_path):
    api.import_reference(tuple(saved(tmp_path, D=reference.pixelgan())), out=tmp_path / "discriminator")
    record = tmp_path / "discriminator" / "discriminator.json"
    record.write_text(record.read_text().replace('"width": 4', '"width": 5'))
    with pytest.raises(RunError, match="do not belong together"):
        load_discriminator(tmp_path / "discriminator")
    record.unlink()
    with pytest.raises(RunError, match="cannot be read as the record"):
        load_discriminator(tmp_path / "discriminator")


@pytest.mark.slow
@pytest.mark.parity
def test_every_checkpoint_becomes_something_loadable(parity, tmp_path):
    paths = [path for path in sorted(parity.rglob("*.pth")) if "community" not in path.parts]  # other networks
    assert paths
    for path in paths:
        folder = tmp_path / path.parent.name / path.stem
        api.import_reference((path,), out=folder)
        if read_reference(path).is_generator:
            assert api.load(folder, device="cpu")(np.zeros((64, 48, 3), np.uint8)).shape == (64, 48, 3)
        else:
            assert load_discriminator(folder)


@pytest.mark.parametrize(
    ("networks", "complaint"),
    [
        ({"D": reference.patchgan(3)}, "one generator .* given: latest_net_D.pth is a patchgan"),
        ({"G_A": reference.resnet(6), "G_B": reference.resnet(6)}, "or the generators.* of a CycleGAN; given"),
        ({"G": reference.unet(5), "D": reference.patchgan(3, channels=3)}, "as in CycleGAN"),
        ({"G": reference.unet(5), "D": reference.patchgan(3, channels=5)}, "scores 5 channels, .* have 6"),
        ({"G": reference.unet(5), "D": reference.patchgan(3, norm="instance")}, "its norm is instance"),
        ({"G": reference.unet(5), "D": reference.patchgan(6)}, "6 strided layers"),
    ],
)
def test_files_that_do_not_make_a_pair(tmp_path, networks, complaint):
    with pytest.raises(RunError, match=complaint):
        import_reference(*saved(tmp_path, **networks))


@pytest.mark.parametrize("prefix", ["netG", "model", "state.generator", "model.model"])
@pytest.mark.parametrize("name", ["resnet_6_batch", "unet_32", "cut_6_batch", "patchgan_1", "pixelgan"])
def test_any_prefix_is_taken_off(name, prefix):
    make, _, kind, *_ = CASES[name]
    assert identify(keyed(prefix, make().state)).kind == kind


def keyed(prefix, state):
    return {f"{prefix}.{key}": value for key, value in state.items()}


G, D = reference.resnet(6), reference.patchgan(3)
AVERAGE = {key: value + 1 for key, value in G.state.items()}


@pytest.mark.parametrize(
    ("content", "entry", "first"),
    [
        ({"netG": G.state, "epoch": 5}, "netG", 0),
        (
            {"state_dict": G.state, "optimizer": {"state": {0: {"step": torch.zeros(1)}}, "param_groups": []}},
            "state_dict",
            0,
        ),
        ({"params_ema": AVERAGE}, "params_ema", 1),
        ({"params": G.state, "params_ema": AVERAGE}, "params_ema", 1),
        ({"g_ema": AVERAGE, "g": G.state, "d": D.state}, "g_ema", 1),
        ({"model": {"netG": G.state, "netD": D.state}, "epoch": 3}, "model.netG", 0),
        ({"state_dict": keyed("netG", G.state), "hyper_parameters": {"lr": 0.1}}, "state_dict", 0),
        ({"state_dict": keyed("netG", G.state) | keyed("netD", D.state)}, "state_dict.netG", 0),
        (keyed("netG", G.state) | keyed("netD", D.state), "netG", 0),
    ],
)
def test_wrappers_are_looked_into(tmp_path, content, entry, first):
    torch.save(content, tmp_path / "file.pth")
    network = read_reference(tmp_path / "file.pth")
    assert (network.kind, network.entry) == ("resnet", entry)
    assert torch.equal(network.weights["first.conv.weight"], G.state["model.1.weight"] + first)
    note = str(api.import_reference((tmp_path / "file.pth",), out=tmp_path / "run"))
    assert f"from its entry '{entry}'" in note


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            {"netG_A": G.state, "netG_B": G.state},
            r"several networks, 'netG_A' \(resnet\), 'netG_B' \(resnet\); save each",
        ),
        (keyed("netG_A", G.state) | keyed("netG_B", G.state), "several networks, 'netG_A'"),
        ({"netG": {"features.0.weight": torch.zeros(3)}}, "entry 'netG': its keys .* not those of a supported network"),
        ({"epoch": 1, "lr": 0.1}, "nor a dictionary.*it holds 'epoch', 'lr'"),
        ({"mlp_0.0.weight": torch.zeros(4, 3), "mlp_0.2.weight": torch.zeros(4, 4)}, "patch heads of CUT"),
        (D.state | {"model.2.filt": torch.zeros(4, 1, 3, 3)}, "CUT's antialiased PatchGAN"),
        ({key: value for key, value in reference.cut(6).state.items() if key != "model.18.filt"}, "one half only"),
        (reference.cut(6).state | {"model.7.filt": torch.ones(8, 1, 3, 3)}, "model.7.filt is not its filter of 3 taps"),
        (G.state | {"model.4.weight": torch.full((8, 4, 3, 3), torch.nan)}, "model.4.weight holds NaN"),
        (G, "holds Python objects besides tensors.*state_dict"),
    ],
)
def test_the_true_cause_is_named(tmp_path, content, complaint):
    torch.save(content if isinstance(content, dict) else nn.Linear(2, 2), tmp_path / "file.pth")
    with pytest.raises(RunError, match=complaint):
        read_reference(tmp_path / "file.pth")


def test_web_pages_and_folders_are_named(tmp_path):
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html>Virus scan warning</html>")
    with pytest.raises(RunError, match="web page"):
        read_reference(tmp_path / "page.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(RunError, match="a folder; pass"):
        read_reference(tmp_path / "folder.pth")


def test_damaged_and_empty_files_are_named(tmp_path):
    torch.save(G.state, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:2000])
    (tmp_path / "empty.pth").touch()
    with pytest.raises(RunError, match="damaged, incomplete or of another type: download the file again"):
        read_reference(tmp_path / "cut.pth")
    with pytest.raises(RunError, match="it is empty: download the file again"):
        read_reference(tmp_path / "empty.pth")


def test_safetensors_are_read(tmp_path):
    save_file(G.state, tmp_path / "file.safetensors")
    assert read_reference(tmp_path / "file.safetensors").kind == "resnet"
    (tmp_path / "file.safetensors").rename(tmp_path / "named.pth")
    assert read_reference(tmp_path / "named.pth").kind == "resnet"
    (tmp_path / "file.safetensors").write_bytes(b"12345678{")
    with pytest.raises(RunError, match="safetensors"):
        read_reference(tmp_path / "file.safetensors")


def test_cuts_generator_becomes_a_run(tmp_path):
    theirs = reference.cut(9)
    (path,) = saved(tmp_path, G=theirs)
    assert "imported as CUT" in str(api.import_reference((path,), out=tmp_path / "run"))
    picture = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    made = api.load(tmp_path / "run", device="cpu")(picture)
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(picture / 127.5 - 1).float().permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert np.abs(made - ((wanted.numpy() + 1) * 127.5)).max() <= 1


def test_the_weights_of_a_cycle_are_told_by_the_user(tmp_path):
    paths = tuple(saved(tmp_path, G_A=G, G_B=reference.resnet(6)))
    api.import_reference(paths, out=tmp_path / "run", cycle_weight_a=5.0, cycle_weight_b=20.0, identity_weight=0.1)
    config = read_run_record(tmp_path / "run").method
    assert (config.cycle_weights, config.identity_weight) == ({"a": 5.0, "b": 20.0}, 0.1)
    with pytest.raises(ConfigError, match="cycle_weight_a: only for the files of a CycleGAN"):
        api.import_reference(paths[:1], out=tmp_path / "other", cycle_weight_a=5.0)
    with pytest.raises(ConfigError, match="must not be negative"):
        api.import_reference(paths, out=tmp_path / "other", cycle_weight_a=-5.0)


def test_cuts_generator_is_no_cyclegans(tmp_path):
    paths = saved(tmp_path, G_A=reference.cut(6), G_B=reference.cut(6))
    with pytest.raises(RunError, match="CUT's generator, which translates in one direction"):
        api.import_reference(tuple(paths), out=tmp_path / "run")


def test_damaged_files_are_refused(tmp_path):
    (path,) = saved(tmp_path, D=reference.pixelgan())
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(50):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 20):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged[: random.integers(len(whole) // 2, len(whole))])
        with pytest.raises(RunError):
            read_reference(path)


def without(state, key):
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ({}, "not those of a supported network"),
        ({"features.0.weight": torch.zeros(3)}, "features.0.weight.* not those of a supported network"),
        (without(reference.unet(5).state, "model.model.3.bias"), "model.model.3.bias is missing"),
        (without(reference.resnet(6).state, "model.4.weight"), "looks like a resnet, but model.4.weight"),
        (without(reference.patchgan(3).state, "model.5.weight"), "looks like a patchgan, but model.5.weight"),
        (reference.patchgan(3).state | {"model.3.gain": torch.zeros(1)}, "also holds model.3.gain"),
        (reference.unet(5).state | {"model.model.0.bias": torch.zeros(4)}, "also holds model.model.0.bias"),
        (reference.pixelgan().state | {"net.5.weight": torch.zeros(1, 3, 1, 1)}, "net.5.weight has shape"),
        (reference.patchgan(3).state | {"model.2.weight_orig": torch.zeros(1)}, "spectral"),
        (reference.patchgan(3).state | {"model.0.weight": torch.zeros(4)}, "model.0 is not a convolution"),
        ({"model.10.conv_block.0.weight": torch.zeros(4, 4, 3, 3)}, "zero padding"),
        ({"model.13.conv_block.1.weight": torch.zeros(4, 4, 3, 3)}, "not 2 downsampling layers"),
    ],
)
def test_what_is_not_the_references_is_refused_by_name(state, complaint):
    with pytest.raises(RunError, match=complaint):
        identify(state)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RunError, match="no such file"):
        read_reference(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(RunError, match="not a checkpoint"):
        read_reference(tmp_path / "text.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(RunError, match="not a checkpoint"):
        read_reference(tmp_path / "empty.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(RunError, match="not a plain state dict"):
        read_reference(tmp_path / "other.pth")
    torch.save({0: torch.zeros(1)}, tmp_path / "numbered.pth")
    with pytest.raises(RunError, match="not a plain state dict"):
        read_reference(tmp_path / "numbered.pth")
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "module.pth")
    with pytest.raises(RunError, match="read safely"):
        read_reference(tmp_path / "module.pth")
