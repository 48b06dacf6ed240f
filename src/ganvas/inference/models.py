"""Model interface of inference, for a run or an ONNX file: its members, its files and its settings."""

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
        """Height and width must be multiples of this, where `fixed_size` leaves them free."""

    @property
    def fixed_size(self) -> tuple[int | None, int | None]:
        """The only height and width that the model takes; None for each that is free."""

    @property
    def context(self) -> int | None:
        """Distance in pixels up to which inputs influence an output pixel; None where it is unknown or unlimited."""

    @property
    def blend_reason(self) -> str:
        """Why tiles are not exact where `context` is None."""

    @property
    def scale(self) -> int:
        """Upscaling factor along each side."""

    @property
    def num_frames(self) -> int:
        """Frames of a film that are given along the channels."""

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
    """Return the precision to compute a run in; an ONNX file has its own.

    Raises:
        ConfigError: bfloat16 is not fast on the device; or a setting is given that an ONNX file or the runtime lacks.
    """
    if not names_onnx(run):
        if runtime.exports_runs and (precision == "bfloat16" or device not in ("auto", "cpu")):
            raise ConfigError(
                f"runtime {runtime.name} computes in float32 on the processor: leave --precision {precision} and "
                f"--device {device} out, or --runtime"
            )
        return "float32" if runtime.exports_runs else choose_precision(precision, choose_device(device))
    if snapshot != "auto":
        raise ConfigError(f"{run} is an ONNX file and has no snapshots: leave --snapshot {snapshot} out")
    if device not in ("auto", "cpu"):
        raise ConfigError(f"{run}: ONNX files run on the processor here: leave --device {device} out")
    if precision == "bfloat16":
        raise ConfigError(f"{run} has a precision of its own: leave --precision bfloat16 out")
    return "float32"
