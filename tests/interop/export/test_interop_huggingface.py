"""Export for the Hugging Face Hub: the complete run, without information about the machine."""

from __future__ import annotations

import getpass
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inference_runs import EXACT, FIVE_DEEP, NOISY, tiny_record, write_tiny_run

import ganvas
from ganvas import api
from ganvas.content_gate import gate
from ganvas.data.config import PairedData, UnpairedData
from ganvas.errors import ConfigError, ExportError, ImageError, InputError, PolicyRefusal
from ganvas.filesystem.locks import LOCK_NAME
from ganvas.image.files import read_image
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference.translator import Translator
from ganvas.interop.export.huggingface import publishable
from ganvas.methods import CoGANConfig, CycleGANConfig, SRResNetConfig, VAEConfig
from ganvas.runs.published import UNPUBLISHED, read_published
from ganvas.runs.record import generator_weights, load_generators, read_run_record

SECRET = Path("/home/jane/secret")
PRIVATE = {
    "data": PairedData(
        folder=SECRET / "photos", split_file=SECRET / "splits.json", load_size=(32, 32), crop_size=(32, 32)
    ),
    "training": {"epochs": 3.0, "start_from": str(SECRET / "first"), "device": "cpu", "batch_size": 1},
}


def export(run: Path, out: Path, **settings: Any) -> Any:
    return api.export(run, out, format="huggingface", **settings)


def photo(path: Path, *, channels: int = 3) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 21, channels)).astype(np.uint8)
    ganvas.write_image(path, Picture(pixels))
    return path


def translated(run: Path, path: Path, out: Path) -> bytes:
    api.translate(run, path, out)
    return out.read_bytes()


@pytest.mark.parametrize("config", [EXACT, NOISY], ids=["exact", "noisy"])
def test_the_folder_is_the_run_for_everybody(tmp_path: Path, config: Any) -> None:
    run = write_tiny_run(tmp_path / "flowers", config, **PRIVATE)
    result = export(run, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md", "config.json", "export.json", "model.safetensors",
    }  # fmt: skip
    assert max(check.largest for check in result.checks) == 0
    assert len({(check.height, check.width) for check in result.checks}) >= 3
    path = photo(tmp_path / "in.png")
    assert translated(tmp_path / "out", path, tmp_path / "a.png") == translated(run, path, tmp_path / "b.png")
    record = read_run_record(tmp_path / "out")
    assert (record.method, record.image_size) == (config, (32, 32))


def test_nothing_tells_of_the_training_machine(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "flowers", **PRIVATE)
    export(run, tmp_path / "out", examples=(photo(tmp_path / "holiday of jane.png"),))
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for secret in ("jane", "secret", str(tmp_path), str(Path.home()), str(Path.cwd()), platform.node()):
            assert secret.encode() not in content, path.name
        assert path.suffix != ".json" or getpass.getuser().encode() + b"/" not in content
    data = read_run_record(tmp_path / "out").data
    assert isinstance(data, PairedData)
    assert (data.folder, data.split_file, data.crop_size) == (UNPUBLISHED, None, (32, 32))
    assert read_run_record(tmp_path / "out").training is None


def test_records_of_unpaired_data_and_of_imports_are_stripped_too() -> None:
    stripped = publishable(tiny_record(data=UnpairedData(folder=SECRET)))
    assert stripped.data is not None
    assert stripped.data.folder == UNPUBLISHED
    assert publishable(tiny_record()).data is None


@pytest.mark.parametrize("path", ["/home/jane/x.pth", "~/x.pth", "C:\\Users\\jane", "runs/x"])
def test_a_plugin_whose_settings_hold_a_path_is_not_published(path: str) -> None:
    @dataclass(frozen=True)
    class Settings:
        nested: dict[str, list[str]]

    with pytest.raises(ExportError, match=r"method\.nested\.weights is a path"):
        publishable(tiny_record(Settings({"weights": [path]})))


def test_the_weights_are_the_snapshots_own(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    export(run, tmp_path / "out")
    snapshot = (run / "snapshots" / "last.safetensors").read_bytes()
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == snapshot


@pytest.mark.parametrize(("name", "wanted"), [("a:b\nc", "a-b-c"), ("ünï 'x'", "ünï 'x'")])
def test_odd_names_of_runs_are_published(tmp_path: Path, name: str, wanted: str) -> None:
    export(write_tiny_run(tmp_path / name), tmp_path / "out")
    assert read_published(tmp_path / "out").name == wanted


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    result = export(run, tmp_path / "half", half=True)
    assert 0 < max(check.largest for check in result.checks) <= 3
    whole, half = (load_generators(folder) for folder in (run, tmp_path / "half"))
    for name, value in generator_weights(whole).items():
        assert torch.allclose(value, generator_weights(half)[name].float(), atol=1e-2, rtol=1e-3)
    assert (tmp_path / "half" / "model.safetensors").stat().st_size < 0.7 * (
        run / "snapshots" / "last.safetensors"
    ).stat().st_size


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        pytest.param(
            CycleGANConfig(width=4, residual_blocks=1, discriminator_width=4), {}, id="cyclegan", marks=pytest.mark.slow
        ),
        pytest.param(SRResNetConfig(width=4, num_blocks=1, scale=2, norm="none"), {}, id="srresnet"),
        pytest.param(VAEConfig(width=2, latent_size=4), {}, id="vae", marks=pytest.mark.slow),
        pytest.param(
            EXACT,
            {"input": FIVE_DEEP, "output": PictureSpec(channels=1, dtype="uint16", value_range=(0.0, 65535.0))},
            id="channels",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            CoGANConfig(width=16, z_size=4, search_steps=2, search_restarts=1), {}, marks=pytest.mark.slow, id="cogan"
        ),
    ],
)
def test_runs_of_every_kind_are_published(tmp_path: Path, config: Any, changes: dict[str, Any]) -> None:
    run = write_tiny_run(tmp_path / "run", config, **changes)
    assert max(check.largest for check in export(run, tmp_path / "out").checks) == 0
    again = export(tmp_path / "out", tmp_path / "again")  # an export of an export
    assert again.metadata.run == export(run, tmp_path / "third").metadata.run
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.slow
def test_a_published_run_translates_back(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run", CycleGANConfig(width=4, residual_blocks=1, discriminator_width=4))
    export(run, tmp_path / "out", direction="b_to_a")
    picture = read_image(photo(tmp_path / "in.png"))
    ours, theirs = (Translator.load(folder, device="cpu", direction="b_to_a") for folder in (run, tmp_path / "out"))
    assert np.array_equal(ours(picture).pixels, theirs(picture).pixels)


def test_examples_are_shown_only_where_the_user_gives_them(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    path = photo(tmp_path / "my name.png")
    export(run, tmp_path / "out", examples=(path,))
    shown = sorted(file.name for file in (tmp_path / "out" / "examples").iterdir())
    assert shown == ["1-input.png", "1-translation.png"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "(examples/1-input.png)" in card
    assert "my name" not in card
    assert np.array_equal(read_image(tmp_path / "out" / "examples" / "1-input.png").pixels, read_image(path).pixels)
    assert b"compositeWithTrainedAlgorithmicMedia" in (tmp_path / "out" / "examples" / "1-translation.png").read_bytes()


def test_a_refused_example_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, path = write_tiny_run(tmp_path / "run"), photo(tmp_path / "in.png")
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match=r"in\.png"):
        export(run, tmp_path / "out", examples=(path,))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.png", "run"]


def test_the_card_has_the_figures_of_these_weights_alone(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run", **PRIVATE)
    for side in ("a", "b"):
        photo(tmp_path / "pairs" / "test" / side / "0.png")
    ganvas.evaluate(run, data=tmp_path / "pairs")
    report = json.loads((run / "evaluation" / "test" / "evaluation.json").read_text())
    export(run, tmp_path / "out", repository="user/flowers")
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"value: {report['output']['psnr']['mean']:.4f}".rstrip("0") in card
    assert 'ganvas.load("hf://user/flowers")' in card
    report["images_seen"] = 11
    (run / "evaluation" / "test" / "evaluation.json").write_text(json.dumps(report))
    export(run, tmp_path / "later")
    assert "model-index" not in (tmp_path / "later" / "README.md").read_text()


def test_options_of_the_card_belong_to_this_format(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    with pytest.raises(ConfigError, match="--examples"):
        api.export(run, tmp_path / "x.onnx", examples=(photo(tmp_path / "in.png"),))
    with pytest.raises(ConfigError, match="--repository"):
        api.export(run, tmp_path / "x.onnx", repository="a/b")
    with pytest.raises(ConfigError, match="--size"):
        export(run, tmp_path / "out", size=(32, 32))


def test_places_that_hold_something_else_are_left_alone(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "full", tmp_path / "file", run):
        with pytest.raises(InputError, match="new or empty folder"):
            export(run, out)
    with pytest.raises(ImageError, match=r"nothing\.png"):
        export(run, tmp_path / "out", examples=(tmp_path / "nothing.png",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "run"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / LOCK_NAME).touch()  # left by a killed process
    export(run, tmp_path / "empty")


def test_names_of_another_kind_are_no_output(tmp_path: Path) -> None:
    """A name with a suffix is taken for a file."""
    run = write_tiny_run(tmp_path / "run")
    with pytest.raises(InputError, match="writes a folder; use --format onnx"):
        export(run, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"model\.txt: --format onnx writes \.onnx files"):
        api.export(run, tmp_path / "model.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
