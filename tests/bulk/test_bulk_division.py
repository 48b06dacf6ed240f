"""Division of films among workers of a cluster, simulated in one process: results are equal after any interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from film_maker import make_film
from inference_runs import write_tiny_run

from ganvas.bulk import ray_backend, runner
from ganvas.bulk.ray_backend import RayWork, Record
from ganvas.content_gate import gate
from ganvas.errors import PartialFailure, PolicyRefusal
from ganvas.image.files import write_image
from ganvas.image.picture import Box, Picture
from ganvas.inference import film as inference_film
from ganvas.inference.folder import translate_files
from ganvas.localization.detectors import Detection
from ganvas.redaction import worker
from ganvas.video import read_video
from redact_command import redact_files

OPTIONS = {"g": "5", "sc_threshold": "0", "preset": "ultrafast"}


class Cluster:
    """Simulated Ray: one worker in this process, which runs the last jobs first and can be stopped.

    Attributes:
        passes: name and pass or segment of each job, a list for each call.
        stop_after: number of jobs after which the driver is interrupted.
    """

    def __init__(self) -> None:
        self.passes: list[list[tuple[str, Any]]] = []
        self.stop_after: int | None = None

    def spread(self, jobs: list[Record], work: RayWork) -> Iterator[list[tuple[int, Record]]]:
        started = work.start()
        self.passes.append([(job["name"], job["part"] and job["part"].get("pass", "segment")) for job in jobs])
        for number, job in reversed([*enumerate(jobs)]):
            if self.stop_after is not None:
                self.stop_after -= 1
                if self.stop_after < 0:
                    raise KeyboardInterrupt
            yield [(number, json.loads(json.dumps(next(iter(started([job]))))))]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    stand_in = Cluster()
    monkeypatch.setattr(runner, "spread", stand_in.spread)
    monkeypatch.setattr(ray_backend, "_import_ray", lambda: None)
    return stand_in


class Reddish:
    """Detector of red objects."""

    name = "red"

    def detect(self, rgb: np.ndarray, *, min_score: float | None = None) -> list[Detection]:
        rows, columns = np.nonzero((rgb[:, :, 0] > 150) & (rgb[:, :, 1] < 100))
        if not len(rows):
            return []
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        return [Detection(box, 0.9, "square")]


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a film of half a minute with three segments, one of two seconds, and a picture."""
    monkeypatch.setattr(worker, "load_detectors", lambda names, **_: [Reddish()])
    folder = tmp_path / "films"
    folder.mkdir()
    make_film(folder / "long.mp4", frames=15, stamps=[25600 * number for number in range(15)], options=OPTIONS)
    make_film(folder / "short.mp4", frames=4, options=OPTIONS)
    write_image(folder / "one.png", Picture(np.full((24, 30, 3), 90, np.uint8)))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix not in (".jsonl", ".html")}


def lines(path: Path) -> list[Record]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(({**line, "time": None} for line in found), key=lambda line: str(line.get("file", line.get("name"))))


@pytest.mark.slow
def test_every_pass_of_a_redaction_is_spread(films: Path, tmp_path: Path, cluster: Cluster) -> None:
    for backend in ("local", "ray"):
        redact_files(films, tmp_path / backend, detect=("red",), backend=backend)
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert lines(tmp_path / "ray" / "redaction.jsonl") == lines(tmp_path / "local" / "redaction.jsonl")
    for name in ("long.mp4.frames.jsonl", "long.mp4.redaction.html"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    first, *others = ([*map(str, sorted(jobs, key=str))] for jobs in cluster.passes)
    detections = [str(("long.mp4", "detections.jsonl"))] * 3 + [str(("short.mp4", "detections.jsonl"))]
    assert first == sorted([*detections, str(("one.png", None))])
    assert [len(jobs) for jobs in others] == [4, 4]
    assert not list((tmp_path / "ray").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["boxes", "detections", "verified detections"])
def test_covers_that_a_person_gives_are_spread(films: Path, tmp_path: Path, cluster: Cluster, how: str) -> None:
    film = films / "long.mp4"
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"long.mp4": [[4, 4, 12, 12]]}))
    given: dict[str, Any] = {"boxes": boxes}
    if "detections" in how:
        given = {"detections": tmp_path / "detections.jsonl"}
        boxes_of_a_frame = [{"label": "face", "box": [4, 4, 12, 12]}]
        times = [float(found.time) for found in read_video(film)]
        entries = (
            {"frame": number, "time": time - times[0], "boxes": boxes_of_a_frame} for number, time in enumerate(times)
        )
        given["detections"].write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    if "verified" in how:
        given["detect"] = ("red",)
    for backend in ("local", "ray"):
        redact_files(film, tmp_path / backend / "long.mp4", **given, backend=backend)
    assert (tmp_path / "ray" / "long.mp4").read_bytes() == (tmp_path / "local" / "long.mp4").read_bytes()
    passes = ["verification.jsonl", "render"] if "verified" in how else ["render"]
    assert cluster.passes == [[("long.mp4", name)] * 3 for name in passes]


@pytest.mark.parametrize("done", [6, *(pytest.param(done, marks=pytest.mark.slow) for done in (2, 5, 10, 11))])
def test_an_interrupted_redaction_goes_on_in_either_way(
    films: Path, tmp_path: Path, cluster: Cluster, done: int
) -> None:
    (films / "one.png").unlink()
    redact_files(films, tmp_path / "local", detect=("red",))
    for goes_on in ("local", "ray"):
        out, cluster.stop_after = tmp_path / f"out-{goes_on}", done
        with pytest.raises(KeyboardInterrupt):
            redact_files(films, out, detect=("red",), backend="ray")
        cluster.stop_after = None
        redact_files(films, out, detect=("red",), backend=goes_on)
        assert files(out) == files(tmp_path / "local")


def test_a_segment_that_fails_fails_its_film_alone(
    films: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = films / "long.mp4"
    data = bytearray(damaged.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 400] = bytes(range(200)) * 2
    damaged.write_bytes(data)
    told = []
    for backend in ("local", "ray"):
        with pytest.raises(PartialFailure) as failed:
            redact_files(films, tmp_path / backend, detect=("red",), backend=backend)
        told.append(failed.value.failures)
        assert not list((tmp_path / backend).glob(".*"))
    assert told[0] == told[1]
    assert [*told[0]] == ["long.mp4"]


@pytest.mark.slow
def test_segments_of_a_translation_are_spread(
    films: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_film, "SECONDS", 10.0)
    run, settings = write_tiny_run(tmp_path / "run"), {"device": "cpu", "progress": False}
    for backend in ("local", "ray"):
        translate_files(run, films, tmp_path / backend, backend=backend, **settings)  # type: ignore[arg-type]
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert lines(tmp_path / "ray" / "translate.jsonl") == lines(tmp_path / "local" / "translate.jsonl")
    assert [len(jobs) for jobs in cluster.passes] == [5]
    translate_files(run, films / "long.mp4", tmp_path / "alone.mp4", backend="ray", **settings)  # type: ignore[arg-type]
    assert (tmp_path / "alone.mp4").read_bytes() == files(tmp_path / "local")["long.mp4"]
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 1.0)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match=r"long\.mp4, frame 0 \(0\.000 s\)"):
        translate_files(run, films / "long.mp4", tmp_path / "no.mp4", backend="ray", **settings)  # type: ignore[arg-type]
    assert not list(tmp_path.glob(".*"))
