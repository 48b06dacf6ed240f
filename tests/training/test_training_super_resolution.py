"""Super-resolution: training, starting from a run, resumption, translation, and the benchmark table."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import assert_same_run

from ganvas import api
from ganvas.content_gate import gate
from ganvas.data.config import PairedData
from ganvas.errors import ConfigError, DataError, PolicyRefusal, RunError, WeightsError
from ganvas.evaluation import BenchmarkConfig, EvaluateConfig
from ganvas.evaluation.evaluate import evaluate_run
from ganvas.evaluation.super_resolution import SuperResolutionTable, benchmark_super_resolution
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Picture
from ganvas.inference.translator import Translator
from ganvas.methods import RealESRGANConfig, SRGANConfig, SRResNetConfig
from ganvas.runs.record import load_generators, save_snapshot, snapshot_path
from ganvas.training import loop
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train
from ganvas.training.state import read_config
from ganvas.weights import download, find

SMALL = {"width": 4, "num_blocks": 1, "scale": 2}


def benchmark(runs: tuple[Path, ...], data: Path, out: Path, **settings: Any) -> SuperResolutionTable:
    return benchmark_super_resolution(BenchmarkConfig("sr", runs, data=data, out=out, **settings), progress=False)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for number in range(4):
            small = torch.from_numpy(random.random((1, 3, 6, 6)))
            pixels = torch.nn.functional.interpolate(small, (33, 38), mode="bicubic").clamp(0, 1) * 255
            picture = Picture(pixels[0].permute(1, 2, 0).numpy().astype(np.uint8))
            write_image(tmp_path / "data" / split / f"{number}.png", picture)
    return tmp_path / "data"


def config(folder: Path, **training: object) -> RunConfig:
    data = PairedData(
        folder=folder, layout="single", degrade="reduce", strength=(2.0, 2.0), resize="none", crop_size=(18, 18)
    )
    settings = {"epochs": 4, "batch_size": 2, "device": "cpu", "validate_every": 8, "sample_every": 8} | training
    return RunConfig(method=SRResNetConfig(**SMALL), data=data, training=TrainingConfig(**settings))


def with_discriminator(run: RunConfig, **training: object) -> RunConfig:
    method = SRGANConfig(**SMALL, content="pixels", content_weight=1.0, discriminator_width=4)
    return replace(run, method=method, training=replace(run.training, **training))


def interrupt_in_step(number: int, monkeypatch: pytest.MonkeyPatch, run: RunConfig, folder: Path) -> None:
    """Train until the step of that number, counted from 0, which is interrupted."""
    steps, take_turns = iter(range(100)), loop.take_turns

    def until(*given: object, **named: object) -> object:
        if next(steps) == number:
            raise KeyboardInterrupt
        return take_turns(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_turns", until)
        with pytest.raises(KeyboardInterrupt):
            train(run, folder, quiet=True)


def test_a_run_enlarges_what_it_is_given(photographs: Path, tmp_path: Path) -> None:
    result = train(config(photographs), tmp_path / "run", quiet=True)
    assert math.isfinite(result.best["psnr"])
    grid = read_image(tmp_path / "run/samples/00000008.png")
    assert grid.width >= 3 * 38  # the input is enlarged to the size of the others
    evaluation = evaluate_run(EvaluateConfig(tmp_path / "run", out=tmp_path / "evaluation"), progress=False)
    assert evaluation.baseline["psnr"].mean > 20  # bicubic interpolation of smooth pictures
    assert evaluation.output["psnr"].count == 4


def test_a_validation_picture_too_small_to_reduce_is_named_before_training(photographs: Path, tmp_path: Path) -> None:
    write_image(photographs / "val" / "line.png", Picture(np.zeros((1, 38, 3), np.uint8)))
    with pytest.raises(DataError, match=r"smaller than the factor 2 of reduce; remove them.*line \(38x1\)"):
        train(config(photographs), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "run.json").exists()


def test_the_second_run_starts_where_the_first_ended(photographs: Path, tmp_path: Path) -> None:
    train(config(photographs), tmp_path / "first", quiet=True)
    second = with_discriminator(config(photographs), start_from=tmp_path / "first", learning_rate=1e-12)
    train(second, tmp_path / "second", quiet=True)
    second_method = load_generators(tmp_path / "second", "last")
    start = load_generators(
        tmp_path / "first", "best" if snapshot_path(tmp_path / "first", "best").exists() else "last"
    )
    for name, weight in second_method.generator.named_parameters():
        torch.testing.assert_close(weight, dict(start.generator.named_parameters())[name], atol=1e-6, rtol=0)


def test_another_generator_s_weights_are_refused(photographs: Path, tmp_path: Path) -> None:
    train(config(photographs, epochs=1), tmp_path / "first", quiet=True)
    wider = config(photographs, start_from=tmp_path / "first")
    with pytest.raises(RunError, match=r"shape.*\n.*first has width 4, not 8$"):
        train(replace(wider, method=SRResNetConfig(**SMALL | {"width": 8})), tmp_path / "second", quiet=True)
    with pytest.raises(RunError, match="nowhere"):
        train(config(photographs, start_from=tmp_path / "nowhere"), tmp_path / "third", quiet=True)


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_to_the_bit_as_one_never_stopped(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config(photographs, epochs=1), tmp_path / "first", quiet=True)
    run = with_discriminator(
        config(photographs), start_from=tmp_path / "first", constant_fraction=0.5, decay="tenth", checkpoint_every=3
    )
    train(run, tmp_path / "whole", quiet=True)
    interrupt_in_step(4, monkeypatch, run, tmp_path / "parts")
    (tmp_path / "first").rename(tmp_path / "moved")  # resumption does not need it
    train(run, tmp_path / "parts", resume=True, quiet=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("scale", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_real_restoration_resumes_to_the_bit(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: int
) -> None:
    """Both stages on second-order degradations, interrupted in the second."""
    sizes = {"generator": "compact", "width": 4, "num_blocks": 1, "scale": scale}
    plain = config(photographs, epochs=2, ema_half_life=10.0, checkpoint_every=3, validate_every=99, sample_every=99)
    data = replace(plain.data, degrade="second_order", strength=(scale, scale), crop_size=(16, 16))
    first = replace(plain, method=SRResNetConfig(**sizes, loss="l1"), data=data)
    train(replace(first, training=replace(first.training, epochs=1)), tmp_path / "first", quiet=True)
    method = RealESRGANConfig(**sizes, discriminator_width=4, perceptual="none")
    run = replace(first, method=method, training=replace(first.training, start_from=tmp_path / "first"))
    train(run, tmp_path / "whole", quiet=True)
    interrupt_in_step(2, monkeypatch, run, tmp_path / "parts")
    train(run, tmp_path / "parts", resume=True, quiet=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    given = Picture(np.full((9, 7, 3), 99, np.uint8))
    made = Translator.load(tmp_path / "parts", device="cpu").translate_picture(given)
    assert (made.picture.height, made.picture.width) == (9 * scale, 7 * scale)
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 * (rgb.shape[0] == 9 * scale))
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal):
        Translator.load(tmp_path / "parts", device="cpu").translate_picture(given)


def test_without_content_weights_the_folder_stays_free(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are needed in the first step, after the record is written."""
    corrected = with_discriminator(config(photographs, epochs=1))
    wanting = replace(corrected, method=replace(corrected.method, content="vgg19-5,4"))
    for name in ("GANVAS_CACHE", "GANVAS_WEIGHTS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("GANVAS_OFFLINE", "1")
    with pytest.raises(WeightsError):
        train(wanting, tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "run.json").exists()
    assert train(corrected, tmp_path / "run", quiet=True).stopped == "done"
    assert read_config(tmp_path / "run") == corrected


@pytest.fixture
def run(photographs: Path, tmp_path: Path) -> Path:
    """Write a run whose outputs vary visibly over the picture."""
    train(config(photographs, epochs=1), tmp_path / "run", quiet=True)
    method = load_generators(tmp_path / "run", "last")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    for name in ("last", "best"):
        save_snapshot(snapshot_path(tmp_path / "run", name), method, images_seen=1)
    return tmp_path / "run"


@pytest.mark.parametrize("shape", [(70, 61, 3), (70, 61, 4), (9, 5, 3)])
def test_tiles_are_exact_and_opacity_grows_along(run: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    translator = Translator.load(run, device="cpu")
    whole, tiled = translator(pixels), translator.tiled(pixels, tile=40)
    assert whole.shape == (2 * shape[0], 2 * shape[1], shape[2])
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    if shape[2] == 4:
        np.testing.assert_array_equal(whole[..., 3], pixels[..., 3].repeat(2, 0).repeat(2, 1))


def test_a_folder_is_enlarged_and_a_mask_refused(run: Path, photographs: Path, tmp_path: Path) -> None:
    report = api.translate(run, photographs / "test", tmp_path / "out", device="cpu")
    assert len(report.written) == 4
    made = read_image(tmp_path / "out/0.png")
    assert (made.height, made.width) == (66, 76)
    with pytest.raises(ConfigError, match="upscales pictures"):
        api.translate(run, photographs / "test", tmp_path / "other", device="cpu", mask=photographs / "test/0.png")


def test_the_table_has_a_row_a_way(run: Path, photographs: Path, tmp_path: Path) -> None:
    table = benchmark((run,), photographs, tmp_path / "table", device="cpu")
    record = json.loads((tmp_path / "table/sr.json").read_text())
    assert {row["way"] for row in record["scores"]} == {"nearest", "bicubic", "run"}
    assert len(record["scores"]) == 3 * 3 * 4
    assert (
        table.mean("test", "bicubic", "psnr")
        > table.mean("test", "nearest", "psnr")
        > table.mean("test", "run", "psnr")
    )
    assert (tmp_path / "table/sr.md").read_text().startswith("| x2 |")
    assert table.exit_code == 0


@pytest.mark.parametrize("asked", [False, True])
def test_weights_are_fetched_only_when_asked(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    fetched: list[object] = []

    def fetch(*given: object, **_: object) -> None:
        fetched.append(given)
        raise WeightsError("no network in tests")

    monkeypatch.setattr(download, "download", fetch)
    monkeypatch.setattr(find, "find_spec", lambda module: None)  # no package contains them
    monkeypatch.delenv("GANVAS_WEIGHTS", raising=False)
    monkeypatch.delenv("GANVAS_OFFLINE", raising=False)
    table = benchmark((), photographs, tmp_path / "table", device="cpu", download=asked)
    assert bool(fetched) is asked
    assert ("--download fetches the weights" in table.lpips) is not asked


def test_a_bad_picture_is_listed_and_the_others_go_on(photographs: Path, tmp_path: Path) -> None:
    (photographs / "test/broken.png").write_bytes(b"nothing")
    table = benchmark((), photographs, tmp_path / "table", device="cpu")
    assert list(table.failures) == ["test/broken.png"]
    assert table.exit_code == 5
    assert "broken.png" in str(table)


def test_odd_pictures_are_listed_and_the_others_go_on(photographs: Path, tmp_path: Path) -> None:
    for name, shape in (("channels.npy", (40, 40, 5)), ("thin.png", (40, 3, 3)), ("small.png", (18, 40, 3))):
        write_image(photographs / "test" / name, Picture(np.full(shape, 90, np.uint8)))
    table = benchmark((), photographs, tmp_path / "table", device="cpu")
    assert set(table.failures) == {"test/channels.npy", "test/thin.png", "test/small.png"}
    assert "5 channels; use gray or RGB" in table.failures["test/channels.npy"]
    assert "40 x 3 pixels; use 20 or more per side" in table.failures["test/thin.png"]
    assert (len(table.scores), table.exit_code) == (2 * 3 * 4, 5)


def test_a_picture_counts_in_every_row_or_in_none(
    run: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translate, calls = Translator.translate_picture, iter(range(100))

    def failing(translator: Translator, picture: Picture, **given: Any) -> Any:
        if next(calls) == 1:
            raise RuntimeError("out of memory")
        return translate(translator, picture, **given)

    monkeypatch.setattr(Translator, "translate_picture", failing)
    table = benchmark((run,), photographs, tmp_path / "table", device="cpu")
    assert list(table.failures.values()) == ["out of memory"]
    assert Counter(score.way for score in table.scores) == dict.fromkeys(("nearest", "bicubic", "run"), 11)


@pytest.mark.slow
def test_refused_outputs_are_listed_and_refused_originals_end_it(
    run: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = {read_image(path).height for path in photographs.rglob("*.png")}
    refused = list[bytes]()

    def refuse_first_outputs(rgb: np.ndarray) -> float:
        """Originals of 33 x 38 and their halves pass; of the outputs, 32 x 38, the first four are refused."""
        if rgb.shape[0] == 32 and len(refused) < 4:
            refused.append(rgb.tobytes())
            return 0.9
        return 0.0

    assert sides == {33}
    monkeypatch.setattr(gate, "load_scorer", lambda: refuse_first_outputs)
    gate.forget_scorer()
    table = benchmark((run,), photographs, tmp_path / "table", device="cpu")
    assert len(table.failures) == 4
    assert "(run) (translated): refused: Open NSFW scores it 0.900" in str(table)
    assert Counter(score.way for score in table.scores) == dict.fromkeys(("nearest", "bicubic", "run"), 8)

    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 * (rgb.shape[0] == 33))
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match=r"the data set: refused: the content gate refuses 3 of 12 pictures"):
        benchmark((run,), photographs, tmp_path / "other", device="cpu")
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_one_table_is_refused(run: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folders"):
        benchmark((), photographs / "test", tmp_path / "table")
    with pytest.raises(ConfigError, match="have the same name"):
        benchmark((run, run), photographs, tmp_path / "table")


@pytest.mark.realdata
@pytest.mark.slow
def test_bicubic_comes_out_as_published(real_data: Path, tmp_path: Path) -> None:
    """Ledig et al. 2017, Table 2; SSIM as in later papers (Lai et al. 2017, arXiv:1704.03915, Table 2)."""
    table = benchmark((), real_data / "sr", tmp_path)
    published = {"Set5": (28.43, 0.810), "Set14": (25.99, 0.702), "BSD100": (25.94, 0.667)}
    for name, (decibels, similarity) in published.items():
        assert table.mean(name, "bicubic", "psnr") == pytest.approx(decibels, abs=0.05)
        assert table.mean(name, "bicubic", "ssim") == pytest.approx(similarity, abs=0.002)


def test_where_nothing_differs_the_record_has_null(tmp_path: Path) -> None:
    write_image(tmp_path / "data/flat/a.png", Picture(np.full((48, 48, 3), 90, np.uint8)))
    table = benchmark((), tmp_path / "data", tmp_path / "table")
    record = json.loads((tmp_path / "table/sr.json").read_text())
    assert [row["psnr"] for row in record["scores"]] == [None, None]
    assert table.mean("flat", "nearest", "psnr") == math.inf
    assert "| nearest | inf |" in str(table)
