"""Distributed training: several processes equal one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from training_runs import MakeConfig, rows_of, tensors_of, tiny_run, torchrun

from ganvas.errors import ConfigError
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import Batch, Progress, build
from ganvas.training import distributed
from ganvas.training.distributed import Processes, join, warn_of_batch_norm
from ganvas.training.loop import train
from ganvas.training.step import make_optimizers, take_turns

CONFIG = Pix2PixConfig(width=4, depth=2, discriminator_width=4, receptive_field=16, norm="none", dropout=0.0)
STEPS = 4


def steps(processes: Processes, data: Path, accumulate: int) -> dict[str, torch.Tensor]:
    """Run a few steps of pix2pix in float64 on this process's share; each process starts from its own weights."""
    torch.set_num_threads(1)
    torch.manual_seed(processes.rank)
    method = build(CONFIG, input_channels=3, output_channels=3, image_size=(16, 16)).double().train()
    processes.broadcast(method)
    settings = tiny_run(data, batch_size=4, accumulate=accumulate).training
    optimizers = make_optimizers(method, settings)
    generator = torch.Generator().manual_seed(5)
    for step in range(STEPS):
        a, b = torch.rand(2, 4, 3, 16, 16, generator=generator, dtype=torch.float64) * 2 - 1
        share = Batch(a.chunk(processes.world)[processes.rank], b.chunk(processes.world)[processes.rank])
        take_turns(method, optimizers, share, Progress(4 * step, step), settings=settings, processes=processes)
    return method.state_dict()


def run_steps(rank: int, folder: Path, accumulate: int) -> None:
    distributed.LARGE = 100  # so that some gradients are sent one by one and some together
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    with join("cpu", batch_size=4, accumulate=accumulate) as processes:
        assert processes.agree(rank == 1, False) == (True, False)
        torch.save(steps(processes, folder, accumulate), folder / f"{rank}.pt")
    dist.barrier()  # a process that leaves early can abort the other, whose threads still wait for it
    dist.destroy_process_group()


@pytest.mark.distributed
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_step_as_one_in_float64(tmp_path: Path, accumulate: int) -> None:
    mp.spawn(run_steps, (tmp_path, accumulate), nprocs=2)
    alone = steps(Processes(torch.device("cpu")), tmp_path, accumulate=1)
    shares = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for name, value in alone.items():
        assert torch.equal(shares[0][name], shares[1][name])
        torch.testing.assert_close(shares[0][name], value, rtol=0, atol=1e-15)


@pytest.mark.distributed
def test_torchrun_trains_as_one_process(tiny_data: Path, tmp_path: Path) -> None:
    train(tiny_run(tiny_data, method={"norm": "none", "dropout": 0.0}), tmp_path / "one", quiet=True)
    torchrun(tiny_data, tmp_path / "two")
    one, two = (tensors_of(tmp_path / name / "state.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-5)
    for left, right in zip(rows_of(tmp_path / "one"), rows_of(tmp_path / "two"), strict=True):
        assert left.pop("kind") == right.pop("kind")
        assert right == pytest.approx(left, rel=1e-3, abs=1e-4)


def test_a_batch_must_be_shared_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    with (
        pytest.raises(ConfigError, match="batch_size 3 cannot be divided among 2 processes"),
        join("cpu", batch_size=3),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="batch_size 6 cannot be divided among 2 processes in 2 parts each"),
        join("cpu", batch_size=6, accumulate=2),
    ):
        pass


def test_batch_norm_over_several_processes_is_warned_of() -> None:
    batch_norm = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    device = torch.device("cpu")
    with pytest.warns(UserWarning, match="batch norm takes its statistics over each process's share"):
        warn_of_batch_norm(batch_norm, Processes(device, 0, 2), batch_size=4)
    warn_of_batch_norm(batch_norm, Processes(device, 1, 2), batch_size=4)
    warn_of_batch_norm(batch_norm, Processes(device, 0, 2), batch_size=2)
    warn_of_batch_norm(batch_norm, Processes(device, 0, 1), batch_size=4)
    warn_of_batch_norm(torch.nn.InstanceNorm2d(2), Processes(device, 0, 2), batch_size=4)


def test_the_others_wait_as_long_as_a_large_data_set_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, timedelta] = {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "is_initialized", lambda: bool(asked))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **settings: asked.update(settings))
    monkeypatch.setattr(dist, "destroy_process_group", asked.clear)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    with join("cpu", batch_size=2):
        assert asked["timeout"] >= timedelta(days=1)


def test_a_single_process_needs_no_group(tiny_config: MakeConfig) -> None:
    with join("cpu", batch_size=3) as processes:
        assert (processes.rank, processes.world, processes.first) == (0, 1, True)
        assert processes.agree(True, False) == (True, False)
