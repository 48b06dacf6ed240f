"""A whole evaluation: figures, baseline, files, and what is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.content_gate import gate
from ganvas.data.config import PairedData
from ganvas.errors import DataError, InputError, PolicyRefusal
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.evaluate import enlarged, evaluate_run
from ganvas.evaluation.report import Evaluation
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference.translator import Translator
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import build
from ganvas.metrics.fidelity import measure, psnr, ssim
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

SIZE = (32, 40)


def write_run(folder: Path, data: PairedData | None, **changes: object) -> Path:
    config = Pix2PixConfig(width=4, depth=2, norm="none", dropout=0.0, adversarial_weight=0.0)
    record = RunRecord(method=config, input=PictureSpec(), output=PictureSpec(), image_size=SIZE, data=data)
    record = replace(record, **changes)  # type: ignore[arg-type]
    channels = {"input_channels": record.input.channels, "output_channels": record.output.channels}
    torch.manual_seed(0)
    write_run_record(folder, record)
    save_snapshot(snapshot_path(folder, "last"), build(config, **channels, image_size=SIZE), images_seen=3)
    return folder


@pytest.fixture
def pairs(tmp_path: Path, rng: np.random.Generator) -> PairedData:
    """Three pairs in two folders, b a little lighter than a, in `test`."""
    for i in range(3):
        a = rng.integers(0, 200, (*SIZE, 3), dtype=np.uint8)
        write_image(tmp_path / "data" / "test" / "a" / f"p{i}.png", Picture(a))
        write_image(tmp_path / "data" / "test" / "b" / f"p{i}.png", Picture(a + np.uint8(10 * i)))
    return PairedData(folder=tmp_path / "data", load_size=SIZE, crop_size=SIZE)


def evaluate(run: Path, *, num_shown: int = 24, **settings: object) -> Evaluation:
    config = EvaluateConfig(run, device="cpu", **settings)  # type: ignore[arg-type]
    return evaluate_run(config, num_shown=num_shown, progress=False)


def unit(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)[None]


def test_figures_are_those_of_the_written_pictures(tmp_path: Path, pairs: PairedData) -> None:
    run = write_run(tmp_path / "run", pairs)
    evaluation = evaluate(run)
    assert (evaluation.split, evaluation.snapshot, len(evaluation.pictures)) == ("test", "last", 3)
    translator = Translator.load(run, device="cpu")
    for scores in evaluation.pictures:
        a = read_image(pairs.folder / "test" / "a" / f"{scores.name}.png")
        b = unit(read_image(pairs.folder / "test" / "b" / f"{scores.name}.png").pixels)
        made = unit(translator(a).pixels)
        assert scores.output["psnr"] == pytest.approx(psnr(made, b).item(), abs=1e-4)
        assert scores.output["ssim"] == pytest.approx(ssim(made, b).item(), abs=1e-5)
        assert "at least 176 pixels" in scores.why_missing["ms_ssim"]
        assert scores.output["ms_ssim"] is None
    baselines = [scores.baseline for scores in evaluation.pictures]
    assert baselines[0] is not None
    assert baselines[2] is not None
    assert baselines[0]["l1"] == 0
    assert baselines[0]["psnr"] is None  # a equals b
    assert baselines[2]["l1"] == pytest.approx(20 / 255, abs=1e-6)
    values = [scores.output["l1"] for scores in evaluation.pictures]
    assert evaluation.output["l1"].mean == pytest.approx(np.mean(values))  # type: ignore[arg-type]
    assert evaluation.output["l1"].deviation == pytest.approx(np.std(values))  # type: ignore[arg-type]
    assert evaluation.output["ms_ssim"].count == 0


def test_table_json_and_html(tmp_path: Path, pairs: PairedData) -> None:
    run = write_run(tmp_path / "run", pairs)
    (run / "metrics.jsonl").write_text(
        '{"kind": "training", "images": 1, "l1": 0.5, "seconds": 2}\n'
        '{"kind": "training", "images": 9, "l1": 0.4, "seconds": 4}\n'
        '{"kind": "validation", "images": 9, "psnr": 20.5, "ssim": null}\n{"kind": "trai'
    )
    evaluation = evaluate(run, out=tmp_path / "out", num_shown=2)
    text = str(evaluation)
    assert "output of the run" in text
    assert "input as it is" in text
    assert "3 without MS-SSIM" in text
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["output"]["psnr"]["count"] == 3
    assert [picture["name"] for picture in record["pictures"]] == ["p0", "p1", "p2"]
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count("<img") == 6
    assert "Validation curves" in report
    assert "http" not in report.split("<main>")[1]


def test_another_folder_and_another_split(tmp_path: Path, pairs: PairedData) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "val").parent.mkdir()
    (pairs.folder / "test").rename(elsewhere / "val")
    run = write_run(tmp_path / "run", pairs)
    with pytest.raises(DataError, match="no test and no val"):
        evaluate(run)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        evaluate(run, data=tmp_path / "nowhere")
    evaluation = evaluate(run, data=elsewhere)
    assert (evaluation.split, evaluation.data) == ("val", "elsewhere")
    assert evaluation.report == run / "evaluation" / "val" / "report.html"
    imported = write_run(tmp_path / "imported", None)
    with pytest.raises(InputError, match="give --data"):
        evaluate(imported)
    assert len(evaluate(imported, data=elsewhere).pictures) == 3


def test_degraded_on_the_fly_repeats(tmp_path: Path, rng: np.random.Generator) -> None:
    for i in range(2):
        pixels = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        write_image(tmp_path / "photos" / "test" / f"{i}.png", Picture(pixels))
    data = PairedData(
        folder=tmp_path / "photos", layout="single", degrade="mosaic", strength=(2, 8), load_size=SIZE, crop_size=SIZE
    )
    run = write_run(tmp_path / "run", data)
    first, second = evaluate(run), evaluate(run)
    assert first.pictures == second.pictures
    assert first.baseline is not None
    assert first.baseline["psnr"].mean is not None


def test_other_channels_have_no_baseline(tmp_path: Path, pairs: PairedData) -> None:
    for path in (pairs.folder / "test" / "a").iterdir():
        write_image(path, Picture(read_image(path).pixels[:, :, :1]))
    run = write_run(tmp_path / "run", pairs, input=PictureSpec(channels=1))
    evaluation = evaluate(run)
    assert evaluation.baseline is None
    assert "input as it is" not in str(evaluation)
    wrong = write_run(tmp_path / "wrong", pairs, output=PictureSpec(channels=1))
    with pytest.raises(DataError, match="the run makes 1 channels, the data has 3"):
        evaluate(wrong)


def refuse(monkeypatch: pytest.MonkeyPatch, refused: list[np.ndarray]) -> None:
    monkeypatch.setattr(
        gate, "load_scorer", lambda: lambda rgb: 0.9 * any(np.array_equal(rgb, picture) for picture in refused)
    )
    gate.forget_scorer()


def test_refused_outputs_are_left_out_and_listed(
    tmp_path: Path, pairs: PairedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: a model that makes refused pictures says nothing about the data."""
    run = write_run(tmp_path / "run", pairs)
    translate = Translator.load(run, device="cpu")
    made = [translate(read_image(pairs.folder / "test" / "a" / f"p{i}.png")).as_rgb8() for i in range(3)]
    refuse(monkeypatch, made[:2])
    evaluation = evaluate(run)
    assert [scores.name for scores in evaluation.pictures] == ["p2"]
    assert set(evaluation.refused) == {"p0 (translated)", "p1 (translated)"}
    told = "2 left out, refused by the content gate: p0 (translated) (Open NSFW scores it 0.900, above 0.8; a sheet"
    assert told in " ".join(str(evaluation).split())
    assert told in (run / "evaluation" / "test" / "report.html").read_text(encoding="utf-8")
    refuse(monkeypatch, made)
    with pytest.raises(PolicyRefusal, match=r"run: refused: the content gate refuses 3 of 3 pictures \(p0 \(transl"):
        evaluate(run, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_measures_say_why_they_are_missing() -> None:
    same = torch.rand(1, 3, 9, 9)
    values, missing = measure(same, same)
    assert values == {"psnr": None, "ssim": None, "ms_ssim": None, "l1": 0.0}
    assert missing["psnr"] == "nothing differs, so it is infinite"
    assert set(missing) == {"psnr", "ssim", "ms_ssim"}


def test_enlarging_to_its_own_size_changes_nothing() -> None:
    images = torch.rand(1, 3, 5, 7)
    assert enlarged(images, (5, 7)) is images
    assert enlarged(images, (10, 14)).shape == (1, 3, 10, 14)
