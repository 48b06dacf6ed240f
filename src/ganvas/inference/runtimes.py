"""Runtimes that execute a network: PyTorch, or ONNX Runtime and OpenVINO for ONNX files.

A run is exported before another runtime executes it. The exporter is in a higher layer, so callers pass it in.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganvas.errors import ConfigError, MissingDependency
from ganvas.hardware.device import cores_for_networks
from ganvas.inference.config import Runtime
from ganvas.inference.onnx_file import first_line
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest

__all__ = ["TORCH", "OpenVinoNetwork", "Run", "RuntimeChoice"]

Run = Callable[[NDArray[Any]], NDArray[Any]]
"""Network in a runtime: images in the graph's layout and type -> the output; several threads may call it at once."""


@dataclass(frozen=True)
class RuntimeChoice:
    """Runtime of a translation.

    Attributes:
        name: name of the runtime; auto is PyTorch for runs (docs/decisions.md) and ONNX Runtime for ONNX files.
        export: function that returns the path of an ONNX file of a run's snapshot and direction, exporting it if
            necessary.
    """

    name: Runtime = "auto"
    export: Callable[[Path, SnapshotName | Path, Direction], Path] | None = None

    @property
    def exports_runs(self) -> bool:
        """Whether a run must be exported first."""
        return self.name not in ("auto", "torch")

    def exported(self, run: Path, snapshot: SnapshotName | Path, direction: Direction) -> Path:
        """Return the ONNX file of a run.

        Raises:
            ExportError: the run cannot be exported, or not within a gray level.
            MissingDependency: a package of the runtime or of the exporter is missing.
        """
        if self.name == "openvino":
            require_openvino(run)
        assert self.export is not None, "ganvas.load and ganvas.translate hand an exporter in"
        return self.export(run, snapshot, direction)

    def opened(self, path: Path, network: Run) -> Run:
        """Return the network of an ONNX file in this runtime, which by default is ONNX Runtime's.

        Raises:
            ConfigError: the runtime is PyTorch.
            MissingDependency: OpenVINO is not installed.
        """
        if self.name == "torch":
            raise ConfigError(f"{path} is an ONNX file, which PyTorch cannot run: omit --runtime torch")
        return OpenVinoNetwork(path) if self.name == "openvino" else network


TORCH = RuntimeChoice()
"""Default runtime."""


def require_openvino(model: Path) -> None:
    """Raise MissingDependency unless OpenVINO, which is to compute a model, is installed."""
    if importlib.util.find_spec("openvino") is None:
        raise MissingDependency("openvino", "export", f"{model}: runtime openvino")


class OpenVinoNetwork:
    """Network of an ONNX file in OpenVINO, in float32, with as many parallel requests as a translator has slots.

    Args:
        path: the .onnx file.

    Raises:
        MissingDependency: OpenVINO is not installed.
        ConfigError: OpenVINO does not support the file.
    """

    def __init__(self, path: Path) -> None:
        require_openvino(path)
        import openvino  # optional dependency

        threads = torch.get_num_threads()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": max(1, threads // cores_for_networks()),
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._network: CompiledModel = openvino.Core().compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            problem = f"{path} is not supported by OpenVINO ({first_line(error)})"
            raise ConfigError(f"{problem}: omit --runtime openvino") from error
        self._idle: SimpleQueue[InferRequest] = SimpleQueue()

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return the network's output."""
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._network.create_infer_request()
        made: NDArray[Any] = np.array(request.infer([images])[0])
        self._idle.put(request)
        return made
