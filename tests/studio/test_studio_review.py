"""Review of redactions: descriptions of covers, sign-offs in the log and in READ-ME, and the archive."""

from __future__ import annotations

import json
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.errors import InputError
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import Detection
from ganvas.progress import Progress
from ganvas.redaction import worker
from ganvas.studio.redaction import Finder, RedactTask, Source, Strength
from ganvas.studio.review import doubt_of, record_redaction, settings_in_words, sign, write_archive
from ganvas.studio.storage import Limits, Storage, Upload
from ganvas.video import write_video


def line(share: float, boxes: list[list[int]], **more: Any) -> dict[str, Any]:
    return {"region": {"boxes": boxes, "share": share, "whole": False}, "style": "mosaic", "verdict": "as told", **more}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path, Limits())


def add(storage: Storage, name: str) -> Upload:
    path = storage.folder / f"{name}.part"
    path.write_bytes(b"original")
    return storage.add(path, name, {"kind": "picture", "suffix": Path(name).suffix})


def redacted(storage: Storage, upload: Upload, line: dict[str, Any], **more: Any) -> Upload:
    result = storage.folder / upload.name
    result.write_bytes(b"result")
    content = {"id": upload.id, "line": line, "result_path": str(result), "view_path": str(result), "companions": []}
    record_redaction(storage, {"results": [{**content, **more}], "warning": None})
    return upload


def archived(storage: Storage) -> dict[str, str]:
    path = storage.folder / "all.zip"
    write_archive(storage.all(), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode(errors="replace") for name in archive.namelist()}


def test_a_sign_off_tells_whether_the_original_was_looked_at(storage: Storage) -> None:
    seen, unseen, _ = (
        redacted(storage, add(storage, name), line(0.1, [[0, 0, 4, 4]]), painted=True)
        for name in ("seen.png", "unseen.png", "open.png")
    )
    sign(seen, "Kim", original_seen=True)
    sign(unseen, "Kim", original_seen=False)
    files = archived(storage)
    words = files["READ-ME.txt"]
    assert "3 files: 1 signed off by Kim; original viewed: yes. " in words
    assert "1 signed off by Kim; original viewed: no. 1 not signed off." in words
    assert "unseen.png: mosaic over painted regions, 10.0 % of all pixels. as told. signed off by Kim" in words
    assert "who looked" not in words
    signed = [json.loads(row)["signed_off"] for row in files["redaction.jsonl"].splitlines()]
    assert [one and one["original_seen"] for one in signed] == [True, False, None]


@pytest.mark.parametrize(
    ("sought", "share", "boxes", "words"),
    [
        (True, 0.0, [], "nothing was found, nothing is covered"),
        (False, 0.0, [], "nothing was painted, nothing is covered"),
        (True, 0.5, [], "mosaic over painted regions, 50.0 % of all pixels"),
        (False, 0.0001, [[0, 0, 1, 1]], "mosaic over painted regions, less than 0.1 % of all pixels"),
    ],
)
def test_words_claim_no_cover_where_there_is_none(sought: bool, share: float, boxes: Any, words: str) -> None:
    assert settings_in_words({"line": line(share, boxes), "sought": sought, "painted": False}) == words


def test_what_was_found_and_what_was_painted_are_both_named() -> None:
    found = line(0.2, [[0, 0, 4, 4]], detections=[{"label": "face", "score": 0.9}])
    words = settings_in_words({"line": found, "sought": True, "painted": True})
    assert words == "mosaic over detections of face and painted regions, 20.0 % of all pixels"


def test_frames_that_are_covered_whole_count_as_covered() -> None:
    assert doubt_of(line(0.5, [], film={"not_examined": {"1": "odd"}}), None)[1] == "some frames could not be examined"
    assert doubt_of(line(0.0, []), None)[1] == "nothing is covered"


def test_an_archive_of_nothing_is_refused(storage: Storage) -> None:
    add(storage, "a.png")
    with pytest.raises(InputError, match="nothing is redacted yet"):
        write_archive(storage.all(), storage.folder / "all.zip")
    assert not (storage.folder / "all.zip").exists()


class Square:
    """Detector that finds a square in every frame."""

    name = "squares"

    def detect(self, rgb: np.ndarray, *, min_score: float | None = None) -> list[Detection]:
        return [Detection(Box(8, 8, 24, 24), 0.9, "face")] if rgb[:, :, 0].max() > 150 else []


def test_a_film_comes_with_its_frames_and_its_page(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av", reason="needs ganvas[video]")
    monkeypatch.setattr(worker, "load_detectors", lambda names, **_: [Square()])
    upload = add(storage, "walk.mkv")
    frame = np.full((48, 64, 3), 40, np.uint8)
    frame[10:22, 10:22, 0] = 250
    made = tmp_path / "made.mkv"
    write_video(made, [Picture(frame)] * 3, rate=Fraction(25))
    upload.path.write_bytes(made.read_bytes())
    source = Source(id=upload.id, name=upload.name, path=upload.path)
    folder = storage.work_folder(upload.id)
    task = RedactTask(sources=[source], finder=Finder(detect=("faces",)), strength=Strength(), folder=folder)
    record_redaction(storage, task.run(Progress()))
    review = upload.review
    assert review["words"].startswith("solid over detections of face, ")
    assert storage.piece(review["original"]).path == upload.path
    assert storage.piece(review["result"]).media_type == "video/x-matroska"
    files = archived(storage)
    assert {"walk.mkv", "walk.mkv.frames.jsonl", "walk.mkv.redaction.html"} <= files.keys()
    assert len(files["walk.mkv.frames.jsonl"].splitlines()) == 3
    assert str(storage.folder) not in files["walk.mkv.frames.jsonl"] + files["walk.mkv.redaction.html"]
