"""Fixtures for all tests, and settings that make tests independent of the machine and its load."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

# One thread for each test process and its children: the suite runs several processes in parallel, and more threads than
# cores wait for each other. In tests with several threads, waiting ones sleep early, as on the command line. The
# variables are read when numpy, torch and onnxruntime are first imported.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from ganvas.filesystem import locks

# The duration of an example depends on the machine and its load.
settings.register_profile("ganvas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ganvas")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_folder(variable: str, name: str) -> Path:
    """Return a folder outside the project; skip if it is missing, unless CI requires it."""
    folder = Path(os.environ.get(variable, SHARED / name))
    if not folder.is_dir():
        if os.environ.get("GANVAS_REQUIRE_DATA"):
            pytest.fail(f"{folder} is missing; set {variable}")
        pytest.skip(f"{folder} is not here; set {variable} to run this test")
    return folder


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the overfitting test slow in each method contract that sets `overfit_is_slow`."""
    for item in items:
        slow = isinstance(item, pytest.Function) and getattr(item.cls, "overfit_is_slow", False)
        if slow and item.originalname == "test_one_batch_is_overfitted":
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real pictures, which tests read but never copy."""
    return shared_folder("GANVAS_DATA", "data")


@pytest.fixture(scope="session")
def parity() -> Path:
    """Return the folder with results of the reference implementation."""
    return shared_folder("GANVAS_PARITY", "parity")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Reset the number of threads that an earlier test set."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def no_flushing() -> Iterator[None]:
    """Do not flush to disk: flushing makes a difference only if the power fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


CACHE_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own cache folder."""
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path_factory.getbasetemp() / "caches" / str(next(CACHE_NUMBERS))))


@pytest.fixture(autouse=True)
def stub_gate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replace the content gate's scorer by a stub that passes everything, unless the test is marked `real_gate`."""
    from ganvas.content_gate import gate

    if "real_gate" not in request.keywords:
        monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.0)
        gate.forget_scorer()
    yield
    gate.forget_scorer()


@pytest.fixture
def no_folder_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make locks on folders fail, as on some network file systems; files can still be locked."""
    lock = locks._lock

    def refuse_folders(descriptor: int, *, alone: bool) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(next(iter(locks.UNABLE)), "for the test")
        lock(descriptor, alone=alone)

    monkeypatch.setattr(locks, "_lock", refuse_folders)


@pytest.fixture(params=["folder", "file"])
def either_lock(request: pytest.FixtureRequest) -> None:
    """Run the test twice: where folders can be locked, and where a file in them is locked instead."""
    if request.param == "file":
        request.getfixturevalue("no_folder_locks")


@pytest.fixture
def any_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow bfloat16 on every processor: tiny networks also run where it is emulated."""
    monkeypatch.setattr("ganvas.hardware.device.bfloat16_obstacle", lambda device: None)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a seeded random generator."""
    return np.random.default_rng(0)
