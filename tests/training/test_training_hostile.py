"""Untrusted training states: missing, absurd or foreign content is an error that names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from training_runs import MakeConfig, tensors_of

from ganvas.errors import RunError
from ganvas.runs import folder
from ganvas.training.loop import train

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder shared by these tests."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def stopped(tiny_config: MakeConfig, tmp_path: Path, kept: Path) -> Callable[[], None]:
    """Resume a copy of a run of one epoch, which the first test trains."""
    if not (kept / "run").exists():
        train(tiny_config(epochs=1), kept / "run", quiet=True)
    shutil.copytree(kept / "run", tmp_path / "run")
    return lambda: train(tiny_config(epochs=2), tmp_path / "run", resume=True, quiet=True)


def state_of(tmp_path: Path) -> tuple[Path, Tensors, dict[str, str]]:
    path = tmp_path / "run" / "state.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    return path, tensors_of(path), metadata


@pytest.mark.parametrize(
    "changes",
    [
        {"images_seen": -1}, {"images_seen": 10**30}, {"images_seen": "8"}, {"step": None}, {"seconds": float("nan")},
        {"seconds": float("inf")}, {"seconds": -1.0}, {"pictures": True}, {"best": {"psnr": 1.0}},
        {"best": {"images": 1.0, "psnr": float("nan")}}, {"loss_counts": {"x": 1}},
        {"loss_counts": []}, {"more": 1}, {"kind": []},
    ],
)  # fmt: skip
def test_absurd_counters(changes: dict[str, Any], stopped: Callable[[], None], tmp_path: Path) -> None:
    path, tensors, metadata = state_of(tmp_path)
    metadata["counters"] = json.dumps({**json.loads(metadata["counters"]), **changes})
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(RunError, match=r"state\.safetensors"):
        stopped()


@pytest.mark.parametrize("text", [None, "", "[]", "{", "[" * 100_000])
def test_no_counters(text: str | None, stopped: Callable[[], None], tmp_path: Path) -> None:
    path, tensors, metadata = state_of(tmp_path)
    metadata = {name: value for name, value in metadata.items() if name != "counters"}
    save_file(tensors, path, metadata=metadata if text is None else {**metadata, "counters": text})
    with pytest.raises(RunError, match=r"state\.safetensors"):
        stopped()


def without_optimizer(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.startswith("optimizer/generator/")]:
        del tensors[name]


def without_all(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.startswith("optimizer/")]:
        del tensors[name]


def without_one_moment(tensors: Tensors) -> None:
    del tensors["optimizer/generator/0/exp_avg"]


def with_player(tensors: Tensors) -> None:
    tensors["optimizer/stranger/0/exp_avg"] = torch.zeros(1)


def with_index(tensors: Tensors) -> None:
    tensors["optimizer/generator/999/exp_avg"] = torch.zeros(1)


def with_word(tensors: Tensors) -> None:
    tensors["optimizer/generator/x"] = torch.zeros(1)


def with_shape(tensors: Tensors) -> None:
    tensors["optimizer/generator/0/exp_avg"] = torch.zeros(2, 3)


def with_bool_weight(tensors: Tensors) -> None:
    name = next(name for name in tensors if name.startswith("method/generator"))
    tensors[name] = tensors[name].bool()


def with_complex_average(tensors: Tensors) -> None:
    name = next(name for name in tensors if name.startswith("average/"))
    tensors[name] = tensors[name].to(torch.complex64)


def with_loss_of_many(tensors: Tensors) -> None:
    tensors["losses/generator/l1"] = torch.zeros(3)


SPOILS: list[Callable[[Tensors], None]] = [
    with_player, with_index, with_word, with_shape, with_bool_weight, with_complex_average, with_loss_of_many,
]  # fmt: skip


@pytest.mark.parametrize("spoil", [without_optimizer, without_all, without_one_moment, *SPOILS])
def test_tensors_that_are_missing_or_foreign(
    spoil: Callable[[Tensors], None], stopped: Callable[[], None], tmp_path: Path
) -> None:
    check(spoil, stopped, tmp_path, names_follow=False)


@pytest.mark.parametrize("spoil", SPOILS)
def test_tensors_that_are_foreign_in_a_file_that_is_not_damaged(
    spoil: Callable[[Tensors], None], stopped: Callable[[], None], tmp_path: Path
) -> None:
    check(spoil, stopped, tmp_path, names_follow=True)


def test_a_state_of_an_earlier_version_goes_on(stopped: Callable[[], None], tmp_path: Path) -> None:
    path, tensors, metadata = state_of(tmp_path)
    del metadata["names"]
    save_file(tensors, path, metadata=metadata)
    stopped()


def test_a_state_of_an_earlier_version_without_an_optimizer_is_refused(
    stopped: Callable[[], None], tmp_path: Path
) -> None:
    path, tensors, metadata = state_of(tmp_path)
    del metadata["names"]
    without_optimizer(tensors)
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(RunError, match="lacks the optimizer of"):
        stopped()


def check(spoil: Callable[[Tensors], None], stopped: Callable[[], None], tmp_path: Path, *, names_follow: bool) -> None:
    path, tensors, metadata = state_of(tmp_path)
    spoil(tensors)
    if names_follow:
        metadata["names"] = folder._hash_names(tensors)
    save_file(tensors, path, metadata=metadata)
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"state\.safetensors"):
        stopped()
    assert path.read_bytes() == before
