"""Strict JSON, dataclass records and safetensors files."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors import SafetensorError, safe_open

from ganvas import serialization
from ganvas.bulk.journal import Journal, joined_hashes
from ganvas.data.config import PairedData
from ganvas.data.layouts import has_split
from ganvas.data.regions import read_boxes
from ganvas.errors import ConfigError, GanvasError, RunError
from ganvas.image.label import sidecar_path, source_type_in_sidecar
from ganvas.interop.import_checkpoints import load_discriminator
from ganvas.localization import load_classifier
from ganvas.redaction.redaction_log import open_log
from ganvas.runs.record import read_run_record
from ganvas.serialization import (
    MAX_DEPTH,
    check_name,
    from_record,
    parse_json,
    read_json,
    read_json_lines,
    save_tensors,
    to_record,
)
from ganvas.training.config import RunConfig, TrainingConfig


@dataclass(frozen=True)
class Circle:
    radius: float


@dataclass(frozen=True)
class Square:
    side: float
    color: Literal["red", "blue"] = "red"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    shape: Circle | Square
    corner: tuple[int, int] = (0, 0)
    names: tuple[str, ...] = ()
    folder: Path | None = None
    extra: dict[str, Any] | None = None
    limit: int | str = 3
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.corner[0] < 0:
            raise ConfigError("corner must not be negative")


DRAWING = Drawing(
    shape=Square(2.0, "blue"), corner=(1, 2), names=("a", "b"), folder=Path("x/y"), extra={"k": [1, None]}, limit="no"
)


@pytest.mark.parametrize(
    "value",
    [
        DRAWING,
        Drawing(shape=Circle(1.5)),
        RunConfig(),
        RunConfig(
            training=TrainingConfig(minutes=2.5), data=PairedData(split_file=Path("s.json"), value_range=(0, 4095))
        ),
    ],
)
def test_round_trip_through_json(value: object) -> None:
    assert from_record(type(value), json.loads(json.dumps(to_record(value)))) == value


def test_kind_may_be_left_out_where_only_one_class_fits() -> None:
    assert from_record(Circle, {"radius": 1}) == Circle(1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"color": 1}, r"Drawing: unknown key color"),
        ({"shape": {"kind": "Circle"}}, r"Drawing\.shape: missing key radius"),
        ({"shape": {"radius": 1.0}}, r"Drawing\.shape\.kind: expected one of Circle, Square, got None"),
        ({"shape": {"kind": "Oval", "radius": 1.0}}, r"Drawing\.shape\.kind"),
        ({"shape": {"kind": "Square", "side": 1.0, "color": "green"}}, r"Drawing\.shape\.color: 'green'"),
        ({"corner": [1]}, r"Drawing\.corner: expected 2 values, got 1"),
        ({"corner": [1, True]}, r"Drawing\.corner\[1\]: expected int, got True"),
        ({"corner": [1, 2.0]}, r"Drawing\.corner\[1\]: expected int"),
        ({"names": "ab"}, r"Drawing\.names: expected a list"),
        ({"folder": 3}, r"Drawing\.folder: expected Path, got 3"),
        ({"weights": {"a": "b"}}, r"Drawing\.weights\.a: expected float"),
        ({"limit": None}, r"Drawing\.limit: None fits none of"),
        ({"corner": [-1, 0]}, r"Drawing: corner must not be negative"),
        ({"kind": "Circle"}, r"Drawing: expected a Drawing, got 'Circle'"),
    ],
)
def test_errors_name_the_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        from_record(Drawing, to_record(DRAWING) | change)


def test_missing_key_without_a_default() -> None:
    with pytest.raises(RunError, match="missing key shape"):
        from_record(Drawing, {})
    with pytest.raises(RunError, match="expected an object"):
        from_record(Drawing, [])


def test_only_what_json_can_hold() -> None:
    with pytest.raises(TypeError, match="object cannot be stored"):
        to_record({"x": object()})


DEEP = ["[" * 100_000, "[" * 200 + "]" * 200, '{"a":' * 5_000 + "1" + "}" * 5_000]


@pytest.mark.parametrize("text", [*DEEP, "", "nul", "[1", '{"a": }'])
def test_every_fault_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"deep|Expecting"):
        parse_json(text)


def test_what_is_nested_as_deep_as_allowed_is_read() -> None:
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert parse_json('{"a": [1, {"b": null}]}', pairs=tuple) == (("a", [1, (("b", None),)]),)


def test_an_endless_file_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization, "MAX_BYTES", 100)
    (tmp_path / "x.json").write_text(" " * 99 + "1")
    assert read_json(tmp_path / "x.json") == 1
    (tmp_path / "x.json").write_text(" " * 100 + "1")
    with pytest.raises(ValueError, match="is larger than"):
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
    rows = Journal(
        tmp_path / "translate.jsonl", name_key="name", proof_of=lambda row: joined_hashes(row, "input", "output")
    )
    assert rows.proof("x") is None
    assert open_log(tmp_path).proof("x") is None


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


TENSORS = {"two": torch.arange(6.0).view(2, 3), "one": torch.ones(3, dtype=torch.int64)}
METADATA = {"format": "a", "images": "3", "counters": json.dumps({"name": 'ü "quoted" \n'}), "z": "", "b": "1"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    save_tensors(tmp_path / "deep" / "one.safetensors", TENSORS, METADATA)
    with safe_open(tmp_path / "deep" / "one.safetensors", framework="pt") as file:
        assert file.metadata() == METADATA
        assert all(torch.equal(file.get_tensor(name), value) for name, value in TENSORS.items())


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    for index in range(20):
        save_tensors(tmp_path / f"{index}.safetensors", TENSORS, METADATA)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_it_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    save_tensors(tmp_path / "one.safetensors", TENSORS, METADATA)
    (tmp_path / "plain").touch()
    assert (tmp_path / "one.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object, **_named: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save_tensors(tmp_path / "one.safetensors", TENSORS, METADATA)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "one.safetensors"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="such names are for POSIX")
def test_a_name_that_safetensors_cannot_open_is_an_error_before_anything_is_trained(tmp_path: Path) -> None:
    check_name(tmp_path / "größe 日本")
    with pytest.raises(RunError, match="must be UTF-8; rename it"):
        check_name(tmp_path / os.fsdecode(b"\xff") / "run")


def test_a_journal_without_its_broken_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert list(read_json_lines(path)) == []
    path.write_bytes(b'{"a": 1}\n[2]\n\xff\n\n{"a": 3}\n{"a": ')
    assert list(read_json_lines(path)) == [{"a": 1}, {"a": 3}]
    assert list(read_json_lines(path, start=9)) == [{"a": 3}]
