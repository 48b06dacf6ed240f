"""Privacy audit of films: cases with a known answer, the page and the record, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_runs import EXACT, write_tiny_run
from numpy.typing import NDArray
from scipy import ndimage

from ganvas import api
from ganvas.cli import main
from ganvas.content_gate import gate
from ganvas.errors import ConfigError, InputError, PolicyRefusal
from ganvas.image.picture import Box, Picture
from ganvas.inference.translation import Translation
from ganvas.inference.translator import Translator
from ganvas.privacy_audit import AuditConfig, audit
from ganvas.privacy_audit.attacks import AS_COVERED
from ganvas.privacy_audit.film import (
    ALONE,
    BICUBIC,
    ITSELF,
    KNOWN,
    SURROUNDINGS,
    attack_clip,
    audit_film,
    plan_films,
)
from ganvas.privacy_audit.film_clips import follow
from ganvas.privacy_audit.film_result import FilmAudit, FilmCover, FilmPlan
from ganvas.privacy_audit.fusion import search
from ganvas.video import write_video
from quick_features import absent

NUM_FRAMES, SIDE = 12, 80
REGION = Box(24, 24, 56, 56)


def texture() -> NDArray[np.float64]:
    """Return (160, 160, 3): a smooth texture with detail finer than a block."""
    drawn = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(160, 160, 3)), (1.5, 1.5, 0))
    return np.asarray((drawn - drawn.min()) / np.ptp(drawn) * 255)


def moving_frames(down: float = 1.4, across: float = 0.8) -> list[NDArray[np.uint8]]:
    """Return frames (80, 80, 3) of the texture, moved by a step from one to the next, rounded to whole pixels."""
    picture, frames = texture(), []
    for number in range(NUM_FRAMES):
        top, left = (40 - round(step * (number - NUM_FRAMES // 2)) for step in (down, across))
        frames.append(np.rint(picture[top : top + SIDE, left : left + SIDE]).astype(np.uint8))
    return frames


def psnr(guess: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((guess.astype(float) - truth) ** 2)))


@pytest.mark.slow
def test_fused_frames_recover_a_moving_texture_under_a_fixed_grid_alone() -> None:
    clip = follow(moving_frames(), REGION, NUM_FRAMES // 2, 0, (0, 0))
    assert len(clip.frames) == NUM_FRAMES
    truth = clip.crop(clip.frames[clip.reference])
    found = {}
    for plan in plan_films((8,)):
        made = attack_clip(clip, plan, None, {})
        found[plan.grid] = {way: psnr(guess, truth) for way, guess in made.items()}
    fixed, anchored, solid = found["fixed"], found["anchored"], found["solid"]
    for way in (SURROUNDINGS, ITSELF, KNOWN):
        assert fixed[way] > fixed[BICUBIC] + 5
        assert fixed[way] > fixed[ALONE] + 5
        assert anchored[way] < anchored[ALONE] + 0.3
        assert solid[way] == solid[AS_COVERED]


def test_a_subject_that_rests_is_not_recovered_under_a_fixed_grid() -> None:
    clip = follow(moving_frames(0, 0), REGION, NUM_FRAMES // 2, 0, (0, 0))
    made = attack_clip(clip, FilmPlan("fixed", 8), None, {})
    truth = clip.crop(clip.frames[clip.reference])
    assert psnr(made[SURROUNDINGS], truth) < psnr(made[ALONE], truth) + 0.3


def test_a_region_that_leaves_the_window_ends_the_clip() -> None:
    clip = follow(moving_frames(5, 0), REGION, NUM_FRAMES // 2, 10, (0, 0))
    assert len(clip.frames) < NUM_FRAMES
    assert clip.first > 10
    assert all(box.clip(SIDE, SIDE) == box for box in clip.boxes)
    assert clip.region == REGION


@pytest.mark.slow
def test_frames_that_do_not_fit_do_no_harm() -> None:
    frames, strange = moving_frames(), np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    clip = follow(frames, REGION, NUM_FRAMES // 2, 0, (0, 0))
    truth = clip.crop(clip.frames[clip.reference])
    for index in (1, 4, 9):
        clip.frames[index][:] = strange
    made = attack_clip(clip, FilmPlan("fixed", 8), None, {})
    assert psnr(made[KNOWN], truth) > psnr(made[BICUBIC], truth) + 1


def test_a_search_finds_an_eighth_of_a_pixel() -> None:
    assert search(lambda shift: (shift[0] - 5.375) ** 2 + (shift[1] + 2.125) ** 2, [(0.0, 0.0)]) == (5.375, -2.125)


@pytest.mark.parametrize(
    ("plan", "gains", "words"),
    [
        (FilmPlan("fixed", 8), (5.0, 7.0), "mosaic, 8 blocks across, fixed grid: leaks. "),
        (FilmPlan("anchored", 8), (0.0, 0.1), "fused frames reveal no more than one"),
        (FilmPlan("anchored", 8), (0.5, 0.7), "leaks a little"),
        (FilmPlan("solid", 8), (0.0, 0.0), "no frame contains information about the region"),
        (FilmPlan("fixed", 8), (), "no verdict"),
    ],
)
def test_verdicts(plan: FilmPlan, gains: tuple[float, ...], words: str) -> None:
    assert words in FilmCover(plan, {}, gains, {}).verdict()


def test_a_cover_that_could_not_be_measured_is_not_counted_as_tight() -> None:
    plans = (FilmPlan("fixed", 8), FilmPlan("fixed", 16), FilmPlan("anchored", 8))
    covers = tuple(FilmCover(plan, {}, gains, {}) for plan, gains in zip(plans, ((5.0,), (), ()), strict=True))
    found = FilmAudit(out=Path("out"), config={}, size=(8, 8), clips=(), covers=covers, left_out={})
    assert found.conclusion().startswith(
        "1 of 1 mosaics leak with their grid fixed to the screen, 0 of 0 anchored. 2 could not be measured."
    )


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a film of the moving texture, and leave out LPIPS."""
    pytest.importorskip("av")
    monkeypatch.setattr(audit, "load_lpips", absent)
    path = tmp_path / "film.mkv"

    from ganvas.video import WriteOptions

    write_video(path, [Picture(frame) for frame in moving_frames()], rate=25, options=WriteOptions(codec="ffv1"))
    return path


@pytest.mark.slow
def test_the_page_and_the_record_of_a_film(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["--box", "24", "24", "56", "56", "--blocks", "8", "--frames", "12", "--clips", "1"]
    assert main(["audit", str(film), "--out", str(out), *words]) == 0
    record = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert [cover["grid"] for cover in record["covers"]] == ["fixed", "anchored", "solid"]
    assert [cover["leaks"] for cover in record["covers"]] == [True, False, False]
    assert record["clips"][0]["num_frames"] == 12
    assert record["clips"][0]["box"] == [24, 24, 56, 56]
    page = (out / "report.html").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    for words_of in ("1 of 1 mosaics leak with their grid fixed to the screen, 0 of 1 anchored", SURROUNDINGS):
        assert words_of in page
        assert words_of in printed
    assert page.count("data:image/jpeg") == 3 * (1 + 2 * 6)  # original; covered, one frame, fused: with differences


def test_detections_say_where_the_region_is(film: Path, tmp_path: Path) -> None:
    lines = [{"frame": number, "time": number / 25, "boxes": []} for number in range(12)]
    lines[1]["boxes"] = [{"label": "face", "score": 0.9, "box": [20, 22, 52, 50]}]
    path = tmp_path / "detections.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    config = {"blocks": (8,), "frames": 2, "clips": 1}
    found = audit_film(AuditConfig(film, out=tmp_path / "out", detections=path, **config), progress=False)
    assert found.clips[0].box == (20, 22, 52, 50)
    lines[1]["boxes"] = []
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.raises(InputError, match=r"film.mkv: no clip could be audited \(frames from 0: no region"):
        audit_film(AuditConfig(film, out=tmp_path / "none", detections=path, **config), progress=False)
    assert not (tmp_path / "none").exists()


def test_a_frame_that_the_gate_refuses_stops_it(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 * (next(calls) == 9))
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match="frame 9"):
        api.audit(film, out=tmp_path / "out", blocks=(8,), frames=12, clips=1)
    assert not (tmp_path / "out").exists()


def test_a_fused_picture_that_the_gate_refuses_is_not_shown(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 * (rgb.shape[0] < SIDE))
    gate.forget_scorer()
    found = audit_film(AuditConfig(film, out=tmp_path / "out", blocks=(8,), frames=2, clips=1), progress=False)
    assert all(not made for cover in found.covers for made in cover.shown.values())
    assert "Open NSFW scores it 0.900" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "data:image" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 64}, "omit size: they apply to folders"),
        ({"box": (0, 0, 900, 9)}, "is outside frames of 80 x 80"),
        ({"box": (0, 0, 9, 9), "detections": Path("none.jsonl")}, "pass box or detections"),
        ({"blocks": ()}, "--blocks 16 8"),
        ({"frames": 1}, "frames 1 must be 2 or more"),
    ],
)
def test_settings_that_do_not_fit_a_film(film: Path, tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        api.audit(film, out=tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_settings_of_films_do_not_fit_a_folder(kinds: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="omit clips: they apply to films"):
        api.audit(kinds, out=tmp_path / "out", clips=2)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 3])
def test_a_trained_run_attacks_too_with_its_window_of_frames(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    run = write_tiny_run(tmp_path / "run", replace(EXACT, frames=frames))
    windows: list[int] = []
    translate = Translator.translate_picture

    def noted(self: Translator, picture: Picture, **named: Any) -> Translation:
        windows.append(len(named["window"]))
        return translate(self, picture, **named)

    monkeypatch.setattr(Translator, "translate_picture", noted)
    found = api.audit(
        film, out=tmp_path / "out", box=(24, 24, 56, 56), blocks=(8,), frames=3, clips=1, run=run, device="cpu"
    )
    assert windows == [frames] * 3
    assert "restorer" in str(found)
