"""Pairs used as unpaired data, for methods that ignore the pairing (`aligned` off)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ganvas.data.config import PairedData
from ganvas.errors import ConfigError
from ganvas.methods import CycleGANConfig, Pix2PixConfig
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.dataset import Dataset, open_dataset
from ganvas.training.distributed import Processes
from ganvas.training.loop import train

METHOD = CycleGANConfig(width=4, discriminator_width=4, residual_blocks=1, receptive_field=16, pool_size=3)


def config(pairs: Path, *, aligned: bool = False, epochs: float = 2) -> RunConfig:
    data = PairedData(folder=pairs, load_size=(32, 32), crop_size=(32, 32), mirror=False, aligned=aligned)
    return RunConfig(method=METHOD, data=data, training=TrainingConfig(epochs=epochs, device="cpu"))


def opened(pairs: Path, run: Path, *, aligned: bool) -> Dataset:
    return open_dataset(config(pairs, aligned=aligned), Processes(device=torch.device("cpu")), run)


def test_a_batch_holds_pairs_only_when_aligned(pairs: Path, tmp_path: Path) -> None:
    def belong(aligned: bool) -> list[bool]:
        loader = opened(pairs, tmp_path, aligned=aligned).loader
        batches = [loader.batch(seen) for seen in range(12)]
        return [bool((batch.a + batch.b).abs().max() < 0.01) for batch in batches]

    assert all(belong(aligned=True))
    assert sum(belong(aligned=False)) < 6


def test_both_sides_are_seen_wholly_and_targets_are_there_to_validate_on(pairs: Path, tmp_path: Path) -> None:
    pictures = opened(pairs, tmp_path, aligned=False)
    assert pictures.loader.epoch_size == 6
    seen = {batch.b.numpy().tobytes() for batch in map(pictures.loader.batch, range(6))}
    assert len(seen) == 6
    assert all(torch.allclose(a, -b, atol=0.01) for _, a, b in pictures.pairs(pictures.shown, 3))


@pytest.mark.slow
def test_resumed_it_ends_as_if_never_stopped(pairs: Path, tmp_path: Path) -> None:
    whole = config(pairs)
    train(whole, tmp_path / "whole", quiet=True)
    train(replace(whole, training=replace(whole.training, epochs=1)), tmp_path / "run", quiet=True)
    train(whole, tmp_path / "run", resume=True, quiet=True)
    one, two = (load_file(tmp_path / name / "snapshots" / "last.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_it_is_not_for(pairs: Path) -> None:
    with pytest.raises(ConfigError, match="Pix2Pix needs pairs"):
        replace(config(pairs), method=Pix2PixConfig())
    with pytest.raises(ConfigError, match="aligned off needs pairs in files and no jitter"):
        PairedData(layout="single", degrade="mosaic", aligned=False)
    with pytest.raises(ConfigError, match="no jitter"):
        PairedData(jitter=0.1, aligned=False)
