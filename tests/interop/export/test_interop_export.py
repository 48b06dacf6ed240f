"""`ganvas export`: files for other programs, which are compared with the run before they are written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from inference_runs import NOISY, write_tiny_run

import ganvas
from ganvas import api
from ganvas.cli import main
from ganvas.errors import ConfigError, ExportError, InputError, RunError
from ganvas.interop.export import export as exporting
from ganvas.interop.export.config import ExportConfig
from ganvas.interop.export.job import Floats
from ganvas.methods import CoGANConfig
from ganvas.runs.export_metadata import ExportMetadata
from ganvas.runs.record import load_generators, snapshot_path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "flowers", NOISY)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.slow
def test_an_onnx_file_gives_the_pictures_of_the_run(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One picture and a batch, with odd sizes, through ONNX Runtime; the file contains the metadata."""
    import onnx
    import onnxruntime

    out = tmp_path / "für andere" / "mein Netz.onnx"
    assert main(["export", str(run), str(out), "--license", "CC0-1.0"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "switched off" in said.out
    assert names(out.parent) == ["mein Netz.onnx", "mein Netz.onnx.json"]

    model = onnx.load(out)
    onnx.checker.check_model(model)
    assert all(one.version >= 18 for one in model.opset_import if one.domain == "")
    (norm,) = (one for one in model.graph.node if one.op_type == "InstanceNormalization")
    weights = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    learned = load_generators(run).get_submodule("generator.decode_blocks.0.norm")
    for name, values in zip(norm.input[1:], (learned.weight, learned.bias), strict=True):
        assert np.array_equal(weights[name], values.detach().numpy())
    metadata = ExportMetadata.from_strings({one.key: one.value for one in model.metadata_props})
    assert metadata is not None
    assert (metadata.noise, metadata.license, metadata.size_multiple) == ("off", "CC0-1.0", 4)

    session = onnxruntime.InferenceSession(out)
    assert [one.name for one in session.get_inputs()] == ["image"]
    assert [one.name for one in session.get_outputs()] == ["translation"]
    still = write_tiny_run(tmp_path / "still", NOISY.__class__(**{**vars(NOISY), "dropout": 0.0}))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 21, 35, 3), dtype=np.uint8)
    wanted = np.stack([ganvas.load(still)(picture) for picture in pictures])
    (made,) = session.run(None, {"image": pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255})
    assert made.min() >= 0
    assert made.max() <= 1
    assert np.ptp(wanted) > 50
    assert np.abs(np.rint(255 * made).transpose(0, 2, 3, 1) - wanted).max() <= 1

    report = json.loads((out.parent / "mein Netz.onnx.json").read_text())
    assert report["largest"] < 0.01
    assert len({(one["height"], one["width"]) for one in report["checks"]}) >= 3
    assert sum(one["height"] % 2 and one["width"] % 2 for one in report["checks"]) >= 2
    assert all(set(one["seconds"]) == {"ganvas", "onnxruntime"} for one in report["checks"])


class Broken:
    """Format whose file gives other pictures than the run."""

    def __init__(self, error: float) -> None:
        self.error = error

    def kind(self) -> exporting.Format:
        def write(job: exporting.ExportJob, folder: Path) -> list[Path]:
            (folder / "model.onnx").write_bytes(b"network")
            return [folder / "model.onnx"]

        def open_again(job: exporting.ExportJob, files: list[Path]) -> object:
            import torch

            def run(image: Floats) -> Floats:
                with torch.inference_mode():
                    return np.asarray(job.network(torch.from_numpy(image)).numpy() + np.float32(self.error))

            return run

        return exporting.Format(
            suffix=".onnx", runtime="a program", options=frozenset({"half"}), require=lambda: None, write=write,
            open=open_again,
        )  # fmt: skip


@pytest.fixture
def format_with_error(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setitem(exporting.FORMATS, "onnx", Broken(request.param).kind())


@pytest.mark.parametrize("format_with_error", [1.1 / 255, float("nan")], indirect=True)
def test_a_network_that_differs_is_not_written(
    tmp_path: Path, run: Path, format_with_error: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "model.onnx"
    assert main(["export", str(run), str(out)]) == 6
    assert "gray levels of 255" in capsys.readouterr().err
    assert not out.parent.exists()


@pytest.mark.parametrize("format_with_error", [0.9 / 255], indirect=True)
def test_a_difference_below_a_level_is_reported(tmp_path: Path, run: Path, format_with_error: None) -> None:
    exported = api.export(run, tmp_path / "model.onnx")
    assert 0.89 < max(check.largest for check in exported.checks) < 1
    assert exported.files == (tmp_path / "model.onnx",)


@pytest.mark.parametrize("format_with_error", [0.0], indirect=True)
def test_a_folder_gets_a_file_named_after_the_run(tmp_path: Path, run: Path, format_with_error: None) -> None:
    api.export(run, tmp_path / "out")
    assert names(tmp_path / "out") == ["flowers.onnx", "flowers.onnx.json"]
    with pytest.raises(InputError, match="name the file itself"):
        api.export(run, tmp_path / "out")
    (tmp_path / "out" / "flowers.onnx").write_bytes(b"older")
    api.export(run, tmp_path / "out" / "flowers.onnx")
    assert (tmp_path / "out" / "flowers.onnx").read_bytes() == b"network"


@pytest.mark.parametrize("format_with_error", [0.0], indirect=True)
def test_what_cannot_be_exported_says_why(tmp_path: Path, run: Path, format_with_error: None) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        api.export(tmp_path / "none", tmp_path / "out")
    with pytest.raises(ConfigError, match="no --size"):
        api.export(run, tmp_path / "out", size=(32, 32))
    with pytest.raises(InputError, match=r"\.onnx"):
        api.export(run, run / "run.json")
    with pytest.raises(ConfigError, match="a_to_b only"):
        api.export(run, tmp_path / "out", direction="b_to_a")
    search = write_tiny_run(tmp_path / "cogan", CoGANConfig(width=4))
    with pytest.raises(ExportError, match="gradient-based search"):
        api.export(search, tmp_path / "out")
    snapshot_path(run, "last").unlink()
    with pytest.raises(RunError, match="train it first"):
        api.export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_out_of_range_are_errors() -> None:
    with pytest.raises(ConfigError, match="at least 1 pixel"):
        ExportConfig(Path("run"), Path("out"), size=(0, 8))
