"""The benchmark of the demo's settings: which runs it trains, and that each can be built."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ganvas.demonstration.run import ADVERSARIAL_WEIGHT, demo_config
from ganvas.methods.base import build


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("demo_variants")


def test_variants_change_what_they_name(module: ModuleType, tmp_path: Path) -> None:
    jobs = {name: module.Job(name, tmp_path, 1.0) for name in module.L1_ALONE | module.ADVERSARIAL}
    configs = {name: module.config_of(job) for name, job in jobs.items()}
    photographs = tmp_path / "photographs"
    assert configs["demo"] == demo_config(photographs, adversarial_weight=0.0)
    assert configs["demo, adversarial"] == demo_config(
        photographs, adversarial_weight=ADVERSARIAL_WEIGHT, start_from=jobs["demo"].run
    )
    assert len({job.folder for job in jobs.values()}) == len({str(config) for config in configs.values()}) == len(jobs)
    with torch.device("meta"):  # shapes alone
        for config in configs.values():
            build(config.method, input_channels=3, output_channels=3, image_size=config.data.crop_size)
