"""Export of a trained run: one verified network in a format that other programs run, and a report beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganvas.errors import ConfigError, ExportError, GanvasError, InputError
from ganvas.filesystem import contents_of, require_apart, swept_beside
from ganvas.filesystem.atomic import write_json
from ganvas.filesystem.locks import LOCK_NAME, hidden_folder
from ganvas.filesystem.paths import sha256_of
from ganvas.inference.prepacking import make_ready
from ganvas.inference.tiling import OUT_OF_MEMORY
from ganvas.inference.translator import Translator
from ganvas.interop.export.config import ExportConfig, ExportFormat
from ganvas.interop.export.huggingface import HUGGINGFACE
from ganvas.interop.export.job import ExportJob, Format, Run
from ganvas.interop.export.network import ExportedNetwork, exported_network, first_line, sides_of
from ganvas.interop.export.onnx_file import ONNX
from ganvas.interop.export.openvino_model import OPENVINO
from ganvas.interop.export.spandrel import SPANDREL
from ganvas.interop.export.torch_program import TORCH
from ganvas.interop.export.verification import LIMITS, Check, verify
from ganvas.interop.export.web import WEB
from ganvas.methods.base import Method
from ganvas.runs.export_metadata import ExportMetadata, ExportNoise
from ganvas.runs.published import run_name
from ganvas.runs.record import find_snapshot, load_generators, read_run_record, run_files
from ganvas.terminal import one_line

FORMATS: dict[ExportFormat, Format] = {
    "onnx": ONNX,
    "torch": TORCH,
    "openvino": OPENVINO,
    "huggingface": HUGGINGFACE,
    "spandrel": SPANDREL,
    "web": WEB,
}
"""Name of a format -> its implementation."""
REPORT_NAME = "export.json"
"""Name of the report inside the folder of a format of several files."""
NOISE = {
    "none": "the method has no noise",
    "kept": "the method's noise is drawn as in the run",
    "off": "the method's noise (dropout) is switched off: --noise input makes it inputs",
    "input": "the method's noise (dropout) becomes additional inputs, uniform random numbers in [0, 1)",
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Result of an export.

    Attributes:
        files: written files, the main file last.
        report: the report, as JSON.
        format: the format.
        checks: the comparisons with the run.
        metadata: metadata in the file.
    """

    files: tuple[Path, ...]
    report: Path
    format: ExportFormat
    checks: tuple[Check, ...]
    metadata: ExportMetadata

    def __str__(self) -> str:
        worst = max(check.largest for check in self.checks)
        compared = f"{len(self.checks)} comparisons"
        verified = f"at most {worst:.2g} gray levels of 255 from the run in {compared}: {self.report}"
        if FORMATS[self.format].whole_run:
            folder = self.files[-1].parent
            lines = [f"{folder}: {self.format}, {self.metadata.precision}, a run for ganvas", verified]
            return "\n".join([*lines, f"read {folder / 'README.md'}, then: ganvas push {folder} USER/NAME"])
        lines = [
            f"{self.files[-1]}: {self.format}, {self.metadata.precision}, input and output in [0, 1]",
            verified,
            f"{NOISE[self.metadata.noise]}",
            FORMATS[self.format].closing,
        ]
        return "\n".join(lines)


def export_run(config: ExportConfig) -> Exported:
    """Export a run; nothing is written unless the exported network matches the run.

    Raises:
        ExportError: the run cannot be exported, or the exported network differs from it.
        MissingDependency: a package of the format is missing.
        ConfigError: a setting does not apply to the format or the method.
        RunError: the folder is not a run, or has no snapshot.
        InputError: the output exists, or would overwrite the run.
        OSError: the output cannot be written.
    """
    kind = FORMATS[config.format]
    # 1. Check everything that does not need the network: the settings, the run, the packages, the output.
    _check_options(config, kind)
    read_run_record(config.run)
    find_snapshot(config.run, config.snapshot)
    kind.require()
    target = target_of(config, kind)
    # 2. Load the run twice: as a translator, the reference of the verification, and as a plain network.
    job = make_job(config, whole_run=kind.whole_run)
    # 3. Write into a hidden folder, verify the written files, and only then move them into place.
    with _enough_memory(config), swept_beside(target.parent), hidden_folder(target) as staged:
        files = kind.write(job, staged)
        checks = verify(job, opened(job, kind, files), runtime=kind.runtime)
        report = _report(config, job, kind, checks)
        placed = _place(files, target, report, alone=bool(kind.suffix), staged=staged)
    *written, report_path = placed
    return Exported(
        files=tuple(written), report=report_path, format=config.format, checks=tuple(checks), metadata=job.metadata
    )


@contextmanager
def _enough_memory(config: ExportConfig) -> Iterator[None]:
    """Convert out-of-memory errors, also those that an exporter reports, to an ExportError that names the remedy."""
    try:
        yield
    except (ExportError, RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        remedy = "pass a smaller --size" if config.size else "close other programs, or use a machine with more memory"
        raise ExportError(f"{config.run}: the export needs more memory than is free; {remedy}") from error


def _check_options(config: ExportConfig, kind: Format) -> None:
    """Raise ConfigError for a setting that the format does not support."""
    given = {"size": config.size is not None, "half": config.half, "noise": config.noise != "off"}
    given |= {"examples": bool(config.examples), "repository": config.repository is not None}
    for option, is_set in given.items():
        if is_set and option not in kind.options:
            raise ConfigError(f"format {config.format} has no --{option}; omit it")


def opened(job: ExportJob, kind: Format, files: Sequence[Path]) -> Run:
    """Return what was written as a function of the other program.

    Raises:
        ExportError: that program cannot open it.
    """
    try:
        return kind.open(job, files)
    except (GanvasError, OSError):
        raise
    except Exception as error:
        raise ExportError(
            f"{job.run}: {kind.runtime} cannot open the exported network ({first_line(error)}); nothing was written. "
            "Try another format"
        ) from error


def target_of(config: ExportConfig, kind: Format) -> Path:
    """Return the path of the main file, or of the folder of a format of several files.

    Raises:
        InputError: the output exists and is not replaced, is of another format, or is a file of the run.
    """
    out = config.out
    above = next(path for path in out.absolute().parents if path.exists())
    if not above.is_dir():
        raise InputError(f"{out}: {above} is a file, not a folder; use another output")
    others = [name for name, other in FORMATS.items() if other.suffix and other.suffix == out.suffix.lower()]

    # 1. Formats of several files need a new or empty folder, which is replaced as a whole.
    if not kind.suffix:
        if out.exists() and not out.is_dir():
            raise InputError(
                f"{out} is a file, and --format {config.format} writes a folder; use a new or empty folder"
            )
        if out.exists() and contents_of(out):
            raise InputError(f"{out} contains other files; use a new or empty folder")
        if others and not out.exists():
            raise InputError(f"{out}: --format {config.format} writes a folder; use --format {others[0]}, or a folder")
        return Path(os.path.realpath(out)) if out.is_symlink() else out

    # 2. A file with the suffix of the format is replaced, unless it belongs to the run.
    if out.suffix.lower() == kind.suffix and not out.is_dir():
        return _free_target(out, config, kind)

    # 3. Other suffixes are mistakes: a file of another format, another existing file, or a folder that looks like one.
    if others and kind.suffix != out.suffix.lower():
        raise InputError(f"{out}: --format {config.format} writes {kind.suffix} files; use --format {others[0]}")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file but not {kind.suffix}; use a {kind.suffix} file or a folder")
    if out.suffix and not out.exists():
        raise InputError(
            f"{out}: --format {config.format} writes {kind.suffix} files; name one, or a folder that exists"
        )

    # 4. In a folder the file is named after the run; an existing file of that name was not chosen by the user.
    back = "" if config.direction == "a_to_b" else f"-{config.direction}"
    target = out / f"{run_name(config.run)}{back}{kind.suffix}"
    if target.exists():
        raise InputError(f"{target} exists; name the file itself to replace it")
    return _free_target(target, config, kind)


def _free_target(target: Path, config: ExportConfig, kind: Format) -> Path:
    """Return the path of the main file, which may replace an earlier export but nothing else.

    Raises:
        InputError: it or a file beside it is of the run, or a file beside it belongs to something else.
    """
    beside = [target.with_suffix(suffix) for suffix in kind.beside]
    require_apart([target, *beside, _report_path(target)], run_files(config.run))
    if found := [path for path in beside if path.exists() and not target.exists()]:
        raise InputError(f"{found[0]} exists and would be replaced: {target.name} needs that name; use another name")
    return target


def make_job(config: ExportConfig, *, whole_run: bool = False) -> ExportJob:
    """Load a run for its export.

    Args:
        config: the settings.
        whole_run: keep the method unchanged, with its noise, without converting its network for other programs.

    Raises:
        RunError: the run cannot be read.
        ConfigError: its method does not translate in that direction.
        ExportError: its method cannot be exported.
    """
    # 1. Load the translator, the reference of the verification.
    method, weights_sha256 = _load_whole(config.run, find_snapshot(config.run, config.snapshot))
    translator = Translator(method, read_run_record(config.run), direction=config.direction)
    record = translator.record
    with_noise = config.noise == "input"
    channels = method.num_frames * record.input.channels

    # 2. Convert a copy of its network to plain layers, which exporters can trace.
    noise: ExportNoise
    if whole_run:
        network = ExportedNetwork(method, config.direction, (), {}, (), sides_of(method))
        noise = "kept" if method.draws_noise else "none"
    else:
        network = exported_network(method, config.direction, channels, with_noise=with_noise, half=config.half)
        noise = "none" if not network.dropout else "input" if with_noise else "off"
    if with_noise and noise == "none":
        raise ConfigError(f"{config.run}: the method has no noise by dropout; omit --noise")

    # 3. Describe the input and output, so that other programs need no run record.
    metadata = ExportMetadata(
        version=version("ganvas"),
        run=one_line(f"{run_name(config.run)} {record.created}"),
        method=type(method).__name__,
        direction=config.direction,
        input=record.input,
        output=record.output,
        scale=method.scale,
        size_multiple=method.size_multiple,
        smallest_side=method.smallest_side,
        context=method.context,
        noise=noise,
        precision="float16" if config.half else "float32",
        license=config.license or "",
        weights_sha256=weights_sha256,
        num_frames=method.num_frames,
    )
    make_ready(method, precision="float32")
    return ExportJob(
        run=config.run, record=record, direction=config.direction, translator=translator, network=network,
        size=config.size, half=config.half, metadata=metadata, options=config,
    )  # fmt: skip


def _load_whole(run: Path, snapshot: Path) -> tuple[Method, str]:
    """Return the method of a run and the hash of the snapshot that it holds; a training may replace the file."""
    while True:
        sha256 = sha256_of(snapshot)
        method = load_generators(run, snapshot)
        if sha256_of(snapshot) == sha256:
            return method, sha256


def _report(config: ExportConfig, job: ExportJob, kind: Format, checks: Sequence[Check]) -> dict[str, Any]:
    """Return the report, ready for JSON."""
    return {
        "format": config.format,
        "metadata": job.metadata.to_strings(),
        "noise_inputs": [
            {"name": one.name, "channels": one.channels, "stride": one.stride} for one in job.network.noise
        ],
        "compared_in": kind.runtime,
        "limit": LIMITS[job.metadata.precision],
        "unit": "gray levels of 255",
        "largest": max(check.largest for check in checks),
        "checks": [check.as_record() for check in checks],
    }


def _place(files: Sequence[Path], target: Path, report: dict[str, Any], *, alone: bool, staged: Path) -> list[Path]:
    """Move the written files into place and return their paths, the report last.

    Args:
        files: files in the hidden folder, the main one last.
        target: the main file, or a folder.
        report: report to write beside the file, or into the folder.
        alone: whether the target is a single file.
        staged: the hidden folder.
    """
    if not alone:
        write_json(staged / REPORT_NAME, report)
        if target.exists():  # empty, as was checked, but for the lock file of a killed process
            (target / LOCK_NAME).unlink(missing_ok=True)
            target.rmdir()
        staged.rename(target)
        return [*(target / file.relative_to(staged) for file in files), target / REPORT_NAME]
    places = [*(target.with_suffix(file.suffix) for file in files[:-1]), target]
    for file, place in zip(files, places, strict=True):
        file.replace(place)
    write_json(_report_path(target), report)
    return [*places, _report_path(target)]


def _report_path(target: Path) -> Path:
    """Return the path of the report of a format that is a file."""
    return target.with_name(f"{target.name}.json")
