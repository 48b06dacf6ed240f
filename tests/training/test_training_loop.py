"""Trainer from end to end: run folder, exact resumption, stopping, divergence."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training_runs import MakeConfig, assert_same_run, rows_of, tensors_of, tiny_run

from ganvas.content_gate import AdmittedPicture, gate
from ganvas.errors import ConfigError, DivergenceError, MissingDependency, PolicyRefusal, RunError
from ganvas.filesystem import FolderInUse
from ganvas.filesystem.locks import LOCK_NAME
from ganvas.hardware.threads import using_threads
from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.runs.folder import lock_run
from ganvas.runs.record import load_generators, read_run_record
from ganvas.training import loop, observers, validation
from ganvas.training import state as state_module
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.loop import train
from ganvas.training.report import TrainingResult
from ganvas.training.state import read_config


class PowerCutError(Exception):
    """Simulated crash."""


def crash() -> None:
    raise PowerCutError


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def trained() -> list[tuple[RunConfig, TrainingResult]]:
    """Result of `whole`."""
    return []


@pytest.fixture
def whole(
    tiny_config: MakeConfig, trained: list[tuple[RunConfig, TrainingResult]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Train the tiny run once for all tests that only read it; the pictures of each test are the same."""
    if not trained:
        config = tiny_config()
        trained.append((config, train(config, tmp_path_factory.mktemp("whole") / "run", quiet=True)))
    return trained[0][1].run


def test_a_run_leaves_a_whole_run_folder(whole: Path, trained: list[tuple[RunConfig, TrainingResult]]) -> None:
    ((config, result),), run = trained, whole
    assert (result.images_seen, result.stopped, result.exit_code) == (42, "done", 0)
    assert result.seconds > 0
    assert result.images_per_second > 0
    names = {path.name for path in run.iterdir()}
    assert names == {"metrics.jsonl", "refused.json", "run.json", "samples", "snapshots", "state.safetensors"}
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["00000016.png", "00000032.png", "00000042.png"]
    assert json.loads((run / "refused.json").read_text()) == []
    assert read_config(run) == config
    assert read_run_record(run).image_size == (16, 16)
    rows = rows_of(run)
    assert [row["images"] for row in rows if row["kind"] == "validation"] == [10, 18, 28, 36, 42]
    assert {"generator/l1", "generator/adversarial", "discriminator/real", "discriminator/fake"} <= rows[0].keys()
    best = max((row for row in rows if row["kind"] == "validation"), key=lambda row: row["psnr"])
    assert result.best["psnr"] == best["psnr"]
    assert result.best["images"] == best["images"]
    assert "42 images" in str(result)


def test_training_learns(tiny_config: MakeConfig, tmp_path: Path) -> None:
    method = {"norm": "none", "dropout": 0.0, "adversarial_weight": 0.0, "width": 16}
    config = tiny_config(
        method=method,
        epochs=40,
        learning_rate=4e-3,
        ema_half_life=0.0,
        validate_every=999,
        sample_every=999,
        checkpoint_every=999,
    )
    train(config, tmp_path / "run", quiet=True)
    losses = [row["generator/l1"] for row in rows_of(tmp_path / "run") if row["kind"] == "training"]
    assert losses[-1] < 0.5 * losses[0]


def test_snapshots_hold_the_average_and_the_state_both(whole: Path) -> None:
    state = tensors_of(whole / "state.safetensors")
    made = load_generators(whole, "last").state_dict()
    averaged = [name for name in state if name.startswith("average/")]
    assert averaged
    for name in averaged:
        key = name.removeprefix("average/")
        assert torch.equal(made[key], state[name])
        assert not torch.equal(made[key], state[f"method/{key}"])


@pytest.mark.parametrize(
    ("step", "how"),
    [
        (4, interrupt),
        (11, crash),
        *(pytest.param(step, crash, marks=pytest.mark.slow) for step in (2, 4, 20)),
        *(pytest.param(step, interrupt, marks=pytest.mark.slow) for step in (2, 11, 20)),
    ],
)
def test_a_stopped_run_ends_as_one_never_stopped(
    whole: Path,
    tiny_config: MakeConfig,
    tmp_path: Path,
    at_step: Callable[[int, Callable[[], None]], None],
    step: int,
    how: Callable[[], None],
) -> None:
    config = tiny_config()
    at_step(step, how)
    if how is crash:
        with pytest.raises(PowerCutError):
            train(config, tmp_path / "stopped", quiet=True)
        with (tmp_path / "stopped" / "metrics.jsonl").open("a") as metrics:
            metrics.write('{"kind": "training", "ima')  # a truncated last line
    else:
        result = train(config, tmp_path / "stopped", quiet=True)
        assert (result.stopped, result.exit_code, result.images_seen) == ("interrupted", 130, 2 * step)
        assert f"ganvas resume {tmp_path / 'stopped'}" in str(result)
    train(config, tmp_path / "stopped", resume=True, quiet=True)
    assert_same_run(whole, tmp_path / "stopped")


@pytest.mark.slow
def test_with_a_given_number_of_threads_a_resumed_run_is_the_same_to_the_bit(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    config = tiny_config(epochs=2, threads=2, constant_fraction=1.0)
    train(config, tmp_path / "whole", quiet=True)
    train(tiny_config(epochs=1, threads=2, constant_fraction=1.0), tmp_path / "stopped", quiet=True)
    train(config, tmp_path / "stopped", resume=True, quiet=True)
    whole, stopped = (tensors_of(tmp_path / name / "state.safetensors") for name in ("whole", "stopped"))
    assert [name for name in whole if not torch.equal(whole[name], stopped[name])] == []
    assert json.loads((tmp_path / "stopped" / "run.json").read_text())["training"]["threads"] == 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("settings", "counts"),
    [({}, (4, 2, 1)), ({"threads": 3}, (3,)), ({"compile": True}, (4,))],
    ids=["free", "given", "compiled"],
)
def test_threads_are_chosen_where_nothing_speaks_against_it(settings: dict[str, Any], counts: tuple[int, ...]) -> None:
    torch.set_num_threads(4)
    with ExitStack() as stack:
        chosen = loop.open_threads(TrainingConfig(**settings), Processes(torch.device("cpu")), stack)
        assert (chosen.counts, torch.get_num_threads()) == (counts, counts[0])
        assert loop.open_threads(TrainingConfig(), Processes(torch.device("cpu"), 0, 2), stack).counts == (counts[0],)
        with using_threads(1):
            assert loop.open_threads(TrainingConfig(), Processes(torch.device("cpu")), stack).counts == (1,)
    assert torch.get_num_threads() == 4


def test_a_crash_between_any_two_files_is_mended_by_resuming(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the state already records the end of the run."""
    modules = {"save_checkpoint": observers, "save_snapshot": state_module}
    writers = {name: getattr(module, name) for name, module in modules.items()}

    def patch(count: float) -> list[str]:
        made: list[str] = []
        for name, write in writers.items():

            def writing(*given: Any, write: Any = write, name: str = name, **named: Any) -> None:
                write(*given, **named)
                made.append(name)
                if len(made) == count:
                    raise PowerCutError

            monkeypatch.setattr(modules[name], name, writing)
        return made

    made = patch(math.inf)
    train(tiny_config(epochs=2), tmp_path / "whole", quiet=True)
    total = len(made)
    assert total >= 4
    for count in range(total - 2, total + 1):
        patch(count)
        with pytest.raises(PowerCutError):
            train(tiny_config(epochs=2), tmp_path / str(count), quiet=True)
        patch(math.inf)
        train(tiny_config(epochs=2), tmp_path / str(count), resume=True, quiet=True)
        assert_same_run(tmp_path / "whole", tmp_path / str(count))


def test_interrupts_are_left_as_they_were(tiny_config: MakeConfig, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_training_works_outside_the_main_thread(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(epochs=1)
    thread = threading.Thread(target=lambda: train(config, tmp_path / "run", quiet=True))
    thread.start()
    thread.join()
    assert (tmp_path / "run" / "state.safetensors").exists()


def test_equal_seeds_give_equal_runs_and_others_do_not(tiny_config: MakeConfig, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        train(tiny_config(epochs=2, seed=seed), tmp_path / name, quiet=True)
    assert_same_run(tmp_path / "one", tmp_path / "two")
    assert rows_of(tmp_path / "one") != rows_of(tmp_path / "other")


@pytest.mark.slow
def test_how_often_things_are_written_does_not_change_the_weights(
    whole: Path, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    seldom = tiny_config(checkpoint_every=1000, validate_every=1000, sample_every=1000, log_every=1000)
    train(seldom, tmp_path / "seldom", quiet=True)
    often, seldom_tensors = (tensors_of(run / "state.safetensors") for run in (whole, tmp_path / "seldom"))
    assert all(torch.equal(often[name], seldom_tensors[name]) for name in often)


@pytest.mark.slow
def test_minutes_are_counted_over_resumptions(tiny_config: MakeConfig, tmp_path: Path) -> None:
    run, config = tmp_path / "run", tiny_config(epochs=10_000, minutes=0.01)
    first = train(config, run, quiet=True)
    assert first.stopped == "minutes"
    assert first.seconds >= 0.5
    again = train(config, run, resume=True, quiet=True)
    assert (again.stopped, again.images_seen) == ("minutes", first.images_seen)
    epochs = first.images_seen / 7 + 1
    longer = train(tiny_config(epochs=epochs, minutes=100.0), run, resume=True, quiet=True)
    assert longer.stopped == "done"
    assert longer.seconds > first.seconds


@pytest.mark.parametrize("step", [4, 5, 8], ids=["nothing due", "validation due", "preview due"])
@pytest.mark.parametrize(("end", "settings"), [("minutes", {"minutes": 1e-6}), ("done", {"epochs": 1})])
def test_an_interrupted_run_that_ends_when_it_is_resumed_is_evaluated_once(
    tiny_config: MakeConfig,
    tmp_path: Path,
    at_step: Callable[[int, Callable[[], None]], None],
    step: int,
    end: str,
    settings: dict[str, Any],
) -> None:
    run, images = tmp_path / "run", 2 * step
    at_step(step, interrupt)
    assert train(tiny_config(minutes=100.0), run, quiet=True).stopped == "interrupted"
    for _ in range(2):
        result = train(tiny_config(**{"minutes": 100.0} | settings), run, resume=True, quiet=True)
        assert (result.stopped, result.images_seen) == (end, images)
        for kind in ("validation", "training"):
            assert [row["images"] for row in rows_of(run) if row["kind"] == kind].count(images) == 1, kind
        assert (run / "samples" / f"{images:08d}.png").exists()


@pytest.mark.slow
def test_a_finished_run_can_be_lengthened(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=2, constant_fraction=1.0), tmp_path / "run", quiet=True)
    result = train(tiny_config(epochs=4, constant_fraction=1.0), tmp_path / "run", resume=True, quiet=True)
    assert result.images_seen == 28
    train(tiny_config(epochs=4, constant_fraction=1.0), tmp_path / "whole", quiet=True)
    one, two = (tensors_of(tmp_path / name / "state.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_resume_without_a_state_starts(tiny_config: MakeConfig, tmp_path: Path) -> None:
    assert train(tiny_config(epochs=1), tmp_path / "run", resume=True, quiet=True).images_seen == 8


def test_a_folder_that_holds_something_is_not_overwritten(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match=r"already contains .*resume that run, or use another folder"):
        train(tiny_config(epochs=1), tmp_path / "run", quiet=True)


def test_resuming_with_other_settings_names_them(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    changed = tiny_config(epochs=1, method={"width": 8}, batch_size=1)
    with pytest.raises(RunError, match=r"method\.width was 4, now 8; training\.batch_size was 2, now 1"):
        train(changed, tmp_path / "run", resume=True, quiet=True)


def test_resuming_on_other_pictures_is_an_error(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(epochs=1)
    train(config, tmp_path / "run", quiet=True)
    for side in ("a", "b"):
        (config.data.folder / "train" / side / "0.png").unlink()
    with pytest.raises(RunError, match="trained on 7 pictures, the data now has 6"):
        train(config, tmp_path / "run", resume=True, quiet=True)


def fill(folder: Path, dtype: str, channels: int) -> None:
    """Write noise pairs as TIFF, four for training and four for validation."""
    draw = np.random.default_rng(0)
    for split, side, index in itertools.product(("train", "val"), "ab", range(4)):
        pixels = draw.integers(0, np.iinfo(dtype).max, (20, 20, channels)).astype(dtype)
        write_image(folder / split / side / f"{index}.tif", Picture(pixels))


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint16", 3)])
def test_resuming_on_pictures_of_another_kind_is_an_error(tmp_path: Path, dtype: str, channels: int) -> None:
    fill(tmp_path / "data", "uint16", 1)
    train(tiny_run(tmp_path / "data", epochs=1), tmp_path / "run", quiet=True)
    record = (tmp_path / "run" / "run.json").read_bytes()
    fill(tmp_path / "other", dtype, channels)
    told = rf"input of 1 channel, uint16, 0 to 65535, the data now has {channels} channels?, {dtype}, 0 to \d+: resume"
    with pytest.raises(ConfigError, match=told):
        train(tiny_run(tmp_path / "other", epochs=2), tmp_path / "run", resume=True, quiet=True)
    assert (tmp_path / "run" / "run.json").read_bytes() == record


def test_a_process_that_does_not_see_the_state_stops(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Processes, "agree", lambda processes, *flags: (True,) * len(flags))
    with pytest.raises(RunError, match=r"process 0 cannot access .*; all processes must share the run folder"):
        train(tiny_config(), tmp_path / "run", quiet=True)


def test_one_trainer_a_folder(tiny_config: MakeConfig, tmp_path: Path) -> None:
    with lock_run(tmp_path / "run"), pytest.raises(FolderInUse, match="in use by another"):
        train(tiny_config(), tmp_path / "run", quiet=True)


@pytest.mark.usefixtures("no_folder_locks")
def test_a_run_starts_where_folders_cannot_be_locked(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / LOCK_NAME).exists()


def test_what_a_killed_process_was_writing_is_swept_away(tiny_config: MakeConfig, tmp_path: Path) -> None:
    left = tmp_path / "run" / ".state.0123456789abcdef.safetensors"
    left.parent.mkdir()
    left.touch()
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    assert not left.exists()


@pytest.mark.parametrize(("poison", "step"), [("loss", 12), ("weights", 12), ("weights", 13)])
def test_divergence_stops_and_keeps_the_last_good_state(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: str, step: int
) -> None:
    build, built = state_module.build, []

    def remembering(*given: Any, **named: Any) -> Any:
        built.append(build(*given, **named))
        return built[-1]

    def spoil() -> None:
        with torch.no_grad():
            next(built[-1].generator.parameters()).fill_(float("nan"))

    monkeypatch.setattr(state_module, "build", remembering)
    take_turns, steps = loop.take_turns, iter(range(1, 1000))

    def poisoned(*given: Any, **named: Any) -> Any:
        losses = take_turns(*given, **named)
        if next(steps) == step:
            if poison == "weights":
                spoil()
            else:
                losses["generator/l1"] = losses["generator/l1"] * float("inf")
        return losses

    monkeypatch.setattr(loop, "take_turns", poisoned)
    what = r"method/generator\S*" if step == 13 else "generator/l1"
    with pytest.raises(DivergenceError, match=rf"{what} .*NaN or infinite by image 2\d\. The state after 22 images is"):
        train(tiny_config(), tmp_path / "run", quiet=True)
    state = tensors_of(tmp_path / "run" / "state.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point())
    assert all(row["images"] <= 22 for row in rows_of(tmp_path / "run"))


def test_without_validation_pictures_the_last_snapshot_is_all(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(epochs=2)
    shutil.rmtree(config.data.folder / "val")
    result = train(config, tmp_path / "run", quiet=True)
    assert result.best == {}
    assert [path.name for path in (tmp_path / "run" / "snapshots").iterdir()] == ["last.safetensors"]
    assert list((tmp_path / "run" / "samples").iterdir())


@pytest.mark.usefixtures("any_bfloat16")
def test_bfloat16_trains_float32_weights(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=2, precision="bfloat16"), tmp_path / "run", quiet=True)
    state = tensors_of(tmp_path / "run" / "state.safetensors")
    assert {value.dtype for name, value in state.items() if name.startswith("average/")} == {torch.float32}


def test_sixteen_bits_and_five_channels_go_through(tmp_path: Path, rng: np.random.Generator) -> None:
    for split, side in [(split, side) for split in ("train", "val") for side in "ab"]:
        for index in range(2):
            pixels = rng.integers(0, 65536, (20, 20, 5 if side == "a" else 1), dtype=np.uint16)
            write_image(tmp_path / "data" / split / side / f"{index}.tif", Picture(pixels))
    train(tiny_run(tmp_path / "data"), tmp_path / "run", quiet=True)
    record = read_run_record(tmp_path / "run")
    assert (record.input.dtype, record.input.channels) == ("uint16", 5)
    assert (record.output.dtype, record.output.channels) == ("uint16", 1)
    assert list((tmp_path / "run" / "samples").iterdir())


def test_a_missing_tensorboard_says_how_to_get_it(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependency, match="needs tensorboard: pip install 'tensorboard>="):
        train(tiny_config(tensorboard=True), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()  # an error before any picture is read


def test_a_diverged_run_can_go_on_at_a_lower_rate(
    tiny_config: MakeConfig, tmp_path: Path, at_step: Callable[[int, Callable[[], None]], None]
) -> None:
    at_step(12, crash)
    with pytest.raises(PowerCutError):
        train(tiny_config(), tmp_path / "run", quiet=True)
    result = train(tiny_config(learning_rate=1e-5), tmp_path / "run", resume=True, quiet=True)
    assert result.stopped == "done"
    assert rows_of(tmp_path / "run")[-2]["learning_rate"] < 1e-5


def test_rmsprop_and_tensorboard(tiny_config: MakeConfig, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    config = tiny_config(epochs=2, optimizer="rmsprop", tensorboard=True)
    train(config, tmp_path / "run", quiet=True)
    assert list((tmp_path / "run" / "tensorboard").iterdir())


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_every_optimizer_trains_on_a_gpu(tiny_config: MakeConfig, tmp_path: Path, optimizer: str) -> None:
    config = tiny_config(epochs=2, optimizer=optimizer, device="cuda")
    assert train(config, tmp_path / "run", quiet=True).stopped == "done"


def test_refused_outputs_are_drawn_gray(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit = validation.admit

    def refusing(picture: Any, *, name: str) -> AdmittedPicture:
        if name.endswith("(output)"):
            raise PolicyRefusal(name, "for the test", 0.9)
        return admit(picture, name=name)

    monkeypatch.setattr(validation, "admit", refusing)
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    grid = np.asarray(Image.open(tmp_path / "run" / "samples" / "00000008.png"))
    assert (grid[-16:, 20:36] == 128).all()
    assert grid[-16:, 40:56].std() > 0


def test_the_gate_guards_training(tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal):
        train(tiny_config(), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "snapshots").exists()


def test_a_device_that_is_not_there(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config()
    config = replace(config, training=replace(config.training, device="nonsense"))
    with pytest.raises(ConfigError, match="device 'nonsense' is not available"):
        train(config, tmp_path / "run", quiet=True)


def test_progress_is_told_in_plain_lines(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ganvas.training import report

    monkeypatch.setattr(report, "PLAIN_EVERY", 0.0)
    train(tiny_config(), tmp_path / "run")
    told = capfd.readouterr().err
    assert "of 42 images  epoch" in told
    assert "images/s" in told
    assert "left  discriminator/" in told
    assert "validation" in told


@pytest.fixture(autouse=True)
def no_leftover_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_start_that_failed_leaves_the_folder_free(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(epochs=1)
    with pytest.raises(ConfigError):
        train(replace(config, method=replace(config.method, depth=9)), tmp_path / "run", quiet=True)
    assert train(config, tmp_path / "run", quiet=True).stopped == "done"


@pytest.mark.slow
def test_a_run_that_saved_nothing_may_be_begun_anew(
    tiny_config: MakeConfig, tmp_path: Path, at_step: Callable[[int, Callable[[], None]], None]
) -> None:
    at_step(3, crash)
    with pytest.raises(PowerCutError):
        train(tiny_config(log_every=2), tmp_path / "run", quiet=True)
    assert rows_of(tmp_path / "run")
    corrected = tiny_config(method={"width": 8})
    train(corrected, tmp_path / "run", quiet=True)
    train(corrected, tmp_path / "whole", quiet=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    with pytest.raises(RunError, match="already contains"):
        train(corrected, tmp_path / "run", quiet=True)


def test_less_than_a_picture_is_refused(tiny_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"epochs 0.001 of \d+ pictures is less than one picture; use at least"):
        train(tiny_config(epochs=0.001), tmp_path / "run", quiet=True)


def test_a_batch_may_be_larger_than_the_run(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(epochs=1, batch_size=64, constant_fraction=1.0)
    assert train(config, tmp_path / "run", quiet=True).images_seen == 64


def test_a_run_whose_time_is_over_says_how_to_give_it_more(tiny_config: MakeConfig, tmp_path: Path) -> None:
    result = train(tiny_config(epochs=500, minutes=0.002), tmp_path / "a run", quiet=True)
    assert str(result).endswith(f"Continue with: ganvas resume '{tmp_path / 'a run'}' --minutes M, the new total")
