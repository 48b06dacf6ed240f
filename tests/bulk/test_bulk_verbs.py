"""Verbs that process many files: inputs stay unchanged, one process writes at a time, and a killed command resumes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from output_runs import make_run

import ganvas
from ganvas import api, cli
from ganvas.cli import main
from ganvas.errors import InputError
from ganvas.filesystem import claimed
from ganvas.image.files import encode_image, write_image
from ganvas.image.picture import Picture
from locate_command import locate_files as locate_command

DEAD = ".x.7ffffffe01234567.png"


def draw(path: Path, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    write_image(path, Picture(pixels))
    return path.read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Write boxes that cover the left half of every picture."""
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({name: [[0, 0, 8, 16]] for name in ("x.png", "p/x.png")}))
    return path


def redact(run: Path, source: Path, out: Path, boxes: Path) -> None:
    ganvas.redact(source, out, boxes=boxes)


def translate(run: Path, source: Path, out: Path, boxes: Path) -> None:
    ganvas.translate(run, source, out, recursive=True, device="cpu")


@pytest.mark.parametrize("verb", [redact, translate])
@pytest.mark.parametrize("way", ["nested", "folder link", "file link", "hard link", "manifest"])
def test_no_original_is_overwritten(
    verb: Callable[..., None], way: str, run: Path, boxes: Path, tmp_path: Path
) -> None:
    """SRC contains x.png and p/x.png; OUT leads back into it in one of several ways."""
    source = tmp_path / "photos" / "p"
    draw(source / "x.png", 0), draw(source / "p" / "x.png", 1)
    out = tmp_path / "photos" if way == "nested" else tmp_path / "out"
    out.mkdir(exist_ok=True)
    if way == "folder link":
        (out / "p").symlink_to(source)
    elif way == "file link":
        (out / "x.png").symlink_to(source / "p" / "x.png")
    elif way == "hard link":
        os.link(source / "x.png", out / "x.png")
    elif way == "manifest":
        for name in ("redaction.jsonl", "translate.jsonl"):
            (out / name).symlink_to(source / "x.png")
    before = contents(tmp_path / "photos"), contents(out)
    with pytest.raises(InputError, match="would be overwritten"):
        verb(run, source, out, boxes)
    assert (contents(tmp_path / "photos"), contents(out)) == before


def test_masks_are_not_overwritten(run: Path, tmp_path: Path) -> None:
    draw(tmp_path / "photos" / "x.png")
    before = draw(tmp_path / "masks" / "x.png", 1)
    for verb in (lambda *places, **masks: ganvas.translate(run, *places, device="cpu", **masks), ganvas.redact):
        with pytest.raises(InputError, match="would be overwritten"):
            verb(tmp_path / "photos", tmp_path / "masks", mask=tmp_path / "masks")
    assert (tmp_path / "masks" / "x.png").read_bytes() == before


def test_redact_replaces_nothing_that_its_log_does_not_know(boxes: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "photos", tmp_path / "out"
    draw(source / "x.png")
    (tmp_path / "boxes.json").write_text(json.dumps({"x.png": [[0, 0, 8, 16]]}))
    strange = draw(out / "x.png", 1)
    for _ in range(2):  # the logged failure does not make the file ours
        with pytest.raises(ganvas.GanvasError, match="already exists, and this log does not list it"):
            ganvas.redact(source, out, boxes=boxes)
        assert (out / "x.png").read_bytes() == strange
    ganvas.redact(source, tmp_path / "new", boxes=boxes)
    whole = (tmp_path / "new" / "x.png").read_bytes()
    (tmp_path / "new" / "redaction.jsonl").unlink()  # as if killed between the picture and its log line
    assert ganvas.redact(source, tmp_path / "new", boxes=boxes).redacted == 1
    assert (tmp_path / "new" / "x.png").read_bytes() == whole
    (tmp_path / "boxes.json").write_text(json.dumps({"x.png": []}))
    assert ganvas.redact(source, tmp_path / "new", boxes=boxes).redacted == 1  # its own result may be replaced
    assert (tmp_path / "new" / "x.png").read_bytes() != whole


def test_redact_replaces_no_named_file_that_its_log_does_not_know(boxes: Path, tmp_path: Path) -> None:
    picture, named = tmp_path / "photos" / "x.png", tmp_path / "out.png"
    draw(picture)
    (tmp_path / "boxes.json").write_text(json.dumps({"x.png": [[0, 0, 8, 16]]}))
    strange = draw(named, 1)
    with pytest.raises(ganvas.GanvasError, match="already exists, and this log does not list it"):
        ganvas.redact(picture, named, boxes=boxes)
    assert named.read_bytes() == strange


def test_prepare_follows_no_link_back_and_no_line_of_a_journal_out_of_its_folder(tmp_path: Path) -> None:
    source, out = tmp_path / "photos", tmp_path / "out"
    for number in range(4):
        draw(source / f"{number}.png", number)
    ganvas.prepare(source, out, strength=(4.0, 4.0))
    precious = tmp_path / "precious.png"
    precious.touch()
    with (out / ".prepare.jsonl").open("a") as journal:
        line = {
            "name": "0",
            "sha256": "",
            "split": "train",
            "a": "../precious.png",
            "b": "train/b/../../../precious.png",
        }
        journal.write(json.dumps(line) + "\n")
    ganvas.prepare(source, out, strength=(4.0, 4.0))
    assert precious.exists()
    (out / "train" / "a").rename(tmp_path / "elsewhere")
    (out / "train" / "a").symlink_to(source)
    before = contents(source)
    with pytest.raises(InputError, match="would be overwritten"):
        ganvas.prepare(source, out, strength=(4.0, 4.0))
    assert contents(source) == before


def test_locate_replaces_overlays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.localization import locate_files

    def located(file: Path, target: Path, *_: object) -> dict[str, object]:
        draw(target)
        return {"photo": str(file)}

    monkeypatch.setattr(locate_files, "load_classifier", lambda name: None)
    monkeypatch.setattr(locate_files, "_locate_file", located)
    draw(tmp_path / "photos" / "a.jpg")
    strange = draw(tmp_path / "out" / "a.png", 1)
    with pytest.raises(InputError, match="was not written by locate"):
        locate_command([tmp_path / "photos"], tmp_path / "out")
    assert (tmp_path / "out" / "a.png").read_bytes() == strange
    for _ in range(2):
        locate_command([tmp_path / "photos"], tmp_path / "new")


@pytest.mark.parametrize("verb", ["translate", "redact", "prepare", "locate", "sample", "train"])
def test_a_second_process_is_told_to_wait(
    verb: str, run: Path, boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "photos", tmp_path / "out"
    draw(source / "x.png")
    boxes.write_text(json.dumps({"x.png": []}))
    for side in ("a", "b"):
        draw(tmp_path / "pairs" / "train" / side / "x.png")
    draws = make_run(tmp_path / "draws", draws=True)
    words = {
        "translate": [str(run), str(source), str(out), "--device", "cpu"],
        "redact": [str(source), str(out), "--boxes", str(boxes)],
        "prepare": [str(source), str(out)],
        "locate": [str(source), "--out", str(out)],
        "sample": [str(draws), str(out), "--device", "cpu"],
        "train": ["pix2pix", "--data", str(tmp_path / "pairs"), "--out", str(out), "--device", "cpu"],
    }
    with claimed(out):
        assert main([verb, *words[verb]]) == 2
        assert f"{out} is in use by another ganvas process" in capsys.readouterr().err
        assert list(out.iterdir()) == []


def test_two_redactions_do_not_share_a_log(boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path / "photos" / "x.png")
    boxes.write_text(json.dumps({"x.png": []}))
    log = tmp_path / "log"
    words = ["redact", str(tmp_path / "photos"), str(tmp_path / "out"), "--boxes", str(boxes), "--log", str(log)]
    with claimed(log):
        assert main(words) == 2
        assert f"{log} is in use by another ganvas process" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(words) == 0


def test_leftovers_are_removed_from_a_release_folder_and_a_sample(boxes: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "photos", tmp_path / "out"
    draw(source / "x.png"), draw(source / "p" / "x.png")
    for folder in (out, out / "p", tmp_path / "drawn"):
        folder.mkdir(parents=True)
        (folder / DEAD).touch()
    ganvas.redact(source, out, boxes=boxes)
    assert set(contents(out)) == {"x.png", "p/x.png", "redaction.jsonl"}
    api.sample(make_run(tmp_path / "draws", draws=True), tmp_path / "drawn", count=1, device="cpu")
    assert set(contents(tmp_path / "drawn")) == {"00000.png", "grid.png"}


def test_a_stopped_sample_goes_on_with_the_same_command_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.inference import sampling

    draws, write, out = make_run(tmp_path / "draws", draws=True), sampling.write_synthetic, tmp_path / "out"

    def stopping(path: Path, *given: object, **named: object) -> None:
        if path.name == "00002.png":
            raise KeyboardInterrupt
        write(path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(sampling, "write_synthetic", stopping)
    with pytest.raises(KeyboardInterrupt):
        api.sample(draws, out, count=3, device="cpu")
    monkeypatch.setattr(sampling, "write_synthetic", write)
    with pytest.raises(InputError, match="another folder"):
        api.sample(draws, out, count=3, seed=1, device="cpu")
    api.sample(draws, out, count=3, device="cpu")
    api.sample(draws, tmp_path / "whole", count=3, device="cpu")
    assert contents(out) == contents(tmp_path / "whole")
    with pytest.raises(InputError, match="another folder"):
        api.sample(draws, out, count=3, device="cpu")


def test_reports_overwrite_no_picture_of_the_data(tmp_path: Path, run: Path) -> None:
    kinds = tmp_path / "kinds"
    for kind in ("dark", "light"):
        for number in range(4):
            draw(kinds / kind / f"{number}.png", number)
    before = draw(kinds / "dark" / "grid.png", 9)
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "grid.png").symlink_to(kinds / "dark" / "grid.png")
    with pytest.raises(InputError, match=r"grid\.png would be overwritten"):
        api.audit(kinds, out=tmp_path / "audit", blocks=(4,), size=16, steps=1, device="cpu")
    for split in ("train", "test"):
        for side in ("a", "b"):
            draw(tmp_path / "pairs" / split / side / "grid.png", 9)
    with pytest.raises(InputError, match=r"grid\.png would be overwritten"):
        ganvas.compare(data=tmp_path / "pairs", methods=("pix2pix",), out=tmp_path / "pairs" / "test" / "a", epochs=1)
    assert (kinds / "dark" / "grid.png").read_bytes() == before
    assert (tmp_path / "pairs" / "test" / "a" / "grid.png").read_bytes() == before


def test_the_bytes_of_a_picture_do_not_depend_on_its_name(tmp_path: Path) -> None:
    """A redaction recognizes the result of a killed process by its bytes."""
    pixels = Picture(np.zeros((4, 4, 3), np.uint8))
    for suffix in (".png", ".jpg", ".webp", ".tif", ".bmp"):
        write_image(tmp_path / f"x{suffix}", pixels)
        assert (tmp_path / f"x{suffix}").read_bytes() == encode_image(pixels, suffix)


@pytest.mark.parametrize("verb", ["audit", "benchmark", "evaluate", "compare", "train"])
def test_no_results_among_the_pictures_that_are_read(tmp_path: Path, verb: str) -> None:
    data = tmp_path / "data"
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        for number in range(2):
            draw(data / folder / f"{number}.png", number)
    before = contents(data)
    inside = data / "test/a"
    words = {
        "audit": ["audit", data, "--out", data / "found"],
        "benchmark": ["benchmark", "sr", "--data", data / "test", "--out", inside / "found"],
        "evaluate": ["evaluate", make_run(tmp_path / "run"), "--data", data, "--out", inside / "found"],
        "compare": ["compare", "--data", data, "--methods", "pix2pix", "--out", inside / "found", "--epochs", "1"],
        "train": ["train", "pix2pix", "--data", data, "--out", data / "train/b/found"],
    }[verb]
    with pytest.raises(InputError, match=r"found is inside .*whose pictures are read"):
        cli._call(verb, list(map(str, words[1:])))
    assert contents(data) == before
