"""Formats of `ganvas export` in their own programs, with dynamic and fixed sizes, both precisions, and noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inference_runs import NOISY, tiny_method, tiny_record, write_tiny_run

from ganvas import api
from ganvas.errors import ExportError, MissingDependency
from ganvas.image.picture import Picture
from ganvas.image.ranges import PictureSpec
from ganvas.interop.export.config import ExportFormat
from ganvas.interop.export.export import FORMATS
from ganvas.methods import (
    CUTConfig,
    CycleGANConfig,
    DiscoGANConfig,
    DomainGANConfig,
    DualGANConfig,
    Pix2PixConfig,
    Pix2PixHDConfig,
    SRGANConfig,
    SRResNetConfig,
    UNITConfig,
    VAEConfig,
    VAEGANConfig,
)
from ganvas.methods.base import method_type
from ganvas.runs.export_metadata import ExportMetadata
from ganvas.runs.record import load_generators, read_run_record, save_snapshot, snapshot_path, write_run_record

SUFFIX = {"onnx": ".onnx", "torch": ".pt2", "openvino": ".xml"}
LEVELS: Any = {"encoder_blocks": (1, 1), "middle_blocks": 1, "decoder_blocks": (1, 1)}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("noise", {"config": NOISY}, {"noise": "input"}),
    ("noise", {"config": NOISY}, {"noise": "input", "size": (40, 24), "half": True}),
    ("half", {"config": NOISY}, {"half": True}),
    ("deep", {"config": Pix2PixConfig(width=2, depth=6), "image_size": (64, 64)}, {"noise": "input"}),
    ("wide", {"config": Pix2PixConfig(width=64, depth=2, upsampling="resize", variant="pytorch")}, {}),
    ("cycle", {"config": CycleGANConfig(width=4, residual_blocks=1)}, {"direction": "b_to_a"}),
    ("large", {"config": SRResNetConfig(width=4, num_blocks=1, scale=3, residual=True, frames=3)}, {}),
    ("large", {"config": SRResNetConfig(width=4, num_blocks=1, scale=2)}, {"half": True, "size": (19, 23)}),
    ("restoring", {"config": SRResNetConfig(width=4, scale=1, generator="nafnet", **LEVELS)}, {}),
    ("unshuffled", {"config": SRResNetConfig(width=4, num_blocks=1, scale=2, generator="rrdb", unshuffle=2)}, {}),
    ("latent", {"config": VAEConfig(width=4, latent_size=4)}, {}),
    ("shared", {"config": UNITConfig(width=4, residual_blocks=2)}, {"direction": "b_to_a"}),
]
RESTORING = ("restoring", "unshuffled")
RESIZING = ("latent", "large")
"""Runs that resize with antialiasing: a VAE to its training size, a residual network its input."""
UNETS = [
    Pix2PixConfig(width=4, depth=3, norm=norm, upsampling=upsampling, dropout=0.0, residual=residual)
    for norm in ("batch", "instance", "none") for upsampling in ("transposed", "resize") for residual in (False, True)
]  # fmt: skip
RESNETS = [
    CycleGANConfig(width=4, residual_blocks=1, norm=norm, upsampling=upsampling)
    for norm in ("batch", "instance", "none") for upsampling in ("transposed", "resize")
]  # fmt: skip
UNSHUFFLED = [SRResNetConfig(width=4, generator=name, unshuffle=2, **LEVELS) for name in ("nafnet", "residual_unet")]
UPSCALERS = [
    SRResNetConfig(width=4, num_blocks=1, scale=scale, norm=norm, generator=generator)
    for generator, scale, norm in [
        ("srresnet", 1, "none"), ("srresnet", 8, "batch"), ("rrdb", 2, "none"), ("rrdb", 3, "none"),
        ("compact", 2, "none"), ("nafnet", 1, "none"), ("residual_unet", 1, "none"),
    ]
]  # fmt: skip
OTHERS = [
    CUTConfig(width=4, residual_blocks=1), DualGANConfig(width=4), DiscoGANConfig(width=4),
    DiscoGANConfig(width=4, bottleneck=4), DomainGANConfig(width=4), VAEGANConfig(width=4, latent_size=4),
    VAEConfig(width=4, latent_size=4, upsampling="resize"), SRGANConfig(width=4, num_blocks=1, scale=2),
    Pix2PixConfig(width=4, generator="encoder_decoder", depth=2), Pix2PixConfig(width=4, generator="resnet"),
    Pix2PixHDConfig(width=4, residual_blocks=1, halvings=1, enhancers=1, receptive_field=1),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "torch", "openvino"])
@pytest.mark.parametrize(("run", "made", "settings"), CASES, ids=lambda case: str(case)[:60])
def test_every_format_agrees(
    tmp_path: Path, name: ExportFormat, run: str, made: dict[str, Any], settings: dict[str, Any]
) -> None:
    folder = write_tiny_run(tmp_path / run, **made)
    if run in (*RESIZING, *RESTORING):  # larger weights amplify rounding more than those of a trained network
        save_snapshot(snapshot_path(folder, "last"), tiny_method(read_run_record(folder), gain=1.5), images_seen=1)
    if run in RESIZING and name == "openvino" and not settings:
        with pytest.raises(ExportError, match="resizes with antialiasing, which OpenVINO ignores"):
            api.export(folder, tmp_path / "net.xml", format=name)
        assert not (tmp_path / "net.xml").exists()
        return
    exported = api.export(folder, tmp_path / f"net{SUFFIX[name]}", format=name, **settings)
    assert max(check.largest for check in exported.checks) <= (3 if settings.get("half") else 0.05)
    assert len(exported.checks) >= 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [*UNETS, *RESNETS, *UPSCALERS, *UNSHUFFLED, *OTHERS], ids=lambda config: type(config).__name__
)
def test_every_generator_of_every_method_exports(tmp_path: Path, config: Any) -> None:
    """To ONNX, in the last direction that the method learns; the export verifies itself."""
    size = (64, 64) if isinstance(config, DiscoGANConfig) else (32, 32)
    record, run = tiny_record(config, image_size=size), tmp_path / "run"
    write_run_record(run, record)
    save_snapshot(snapshot_path(run, "last"), tiny_method(record, gain=1.5), images_seen=1)
    direction = method_type(config).directions[-1]
    exported = api.export(run, tmp_path / "net.onnx", direction=direction)
    assert max(check.largest for check in exported.checks) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("enhancers", [0, 1])
def test_files_of_networks_that_reflect_their_smallest_features_take_any_size(tmp_path: Path, enhancers: int) -> None:
    config = Pix2PixHDConfig(
        width=4, discriminator_width=4, residual_blocks=1, discriminator_scales=1, enhancers=enhancers
    )
    record, run = tiny_record(config, image_size=(128, 128)), tmp_path / "run"
    write_run_record(run, record)
    save_snapshot(snapshot_path(run, "last"), tiny_method(record, gain=1.5), images_seen=1)
    api.export(run, tmp_path / "net.onnx")
    network, file = api.load(run, device="cpu"), api.load(tmp_path / "net.onnx", device="cpu")
    for height, width in [(16, 16), (16, 50), (70, 33)]:
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert np.abs(network(picture).astype(int) - file(picture)).max() <= 1


def onnx_graph(path: Path) -> tuple[list[Any], dict[str, Any], dict[str, int]]:
    """Return nodes, initializers by name, and the element types of the tensors of a file."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    declared = [*graph.value_info, *graph.input, *graph.output]
    return list(graph.node), values, {one.name: one.type.tensor_type.elem_type for one in declared}


NORMED = [
    Pix2PixConfig(width=4, depth=3, norm="batch", dropout=0.0),
    Pix2PixConfig(width=4, depth=3, norm="instance", dropout=0.0),
    CycleGANConfig(width=4, residual_blocks=1, norm="batch"),
    CycleGANConfig(width=4, residual_blocks=1, norm="instance"),
    UNITConfig(width=8, residual_blocks=2, norm="instance"),
]


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("config", NORMED, ids=lambda config: f"{type(config).__name__}-{config.norm}")
def test_norms_of_a_picture_are_instance_normalizations_in_float32(tmp_path: Path, config: Any, half: bool) -> None:
    """With learned scale and offset; the convolutions beside them have the requested precision."""
    import onnx

    run = write_tiny_run(tmp_path / "run", config)
    nodes, values, types = onnx_graph(api.export(run, tmp_path / "net.onnx", half=half).files[0])
    assert not [one for one in nodes if one.op_type == "BatchNormalization"]
    norms = [one for one in nodes if one.op_type == "InstanceNormalization"]
    method = tiny_method(read_run_record(run))
    learned = {
        layer.weight.detach().numpy().tobytes() for layer in method.modules()
        if isinstance(layer, torch.nn.BatchNorm2d) and layer.weight is not None
    }  # fmt: skip
    assert len(norms) > 2
    for one in norms:
        scale = values[one.input[1]]
        assert scale.dtype == np.float32
        assert scale.tobytes() in learned if config.norm == "batch" else (scale == 1).all()
        assert types.get(one.input[0], onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT
    weights = [values[one.input[1]] for one in nodes if one.op_type in ("Conv", "ConvTranspose")]
    assert {weight.dtype for weight in weights} == {np.dtype(np.float16 if half else np.float32)}


@pytest.mark.slow
def test_weights_that_one_file_cannot_hold_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter would write them into a second file beside it, whose loss would go unnoticed."""
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 100)
    run = write_tiny_run(tmp_path / "run", NOISY)
    with pytest.raises(ExportError, match="larger than one ONNX file can hold; export it with --half, or as torch"):
        api.export(run, tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_declared_sizes_are_free_or_those_asked_for(tmp_path: Path) -> None:
    import onnxruntime

    run = write_tiny_run(tmp_path / "run", NOISY)
    for settings, wanted in (({}, (False, False, False)), ({"size": (40, 24)}, (1, 40, 24))):
        session = onnxruntime.InferenceSession(api.export(run, tmp_path / "net.onnx", **settings).files[0])
        for one in (*session.get_inputs(), *session.get_outputs()):
            count, channels, height, width = one.shape
            assert (one.type, channels) == ("tensor(float)", 3)
            assert tuple(isinstance(side, int) and side for side in (count, height, width)) == wanted


@pytest.mark.slow
def test_the_context_of_the_metadata_makes_tiles_exact(tmp_path: Path) -> None:
    """Tiles of an exported file equal the picture in one piece; a method without a context records none."""
    config = SRResNetConfig(width=4, num_blocks=1, scale=2, generator="rrdb", unshuffle=2, growth=4)
    run = write_tiny_run(tmp_path / "run", config)
    save_snapshot(snapshot_path(run, "last"), tiny_method(read_run_record(run), gain=1.5), images_seen=1)
    exported = api.export(run, tmp_path / "net.onnx")
    assert exported.metadata.context == load_generators(run).context
    picture = np.random.default_rng(0).integers(0, 256, (30, 190, 3), dtype=np.uint8)
    translator: Any = api.load(exported.files[0])
    whole, tiled = translator(picture), translator.translate_picture(Picture(picture), tile=120)
    assert tiled.tiling_note is None
    assert np.abs(tiled.picture.pixels.astype(int) - whole).max() <= 1
    assert api.export(write_tiny_run(tmp_path / "blended", NOISY), tmp_path / "blended.onnx").metadata.context is None


@pytest.mark.slow
@pytest.mark.parametrize("config", OTHERS, ids=lambda config: type(config).__name__)
def test_other_methods_export_in_float16(tmp_path: Path, config: Any) -> None:
    size = (64, 64) if isinstance(config, DiscoGANConfig) else (32, 32)
    record, run = tiny_record(config, image_size=size), tmp_path / "run"
    write_run_record(run, record)
    save_snapshot(snapshot_path(run, "last"), tiny_method(record, gain=1.0), images_seen=1)
    exported = api.export(run, tmp_path / "net.onnx", half=True)
    assert exported.metadata.precision == "float16"
    assert max(check.largest for check in exported.checks) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("channels", [(1, 1), (1, 3), (5, 2)])
def test_any_number_of_channels_exports(tmp_path: Path, channels: tuple[int, int]) -> None:
    given, made = (PictureSpec(channels=count) for count in channels)
    run = write_tiny_run(tmp_path / "run", NOISY, input=given, output=made)
    exported = api.export(run, tmp_path / "net.onnx")
    assert max(check.largest for check in exported.checks) < 0.1


@pytest.mark.slow
def test_noise_inputs_are_the_draws_of_dropout(tmp_path: Path) -> None:
    """Other random numbers give other pictures; the report names each input, its channels and its size."""
    import onnxruntime

    run = write_tiny_run(tmp_path / "run", NOISY)
    exported = api.export(run, tmp_path / "net.onnx", noise="input")
    assert exported.metadata.noise == "input"
    session = onnxruntime.InferenceSession(exported.files[-1])
    described = json.loads(exported.report.read_text())["noise_inputs"]
    assert [one.name for one in session.get_inputs()] == ["image", *(one["name"] for one in described)]
    random = np.random.default_rng(0)
    image = random.random((1, 3, 32, 32), np.float32)

    def translate() -> Any:
        draws = {
            one["name"]: random.random((1, one["channels"], 32 // one["stride"], 32 // one["stride"]), np.float32)
            for one in described
        }
        return session.run(None, {"image": image, **draws})[0]

    assert np.abs(translate() - translate()).max() > 0.01


@pytest.mark.slow
def test_the_metadata_are_in_each_file_and_no_path_is(tmp_path: Path) -> None:
    import onnx
    import openvino

    run = write_tiny_run(tmp_path / "läuft hier", NOISY)
    exported = {name: api.export(run, tmp_path / "out", format=name) for name in ("onnx", "torch", "openvino")}
    model = onnx.load(exported["onnx"].files[0])
    extra = {"ganvas.json": ""}
    torch.export.load(exported["torch"].files[0], extra_files=extra)
    network = openvino.Core().read_model(exported["openvino"].files[-1])
    keys = exported["openvino"].metadata.to_strings()
    strings = {key: network.get_rt_info(key.split(".")).astype(str) for key in keys}
    found = [{one.key: one.value for one in model.metadata_props}, json.loads(extra["ganvas.json"]), strings]
    assert [ExportMetadata.from_strings(one) for one in found] == [one.metadata for one in exported.values()]
    for path in (tmp_path / "out").iterdir():
        assert str(Path(__file__).parents[3]).encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize(("name", "package"), [("onnx", "onnxscript"), ("openvino", "openvino")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, name: ExportFormat, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_tiny_run(tmp_path / "run", NOISY)
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda asked: None if asked == package else real(asked))
    with pytest.raises(MissingDependency, match=f"needs {package}: pip install"):
        api.export(run, tmp_path / "out", format=name)
    assert not (tmp_path / "out").exists()


def test_the_suffix_tells_the_format(tmp_path: Path) -> None:
    assert {name: kind.suffix for name, kind in FORMATS.items() if name in SUFFIX} == SUFFIX
    run = write_tiny_run(tmp_path / "run", NOISY)
    with pytest.raises(ValueError, match="use --format openvino"):
        api.export(run, tmp_path / "net.xml")
