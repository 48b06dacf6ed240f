"""Benchmark of domain adaptation: readers, sampling, training, and resumption."""

from __future__ import annotations

import gzip
import importlib
import json
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from ganvas.errors import InputError
from ganvas.methods.base import Batch, Progress

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def as_idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes())


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Write forty digits of each set, in their original formats."""
    digits = module("measure.digits")
    images, labels = rng.integers(0, 256, (40, 28, 28), np.uint8), np.arange(40, dtype=np.uint8) % 10
    (tmp_path / digits.IMAGES).write_bytes(as_idx(images))
    (tmp_path / digits.LABELS).write_bytes(as_idx(labels))
    pixels = rng.integers(0, 256, (40, 256), np.uint8)
    savemat(
        tmp_path / digits.USPS, {"usps_all": np.concatenate([pixels, labels[:, None] + 1], axis=1).astype(np.uint8)}
    )
    return tmp_path


def test_both_sets_are_read_alike(folder: Path) -> None:
    digits = module("measure.digits")
    for read in (digits.read_mnist, digits.read_usps):
        found = read(folder)
        assert found.images.shape == (40, 1, 28, 28)
        assert found.images.abs().max() <= 1
        assert found.labels.tolist() == [number % 10 for number in range(40)]
    border = digits.read_usps(folder).images[:, 0, :3]
    assert torch.equal(border, torch.full_like(border, -1.0))  # a border of 3 pixels around 16, enlarged


def test_a_file_that_is_missing_or_another_is_named(folder: Path) -> None:
    digits = module("measure.digits")
    (folder / digits.USPS).write_bytes(b"no")
    with pytest.raises(InputError, match=r"usps_all\.mat cannot be read as USPS"):
        digits.read_usps(folder)
    (folder / digits.LABELS).unlink()
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte\.gz cannot be read"):
        digits.read_mnist(folder)
    (folder / digits.LABELS).write_bytes(gzip.compress(b"\0\0\x0d\1\0\0\0\1\0"))
    with pytest.raises(InputError, match="numbers of kind 0xd, not bytes"):
        digits.read_mnist(folder)


def test_what_is_drawn_and_the_rest_are_all_and_differ_by_seed(folder: Path) -> None:
    digits = module("measure.digits")
    whole = digits.read_mnist(folder)
    drawn, rest = digits.draw(whole, 15, seed=3)
    assert (len(drawn), len(rest)) == (15, 25)
    again = torch.cat([drawn.images, rest.images]).flatten(1).sum(1).sort().values
    assert torch.equal(again, whole.images.flatten(1).sum(1).sort().values)
    assert torch.equal(digits.draw(whole, 15, seed=3)[0].images, drawn.images)
    assert not torch.equal(digits.draw(whole, 15, seed=4)[0].images, drawn.images)


def small(name: str) -> Any:
    settings = module("measure.adapting").SETTINGS[name]
    return replace(
        settings,
        width=min(settings.width, 8),
        discriminator_width=2,
        steps=3,
        batch=4,
        dropout=0.0,
        match_weight=min(settings.match_weight, 0.5),
    )


@pytest.mark.parametrize("name", ["cogan", "unit"])
def test_the_methods_own_step_with_the_classifier_on_its_discriminators(name: str) -> None:
    adapting = module("measure.adapting")
    torch.manual_seed(0)
    adapter = adapting.make_adapter(name, small(name))
    adapter.method.discriminator.eval()  # no dropout
    batch, labels = Batch(*torch.rand(2, 4, 1, 28, 28)), torch.arange(4)
    torch.manual_seed(1)
    plain = {turn.player: turn.losses for turn in adapter.method.training_step(batch, Progress(0, 0))}
    torch.manual_seed(1)
    both = {turn.player: turn.losses for turn in adapter.training_step(batch, labels, Progress(0, 0))}
    assert list(plain) == list(both)
    for player, losses in plain.items():
        extra = {"class", "match"} if player == adapter.discriminators else set()
        assert set(both[player]) == set(losses) | extra
        assert all(torch.equal(both[player][loss], value) for loss, value in losses.items())
    owned = [id(p) for player in adapter.method.players for p in adapter.player_parameters(player)]
    assert sorted(owned) == sorted(id(p) for p in adapter.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cogan", "unit"])
def test_features_are_matched_of_pictures_that_correspond(name: str) -> None:
    adapter = module("measure.adapting").make_adapter(name, small(name))
    turns = adapter.training_step(Batch(*torch.rand(2, 4, 1, 28, 28)), torch.arange(4), Progress(0, 0))
    next(turns)
    a, b = adapter.corresponding()
    if name == "cogan":
        assert torch.equal(a, adapter.made[0][0])
        assert len(b) == 4
        return
    generator = adapter.method.decoder
    codes = []
    generator.register_forward_pre_hook(lambda _, given: codes.append(given[0]))
    next(adapter.training_step(Batch(*torch.rand(2, 4, 1, 28, 28)), torch.arange(4), Progress(0, 0)))
    a, b = adapter.corresponding()
    torch.testing.assert_close(a, generator(codes[0], "a"))  # the source's codes, then the target's
    torch.testing.assert_close(b, generator(codes[0], "b"))


@pytest.mark.parametrize(
    "name", ["source", "source_unit", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cogan", "unit"))]
)
def test_the_classifier_learns_the_source(name: str) -> None:
    """Bright and dark pictures, alike in both domains."""
    adapting, digits = module("measure.adapting"), module("measure.digits")
    torch.manual_seed(0)
    labels = torch.arange(40) % 2
    images = (labels * 1.6 - 0.8)[:, None, None, None] + 0.1 * torch.randn(40, 1, 28, 28)
    made = digits.Digits(images.clamp(-1, 1), labels)
    adapter = adapting.make_adapter(name, replace(small(name), steps=30, rate=3e-3, discriminator_width=8))
    assert list(adapting.train(adapter, made, made.images)) == list(range(1, 31))
    assert adapting.accuracy(adapter, made, "a") > 0.9


def test_units_domains_start_alike_and_leave_features_out_while_they_train() -> None:
    adapter = module("measure.adapting").make_adapter("unit", small("unit"))
    images = torch.rand(4, 1, 28, 28)
    for network in (adapter.method.encoder, lambda given, domain: adapter.method.discriminator.features(given, domain)):
        torch.testing.assert_close(network(images, "a"), network(images, "b"))
    discriminator = adapter.method.discriminator
    assert not torch.equal(discriminator(images, "a")[0], discriminator(images, "a")[0])
    discriminator.eval()
    assert torch.equal(discriminator(images, "a")[0], discriminator(images, "a")[0])
    assert discriminator.features(images, "b").shape == (4, discriminator.num_features)


def test_the_rate_falls_after_its_constant_part() -> None:
    share = module("measure.adapting").share_of_rate
    assert [share(done, 0.5) for done in (0.0, 0.25, 0.5, 0.75)] == [1.0, 1.0, 1.0, 0.5]
    assert share(0.999, 1.0) == 1.0


@pytest.mark.parametrize("name", ["source", "source_unit"])
def test_the_source_alone_never_sees_the_target(name: str) -> None:
    adapter = module("measure.adapting").make_adapter(name, small(name))
    batch = Batch(torch.rand(4, 1, 28, 28), torch.full((4, 1, 28, 28), torch.nan))
    (turn,) = adapter.training_step(batch, torch.arange(4), Progress(0, 0))
    assert turn.losses["class"].isfinite()
    assert torch.equal(adapter.classify(batch.a, "b"), adapter.classify(batch.a, "a"))


def call(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    adaptation = module("adaptation")
    monkeypatch.setattr(adaptation, "NUM_DRAWN", {"MNIST": 20, "USPS": 18})
    command = ["adaptation.py", "--data", str(folder), "--out", str(folder / "out.json"), "--steps", "2", *words]
    monkeypatch.setattr(sys, "argv", command)
    result: int = adaptation.main()
    return result


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder, monkeypatch, "--methods", "source", "--seeds", "1") == 0
    first = json.loads((folder / "out.json").read_text())
    assert [(run["source"], run["seed"]) for run in first["runs"]] == [("MNIST", 0), ("USPS", 0)]
    assert call(folder, monkeypatch, "--methods", "source", "cogan", "--seeds", "2", "--width", "8") == 0
    second = json.loads((folder / "out.json").read_text())
    assert second["runs"][:2] == first["runs"]
    assert len(second["runs"]) == 8
    assert "published" in capsys.readouterr().out
    assert second["settings"]["cogan"]["width"] == 8
    assert all(run["best_accuracy"] >= run["accuracy"] for run in second["runs"])
    assert call(folder, monkeypatch, "--methods", "cogan", "--seeds", "2", "--width", "4") == 1
    assert "contains runs with other settings" in capsys.readouterr().err
    assert json.loads((folder / "out.json").read_text()) == second


def test_one_way_alone_where_it_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(folder, monkeypatch, "--methods", "source", "--seeds", "2", "--targets", "MNIST") == 0
    record = json.loads((folder / "out.json").read_text())
    assert [(run["target"], run["seed"]) for run in record["runs"]] == [("MNIST", 0), ("MNIST", 1)]


def test_a_file_of_something_else_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out.json").write_text("[]")
    assert call(folder, monkeypatch, "--methods", "source") == 1
    assert "is not a record of this benchmark" in capsys.readouterr().err
    assert (folder / "out.json").read_text() == "[]"
