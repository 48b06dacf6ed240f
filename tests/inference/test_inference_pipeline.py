"""Pipeline for many pictures: results equal single translations in order, with bounded memory, even after failures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from inference_runs import EXACT, NOISY, write_tiny_run

from ganvas.bulk import runner
from ganvas.bulk.runner import Job
from ganvas.content_gate import gate
from ganvas.errors import PartialFailure, PolicyRefusal
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Picture
from ganvas.inference import frames, pipeline
from ganvas.inference import translator as translating
from ganvas.inference.folder import TranslationReport, translate_files
from ganvas.inference.translator import Translator
from ganvas.methods import Pix2PixConfig

SIZES = [(24, 30), (24, 30), (33, 64), (16, 16), (90, 21), (24, 30), (8, 8), (64, 64), (24, 30), (40, 40)]


@pytest.fixture
def photos(tmp_path: Path, rng: np.random.Generator) -> Path:
    for number, size in enumerate(SIZES):
        write_image(tmp_path / "photos" / f"{number}.png", Picture(rng.integers(0, 256, (*size, 3), dtype=np.uint8)))
    return tmp_path / "photos"


def translate(run: Path, source: Path, out: Path, **settings: object) -> TranslationReport:
    return translate_files(run, source, out, device="cpu", progress=False, **settings)  # type: ignore[arg-type]


def rows_of(out: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (out / "translate.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("any_bfloat16")
@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 4])
@pytest.mark.parametrize(
    ("norm", "dropout", "precision"),
    [
        ("batch", 0.5, "float32"),
        ("batch", 0.0, "bfloat16"),
        ("instance", 0.5, "bfloat16"),
        ("instance", 0.0, "float32"),
        pytest.param("batch", 0.5, "bfloat16", marks=pytest.mark.slow),
        pytest.param("instance", 0.5, "float32", marks=pytest.mark.slow),
    ],
)
def test_a_picture_among_others_is_as_alone(
    photos: Path,
    tmp_path: Path,
    norm: Literal["batch", "instance"],
    dropout: float,
    precision: Literal["float32", "bfloat16"],
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    run = write_tiny_run(tmp_path / "run", replace(NOISY, norm=norm, dropout=dropout, width=24))
    translate(run, photos, tmp_path / "out", precision=precision)
    translator = Translator.load(run, device="cpu", precision=precision)
    assert torch.get_num_threads() == threads
    for path in sorted(photos.iterdir(), reverse=True):
        made = read_image(tmp_path / "out" / path.name).pixels
        np.testing.assert_array_equal(made, translator(path).pixels)
    (tmp_path / "few").mkdir()
    for path in sorted(photos.iterdir())[3::4]:
        (tmp_path / "few" / path.name).write_bytes(path.read_bytes())
    translate(run, tmp_path / "few", tmp_path / "fewer", precision=precision)
    for path in (tmp_path / "fewer").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


def test_the_manifest_is_in_order_and_tells_all(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    barred = read_image(photos / "7.png").pixels
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 * np.array_equal(rgb, barred))
    gate.forget_scorer()
    (photos / "2.png").write_bytes(b"no picture")
    write_image(photos / "5.tif", Picture(np.zeros((9, 9, 5), np.uint8)))
    with pytest.raises(PartialFailure) as caught:
        translate(write_tiny_run(tmp_path / "run"), photos, tmp_path / "out")
    assert list(caught.value.failures) == ["2.png", "5.tif", "7.png"]
    rows = rows_of(tmp_path / "out")
    assert [row["name"] for row in rows] == sorted(path.name for path in photos.iterdir())
    told = {row["name"]: row["problem"] for row in rows if row["problem"]}
    assert told == caught.value.failures
    for row in rows:
        assert bool(row["output"]) == (row["name"] not in told) == (tmp_path / "out" / row["name"]).is_file()


def test_the_gate_sees_both_sides_of_every_picture(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: seen.append(rgb.tobytes()) or 0.0)
    gate.forget_scorer()
    translate(write_tiny_run(tmp_path / "run"), photos, tmp_path / "out")
    files = [*photos.glob("*.png"), *(tmp_path / "out").glob("*.png")]
    assert {read_image(path).pixels.tobytes() for path in files} <= set(seen)  # the gate also sees flat ones stretched


def test_a_gate_that_fails_refuses_each(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rgb: np.ndarray) -> float:
        raise RuntimeError("broken")

    monkeypatch.setattr(gate, "load_scorer", lambda: broken)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match="10 of 10 pictures"):
        translate(write_tiny_run(tmp_path / "run"), photos, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["translate.jsonl"]


@pytest.mark.parametrize("stage", ["read_image", "translate_admitted", "write_result"])
def test_an_error_of_ours_ends_the_work_and_keeps_what_is_done(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    module = translating if stage == "translate_admitted" else pipeline
    working, calls = getattr(module, stage), iter(range(100))

    def failing(*arguments: object, **named: object) -> object:
        if next(calls) == 8:
            raise TypeError("a mistake")
        return working(*arguments, **named)

    run = write_tiny_run(tmp_path / "run")
    monkeypatch.setattr(module, stage, failing)
    with pytest.raises(TypeError, match="a mistake"):
        translate(run, photos, tmp_path / "out")
    monkeypatch.setattr(module, stage, working)
    done = [row["name"] for row in rows_of(tmp_path / "out")] if (tmp_path / "out").exists() else []
    assert len(done) <= 9
    assert done == sorted(path.name for path in photos.iterdir())[: len(done)]  # no row after the failed one
    report = translate(run, photos, tmp_path / "out")
    assert (len(report.skipped), len(report.written)) == (len(done), 10 - len(done))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ganvas")]


def test_few_pictures_are_held_and_fewer_large_ones(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        (photos / f"more {number}.png").write_bytes((photos / "0.png").read_bytes())
    reading, writing = pipeline.read_image, pipeline.write_result
    lock, held, most = threading.Lock(), 0, 0

    def change(by: int) -> None:
        nonlocal held, most
        with lock:
            held += by
            most = max(most, held)

    monkeypatch.setattr(pipeline, "read_image", lambda path: (change(1), reading(path))[1])
    monkeypatch.setattr(pipeline, "write_result", lambda *a, **n: (writing(*a, **n), change(-1))[0])
    run = write_tiny_run(tmp_path / "run")
    translate(run, photos, tmp_path / "out")
    assert 4 <= most <= 5 * pipeline.GROUP  # two groups ahead, one in the network, one or two being written
    held, most = 0, 0
    monkeypatch.setattr(pipeline, "GROUP_PIXELS", 100)
    monkeypatch.setattr(pipeline, "PIXELS_AHEAD", 100)
    translate(run, photos, tmp_path / "others")
    assert most <= 5


class Crowd:
    """Count the pictures in the network at the same time.

    The first picture is always alone. If two of the others are expected together, one waits for a second; if one is
    expected, each waits a while, so that another could arrive.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, expected: int) -> None:
        self.most, self._inside, self._lock = 0, 0, threading.Lock()
        self._met, self._expected, self._is_first = threading.Event(), expected, True
        self._translating = translating.translate_admitted
        monkeypatch.setattr(translating, "translate_admitted", self)

    def __call__(self, *arguments: object, **named: object) -> object:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
            waits, self._is_first = not self._is_first, False
            if self._inside >= self._expected:
                self._met.set()
        if waits:
            self._met.wait()
        time.sleep(0.02)
        try:
            return self._translating(*arguments, **named)  # type: ignore[arg-type]
        finally:
            with self._lock:
                self._inside -= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "tile", "largest", "threads", "most"),
    [
        (EXACT, None, frames.SMALL_PIXELS, 2, 2),
        (EXACT, None, frames.SMALL_PIXELS, 8, 2),
        (EXACT, None, frames.SMALL_PIXELS, 1, 1),
        (NOISY, None, frames.SMALL_PIXELS, 2, 1),
        (EXACT, None, 60, 2, 1),
        (EXACT, 28, frames.SMALL_PIXELS, 2, 1),
    ],
)
def test_two_small_pictures_share_the_network_and_large_ones_enter_one_by_one(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: Pix2PixConfig,
    tile: int | None,
    largest: int,
    threads: int,
    most: int,
) -> None:
    torch.set_num_threads(threads)
    for number in (3, 6):
        (photos / f"{number}.png").unlink()  # they fit into a tile, so they may run beside a tiled one
    crowd = Crowd(monkeypatch, expected=most)
    monkeypatch.setattr(frames, "SMALL_PIXELS", largest)
    translate(write_tiny_run(tmp_path / "run", config), photos, tmp_path / "out", tile=tile)
    assert crowd.most == most
    assert torch.get_num_threads() == threads


def test_interrupted_it_stops_between_tiles(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second picture's row raises, as Ctrl-C would, while the third picture is in its first tile."""
    in_a_tile, tiles, added, stopping = threading.Event(), 0, 0, threading.Event()
    network, adding, cancelling = Translator._network, runner.Journal.add, frames.LinkedProgress.cancel

    def counted(self: Translator, signed: np.ndarray) -> np.ndarray:
        nonlocal tiles
        tiles += 1
        if tiles > 18:  # a picture has nine
            in_a_tile.set()
            stopping.wait()
        return network(self, signed)

    def interrupted(self: runner.Journal, lines: list[runner.Record]) -> None:
        nonlocal added
        adding(self, lines)
        added += 1
        if added == 2:
            in_a_tile.wait()
            raise KeyboardInterrupt

    def cancelled(self: frames.LinkedProgress) -> None:
        cancelling(self)
        stopping.set()

    for path in [*photos.iterdir()]:
        write_image(path, Picture(np.zeros((48, 48, 3), np.uint8)))
    monkeypatch.setattr(pipeline, "GROUP", 1)
    monkeypatch.setattr(frames, "cores_beside", lambda: 0)  # one thread, so that they arrive in order
    monkeypatch.setattr(Translator, "_network", counted)
    monkeypatch.setattr(runner.Journal, "add", interrupted)
    monkeypatch.setattr(frames.LinkedProgress, "cancel", cancelled)
    with pytest.raises(KeyboardInterrupt):
        translate(write_tiny_run(tmp_path / "run"), photos, tmp_path / "out", tile=40)
    assert tiles == 19
    assert len(rows_of(tmp_path / "out")) == 2


def test_groups_are_small() -> None:
    jobs = [Job(source=Path(f"nowhere{number}.png"), target=Path("out"), name="name") for number in range(9)]
    groups = list(pipeline._groups(jobs))
    assert [job for group, _ in groups for job in group] == jobs
    assert [len(group) for group, _ in groups] == [4, 4, 1]
    assert list(pipeline._groups([])) == []


def test_masks_work_side_by_side(photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    for number, (height, width) in enumerate(SIZES):
        mask = np.zeros((height, width, 1), np.uint8)
        mask[: height // 2] = 255
        write_image(masks / f"{number}.png", Picture(mask))
    translate(write_tiny_run(tmp_path / "run"), photos, tmp_path / "out", mask=masks)
    for number, (height, _) in enumerate(SIZES):
        given, made = (read_image(folder / f"{number}.png").pixels for folder in (photos, tmp_path / "out"))
        np.testing.assert_array_equal(made[height // 2 :], given[height // 2 :])
        assert not np.array_equal(made, given)


KILLED = """
import sys
import torch
from pathlib import Path
from ganvas.content_gate import gate
from ganvas.inference.folder import translate_files
torch.set_num_threads(1)
gate.load_scorer = lambda: lambda rgb: 0.0
translate_files(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), device="cpu", progress=False)
"""

MORE = 20


@pytest.mark.parametrize(
    "files", [pytest.param(1, marks=pytest.mark.slow), 7, pytest.param(17, marks=pytest.mark.slow)]
)
def test_killed_at_any_moment_it_goes_on(photos: Path, tmp_path: Path, files: int) -> None:
    for number in range(MORE):
        (photos / f"more {number}.png").write_bytes((photos / f"{number % 10}.png").read_bytes())
    run, out, whole = write_tiny_run(tmp_path / "run", NOISY), tmp_path / "out", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(run), str(photos), str(out)])
    while process.poll() is None and len(list(out.glob("[!.]*.png"))) < files:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    rows = rows_of_unfinished(out)
    assert all((out / name).is_file() for name in rows)
    report = translate(run, photos, out)
    assert len(report.skipped) == len(rows)
    assert len(report.written) == 10 + MORE - len(rows)
    translate(run, photos, whole)
    assert {path.name for path in out.glob("[!.]*.png")} == {path.name for path in whole.glob("*.png")}
    for path in whole.glob("*.png"):
        assert path.read_bytes() == (out / path.name).read_bytes()


def rows_of_unfinished(out: Path) -> list[str]:
    """Return the names in a manifest whose last line may be truncated."""
    path = out / "translate.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line)["name"] for line in lines]


@pytest.mark.usefixtures("any_bfloat16")
def test_another_precision_is_another_result(photos: Path, tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run", replace(EXACT, width=16))
    assert len(translate(run, photos, tmp_path / "out").written) == 10
    assert len(translate(run, photos, tmp_path / "out", precision="bfloat16").written) == 10
    assert len(translate(run, photos, tmp_path / "out", precision="bfloat16").skipped) == 10
