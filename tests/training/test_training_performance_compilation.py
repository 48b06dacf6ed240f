"""Memory formats (channels last where it is faster, never in float32), compilation, and memory kept between steps."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
import torch
from training_runs import MakeConfig

from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import Batch, Method, build
from ganvas.training import performance as compilation
from ganvas.training.config import TrainingConfig
from ganvas.training.loop import train
from ganvas.training.performance import (
    compile_networks,
    memory_kept,
    missing_compiler,
    place,
    to_training_layout,
    tuned,
    uncompiled,
)
from ganvas.training.step import make_optimizers

CPU = torch.device("cpu")


def make(**changes: object) -> Method:
    config = Pix2PixConfig(width=2, discriminator_width=2, receptive_field=16, **changes)
    return build(config, input_channels=3, output_channels=3, image_size=(32, 32))


@pytest.mark.parametrize(("precision", "last"), [("bfloat16", True), ("float32", False)])
def test_batches_lie_channels_last_in_bfloat16(precision: str, last: bool) -> None:
    given = Batch(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8))
    batch = to_training_layout(given, TrainingConfig(precision=precision))
    for before, image in ((given.a, batch.a), (given.b, batch.b)):
        assert image.is_contiguous(memory_format=torch.channels_last) == last
        assert torch.equal(before, image)


def test_points_have_no_channels_to_lay_out() -> None:
    points = Batch(torch.rand(4, 2), torch.rand(4, 2))
    assert to_training_layout(points, TrainingConfig(precision="bfloat16")) is points


def test_weights_stay_as_they_are_on_a_cpu() -> None:
    method = place(make().eval(), CPU, TrainingConfig(precision="bfloat16"))
    assert method.training
    assert all(parameter.is_contiguous() for parameter in method.parameters())


def test_moments_are_loaded_in_the_order_of_their_weights() -> None:
    """A state contains contiguous tensors; weights on a GPU are channels last, and their moments must match."""
    from ganvas.training.state import load_optimizer

    method = make()
    compilation.channels_last(method)
    assert any(not parameter.is_contiguous() for parameter in method.parameters())
    for optimizer in make_optimizers(method, TrainingConfig()).values():
        parameters = optimizer.param_groups[0]["params"]
        saved = {
            f"{n}/{key}": torch.rand_like(p).contiguous()
            for n, p in enumerate(parameters)
            for key in ("exp_avg", "exp_avg_sq")
        }
        saved |= {f"{n}/step": torch.tensor(3.0) for n in range(len(parameters))}
        load_optimizer(optimizer, saved, Path("state.safetensors"))
        for n, parameter in enumerate(parameters):
            entry = optimizer.state[parameter]
            assert entry["exp_avg"].stride() == parameter.stride()
            assert torch.equal(entry["exp_avg"], saved[f"{n}/exp_avg"])
            assert entry["step"] == 3


def test_the_backends_are_left_as_they_were() -> None:
    before = torch.backends.cudnn.benchmark
    with tuned(torch.device("cuda")):
        assert torch.backends.cudnn.benchmark
    with tuned(CPU):
        assert torch.backends.cudnn.benchmark == before
    assert torch.backends.cudnn.benchmark == before


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def use(total: list[float]) -> None:
    total.append(sum(torch.ones(20_000_000).sum().item() for _ in range(3)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_kept_and_given_back_after() -> None:
    total: list[float] = []
    use(total)
    before = resident()
    with memory_kept():
        use(total)
        kept = resident()
        for _ in range(10):
            use(total)
        assert resident() < kept + 40e6  # reused, not added
        thread = threading.Thread(target=use, args=(total,))
        thread.start()
        thread.join()
    assert resident() < before + 40e6
    assert total == [6e7] * 13


def test_without_a_compiler_training_goes_on(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compilation, "missing_compiler", lambda device: "no g++")
    with pytest.warns(
        UserWarning, match=r"without compilation, which does not work on this machine \(no g\+\+\): install"
    ):
        train(tiny_config(epochs=1, compile=True, validate_every=99, sample_every=99), tmp_path / "run", quiet=True)


def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(function: object) -> object:
        raise RuntimeError("no compiler found\nand more")

    monkeypatch.setattr(torch, "compile", failing)
    assert missing_compiler(CPU) == "no compiler found"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_compiled_networks_do_the_same(tiny_config: MakeConfig, tmp_path: Path) -> None:
    """Float32 up to rounding; the keys of the state stay, so a compiled run resumes like a plain one."""
    if reason := missing_compiler(CPU):
        pytest.skip(reason)
    method = make(norm="instance", dropout=0.0)
    pictures = torch.rand(1, 3, 32, 32)
    keys = list(method.state_dict())
    before = method.generator(pictures)
    compile_networks(method, CPU)
    torch.testing.assert_close(method.generator(pictures), before, rtol=1e-4, atol=1e-4)
    assert list(method.state_dict()) == keys
    with uncompiled(compiled=True):
        assert torch.equal(method.generator(pictures), before)
    train(tiny_config(epochs=1, compile=True), tmp_path / "run", quiet=True)
    assert train(tiny_config(epochs=2), tmp_path / "run", resume=True, quiet=True).images_seen == 14
