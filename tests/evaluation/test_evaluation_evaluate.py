"""Evaluation of a run from end to end: metrics, baseline, files, and excluded pictures."""

from __future__ import annotations

import csv
import json
import re
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
from ganvas.evaluation.report import NUM_ROWS, Evaluation, PictureScores, as_html
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
    """Write three pairs in two folders, each b slightly lighter than its a, in `test`."""
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
    evaluation = evaluate(run, out=tmp_path / "out")
    text = str(evaluation)
    assert "output of the run" in text
    assert "unchanged input" in text
    assert "3 without MS-SSIM" in text
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["output"]["psnr"]["count"] == 3
    assert [picture["name"] for picture in record["pictures"]] == ["p0", "p1", "p2"]
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count("<img") == 3 * (3 + 2)  # input, output, target, and the difference images of input and output
    assert "<h3>Training: loss</h3>" in report
    assert "<h3>Validation: PSNR (dB)</h3>" in report
    assert "http" not in report.split("<main>")[1]


def rows_of(report: str) -> list[str]:
    return re.findall(r'<span class="row"[^>]*>(.*?)</span>', report)


def test_the_worst_pictures_come_first(tmp_path: Path, pairs: PairedData) -> None:
    run = write_run(tmp_path / "run", pairs)
    evaluation = evaluate(run)
    report = (run / "evaluation" / "test" / "report.html").read_text()
    psnr = {scores.name: scores.output["psnr"] for scores in evaluation.pictures}
    order = sorted(psnr, key=lambda name: psnr[name] or 0.0)
    assert rows_of(report) == order
    assert re.findall('<th scope="row" title="(p.)"', report) == order
    assert f"{psnr[order[0]]:.2f} dB" in report
    assert "All 3 pictures, the lowest PSNR first" in report
    with (run / "evaluation" / "test" / "pictures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == order
    assert [float(row["psnr"]) for row in rows] == [psnr[name] for name in order]
    baseline = next(scores.baseline for scores in evaluation.pictures if scores.name == "p0")
    assert baseline is not None
    assert {row["picture"]: row["input_psnr"] for row in rows}["p0"] == ""  # infinite, since they are equal
    assert evaluation.num_nearer == sum((psnr[s.name] or 0) > (s.baseline["psnr"] or 99) for s in evaluation.pictures)  # type: ignore[index]
    assert f"{evaluation.num_nearer} of 3 outputs are closer" in str(evaluation)


def test_of_many_pictures_those_that_are_not_kept_are_translated_again(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """The worst and the best of eight pictures, of which only the first three are kept in memory."""
    for index in range(8):
        a = rng.integers(0, 200, (*SIZE, 3), dtype=np.uint8)
        write_image(tmp_path / "data" / "test" / "a" / f"p{index}.png", Picture(a))
        write_image(tmp_path / "data" / "test" / "b" / f"p{index}.png", Picture(a + np.uint8(5 * (8 - index))))
    run = write_run(tmp_path / "run", PairedData(folder=tmp_path / "data", load_size=SIZE, crop_size=SIZE))
    evaluation = evaluate(run, num_shown=3, out=tmp_path / "few")
    few = (tmp_path / "few" / "report.html").read_text()
    ranking = evaluation.ranking(3)
    assert rows_of(few) == ranking.shown
    assert "3 of 8 pictures" in few
    assert few.count("<img") == 3 * (3 + 2)
    evaluate(run, out=tmp_path / "all")
    images = re.compile(r'src="(data:[^"]*)"')
    assert set(images.findall(few)) < set(images.findall((tmp_path / "all" / "report.html").read_text()))


def test_a_report_has_a_bounded_number_of_rows() -> None:
    measures = {"psnr": 20.0, "ssim": None, "ms_ssim": None, "l1": 0.1}
    pictures = tuple(
        PictureScores(f"p{index:04}", {**measures, "psnr": 20 + index / 100}, measures, {}) for index in range(1000)
    )
    evaluation = Evaluation(
        run="r", snapshot="last", images_seen=0, direction="a_to_b", data="d", split="test", pictures=pictures
    )
    page = as_html(evaluation, {}, evaluation.ranking(24), {})
    assert page.count("<tr>") == 1 + 2 + 1 + NUM_ROWS
    assert "The 100 with the lowest PSNR of 1,000; all are in pictures.csv." in page
    assert "no log of its training" in page
    assert page.count("MS-SSIM</th>") == 1  # only in the table of means: no picture has it
    assert page == as_html(evaluation, {}, evaluation.ranking(24), {})


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
    with pytest.raises(InputError, match="use --data"):
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


def test_a_gray_input_of_a_run_in_color_is_repeated(tmp_path: Path, pairs: PairedData) -> None:
    grays = {}
    for path in (pairs.folder / "test" / "a").iterdir():
        grays[path.stem] = read_image(path).pixels[:, :, :1]
        write_image(path, Picture(grays[path.stem]))
    run = write_run(tmp_path / "run", pairs, input=PictureSpec(channels=1))
    for scores in evaluate(run).pictures:
        target = unit(read_image(pairs.folder / "test" / "b" / f"{scores.name}.png").pixels)
        assert scores.baseline is not None
        assert scores.baseline["psnr"] == pytest.approx(psnr(unit(grays[scores.name]).expand_as(target), target).item())
    wrong = write_run(tmp_path / "wrong", pairs, output=PictureSpec(channels=1))
    with pytest.raises(DataError, match="the run makes 1 channels, the data has 3"):
        evaluate(wrong)


def test_deep_pictures_of_many_channels_are_shown_channel_by_channel(tmp_path: Path, rng: np.random.Generator) -> None:
    """From 2 channels to 5: the input cannot be compared, and each channel has a row and a range."""
    for index in range(2):
        a, b = (rng.integers(100, 4000, (*SIZE, channels), dtype=np.uint16) for channels in (2, 5))
        write_image(tmp_path / "data" / "test" / "a" / f"s{index}.tif", Picture(a))
        write_image(tmp_path / "data" / "test" / "b" / f"s{index}.tif", Picture(b))
    twelve_bits = (0.0, 4095.0)
    sizes = {"load_size": SIZE, "crop_size": SIZE, "resize": "none"}
    data = PairedData(folder=tmp_path / "data", value_range=twelve_bits, **sizes)  # type: ignore[arg-type]
    specs = {
        side: PictureSpec(dtype="uint16", channels=channels, value_range=twelve_bits)
        for side, channels in (("input", 2), ("output", 5))
    }
    evaluation = evaluate(write_run(tmp_path / "run", data, **specs), out=tmp_path / "out")
    assert evaluation.baseline is None
    assert "unchanged input" not in str(evaluation)
    assert "The input has no row: it has 2 channels and the target 5" in str(evaluation)
    report = (tmp_path / "out" / "report.html").read_text()
    first = evaluation.ranking(3).names[0]
    assert rows_of(report)[:5] == [f"{first}: channel {index} of 5" for index in range(1, 6)]
    assert report.count("<img") == 2 * (2 + 5 * 3)  # inputs, outputs, targets and the difference images of the outputs
    assert len(re.findall(r"levels 1\d\d to 3,9\d\d", report)) == 2 * (2 + 5 * 2)
    assert "not shown" not in report


def refuse(monkeypatch: pytest.MonkeyPatch, refused: list[np.ndarray]) -> None:
    monkeypatch.setattr(
        gate, "load_scorer", lambda: lambda rgb: 0.9 * any(np.array_equal(rgb, picture) for picture in refused)
    )
    gate.forget_scorer()


def test_refused_outputs_are_left_out_and_listed(
    tmp_path: Path, pairs: PairedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regardless of their number: refused outputs of a model do not make the data unusable."""
    run = write_run(tmp_path / "run", pairs)
    translate = Translator.load(run, device="cpu")
    made = [translate(read_image(pairs.folder / "test" / "a" / f"p{i}.png")).as_rgb8() for i in range(3)]
    refuse(monkeypatch, made[:2])
    evaluation = evaluate(run)
    assert [scores.name for scores in evaluation.pictures] == ["p2"]
    assert set(evaluation.refused) == {"p0 (translated)", "p1 (translated)"}
    told = "2 left out, refused by the content gate: p0 (translated) (Open NSFW scores it 0.900, above 0.8; a sheet"
    assert told in " ".join(str(evaluation).split())
    report = (run / "evaluation" / "test" / "report.html").read_text(encoding="utf-8")
    assert told in report
    assert "1 of 3 pictures of data, the others are refused by the content gate" in report
    refuse(monkeypatch, made)
    with pytest.raises(PolicyRefusal, match=r"run: refused: the content gate refuses 3 of 3 pictures \(p0 \(transl"):
        evaluate(run, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_measures_say_why_they_are_missing() -> None:
    same = torch.rand(1, 3, 9, 9)
    values, missing = measure(same, same)
    assert values == {"psnr": None, "ssim": None, "ms_ssim": None, "l1": 0.0}
    assert missing["psnr"] == "the pictures are equal, so it is infinite"
    assert set(missing) == {"psnr", "ssim", "ms_ssim"}


def test_enlarging_to_its_own_size_changes_nothing() -> None:
    images = torch.rand(1, 3, 5, 7)
    assert enlarged(images, (5, 7)) is images
    assert enlarged(images, (10, 14)).shape == (1, 3, 10, 14)
