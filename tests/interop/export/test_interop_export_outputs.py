"""Outputs of exports: paths, free text in metadata, and runs that change during the export."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_runs import NOISY, tiny_method, tiny_record, write_tiny_run

from ganvas import api
from ganvas.cli import main
from ganvas.errors import ConfigError, ExportError, InputError, RunError
from ganvas.interop.export import export as exporting
from ganvas.interop.export import huggingface
from ganvas.interop.export.config import ExportConfig, PushConfig
from ganvas.interop.export.job import ExportJob, Floats, Format
from ganvas.interop.export.verification import reference
from ganvas.runs.published import read_published
from ganvas.runs.record import save_snapshot, snapshot_path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "run", NOISY)


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that replaces a format by one that writes names only and runs like the translator."""

    def replace_format(name: Any = "onnx", **changes: Any) -> None:
        files = {"onnx": ["model.onnx"], "openvino": ["model.bin", "model.xml"]}[name]

        def write(job: ExportJob, folder: Path) -> list[Path]:
            for file in files:
                (folder / file).write_text(file)
            return [folder / file for file in files]

        def open_again(job: ExportJob, written: list[Path]) -> Callable[[Floats], Floats]:
            return lambda image: reference(job, image)

        kind = exporting.FORMATS[name]
        settings: dict[str, Any] = {"write": write, "open": open_again} | changes
        made = Format(
            suffix=kind.suffix, beside=kind.beside, runtime="a program", options=kind.options, require=lambda: None,
            **settings,
        )  # fmt: skip
        monkeypatch.setitem(exporting.FORMATS, name, made)

    return replace_format


@pytest.mark.parametrize("name", ["onnx", "huggingface"])
def test_an_output_below_a_file_is_refused_before_the_run_is_loaded(
    tmp_path: Path, run: Path, name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "make_job", None)
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InputError, match=r"notes is a file, not a folder; use another output"):
        api.export(run, tmp_path / "notes" / "new" / "model", format=name)
    assert names(tmp_path) == ["notes", "run", "run/run.json", "run/snapshots", "run/snapshots/last.safetensors"]


@pytest.mark.parametrize("there", [False, True])
def test_a_link_to_a_folder_is_followed(tmp_path: Path, run: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    if there:
        (tmp_path / "disk" / "model").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "model")
    api.export(run, tmp_path / "link", format="huggingface")
    assert (tmp_path / "link").is_symlink()
    assert "model/config.json" in names(tmp_path / "disk")


def test_a_link_to_a_file_is_replaced_and_not_what_it_leads_to(
    tmp_path: Path, run: Path, formats: Callable[..., None]
) -> None:
    formats()
    (tmp_path / "mine.onnx").write_text("mine")
    (tmp_path / "model.onnx").symlink_to(tmp_path / "mine.onnx")
    api.export(run, tmp_path / "model.onnx")
    assert (tmp_path / "mine.onnx").read_text() == "mine"
    assert (tmp_path / "model.onnx").read_text() == "model.onnx"


def test_a_link_to_the_weights_is_refused(tmp_path: Path, run: Path, formats: Callable[..., None]) -> None:
    formats()
    (tmp_path / "model.onnx").symlink_to(snapshot_path(run, "last"))
    with pytest.raises(InputError, match="would be overwritten, and this command reads it"):
        api.export(run, tmp_path / "model.onnx")


def test_a_name_is_written_as_it_was_given(tmp_path: Path, run: Path, formats: Callable[..., None]) -> None:
    formats()
    formats("openvino")
    for name in ("net.onnx", "net.bin"):
        (tmp_path / name).write_text("mine")
    exported = api.export(run, tmp_path / "net.ONNX")
    assert exported.files == (tmp_path / "net.ONNX",)
    assert (tmp_path / "net.onnx").read_text() == "mine"
    assert (tmp_path / "net.ONNX.json").is_file()
    with pytest.raises(InputError, match=r"net\.bin exists and would be replaced: net\.xml needs that name"):
        api.export(run, tmp_path / "net.xml", format="openvino")
    assert (tmp_path / "net.bin").read_text() == "mine"
    (tmp_path / "net.xml").write_text("an earlier export")
    assert api.export(run, tmp_path / "net.xml", format="openvino").files[0] == tmp_path / "net.bin"


@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_names_the_output_and_leaves_nothing(
    tmp_path: Path, run: Path, formats: Callable[..., None], capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    def write(job: ExportJob, folder: Path) -> list[Path]:
        (folder / "model.onnx").write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device", *([str(folder / "model.onnx")] if named else []))

    formats(write=write)
    out = tmp_path / "new" / "net.onnx"
    assert main(["export", str(run), str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"ganvas export: {out}: No space left on device; check the path")
    assert not out.parent.exists()


def test_a_folder_that_cannot_be_written_names_the_output(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.mkdir

    def mkdir(self: Path, *arguments: Any, **settings: Any) -> None:
        if self.name.startswith(".net."):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        real(self, *arguments, **settings)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert main(["export", str(run), str(tmp_path / "net.onnx")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"ganvas export: {tmp_path / 'net.onnx'}: Permission denied; check the path, its permissions"
    )
    assert names(tmp_path) == ["run", "run/run.json", "run/snapshots", "run/snapshots/last.safetensors"]


def failing(problem: str) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise RuntimeError(problem)

    return fail


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"open": failing("no such operator\n at node.cpp:12")}, "a program cannot open the exported network (no such"),
        ({"open": lambda job, files: failing("no\nmemory")}, "a program cannot run the exported network at"),
        ({"open": lambda job, files: lambda image: image[:, :, :-1]}, "a program gives (1, 3,"),
    ],
)
def test_another_program_that_fails_is_an_error_with_a_remedy_and_no_file(
    tmp_path: Path, run: Path, formats: Callable[..., None], capsys: pytest.CaptureFixture[str], changes: Any, said: str
) -> None:
    formats(**changes)
    assert main(["export", str(run), str(tmp_path / "new" / "net.onnx")]) == 6
    error = capsys.readouterr().err
    assert error.startswith(f"ganvas export: {run}: {said}")
    assert "nothing was written" in error
    assert "ry another format" in error
    assert error.count("\n") == 1
    assert "node.cpp" not in error
    assert not (tmp_path / "new").exists()


def newer_snapshot(run: Path) -> None:
    save_snapshot(snapshot_path(run, "last"), tiny_method(tiny_record(NOISY), gain=3.0), images_seen=99)


def test_a_snapshot_that_training_replaces_is_read_again(
    tmp_path: Path, run: Path, formats: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exported weights and the hash in the metadata are of the same state."""
    formats()
    real, loaded = exporting.load_generators, list[Path]()

    def load(folder: Path, snapshot: Path) -> Any:
        method = real(folder, snapshot)
        if not loaded:
            newer_snapshot(run)
        loaded.append(snapshot)
        return method

    monkeypatch.setattr(exporting, "load_generators", load)
    metadata = api.export(run, tmp_path / "net.onnx").metadata
    assert len(loaded) == 2
    assert metadata.weights_sha256 == exporting.sha256_of(snapshot_path(run, "last"))


def test_a_snapshot_that_is_replaced_between_check_and_copy_is_an_error(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = huggingface.read_snapshot

    def read(path: Path) -> Any:
        newer_snapshot(run)
        return real(path)

    monkeypatch.setattr(huggingface, "read_snapshot", read)
    with pytest.raises(ExportError, match=r"last\.safetensors was replaced meanwhile .* repeat the command"):
        api.export(run, tmp_path / "out", format="huggingface")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text", ["", "  ", "MIT\nlicense: apache-2.0", "\x1b[2J", "CC\x00", "a\u2028b", "bytes \udcff", "x" * 201]
)
def test_texts_that_no_metadata_can_hold_are_no_license(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="license"):
        ExportConfig(tmp_path, tmp_path / "out", license=text)
    with pytest.raises(ConfigError, match="license"):
        PushConfig(tmp_path, "user/name", license=text)


def test_a_published_run_with_such_a_license_is_not_read(tmp_path: Path, run: Path) -> None:
    api.export(run, tmp_path / "out", format="huggingface", license="MIT")
    path = tmp_path / "out" / "config.json"
    for wrong in ('"license": "MIT\\n\\u001b[2J"', '"license": ""'):
        shutil.copy(path, tmp_path / "kept.json")
        path.write_text(path.read_text().replace('"license": "MIT"', wrong))
        with pytest.raises(RunError, match=r"config\.json: .*license"):
            read_published(tmp_path / "out")
        shutil.copy(tmp_path / "kept.json", path)


@pytest.mark.parametrize("repository", ["flowers", "a b/c", "a/b\n# Title", "a/`b`", "user/name@v1", "../name/x"])
def test_repositories_of_a_card_are_names_on_the_hub(tmp_path: Path, repository: str) -> None:
    with pytest.raises(InputError, match=r"user/name|newest revision"):
        ExportConfig(tmp_path, tmp_path / "out", format="huggingface", repository=repository)


@pytest.mark.skipif(os.name == "nt", reason="names are bytes on POSIX alone")
@pytest.mark.parametrize("name", [b"line\nbreak", b"\x1b[2J", "übung".encode(), b'\'; drop "x"'])
def test_names_of_runs_are_printable_in_metadata(tmp_path: Path, name: bytes) -> None:
    run = write_tiny_run(tmp_path / os.fsdecode(name), NOISY)
    job = exporting.make_job(ExportConfig(run, tmp_path / "out"))
    assert job.metadata.run.isprintable()
    job.metadata.run.encode()
    assert isinstance(reference(job, np.zeros((1, 3, 16, 16), np.float32)), np.ndarray)


@pytest.mark.parametrize("size", [None, (20000, 20000)])
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), ExportError("out of memory")]
)
def test_too_little_memory_names_the_remedy(
    tmp_path: Path, run: Path, formats: Callable[..., None], error: Exception, size: tuple[int, int] | None
) -> None:
    def write(job: ExportJob, folder: Path) -> list[Path]:
        raise error

    formats(write=write)
    remedy = "pass a smaller --size" if size else "close other programs"
    with pytest.raises(ExportError, match=f"run: the export needs more memory than is free; {remedy}"):
        api.export(run, tmp_path / "new" / "net.onnx", size=size)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["huggingface", "web"])
def test_a_file_is_no_output_of_a_format_of_several_files(tmp_path: Path, run: Path, name: Any) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"kept")
    with pytest.raises(InputError, match=rf"photo\.jpg is a file, and --format {name} writes a folder"):
        api.export(run, tmp_path / "photo.jpg", format=name)
    assert (tmp_path / "photo.jpg").read_bytes() == b"kept"
