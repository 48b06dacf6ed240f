"""Training runs in the studio: curves of a run, and resuming and stopping it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data.config import PairedData
from ganvas.errors import InputError
from ganvas.image.cover import mosaic
from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.methods import Pix2PixConfig
from ganvas.runs.folder import read_checkpoint
from ganvas.studio.library import Library, describe_run, title_of
from ganvas.studio.trainings import MOST_POINTS, Trainings, read_figures
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train


def write_rows(run: Path, rows: list[dict[str, Any]]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def row(images: int, **values: float) -> dict[str, Any]:
    return {"kind": "training", "images": images, "epoch": images / 100, "seconds": images / 20, **values}


def test_figures_follow_from_the_rows(tmp_path: Path) -> None:
    validation = {"kind": "validation", "images": 100, "psnr": 21.5}
    write_rows(tmp_path, [*(row(10 * step, l1=1 / step) for step in range(1, 11)), validation])
    (tmp_path / "run.json").write_text(json.dumps({"method": {"kind": "Pix2PixConfig"}, "training": {"epochs": 4}}))
    (tmp_path / "samples").mkdir()
    for name in ("00000020.png", "00000010.png", "notes.png"):
        (tmp_path / "samples" / name).touch()
    found = read_figures(tmp_path)
    assert found["losses"]["l1"][0] == [10, 1.0]
    assert found["validation"] == {"psnr": [[100, 21.5]]}
    assert (found["images"], found["total"], found["rate"]) == (100, 400, pytest.approx(20))
    assert found["left"] == pytest.approx(15)
    assert found["previews"] == [10, 20]
    assert found["warnings"] == []


def test_the_time_limit_counts_too(tmp_path: Path) -> None:
    write_rows(tmp_path, [row(10), row(20)])
    record = {"method": {"kind": "Pix2PixConfig"}, "training": {"epochs": 1000, "minutes": 0.1}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert read_figures(tmp_path)["left"] == pytest.approx(5)


def test_warnings_of_the_training_appear_in_words(tmp_path: Path) -> None:
    write_rows(tmp_path, [row(step, **{"discriminator/real": 0.001}) for step in range(1, 40)])
    (warning,) = read_figures(tmp_path)["warnings"]
    assert "separating real from generated" in warning


def test_long_curves_are_thinned_and_a_broken_last_row_is_skipped(tmp_path: Path) -> None:
    write_rows(tmp_path, [row(step, l1=step % 2) for step in range(1, 2001)])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train')
    points = read_figures(tmp_path)["losses"]["l1"]
    assert len(points) == MOST_POINTS
    assert points[-1][0] == 2000
    assert {value for _, value in points} <= {0.4, 0.6}


def test_a_folder_without_figures_is_empty(tmp_path: Path) -> None:
    assert read_figures(tmp_path)["images"] is None
    assert describe_run(tmp_path) == {}


def test_the_library_lists_what_lies_below_the_root_under_its_own_ids(tmp_path: Path) -> None:
    root, run = tmp_path / "root", tmp_path / "elsewhere" / "named"
    for folder in (root / "a" / "run", root / ".hidden" / "run", root / "1/2/3/4/5", run):
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    (root / "report.html").write_text("<title>A &amp; B</title>")
    (tmp_path / "secret.onnx").touch()
    (root / "link.onnx").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    library = Library([run], root)
    entries = {one.name: one for one in library.scan()}
    assert entries.keys() == {"a/run", "named", "report.html"}
    assert title_of(entries["report.html"].path) == "A & B"
    assert library.get(entries["named"].id, "run").path == run
    with pytest.raises(KeyError):
        library.get(entries["named"].id, "report")
    assert {one.id for one in Library([run], root).scan()}.isdisjoint({one.id for one in entries.values()})


def test_only_trainings_from_here_are_stopped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did not start"):
        Trainings(tmp_path).stop("run")


class Process:
    """Process that ends when told to."""

    code: int | None = None

    def poll(self) -> int | None:
        return self.code


@pytest.fixture
def resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Trainings, Process, Path]:
    """Return a training of three rows that was just resumed."""
    process = Process()
    monkeypatch.setattr(subprocess, "Popen", lambda *_args, **_settings: process)
    write_rows(tmp_path / "run", [row(10), row(20), row(30)])
    trainings = Trainings(tmp_path)
    trainings.resume("run", tmp_path / "run")
    return trainings, process, tmp_path / "run"


def test_a_training_is_starting_until_it_adds_a_row(resumed: tuple[Trainings, Process, Path]) -> None:
    trainings, process, run = resumed
    assert trainings.state("run", run)["state"] == "starting"
    write_rows(run, [row(10)])  # back at the checkpoint
    assert trainings.state("run", run)["state"] == "starting"
    write_rows(run, [row(10), row(20)])
    assert trainings.state("run", run)["state"] == "running"
    process.code = 1
    assert trainings.state("run", run)["problem"] == "The training ended with an error"


@pytest.mark.parametrize(("code", "problem"), [(5, "The training could not start"), (0, ""), (130, "")])
def test_a_training_that_fails_at_the_start_says_so(
    resumed: tuple[Trainings, Process, Path], code: int, problem: str
) -> None:
    trainings, process, run = resumed
    process.code = code
    ended = trainings.state("run", run)
    assert (ended["state"], ended["problem"]) == ("idle", problem)


@pytest.mark.slow
def test_a_training_is_resumed_and_stopped_and_keeps_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun_run(tmp_path)
    before = read_checkpoint(run / "state.safetensors").counters.images_seen
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2] / "src")]))
    trainings = Trainings(tmp_path)
    trainings.resume("run", run)
    with pytest.raises(InputError, match="already training"):
        trainings.resume("run", run)
    while read_figures(run)["images"] == before:
        assert trainings.state("run", run)["state"] in ("starting", "running")
    trainings.stop("run")
    trainings.close()
    ended = trainings.state("run", run)
    assert (ended["state"], ended["code"]) == ("idle", 130), ended
    assert "interrupted; the state is saved" in ended["words"]
    assert read_checkpoint(run / "state.safetensors").counters.images_seen > before


def begun_run(folder: Path) -> Path:
    """Write a tiny run of many epochs that was stopped early."""
    for number in range(4):
        image = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        for side, pixels in (("a", mosaic(image, 4)), ("b", image)):
            write_image(folder / "pairs" / "train" / side / f"{number}.png", Picture(pixels))
    method = Pix2PixConfig(width=4, depth=2, dropout=0.0, discriminator_width=4, receptive_field=16)
    data = PairedData(folder=folder / "pairs", load_size=(16, 16), crop_size=(16, 16))
    settings = TrainingConfig(epochs=1, device="cpu", log_every=4, threads=1)
    train(RunConfig(method=method, data=data, training=settings), folder / "run", quiet=True)
    record = json.loads((folder / "run" / "run.json").read_text())
    record["training"]["epochs"] = 100_000.0
    (folder / "run" / "run.json").write_text(json.dumps(record))
    return folder / "run"
