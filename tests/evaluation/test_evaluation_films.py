"""Evaluation of a film against its ground truth: scores per frame, flicker, worst frames, and errors."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from film_maker import make_film, pixels

import ganvas
from ganvas.cli import main
from ganvas.content_gate import gate
from ganvas.errors import ConfigError, InputError, PolicyRefusal, VideoError, WeightsError
from ganvas.evaluation import films
from ganvas.evaluation.film_report import FilmEvaluation
from ganvas.image.picture import Picture
from ganvas.metrics.fidelity import psnr
from ganvas.video import WriteOptions, probe, read_video, write_video

UNEVEN = [0, 9, 99, 999, 3000, 9999]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "load_lpips", lambda *_args, **_more: lambda a, b: (a - b).abs().mean())


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return make_film(tmp_path / "truth.mkv", frames=6, codec="ffv1", pixel_format="bgr0")


def changed(source: Path, out: Path, change: object) -> Path:
    """Write a film whose frames are changed by a function of number and pixels."""
    info = probe(source)
    made = (
        frame.with_picture(Picture(change(frame.index, frame.picture.pixels.astype(int)).clip(0, 255).astype(np.uint8)))  # type: ignore[operator]
        for frame in read_video(info)
    )
    write_video(out, made, like=info, options=WriteOptions())
    return out


def evaluate(film: Path, truth: Path, **settings: object) -> FilmEvaluation:
    result = ganvas.evaluate(film, data=truth, **settings)  # type: ignore[arg-type]
    assert isinstance(result, FilmEvaluation)
    return result


@pytest.mark.slow
def test_each_frame_is_measured_and_the_worst_is_named(truth: Path, tmp_path: Path) -> None:
    made = changed(truth, tmp_path / "made.mkv", lambda n, p: p + (20 if n == 4 else 4))
    result = evaluate(made, truth)
    assert [frame.index for frame in result.frames] == list(range(6))
    assert result.frames[2].time == pytest.approx(0.08)
    before, after = (next(iter(read_video(path))).picture.pixels for path in (truth, made))
    tensors = [ganvas.Picture(p).pixels.transpose(2, 0, 1)[None] / 255 for p in (after, before)]
    expected = psnr(*(torch.from_numpy(t) for t in tensors)).item()
    assert result.frames[0].film["psnr"] == pytest.approx(expected, abs=1e-3)
    assert 0.9 < (result.frames[0].film["ssim"] or 0) <= 1
    assert result.frames[0].film["lpips"] is not None
    assert result.worst[0].index == 4
    assert "Worst frames: 4 (0.160 s, 22" in str(result)
    record = json.loads((tmp_path / "made-evaluation" / "evaluation.json").read_text())
    assert len(record["frames"]) == 6
    assert record["summaries"]["film"]["psnr"]["count"] == 6
    page = (tmp_path / "made-evaluation" / "report.html").read_text()
    assert page.index("frame 4, 0.160 s") < page.index("frame 0, 0.000 s")
    assert "Ground truth" in page
    assert page.count("data:image/jpeg") == 6 * 3  # film, difference and ground truth of all frames, worst first
    assert "Best frames" not in page


@pytest.mark.slow
def test_a_smaller_input_is_shown_enlarged_and_the_best_frames_follow_the_worst(tmp_path: Path) -> None:
    long = make_film(tmp_path / "long.mkv", frames=9, codec="ffv1", pixel_format="bgr0")
    made = changed(long, tmp_path / "made.mkv", lambda n, p: p + 3 * n)
    small = changed(long, tmp_path / "small.mkv", lambda _, p: p[::2, ::2])
    evaluate(made, long, input=small)
    page = (tmp_path / "made-evaluation" / "report.html").read_text()
    shown = re.findall(r'<span class="row"[^>]*>(frame \d)', page)
    assert shown == [f"frame {number}" for number in (8, 7, 6, 5, 4, 3, 0, 1)]
    assert page.count("data:image/jpeg") == 8 * 5  # also of the input, at the size of the ground truth


def test_flicker_stands_beside_that_of_the_true_film(truth: Path, tmp_path: Path) -> None:
    made = changed(truth, tmp_path / "made.mkv", lambda n, p: p + 40 * (n % 2))
    steady = changed(truth, tmp_path / "steady.mkv", lambda _, p: p + 5)
    result = evaluate(made, truth, input=steady)
    found = {part: summary["warp"].mean or 0 for part, summary in result.summaries.items()}
    assert found["film"] > (30 / 255) ** 2 > 5 * found["truth"]
    assert found["input"] == pytest.approx(found["truth"], rel=0.2)
    assert result.frames[-1].warp is None  # it is the last frame
    assert result.frames[0].input is not None
    assert "unchanged input" in str(result)


def test_equal_films_and_small_inputs(truth: Path, tmp_path: Path) -> None:
    small = make_film(tmp_path / "small.mkv", frames=6, codec="ffv1", pixel_format="bgr0", size=(24, 32))
    result = evaluate(truth, truth, input=small, out=tmp_path / "out")
    assert all(frame.film["psnr"] is None and frame.film["ssim"] == 1 for frame in result.frames)
    assert all((frame.input or {})["psnr"] for frame in result.frames)
    assert (tmp_path / "out" / "report.html").is_file()


def test_few_pairs_are_measured_of_a_long_film(truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "MAX_PAIRS", 2)
    result = evaluate(truth, truth, out=tmp_path / "out")
    assert [frame.index for frame in result.frames if frame.warp] == [0, 3]
    assert "one pair of consecutive frames in 3" in str(result)


def test_without_library_or_weights_the_rest_is_measured(
    truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_args: object, **_more: object) -> None:
        raise WeightsError("not here")

    monkeypatch.setattr(films, "load_lpips", absent)
    monkeypatch.setitem(sys.modules, "skimage", None)
    result = evaluate(truth, truth, out=tmp_path / "out")
    assert "LPIPS was not measured: not here" in str(result)
    assert "warp error (1e-4) was not measured: measuring flicker needs scikit-image" in str(result)
    assert result.summaries["film"]["ssim"].mean == 1


def test_films_that_do_not_belong_together_are_refused(truth: Path, tmp_path: Path) -> None:
    longer = make_film(tmp_path / "longer.mkv", frames=8, codec="ffv1", pixel_format="bgr0")
    for film, other, counts in ((longer, truth, "8, truth.mkv has 6"), (truth, longer, "6, longer.mkv has 8")):
        with pytest.raises(VideoError, match=f"different numbers of frames: {film.name} has {counts}"):
            evaluate(film, other)
    uneven = make_film(tmp_path / "u.mkv", frames=6, codec="ffv1", pixel_format="bgr0", stamps=UNEVEN)
    with pytest.raises(VideoError, match="use films of the same frames"):
        evaluate(uneven, truth)
    other = make_film(tmp_path / "other.mkv", frames=6, size=(24, 32))
    with pytest.raises(VideoError, match="32 x 24 pixels, and the ground truth has 64 x 48"):
        evaluate(other, truth)
    with pytest.raises(ConfigError, match="use --data FILM"):
        ganvas.evaluate(truth)
    with pytest.raises(VideoError, match="not a film"):
        evaluate(truth, tmp_path)
    report = tmp_path / "x" / "report.html"
    report.parent.mkdir()
    report.write_bytes(truth.read_bytes())
    with pytest.raises(InputError, match="would be overwritten"):
        evaluate(truth, report, out=tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["x"]


@pytest.mark.slow
def test_counts_that_only_decoding_tells_are_compared_too(truth: Path, tmp_path: Path) -> None:
    """The frames of an animation are counted by decoding; a longer input is an error that states its count."""
    shorter = tmp_path / "made.gif"
    write_video(shorter, list(read_video(truth))[:4], like=truth)
    with pytest.raises(VideoError, match=r"made\.gif has 4, truth\.mkv has 6"):
        evaluate(shorter, truth)
    with pytest.raises(VideoError, match=r"truth\.mkv has 6, made\.gif has 4"):
        evaluate(truth, truth, input=shorter)


def test_a_refused_frame_refuses_the_evaluation(truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    barred = pixels(3)
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: float(np.abs(rgb.astype(int) - barred).max() < 3))
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match=r"truth\.mkv, frame 3 \(0\.120 s\)"):
        evaluate(truth, truth, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_prints_the_table(truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(truth), "--data", str(truth), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "truth.mkv against truth.mkv" in told
    assert "warp error (1e-4)" in told
    assert main(["evaluate", str(truth)]) == 2
