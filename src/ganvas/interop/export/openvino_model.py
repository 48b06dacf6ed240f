"""OpenVINO export (.xml and .bin), for Intel CPUs, GPUs and NPUs."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganvas.errors import ExportError, MissingDependency
from ganvas.interop.export.job import ExportJob, Floats, Format, Run
from ganvas.interop.export.network import first_line
from ganvas.interop.export.onnx_file import require_exporter, write_onnx

if TYPE_CHECKING:
    from onnx import NodeProto

GROUP = "ganvas"
"""Section of the model's runtime information that holds the metadata."""


def require_openvino() -> None:
    """Raise MissingDependency unless OpenVINO and the exporter of ONNX are installed."""
    require_exporter()
    if importlib.util.find_spec("openvino") is None:
        raise MissingDependency("openvino", "export", "exporting to OpenVINO")


def write_openvino(job: ExportJob, folder: Path) -> list[Path]:
    """Write `model.xml` and `model.bin` with the metadata into a folder, through an ONNX file.

    Raises:
        ExportError: the network cannot be converted, or resizes with antialiasing.
        MissingDependency: a package is missing.
    """
    require_openvino()
    import onnx  # slow to import
    import openvino

    (source,) = write_onnx(job, folder)
    if any(_antialiases(node) for node in onnx.load(source, load_external_data=False).graph.node):
        raise ExportError(
            f"{job.run}: {job.metadata.method} resizes with antialiasing, which OpenVINO ignores; export it as onnx"
        )
    path = folder / "model.xml"
    try:
        model = openvino.Core().read_model(source)
        for key, value in job.metadata.to_strings().items():
            model.set_rt_info(value, [GROUP, key.removeprefix(f"{GROUP}.")])
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise ExportError(
            f"{job.run}: OpenVINO cannot convert {job.metadata.method} ({first_line(error)}); export it as onnx"
        ) from error
    source.unlink()
    return [path.with_suffix(".bin"), path]


def _antialiases(node: NodeProto) -> bool:
    return node.op_type == "Resize" and any(one.name == "antialias" and one.i == 1 for one in node.attribute)


def open_openvino(job: ExportJob, files: Sequence[Path]) -> Run:
    """Return a model as a function, run by OpenVINO on the CPU in float32, which is not always its default."""
    del job
    import openvino  # optional dependency

    compiled = openvino.Core().compile_model(files[-1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(*inputs: Floats) -> Floats:
        made: Floats = compiled(list(inputs))[0]
        return made

    return run


OPENVINO = Format(
    suffix=".xml",
    beside=(".bin",),
    runtime="openvino",
    options=frozenset({"size", "half", "noise"}),
    require=require_openvino,
    write=write_openvino,
    open=open_openvino,
)
