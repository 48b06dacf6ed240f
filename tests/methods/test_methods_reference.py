import json

import pytest
import reference_models as reference
import torch
from safetensors.torch import load_file
from torch import nn

from ganvas.errors import RunError
from ganvas.methods.reference import import_reference
from ganvas.methods.reference_checkpoint import identify, read_reference

# model, size, kind, count, norm, dropout told by the keys
CASES = {
    "unet_256": (lambda: reference.unet(8), 256, "unet", 8, "batch", None),
    "unet_128_dropout": (lambda: reference.unet(7, dropout=True), 128, "unet", 7, "batch", None),
    "unet_32": (lambda: reference.unet(5, norm="instance"), 32, "unet", 5, "instance", None),
    "unet_no_norm": (lambda: reference.unet(5, norm="none"), 64, "unet", 5, "none", None),
    "unet_grey": (lambda: reference.unet(5, channels=(1, 2), width=6), 32, "unet", 5, "batch", None),
    "unet_old": (lambda: reference.unet(5, norm="old_instance"), 32, "unet", 5, "instance", None),
    "resnet_9": (lambda: reference.resnet(9), 32, "resnet", 9, "instance", 0.0),
    "resnet_9_dropout": (lambda: reference.resnet(9, dropout=True), 32, "resnet", 9, "instance", 0.5),
    "resnet_6_batch": (lambda: reference.resnet(6, norm="batch"), 32, "resnet", 6, "batch", 0.0),
    "resnet_6_batch_dropout": (lambda: reference.resnet(6, norm="batch", dropout=True), 32, "resnet", 6, "batch", 0.5),
    "resnet_1_no_norm": (lambda: reference.resnet(1, norm="none", channels=(4, 1)), 32, "resnet", 1, "none", 0.0),
    "resnet_old": (lambda: reference.resnet(6, norm="old_instance", dropout=True), 32, "resnet", 6, "instance", 0.5),
    "patchgan_1": (lambda: reference.patchgan(1), 32, "patchgan", 1, "batch", 0.0),
    "patchgan_5": (lambda: reference.patchgan(5, norm="instance", channels=2), 128, "patchgan", 5, "instance", 0.0),
    "patchgan_7": (lambda: reference.patchgan(7, norm="none"), 512, "patchgan", 7, "none", 0.0),
    "patchgan_old": (lambda: reference.patchgan(3, norm="old_instance"), 64, "patchgan", 3, "instance", 0.0),
    "pixelgan": (lambda: reference.pixelgan(), 32, "pixelgan", 0, "batch", 0.0),
    "pixelgan_instance": (lambda: reference.pixelgan(norm="instance"), 32, "pixelgan", 0, "instance", 0.0),
    "pixelgan_no_norm": (lambda: reference.pixelgan(norm="none"), 32, "pixelgan", 0, "none", 0.0),
}


def trained(make) -> nn.Module:
    """A network with running statistics and scales that are not the initial ones."""
    torch.manual_seed(0)
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.InstanceNorm2d):
            module.track_running_stats = False  # as torch before 0.4: saved, never used
    return network


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_network_is_recognised_and_agrees(name, prefix):
    make, size, kind, count, norm, dropout = CASES[name]
    theirs = trained(make)
    network = identify({prefix + key: value for key, value in theirs.state_dict().items()})
    assert (network.kind, network.count, network.norm, network.dropout) == (kind, count, norm, dropout)
    ours = network.build()
    images = torch.rand(2, network.input_channels, size, size) * 2 - 1
    for module in theirs.modules():
        if isinstance(module, nn.InstanceNorm2d):
            module.running_mean = module.running_var = None
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), atol=1e-5, rtol=0)
        for module in [*ours.modules(), *theirs.modules()]:
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        torch.testing.assert_close(ours.train()(images), theirs.train()(images), atol=1e-5, rtol=0)


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
        torch.save(network.state_dict(), paths[-1])
    return paths


def test_generator_and_discriminator_become_a_method(tmp_path):
    theirs = trained(lambda: reference.unet(7, channels=(1, 3)))
    paths = saved(tmp_path, D=reference.patchgan(2, channels=4, width=3), G=theirs)
    imported = import_reference(*paths, dropout=0.25)
    config = imported.config
    assert (config.generator, config.depth, config.width, config.norm) == ("unet", 7, 4, "batch")
    assert (config.receptive_field, config.discriminator_width, config.dropout) == (34, 3, 0.25)
    assert (imported.input_channels, imported.output_channels, imported.image_size) == (1, 3, (128, 128))
    images = torch.rand(1, 1, 128, 128)
    torch.testing.assert_close(imported.method.generator.eval()(images), theirs.eval()(images), atol=1e-5, rtol=0)
    statistics = imported.method.generator.encode_blocks[1].norm.running_mean
    assert torch.equal(statistics, theirs.model.model[1].model[2].running_mean)


def test_what_the_file_cannot_tell_is_said(tmp_path):
    notes = "\n".join(import_reference(*saved(tmp_path, G=reference.unet(5))).notes)
    assert "does not tell whether it was trained with dropout" in notes
    assert "no discriminator was given" in notes


def test_a_residual_generators_dropout_is_told_by_its_keys(tmp_path):
    paths = saved(tmp_path, G=reference.resnet(6, dropout=True))
    assert import_reference(*paths).config.dropout == 0.5
    with pytest.raises(RunError, match=r"keys say dropout 0\.5, not 0\.1"):
        import_reference(*paths, dropout=0.1)


@pytest.mark.parametrize(
    ("networks", "complaint"),
    [
        ({"D": reference.patchgan(3)}, "one generator .* given: latest_net_D.pth is a patchgan"),
        ({"G": reference.unet(5), "H": reference.unet(5)}, "one generator"),
        ({"G": reference.unet(5), "D": reference.patchgan(3, channels=3)}, "as CycleGAN's does"),
        ({"G": reference.unet(5), "D": reference.patchgan(3, channels=5)}, "judges 5 channels, .* have 6"),
        ({"G": reference.unet(5), "D": reference.patchgan(3, norm="instance")}, "its norm is instance"),
        ({"G": reference.unet(5), "D": reference.patchgan(6)}, "6 strided layers"),
    ],
)
def test_files_that_do_not_make_a_pair(tmp_path, networks, complaint):
    with pytest.raises(RunError, match=complaint):
        import_reference(*saved(tmp_path, **networks))


def without(state, key):
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ({}, "no network known here"),
        ({"features.0.weight": torch.zeros(3)}, "features.0.weight.* no network known here"),
        (without(reference.unet(5).state_dict(), "model.model.3.bias"), "model.model.3.bias is missing"),
        (without(reference.resnet(6).state_dict(), "model.4.weight"), "looks like a resnet, but model.4.weight"),
        (without(reference.patchgan(3).state_dict(), "model.5.weight"), "looks like a patchgan, but model.5.weight"),
        (reference.patchgan(3).state_dict() | {"model.3.gain": torch.zeros(1)}, "also holds model.3.gain"),
        (reference.unet(5).state_dict() | {"model.model.0.bias": torch.zeros(4)}, "also holds model.model.0.bias"),
        (reference.pixelgan().state_dict() | {"net.5.weight": torch.zeros(1, 3, 1, 1)}, "net.5.weight has shape"),
        (reference.patchgan(3).state_dict() | {"model.2.weight_orig": torch.zeros(1)}, "spectral"),
        ({"model.10.conv_block.0.weight": torch.zeros(4, 4, 3, 3)}, "zero padding"),
        ({"model.13.conv_block.1.weight": torch.zeros(4, 4, 3, 3)}, "another number of halvings"),
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
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "module.pth")
    with pytest.raises(RunError, match="read safely"):
        read_reference(tmp_path / "module.pth")
