"""ONNX export, for ONNX Runtime, chaiNNer, browsers and other programs."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ganvas.errors import ExportError, MissingDependency
from ganvas.interop.export.job import ExportJob, Format, Run
from ganvas.interop.export.network import example_inputs, first_line, free_sizes, quiet

OPSET = 18
IMAGE, TRANSLATION = "image", "translation"
"""Names of the input and the output."""


def require_exporter(purpose: str = "exporting to ONNX") -> None:
    """Raise MissingDependency unless the exporter of ONNX is installed."""
    if importlib.util.find_spec("onnxscript") is None:
        raise MissingDependency("onnxscript", "export", purpose)


def write_onnx(job: ExportJob, folder: Path) -> list[Path]:
    """Write `model.onnx` with its metadata into a folder.

    Raises:
        ExportError: PyTorch's exporter cannot translate an operation, or the weights are larger than the file can be.
        MissingDependency: onnxscript is missing.
    """
    require_exporter()
    program = export_program(job)
    path = folder / "model.onnx"
    program.model.graph.name = job.metadata.method
    program.model.producer_name, program.model.producer_version = "ganvas", job.metadata.version
    program.model.doc_string = job.metadata.notice
    forget_sources(program.model)
    program.model.metadata_props.update(job.metadata.to_strings())
    program.save(path)
    if (folder / f"{path.name}.data").exists():
        raise ExportError(
            f"{job.run}: its weights are larger than one ONNX file can hold; export it with --half, or as torch"
        )
    return [path]


def forget_sources(model: Any) -> None:
    """Remove PyTorch's metadata about the origin of nodes and values, such as paths of source files."""
    parts = [model, model.graph, *model.functions.values()]
    for node in model.graph.all_nodes():
        parts += [node, *node.outputs]
    for part in [*parts, *model.graph.inputs, *model.graph.initializers.values()]:
        part.metadata_props.clear()


def export_program(job: ExportJob) -> torch.onnx.ONNXProgram:
    """Return the network as an ONNX program."""
    names = [IMAGE, *(one.name for one in job.network.noise)]
    with quiet():
        try:
            program = torch.onnx.export(
                job.network,
                example_inputs(job.network, job.channels, job.size),
                dynamo=True,
                opset_version=OPSET,
                input_names=names,
                output_names=[TRANSLATION],
                dynamic_shapes=free_sizes(job.network) if job.size is None else None,
                verbose=False,
            )
        except Exception as error:
            raise ExportError(
                f"{job.run}: PyTorch cannot export {job.metadata.method} ({first_line(error)}); try --format torch, or "
                "share the run itself with --format huggingface"
            ) from error
    assert program is not None
    return program


def open_onnx(job: ExportJob, files: Sequence[Path]) -> Run:
    """Return an ONNX file as a function, run by ONNX Runtime on the CPU."""
    del job
    from ganvas.localization.classifier import make_session  # slow to import

    session = make_session(files[-1])
    names = [one.name for one in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


ONNX = Format(
    suffix=".onnx",
    runtime="onnxruntime",
    options=frozenset({"size", "half", "noise"}),
    require=require_exporter,
    write=write_onnx,
    open=open_onnx,
)
