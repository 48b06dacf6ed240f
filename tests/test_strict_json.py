"""JSON files that are nested, endless or garbled are errors that name the file, in every place that reads one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ganvas import strict_json
from ganvas.data.config import PairedData
from ganvas.data.layouts import has_split
from ganvas.data.regions import read_boxes
from ganvas.errors import GanvasError
from ganvas.image.label import sidecar_path, source_type_in_sidecar
from ganvas.inference.manifest import Manifest
from ganvas.inference.record import read_run_record
from ganvas.interop.import_checkpoints import load_discriminator
from ganvas.localization import load_classifier
from ganvas.redaction.redaction_log import AuditLog
from ganvas.strict_json import MAX_DEPTH, parse_json, read_json

DEEP = ["[" * 100_000, "[" * 200 + "]" * 200, '{"a":' * 5_000 + "1" + "}" * 5_000]


@pytest.mark.parametrize("text", [*DEEP, "", "nul", "[1", '{"a": }'])
def test_every_fault_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"deep|Expecting"):
        parse_json(text)


def test_what_is_nested_as_deep_as_allowed_is_read() -> None:
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert parse_json('{"a": [1, {"b": null}]}', pairs=tuple) == (("a", [1, (("b", None),)]),)


def test_an_endless_file_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "MAX_BYTES", 100)
    (tmp_path / "x.json").write_text(" " * 99 + "1")
    assert read_json(tmp_path / "x.json") == 1
    (tmp_path / "x.json").write_text(" " * 100 + "1")
    with pytest.raises(ValueError, match="holds more than"):
        read_json(tmp_path / "x.json")


def of_split_file(path: Path) -> object:
    return has_split(PairedData(folder=path.parent, split_file=path), "train")


def of_run(path: Path) -> object:
    path.rename(path.parent / "run.json")
    return read_run_record(path.parent)


def of_discriminator(path: Path) -> object:
    path.rename(path.parent / "discriminator.json")
    return load_discriminator(path.parent)


def of_classifier(path: Path) -> object:
    path.with_suffix(".onnx").touch()
    return load_classifier(str(path.with_suffix(".onnx")))


@pytest.mark.parametrize("text", DEEP)
@pytest.mark.parametrize("read", [read_boxes, of_split_file, of_run, of_discriminator, of_classifier])
def test_readers_name_the_file(read: Callable[[Path], object], text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(GanvasError, match=str(tmp_path)):
        read(tmp_path / "x.json")


@pytest.mark.parametrize("text", DEEP)
def test_journals_and_labels_pass_a_line_over(text: str, tmp_path: Path) -> None:
    sidecar_path(tmp_path / "x.npy").write_text(text)
    assert source_type_in_sidecar(tmp_path / "x.npy") is None
    for name in ("translate.jsonl", "redaction.jsonl"):
        (tmp_path / name).write_text(text + "\n")
    assert Manifest(tmp_path, "").proof("x") is None
    assert AuditLog(tmp_path).proof("x") is None


@pytest.mark.parametrize("text", ["a" * 200_000, "x,1,2,3,4\n" + "b" * 140_000 + ",1,2,3,4", "x," + "1" * 100_000])
def test_csv_cells_of_any_length(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(GanvasError, match=str(tmp_path / "x.csv")) as told:
        read_boxes(tmp_path / "x.csv")
    assert len(str(told.value)) < 2_000


def test_boxes_of_strange_numbers(tmp_path: Path) -> None:
    for row in ([0, 0, 1e400, 1], [0, 0, "x", 1], [0, 0, None, 1], [True, 0, 1, 1], 5, [[0], 0, 1, 1]):
        (tmp_path / "x.json").write_text(json.dumps({"a.png": [row]}))
        with pytest.raises(GanvasError, match="is not a box"):
            read_boxes(tmp_path / "x.json")
