"""Run records and snapshots: strict, atomic, with clear errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from inference_runs import EXACT, NOISY, tiny_method, tiny_record, write_tiny_run
from torch import nn

from ganvas.data.config import PairedData
from ganvas.errors import RunError
from ganvas.methods import CUTConfig, Pix2PixConfig, base
from ganvas.methods.pix2pix.method import Pix2Pix
from ganvas.runs.record import (
    _SkipInitialization,
    find_snapshot,
    generator_weights,
    load_generators,
    read_run_record,
    read_snapshot,
    save_snapshot,
    snapshot_path,
    write_run_record,
)


def test_record_reads_back_as_written(tmp_path: Path) -> None:
    record = tiny_record(data=PairedData(folder=Path("pictures")), training={"epochs": 3.0, "betas": [0.5, 0.9]})
    write_run_record(tmp_path / "run", record)
    assert read_run_record(tmp_path / "run") == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "record version 99"),
        ({"surprise": 1}, "unknown key surprise"),
        ({"image_size": "large"}, "image_size"),
        ({"input": {"dtype": "uint7"}}, "dtype"),
    ],
)
def test_record_is_strict(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write_run_record(tmp_path, tiny_record())
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunError, match=message):
        read_run_record(tmp_path)


def test_earlier_spellings_are_read(tmp_path: Path) -> None:
    data = PairedData(folder=Path("set"), degrade="gray")
    write_run_record(tmp_path / "run", tiny_record(method=CUTConfig(initialization="normal"), data=data))
    path = tmp_path / "run/run.json"
    text = path.read_text(encoding="utf-8")
    earlier = text.replace('"initialization"', '"initialisation"').replace('"gray"', '"grey"')
    assert earlier.count("grey") == earlier.count("initialisation") == 1
    path.write_text(earlier, encoding="utf-8")
    record = read_run_record(tmp_path / "run")
    assert record.method.initialization == "normal"
    assert record.data == data


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        read_run_record(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        read_run_record(tmp_path)


FILES = [
    ("net.onnx", "only be used to translate"), ("photo.png", "`ganvas train` wrote"),
    ("net.xml", "OpenVINO without ganvas"),
    ("net.pt2", "PyTorch without ganvas"), ("net.safetensors", "to a run with `ganvas import`"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message"), FILES)
def test_a_file_is_no_run_folder(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(RunError, match=f"{name} is a file, not a run folder.*{message}"):
        read_run_record(tmp_path / name)


def test_generators_load_as_saved_and_leave_the_random_state(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run", NOISY)
    before = torch.random.get_rng_state()
    loaded = load_generators(run)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not loaded.training
    saved = generator_weights(tiny_method(tiny_record(NOISY)))
    assert all(torch.equal(value, saved[name]) for name, value in generator_weights(loaded).items())


def test_only_first_weights_are_left_undrawn(tmp_path: Path) -> None:
    """Everything else that a layer is built with exists: constants, and buffers that no snapshot contains."""
    with _SkipInitialization():
        layer = nn.BatchNorm2d(3)
        layer.register_buffer("kernel", torch.linspace(0, 1, 5), persistent=False)
        before = torch.random.get_rng_state()
        nn.Conv2d(3, 3, 3)
        nn.init.normal_(torch.empty(4))
        torch.empty(4).uniform_()
    assert torch.equal(layer.weight, torch.ones(3))
    assert layer.kernel[-1] == 1
    assert torch.equal(torch.random.get_rng_state(), before)


def test_best_comes_before_last(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    assert find_snapshot(run).stem == "last"
    save_snapshot(snapshot_path(run, "best"), tiny_method(tiny_record()), images_seen=7)
    assert find_snapshot(run).stem == "best"
    assert find_snapshot(run, "last").stem == "last"
    assert find_snapshot(run, snapshot_path(run, "last")).stem == "last"
    assert read_snapshot(find_snapshot(run))[1] == 7
    with pytest.raises(RunError, match=r"no snapshot 'first'; there is best, last"):
        find_snapshot(run, "first")  # type: ignore[arg-type]


def test_what_is_no_run_is_said_before_its_snapshots_are_missed(tmp_path: Path) -> None:
    for folder, said in ((tmp_path / "none", "there is no such folder"), (tmp_path, "it has no run.json")):
        for read in (read_run_record, find_snapshot):
            with pytest.raises(
                RunError, match=f"is not a run folder: {said}; pass the folder that `ganvas train` wrote"
            ):
                read(folder)
    (write_tiny_run(tmp_path / "run") / "snapshots" / "last.safetensors").unlink()
    with pytest.raises(RunError, match="no snapshot yet; there is none: train it first"):
        find_snapshot(tmp_path / "run")


def test_averaged_weights_replace_the_methods_own(tmp_path: Path) -> None:
    method = tiny_method(tiny_record())
    averaged = {name: torch.zeros_like(value) for name, value in generator_weights(method).items()}
    save_snapshot(tmp_path / "average.safetensors", method, images_seen=1, weights=averaged)
    assert all((value == 0).all() for value in read_snapshot(tmp_path / "average.safetensors")[0].values())
    with pytest.raises(RunError, match="not a weight of the generators"):
        save_snapshot(tmp_path / "x.safetensors", method, images_seen=1, weights={"nowhere": torch.zeros(1)})


def test_damaged_or_foreign_snapshots_say_so(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    path = snapshot_path(run, "last")
    other = tiny_record(replace(EXACT, width=5))
    save_snapshot(path, tiny_method(other), images_seen=1)
    with pytest.raises(RunError, match="has shape"):
        load_generators(run)
    save_snapshot(path, tiny_method(tiny_record(NOISY)), images_seen=1)
    with pytest.raises(RunError, match="it is of a run with another generator"):
        load_generators(run)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="cannot be read as a snapshot"):
        load_generators(run)


@dataclass(frozen=True, kw_only=True)
class ElsewhereConfig(Pix2PixConfig):
    """Config of a method in another package."""

    strength: float = 1.0


class Elsewhere(Pix2Pix):
    """Method of another package."""

    config_type = ElsewhereConfig


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register it like an entry point of the group `ganvas.methods`."""
    base.methods.cache_clear()
    entry = SimpleNamespace(load=lambda: Elsewhere)
    monkeypatch.setattr(base, "entry_points", lambda group: [entry])
    yield
    base.methods.cache_clear()


def test_a_method_of_another_package_reads_back(tmp_path: Path, installed: None) -> None:
    record = replace(tiny_record(EXACT), method=ElsewhereConfig(width=4, strength=2.0))
    write_run_record(tmp_path, record)
    assert read_run_record(tmp_path) == record


def test_a_method_that_is_not_installed_is_named(tmp_path: Path) -> None:
    write_run_record(tmp_path, replace(tiny_record(EXACT), method=ElsewhereConfig(width=4)))
    with pytest.raises(RunError, match=r"no installed method has settings ElsewhereConfig; known: .*Pix2PixConfig"):
        read_run_record(tmp_path)
