"""Model protocol of inference, implemented by runs and ONNX files, with the files and settings of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from torch import Tensor

from ganvas.errors import ConfigError
from ganvas.hardware import Precision, PrecisionChoice
from ganvas.hardware.device import choose_device, choose_precision
from ganvas.inference.onnx_file import names_onnx, onnx_files
from ganvas.inference.runtimes import RuntimeChoice
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName
from ganvas.runs.published import record_path
from ganvas.runs.record import find_snapshot, run_files

__all__ = ["Model", "checked_precision", "model_files", "read_files"]


class Model(Protocol):
    """A model that translates pictures; `ganvas.methods.base.Method` describes each member."""

    @property
    def size_multiple(self) -> int:
        """Number of which height and width must be multiples, unless `fixed_size` fixes them."""

    @property
    def smallest_side(self) -> int:
        """Smallest height and width, apart from `size_multiple`."""

    @property
    def fixed_size(self) -> tuple[int | None, int | None]:
        """The only height and width that the model accepts; None for each that is free."""

    @property
    def context(self) -> int | None:
        """Distance in pixels up to which inputs influence an output pixel; None if it is unknown or unlimited."""

    @property
    def blend_reason(self) -> str:
        """Reason why tiles are not exact if `context` is None."""

    @property
    def scale(self) -> int:
        """Upscaling factor along each side."""

    @property
    def num_frames(self) -> int:
        """Number of frames of a film that are concatenated along the channels."""

    @property
    def resizes(self) -> bool:
        """Whether pictures are resized to one size and back."""

    @property
    def draws_noise(self) -> bool:
        """Whether `translate` draws from torch's global generator."""

    def check_direction(self, direction: Direction) -> None:
        """Raise ConfigError unless the model translates in that direction."""

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, C', scale H, scale W) in [-1, 1]."""


def model_files(run: Path, snapshot: SnapshotName | Path) -> list[Path]:
    """Return the files of a run, or of an ONNX file, that determine a translation."""
    return onnx_files(run) if names_onnx(run) else [find_snapshot(run, snapshot), record_path(run)]


def read_files(run: Path) -> list[Path]:
    """Return the files of a run, or of an ONNX file, that no output may replace."""
    return onnx_files(run) if names_onnx(run) else run_files(run)


def checked_precision(
    run: Path, precision: PrecisionChoice, *, snapshot: SnapshotName | Path, device: str, runtime: RuntimeChoice
) -> Precision:
    """Return the precision of a run; an ONNX file has its own.

    Raises:
        ConfigError: bfloat16 is not fast on the device, or a setting does not apply to ONNX files or the runtime.
    """
    if not names_onnx(run):
        if runtime.exports_runs and (precision == "bfloat16" or device not in ("auto", "cpu")):
            raise ConfigError(
                f"runtime {runtime.name} computes in float32 on the processor: omit --precision {precision} and "
                f"--device {device}, or --runtime"
            )
        return "float32" if runtime.exports_runs else choose_precision(precision, choose_device(device))
    if snapshot != "auto":
        raise ConfigError(f"{run} is an ONNX file and has no snapshots: omit --snapshot {snapshot}")
    if device not in ("auto", "cpu"):
        raise ConfigError(f"{run}: ONNX files run on the CPU: omit --device {device}")
    if precision == "bfloat16":
        raise ConfigError(f"{run} has a fixed precision: omit --precision bfloat16")
    return "float32"
