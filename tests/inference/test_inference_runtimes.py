"""Runtimes other than PyTorch: metadata of exported networks, the choice of a runtime, and cached exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_runs import EXACT, NOISY, write_tiny_run
from onnx_models import write_network

import ganvas
from ganvas.cli import main
from ganvas.errors import ConfigError, MissingDependency, RunError
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference import runtimes
from ganvas.inference.folder import translate_files
from ganvas.inference.runtimes import OpenVinoNetwork, RuntimeChoice
from ganvas.inference.tiling import TilingWarning
from ganvas.inference.translator import Translator
from ganvas.interop.export import cached, export, onnx_file
from ganvas.methods import CycleGANConfig
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName
from ganvas.runs.export_metadata import ExportMetadata
from ganvas.runs.record import save_snapshot, snapshot_path


def described(**changes: Any) -> dict[str, str]:
    """Return metadata as written by `ganvas export`."""
    settings: dict[str, Any] = {
        "version": "0", "run": "tiny 2026", "method": "Pix2Pix", "direction": "a_to_b", "input": PictureSpec(),
        "output": PictureSpec(), "context": 0, "weights_sha256": "0" * 64,
    }  # fmt: skip
    return ExportMetadata(**{**settings, **changes}).to_strings()


def load(path: Path, **settings: Any) -> Translator:
    translator: Translator = ganvas.load(path, **settings)
    return translator


def picture(rng: np.random.Generator, height: int = 45, width: int = 37) -> Any:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.filterwarnings("error::ganvas.inference.tiling.TilingWarning")
def test_an_exported_network_says_how_far_it_sees(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_network(tmp_path / "m.onnx", scale=2, multiple=4, metadata=described(scale=2, size_multiple=4))
    translator = load(path)
    image = picture(rng, 150, 90)
    np.testing.assert_array_equal(translator.tiled(image, tile=64), translator(image))
    blended = write_network(tmp_path / "b.onnx", metadata=described(context=None))
    with pytest.warns(TilingWarning, match="depends on the whole picture"):
        load(blended).tiled(image, tile=64)


@pytest.mark.filterwarnings("error::ganvas.inference.tiling.TilingWarning")
def test_an_exported_network_of_one_size_has_exact_tiles(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_network(tmp_path / "m.onnx", sides=(32, 48), metadata=described(context=5))
    image = picture(rng, 100, 70)
    np.testing.assert_array_equal(load(path)(image), image)


def test_an_exported_network_keeps_its_kinds_of_pictures(tmp_path: Path, rng: np.random.Generator) -> None:
    deep = PictureSpec(dtype="uint16", channels=5, value_range=(0, 4095))
    path = write_network(tmp_path / "m.onnx", channels=5, metadata=described(input=deep, output=deep))
    image = rng.integers(0, 4096, (20, 30, 5), dtype=np.uint16)
    np.testing.assert_array_equal(load(path)(image), image)


def test_frames_go_in_together(tmp_path: Path) -> None:
    path = write_network(tmp_path / "m.onnx", channels=9, made=3, metadata=described(num_frames=3))
    translator = load(path)
    assert translator.num_frames == 3
    assert translator.record.input.channels == 3
    np.testing.assert_array_equal(translator(np.full((16, 16, 3), 80, np.uint8)), 80)


def test_a_file_has_the_direction_of_its_export(tmp_path: Path, rng: np.random.Generator) -> None:
    gray = PictureSpec(channels=1)
    back = described(direction="b_to_a", output=gray)
    path = write_network(tmp_path / "m.onnx", made=1, metadata=back)
    image = picture(rng)
    for direction in ("a_to_b", "b_to_a"):
        assert load(path, direction=direction)(image).shape == (45, 37, 1)
    with pytest.raises(ConfigError, match="in one direction only"):
        load(write_network(tmp_path / "f.onnx", metadata=described()), direction="b_to_a")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({**described(), "ganvas.scale": "0"}, "metadata ganvas.scale is '0'"),
        ({**described(), "ganvas.input": "{"}, "metadata ganvas.input cannot be read"),
        ({key: value for key, value in described().items() if key != "ganvas.context"}, "ganvas.context is missing"),
        (described(scale=4), "its metadata declare scale 4 and 3 channels, but its output has scale 1"),
        (described(output=PictureSpec(channels=1)), "declare scale 1 and 1 channels, but its output has scale 1"),
        (described(input=PictureSpec(channels=1)), "cannot run on 16 x 16 pixels of 1 channels"),
        (described(noise="input"), "expects noise as additional inputs; export it without --noise input"),
    ],
)
def test_broken_metadata_are_errors(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    with pytest.raises(RunError, match=f"m.onnx.*{message}"):
        load(write_network(tmp_path / "m.onnx", metadata=metadata))


def exporter(path: Path, calls: list[Direction]) -> Any:
    def export_run(run: Path, snapshot: SnapshotName | Path, direction: Direction) -> Path:
        calls.append(direction)
        return path

    return export_run


def test_a_run_is_computed_by_its_export(tmp_path: Path, rng: np.random.Generator) -> None:
    run, calls = write_tiny_run(tmp_path / "run"), list[Direction]()
    path = write_network(tmp_path / "cache.onnx", gain=0.5, metadata=described())
    choice = RuntimeChoice("onnxruntime", exporter(path, calls))
    image = picture(rng)
    translator = Translator.load(run, runtime=choice)
    np.testing.assert_allclose(translator(image), image / 2, atol=0.51)
    assert (translator.record.method, calls) == (EXACT, ["a_to_b"])
    write_image(tmp_path / "in" / "a.png", Picture(image))
    out, where = tmp_path / "out", tmp_path / "in"
    for runtime, written in ((choice, 1), (choice, 0), (RuntimeChoice("torch"), 1), (RuntimeChoice("auto"), 0)):
        assert len(translate_files(run, where, out, runtime=runtime, progress=False).written) == written
    assert b"Pix2Pix (run)" in (out / "a.png").read_bytes()


def test_noise_stays_with_torch(tmp_path: Path) -> None:
    path = write_network(tmp_path / "cache.onnx", metadata=described(noise="off"))
    load(path)  # as a file it is what its user exported
    with pytest.raises(ConfigError, match=r"draws noise by dropout.*omit --runtime onnxruntime"):
        Translator.load(
            write_tiny_run(tmp_path / "run", NOISY), runtime=RuntimeChoice("onnxruntime", exporter(path, []))
        )


def test_the_way_back(tmp_path: Path, rng: np.random.Generator) -> None:
    config, gray = CycleGANConfig(width=2, residual_blocks=1), PictureSpec(channels=1)
    run, calls = write_tiny_run(tmp_path / "run", config, output=gray), list[Direction]()  # type: ignore[arg-type]
    back = described(direction="b_to_a", input=gray)
    path = write_network(tmp_path / "cache.onnx", channels=1, made=3, metadata=back)
    translator = Translator.load(run, direction="b_to_a", runtime=RuntimeChoice("onnxruntime", exporter(path, calls)))
    assert translator(rng.integers(0, 256, (20, 20), dtype=np.uint8)).shape == (20, 20, 3)
    assert calls == ["b_to_a"]


@pytest.mark.parametrize("settings", [{"precision": "bfloat16"}, {"device": "cuda"}])
def test_other_runtimes_have_one_precision_and_the_processor(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="runtime onnxruntime computes in float32 on the processor"):
        ganvas.load(write_tiny_run(tmp_path / "run"), runtime="onnxruntime", **settings)


def test_torch_computes_no_onnx_file(tmp_path: Path) -> None:
    path = write_network(tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match="which PyTorch cannot run: omit --runtime torch"):
        load(path, runtime="torch")


@pytest.mark.parametrize("settings", [{}, {"scale": 2}, {"kind": "uint8"}, {"kind": "float16"}, {"sides": (32, 32)}])
@pytest.mark.filterwarnings("ignore::ganvas.inference.tiling.TilingWarning")
def test_openvino_gives_the_same_picture(tmp_path: Path, rng: np.random.Generator, settings: dict[str, Any]) -> None:
    pytest.importorskip("openvino")
    path = write_network(tmp_path / "m.onnx", **settings)
    image = picture(rng)
    translator = load(path, runtime="openvino")
    np.testing.assert_array_equal(translator(image), load(path, runtime="onnxruntime")(image))
    assert isinstance(vars(translator.model)["_run"], OpenVinoNetwork)


def test_openvino_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    write_image(tmp_path / "a.png", Picture(np.zeros((20, 20, 3), np.uint8)))
    for model in (write_network(tmp_path / "m.onnx"), write_tiny_run(tmp_path / "run")):
        with pytest.raises(MissingDependency, match="runtime openvino needs openvino: pip install"):
            load(model, runtime="openvino")
        words = ["translate", str(model), str(tmp_path / "a.png"), str(tmp_path / "out.png"), "--runtime", "openvino"]
        assert main(words) == 6


def test_an_export_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[Path]()

    def export_run(config: Any) -> None:
        made.append(config.out)
        write_network(config.out, metadata=described(direction=config.direction))

    monkeypatch.setattr(export, "export_run", export_run)
    monkeypatch.setattr(onnx_file, "require_exporter", lambda purpose: None)
    monkeypatch.setattr(cached, "version", lambda name: "1")
    run = write_tiny_run(tmp_path / "run")
    first = cached.cached_onnx(run, "auto", "a_to_b")
    assert first.parent.name == cached.FOLDER
    assert cached.cached_onnx(run, "last", "a_to_b") == first
    assert cached.cached_onnx(run, "auto", "b_to_a") != first
    assert len(made) == 2
    first.write_bytes(first.read_bytes()[:50])
    assert cached.cached_onnx(run, "auto", "a_to_b") == first  # a damaged file is exported again
    assert len(made) == 3
    save_snapshot(snapshot_path(run, "last"), Translator.load(run, device="cpu").method, images_seen=13)
    assert cached.cached_onnx(run, "auto", "a_to_b") != first  # other weights give another file
    with pytest.raises(ConfigError, match="pass best, last or auto"):
        cached.cached_onnx(run, snapshot_path(run, "last"), "a_to_b")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_run_in_each_runtime(tmp_path: Path, rng: np.random.Generator, runtime: str) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip(runtime)
    run = write_tiny_run(tmp_path / "run")
    write_image(tmp_path / "in" / "a.png", Picture(picture(rng)))
    for name in ("torch", runtime):
        words = ["translate", str(run), str(tmp_path / "in"), str(tmp_path / name), "--runtime", name]
        assert main([*words, "--tile", "32"]) == 0
    made = [read_image(tmp_path / name / "a.png").pixels.astype(int) for name in ("torch", runtime)]
    assert np.abs(made[0] - made[1]).max() <= 1
    rows = [json.loads((tmp_path / name / "translate.jsonl").read_text()) for name in ("torch", runtime)]
    assert rows[0]["settings"] != rows[1]["settings"]
