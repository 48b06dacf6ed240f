"""Cached ONNX files of runs, with which other runtimes than PyTorch translate (`ganvas translate --runtime`).

A file is exported and verified once, and cached under the hash of everything that determines it: the weights, the
record, the direction, and the versions of the exporters.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from ganvas.bulk.journal import hash_file, hash_files, hash_settings
from ganvas.errors import ConfigError
from ganvas.filesystem.atomic import write_text
from ganvas.filesystem.paths import cache_folder
from ganvas.inference.config import Runtime
from ganvas.inference.models import model_files
from ganvas.inference.runtimes import RuntimeChoice
from ganvas.interop.export.config import ExportConfig
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName

__all__ = ["FOLDER", "cached_onnx", "runtime_choice"]

FOLDER = "onnx"
"""Folder in the cache folder."""
EXPORTERS = ("ganvas", "torch", "onnxscript")
"""Packages whose versions a file depends on."""


def cached_onnx(run: Path, snapshot: SnapshotName | Path, direction: Direction) -> Path:
    """Return the ONNX file of a run from the cache, exporting and verifying it if necessary.

    Args:
        run: the run folder.
        snapshot: best, last or auto.
        direction: direction of the translation.

    Raises:
        ConfigError: the snapshot is a file, or the run does not have that direction.
        ExportError: the run cannot be exported, or the exported network differs from it.
        MissingDependency: onnxscript is missing.
        RunError: the run cannot be read.
    """
    from ganvas.interop.export.export import export_run  # not needed for translation by PyTorch
    from ganvas.interop.export.onnx_file import require_exporter

    if isinstance(snapshot, Path):
        raise ConfigError(f"{snapshot}: other runtimes require the name of a snapshot: pass best, last or auto")
    require_exporter(f"{run}: another runtime than torch")
    versions = [version(name) for name in EXPORTERS]
    key = hash_settings([hash_files(*model_files(run, snapshot)), direction, versions])
    folder = cache_folder() / FOLDER
    path = folder / f"{key}.onnx"
    checked = path.with_suffix(".sha256")  # hash of the verified file; a damaged or altered file is exported again
    if (
        not path.is_file()
        or not checked.is_file()
        or checked.read_text(encoding="ascii", errors="replace") != hash_file(path)
    ):
        folder.mkdir(exist_ok=True)
        export_run(ExportConfig(run, path, snapshot=snapshot, direction=direction))
        write_text(checked, hash_file(path))
    return path


def runtime_choice(name: Runtime) -> RuntimeChoice:
    """Return the runtime of that name, with the exporter that it may need."""
    return RuntimeChoice(name, cached_onnx)
