"""Redaction of films: every frame is covered, verified and logged; resumption gives the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas import api
from ganvas.cli import main
from ganvas.errors import Cancelled, ConfigError, ImageError, PartialFailure
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.localization import locate_files
from ganvas.localization.detectors import Detection, DetectionConfig
from ganvas.redaction import locate_film, worker
from ganvas.redaction.locate_film import locate_films
from ganvas.video import read_video, write_video
from recorded_progress import RecordedProgress
from redact_command import redact_files

av = pytest.importorskip("av", reason="needs ganvas[video]")

SIZE = (64, 96)
COUNT = 30


class Bright:
    """Detector of bright squares, which fails on frames identified by their level of blue."""

    name = "squares"

    def __init__(self, fails: int | None = None, hidden: bool = False) -> None:
        self._fails, self._hidden = fails, hidden

    def detect(self, rgb: np.ndarray, *, min_score: float | None = None) -> list[Detection]:
        if self._fails is not None and int(np.median(rgb[:, :, 2])) == self._fails:
            raise ImageError(None, "odd frame")
        red = rgb[:, :, 0] > 200
        if self._hidden and not red.any():
            red = rgb[:, :, 1] > 200  # detected once the red one is covered
        rows, columns = np.nonzero(red)
        if not len(rows):
            return []
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        return [Detection(box, 0.9, "square")]


def frame(number: int, *, green: bool = False) -> Picture:
    """Return a dark frame whose blue encodes its number, with a red square that moves right."""
    pixels = np.full((*SIZE, 3), (10, 20, 60 + 6 * number), np.uint8)
    pixels[20:30, 10 + number : 22 + number, 0] = 255
    if green and number == 5:
        pixels[40:50, 60:70, 1] = 255
    return Picture(pixels)


def make_film(path: Path, *, green: bool = False) -> Path:
    """Write a lossless film of these pictures."""
    write_video(path, [frame(number, green=green) for number in range(COUNT)], rate=Fraction(25))
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    return make_film(tmp_path / "films" / "square.mkv")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(detector: Bright) -> None:
        monkeypatch.setattr(worker, "load_detectors", lambda names, **_: [detector])

    return use


def line_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "redaction.jsonl").read_text().splitlines()[-1])


def pictures_of(path: Path) -> list[np.ndarray]:
    return [frame.picture.as_rgb8() for frame in read_video(path)]


def test_the_square_is_gone_from_every_frame(film: Path, tmp_path: Path, use: Any) -> None:
    use(Bright())
    out = tmp_path / "out"
    redact_files(film.parent, out, detect=("squares",))
    covered = pictures_of(out / film.name)
    assert len(covered) == COUNT
    assert all(not (rgb[:, :, 0] > 120).any() for rgb in covered)
    line = line_of(out)
    assert line["film"]["tracks"][0]["frames"] == line["film"]["verified"] == COUNT
    assert "1 track is covered" in line["verdict"]
    lines = [json.loads(text) for text in (out / f"{film.name}.frames.jsonl").read_text().splitlines()]
    assert [one["frame"] for one in lines] == list(range(COUNT))
    assert all(one["covers"] and one["score_after"] == 0 for one in lines)
    page = (out / f"{film.name}.redaction.html").read_text()
    assert "Least certain frames" in page
    assert "frame 0, 0:00.00: lowest score 0.90" in page
    assert not list(out.glob(".*"))
    assert redact_files(film.parent, out, detect=("squares",)).skipped == 1


def test_a_frame_that_cannot_be_examined_is_covered_whole_and_listed(film: Path, tmp_path: Path, use: Any) -> None:
    known = {int(np.median(rgb[:, :, 2])): index for index, rgb in enumerate(pictures_of(film))}
    level, index = next((level, index) for level, index in known.items() if index == 12)
    use(Bright(fails=level))
    redact_files(film, tmp_path / "out", detect=("squares",))
    covered = pictures_of(tmp_path / "out" / film.name)
    assert covered[index].max() <= 20
    assert covered[index - 1].max() > 90
    line = line_of(tmp_path / "out")
    assert line["film"]["covered_whole"] == [index]
    assert "odd frame" in line["film"]["not_examined"][str(index)]


@pytest.mark.slow
def test_what_is_found_in_the_covered_frames_is_covered_too(tmp_path: Path, use: Any) -> None:
    use(Bright(hidden=True))
    film = make_film(tmp_path / "green.mkv", green=True)
    assert pictures_of(film)[5][:, :, 1].max() > 200
    redact_files(film, tmp_path / "out", detect=("squares",))
    assert pictures_of(tmp_path / "out" / film.name)[5][:, :, 1].max() < 120
    assert line_of(tmp_path / "out")["film"]["widened"] == [5]
    page = (tmp_path / "out" / f"{film.name}.redaction.html").read_text()
    assert "frame 5, 0:00.20: score 0.90 under the first cover, widened" in page
    redact_files(film, tmp_path / "fewer", detect=("squares",), verify=5)
    assert line_of(tmp_path / "fewer")["film"]["verified"] == COUNT / 5
    redact_files(film, tmp_path / "none", detect=("squares",), verify=0)
    assert "not examined again" in line_of(tmp_path / "none")["verdict"]


@pytest.mark.parametrize("moment", [1, 29, 45, 75])
def test_a_cancelled_redaction_resumes_to_the_same_bytes(film: Path, tmp_path: Path, use: Any, moment: int) -> None:
    use(Bright())
    redact_files(film, tmp_path / "whole", detect=("squares",))
    progress = RecordedProgress(lambda *_: progress.cancel() if len(progress.reports) == moment else None)
    with pytest.raises(Cancelled):
        redact_files(film, tmp_path / "out", detect=("squares",), progress=progress)
    assert not (tmp_path / "out" / film.name).exists()
    redact_files(film, tmp_path / "out", detect=("squares",))
    assert (tmp_path / "out" / film.name).read_bytes() == (tmp_path / "whole" / film.name).read_bytes()
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("verb", ["redact", "locate"])
def test_a_dark_film_is_examined_with_contrast(tmp_path: Path, use: Any, verb: str) -> None:
    """A red square of level 9 on a background of 1 is bright once the range of the frame is stretched."""
    film, out = tmp_path / "dark.mkv", tmp_path / "out"
    dark = [Picture(np.where(frame(number).pixels > 200, 9, 1).astype(np.uint8)) for number in range(3)]
    write_video(film, dark, rate=Fraction(25))
    if verb == "redact":
        use(Bright())
        redact_files(film, out, detect=("squares",))
        assert line_of(out)["film"]["tracks"][0]["frames"] == 3
        assert not (np.stack(pictures_of(out / film.name)) > 4).any()
    else:
        (found,) = locate_films([film], out, [Bright()], DetectionConfig())
        assert found.tracks == 1


def test_results_of_an_older_version_are_made_again(
    film: Path, tmp_path: Path, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Bright())
    redact_files(film, tmp_path / "out", detect=("squares",))
    assert redact_files(film, tmp_path / "out", detect=("squares",)).skipped == 1
    monkeypatch.setattr(worker, "VERSION", worker.VERSION + 1)
    assert redact_files(film, tmp_path / "out", detect=("squares",)).skipped == 0


def test_no_result_is_lost_after_an_unfinished_line(tmp_path: Path, use: Any) -> None:
    """A full disk leaves part of a line, and the verification is interrupted once more after it."""
    use(Bright(hidden=True))
    film, out = make_film(tmp_path / "film.mkv", green=True), tmp_path / "out"
    redact_files(film, tmp_path / "whole", detect=("squares",))

    def redact_until(verified: int) -> None:
        stop = (f"{film.name}: verify", verified)
        progress = RecordedProgress(lambda *told: progress.cancel() if told[:2] == stop else None)
        with pytest.raises(Cancelled):
            redact_files(film, out, detect=("squares",), progress=progress)

    for verified in (4, 7):  # the next one is verified too; the green square is in frame 5
        redact_until(verified)
        (journal,) = out.glob(".*/verification.jsonl")
        with journal.open("a") as file:
            file.write('{"frame": 5, "score": 0.9, "aft')
    redact_files(film, out, detect=("squares",))
    assert not (pictures_of(out / film.name)[5][:, :, 1] > 120).any()
    assert (out / film.name).read_bytes() == (tmp_path / "whole" / film.name).read_bytes()


KILLED = """
import os, signal, sys, time
from pathlib import Path
import av
import numpy as np
sys.path[:0] = sys.argv[3:]
from test_redaction_film import Bright
from ganvas.redaction import locate_film, worker
from redact_command import redact_files

film, folder = Path(sys.argv[1]), Path(sys.argv[2])
worker.load_detectors = lambda names, **_: [Bright()]


def redact(out, seconds):
    "Redact in a separate process, killed after this many seconds; return how long it worked."
    child = os.fork()
    if child == 0:
        try:
            redact_files(film, out, detect=("squares",))
        finally:
            os._exit(0)
    started = time.monotonic()
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > started + seconds:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.002)
    return time.monotonic() - started


whole = redact(folder / "whole", 1e9)
expected = (folder / "whole" / film.name).read_bytes()
for number, moment in enumerate(np.random.default_rng(0).uniform(0, 1, 20)):
    out = folder / str(number)
    redact(out, moment * whole)
    made = out / film.name
    assert not made.exists() or made.read_bytes() == expected
    print(len(list(out.glob(".*"))), made.exists())
    redact(out, 1e9)
    assert made.read_bytes() == expected
    assert not list(out.glob(".*"))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")
def test_killed_at_any_moment_it_resumes_to_the_same_bytes(film: Path, tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-c", KILLED, str(film), str(tmp_path), str(tests), str(tests / "redaction")]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    assert len(found) == 20
    assert len(set(found)) > 1  # killed at different stages


def test_detections_of_a_person_are_rendered_without_detecting(film: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    given.write_text('{"start": 0.2, "end": 0.4, "box": [0, 0, 96, 32]}\n')
    redact_files(film, tmp_path / "out", detections=given)
    covered = pictures_of(tmp_path / "out" / film.name)
    dark = [bool(rgb[:28].max() <= 40) for rgb in covered]
    assert dark == [0.2 <= index / 25 <= 0.4 for index in range(COUNT)]
    line = line_of(tmp_path / "out")
    assert "nothing was verified" in line["verdict"]
    assert line["region"]["boxes"] == [[0, 0, 96, 32]]
    assert line["film"]["by_hand"] == [{"start": 0.2, "end": 0.4, "label": "manual", "box": [0, 0, 96, 32]}]
    page = (tmp_path / "out" / f"{film.name}.redaction.html").read_text()
    assert "manual, 0:00.20 to 0:00.40, box 0, 0, 96, 32" in page


def test_boxes_and_masks_cover_the_same_place_in_every_frame(film: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps({film.name: [[0, 0, 48, 64]]}))
    redact_files(film, tmp_path / "boxes", boxes=tmp_path / "boxes.json")
    mask = np.zeros((*SIZE, 1), np.uint8)
    mask[:, :48] = 255
    write_image(tmp_path / "mask.png", Picture(mask))
    redact_files(film, tmp_path / "mask", mask=tmp_path / "mask.png")
    for out in ("boxes", "mask"):
        assert all(rgb[:, :46].max() <= 20 for rgb in pictures_of(tmp_path / out / film.name))


def test_a_preview_has_the_first_seconds_alone(film: Path, tmp_path: Path, use: Any) -> None:
    use(Bright())
    redact_files(film, tmp_path / "out", detect=("squares",), preview=0.4)
    assert len(pictures_of(tmp_path / "out" / film.name)) == 10


def test_pictures_animations_and_films_share_a_folder(film: Path, tmp_path: Path, use: Any) -> None:
    use(Bright())
    write_image(film.parent / "one.png", frame(3))
    frames = [Image.fromarray(frame(number).pixels) for number in (0, 9, 18)]
    frames[0].save(film.parent / "few.gif", save_all=True, append_images=frames[1:], duration=[50, 120, 70], loop=2)
    (film.parent / "text.txt").write_text("no picture")
    (film.parent / "cut.mp4").write_bytes(film.read_bytes()[:200])
    with pytest.raises(PartialFailure, match="2 of 5 failed") as failed:
        redact_files(film.parent, tmp_path / "out", detect=("squares",))
    assert set(failed.value.failures) == {"text.txt", "cut.mp4"}
    assert not list((tmp_path / "out").glob(".*"))
    assert read_image(tmp_path / "out" / "one.png").pixels[:, :, 0].max() <= 120
    with Image.open(tmp_path / "out" / "few.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 2)
    assert all(not (rgb[:, :, 0] > 120).any() for rgb in pictures_of(tmp_path / "out" / "few.gif"))


def test_no_secret_of_the_container_is_in_the_result(film: Path, tmp_path: Path, use: Any) -> None:
    use(Bright())
    secret = "Geheimnis-4711"
    told = tmp_path / "films" / "told.mkv"
    with av.open(str(film)) as source, av.open(str(told), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        target.metadata.update({"title": secret, "location": secret, "comment": secret})
        stream.metadata["handler_name"] = secret
        target.set_chapters(
            [{"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": secret}}]
        )
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert secret.encode() in told.read_bytes()
    redact_files(told, tmp_path / "out", detect=("squares",))
    for path in (tmp_path / "out").iterdir():
        assert secret.encode() not in path.read_bytes(), path


def test_an_original_is_never_overwritten_and_a_stranger_neither(film: Path, tmp_path: Path, use: Any) -> None:
    use(Bright())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / film.name).write_bytes(b"mine")
    with pytest.raises(PartialFailure, match="already exists"):
        redact_files(film.parent, tmp_path / "out", detect=("squares",))
    assert (tmp_path / "out" / film.name).read_bytes() == b"mine"


def test_killed_before_its_log_entry_a_film_is_recognized_and_another_one_is_not(
    film: Path, tmp_path: Path, use: Any
) -> None:
    use(Bright())
    out = tmp_path / "out"
    redact_files(film, out, detect=("squares",))
    expected, line = (out / film.name).read_bytes(), line_of(out)
    (out / "redaction.jsonl").unlink()
    redact_files(film, out, detect=("squares",))
    assert (out / film.name).read_bytes() == expected
    assert {**line_of(out), "time": ""} == {**line, "time": ""}
    (out / "redaction.jsonl").unlink()
    (out / film.name).write_bytes(b"mine")
    with pytest.raises(PartialFailure, match="already exists, and is another film"):
        redact_files(film, out, detect=("squares",))
    assert (out / film.name).read_bytes() == b"mine"


@pytest.mark.parametrize("settings", [{"verify": -1}, {"preview": 0.0}, {"hold": -1.0}, {"crf": 99}])
def test_settings_out_of_range_are_errors(film: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        redact_files(film, tmp_path / "out", detect=("faces",), **settings)
    assert not (tmp_path / "out").exists()


def test_located_detections_redact_the_film_and_may_be_edited(film: Path, tmp_path: Path, use: Any) -> None:
    out = tmp_path / "found"
    (found,) = locate_films([film], out, [Bright()], DetectionConfig())
    assert (found.frames, found.tracks, found.unexamined) == (COUNT, 1, 0)
    assert len(pictures_of(found.overlay)) == COUNT
    redact_files(film, tmp_path / "out", detections=found.detections)
    assert all(not (rgb[:, :, 0] > 120).any() for rgb in pictures_of(tmp_path / "out" / film.name))
    lines = [json.loads(line) for line in found.detections.read_text().splitlines()]
    for line in lines[1:]:
        line["boxes"] = []
    found.detections.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    redact_files(film, tmp_path / "bare", detections=found.detections)
    assert all((rgb[:, :, 0] > 120).any() for rgb in pictures_of(tmp_path / "bare" / film.name))
    assert line_of(tmp_path / "bare")["verdict"] == (
        "no given region lies in the film; nothing is covered; nothing was verified"
    )
    lines[20]["time"] += 0.5
    found.detections.write_text("".join(f"{json.dumps(line)}\n" for line in lines[:21]))
    for line in lines[21:]:
        line["time"] += 0.5
    found.detections.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(PartialFailure, match=r"frame 19 is at 1\.26 s, but in the film at 0\.76 s"):
        redact_files(film, tmp_path / "moved", detections=found.detections)


def test_detections_of_a_person_are_verified_by_detectors(film: Path, tmp_path: Path, use: Any) -> None:
    use(Bright())
    given = tmp_path / "given.jsonl"
    given.write_text('{"start": 0.2, "end": 0.4, "box": [0, 0, 96, 64]}\n')
    redact_files(film, tmp_path / "out", detections=given, detect=("squares",))
    line = line_of(tmp_path / "out")
    assert line["film"]["verified"] == COUNT
    assert line["verdict"].startswith("the given regions are covered; examined again for squares, 30 covered frames")


def test_the_report_has_the_name_of_the_result(film: Path, tmp_path: Path, use: Any) -> None:
    use(Bright())
    other = film.with_name(f"other{film.suffix}")
    make_film(other, green=True)
    redact_files(film, tmp_path / "out" / "one.mp4", detect=("squares",))
    redact_files(other, tmp_path / "out" / film.name, detect=("squares",))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "one.mp4", "one.mp4.frames.jsonl", "one.mp4.redaction.html", "redaction.jsonl",
        film.name, f"{film.name}.frames.jsonl", f"{film.name}.redaction.html",
    }  # fmt: skip
    assert "Redaction of one.mp4" in (tmp_path / "out" / "one.mp4.redaction.html").read_text()


def test_pictures_and_films_are_located_together(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (locate_files, locate_film):
        monkeypatch.setattr(module, "load_detectors", lambda names, **_: [Bright()])
    write_image(film.parent / "one.png", frame(3))
    located = api.locate((film.parent,), out=tmp_path / "out", detect=("squares",))
    assert located.photos[0]["boxes"] == [{"label": "square", "score": 0.9, "box": [13, 20, 25, 30]}]
    assert located.films[0].tracks == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "one.png", "locate.json", film.name, f"{film.name}.detections.jsonl"
    }  # fmt: skip
    assert "1 track in 30 frames" in str(located)


def test_a_preview_takes_edited_detections_of_the_whole_film_and_of_no_other(film: Path, tmp_path: Path) -> None:
    (found,) = locate_films([film], tmp_path / "found", [Bright()], DetectionConfig())
    redact_files(film, tmp_path / "out", detections=found.detections, preview=0.4)
    assert len(pictures_of(tmp_path / "out" / film.name)) == 10
    assert line_of(tmp_path / "out")["film"]["tracks"][0]["frames"] == 10
    text = found.detections.read_text().replace('"width": 96', '"width": 95')
    found.detections.write_text(text)
    with pytest.raises(PartialFailure, match="the detections are of a film of 95 x 64"):
        redact_files(film, tmp_path / "other", detections=found.detections, preview=0.4)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "given.jsonl: No such file"),
        (b"{", "given.jsonl: line 1: not JSON"),
        (b"\xff\xfe{", "given.jsonl: line 1: not UTF-8"),
        (b'{"start": 1, "end": 2}\n', "given.jsonl: line 1: missing key box"),
    ],
)
def test_a_broken_file_of_detections_is_an_error_of_the_input(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, problem: str
) -> None:
    given = tmp_path / "given.jsonl"
    if content is not None:
        given.write_bytes(content)
    assert main(["redact", str(film), str(tmp_path / "out"), "--detections", str(given)]) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert told.count("given.jsonl") == 1
    assert not (tmp_path / "out").exists()


def test_a_manual_box_that_covers_nothing_fails_the_film(film: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    given.write_text('{"start": 7, "end": 8, "box": [0, 0, 96, 32]}\n')
    with pytest.raises(PartialFailure, match="from 7 to 8 s contains no frame"):
        redact_files(film, tmp_path / "out", detections=given)
    assert not (tmp_path / "out" / film.name).exists()


@pytest.mark.parametrize("settings", [{}, {"preview": 0.5}, {"verify": 7}])
def test_the_bars_of_all_passes_end_full(film: Path, tmp_path: Path, use: Any, settings: dict[str, Any]) -> None:
    use(Bright())
    told = RecordedProgress()
    redact_files(film, tmp_path / "out", detect=("squares",), progress=told, **settings)
    last = {task: (done, total) for task, done, total in told.reports}
    assert len(last) == 4
    assert all(done == total for done, total in last.values()), last
    assert max(total for task, _, total in told.reports) == (13 if "preview" in settings else COUNT)


def test_given_boxes_stand_in_the_log_of_a_film(film: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps({film.name: [[0, 0, 48, 64]]}))
    assert redact_files(film, tmp_path / "out", boxes=tmp_path / "boxes.json").uncovered == 0
    region = line_of(tmp_path / "out")["region"]
    assert (region["boxes"], region["share"]) == ([[0, 0, 48, 64]], 0.5)
    first = json.loads((tmp_path / "out" / f"{film.name}.frames.jsonl").read_text().splitlines()[0])
    assert first["covers"] == [{"track": 0, "label": "given", "box": [0, 0, 48, 64]}]


def test_a_bad_photo_keeps_no_film_from_being_located(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (locate_files, locate_film):
        monkeypatch.setattr(module, "load_detectors", lambda names, **_: [Bright()])
    (tmp_path / "bad.png").write_text("no picture")
    (tmp_path / "bad.mp4").write_text("no film")
    with pytest.raises(PartialFailure, match="2 of 3 failed") as failed:
        api.locate((tmp_path / "bad.mp4", tmp_path / "bad.png", film), out=tmp_path / "out", detect=("squares",))
    assert {Path(name).name for name in failed.value.failures} == {"bad.png", "bad.mp4"}
    assert (tmp_path / "out" / f"{film.name}.detections.jsonl").is_file()
