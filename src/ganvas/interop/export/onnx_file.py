"""ONNX files: one network for ONNX Runtime, chaiNNer, browsers and other programs."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import torch

from ganvas.errors import ExportError, MissingDependency
from ganvas.interop.export.job import ExportJob, Format, Run
from ganvas.interop.export.network import example_inputs, free_sizes

OPSET = 18
IMAGE, TRANSLATION = "image", "translation"
"""Names of the input and the output."""


def require_exporter() -> None:
    """Raise MissingDependency unless the exporter of ONNX is installed."""
    if importlib.util.find_spec("onnxscript") is None:
        raise MissingDependency("onnxscript", "export", "exporting to ONNX")


def write_onnx(job: ExportJob, folder: Path) -> list[Path]:
    """Write `model.onnx` with its metadata into a folder.

    Raises:
        ExportError: PyTorch's exporter cannot translate an operation.
        MissingDependency: onnxscript is missing.
    """
    require_exporter()
    program = export_program(job)
    path = folder / "model.onnx"
    program.model.graph.name = job.metadata.method
    program.model.producer_name, program.model.producer_version = "ganvas", job.metadata.version
    program.model.doc_string = job.metadata.notice
    for value in [*program.model.graph.inputs, *program.model.graph.outputs]:
        value.metadata_props.clear()
    program.model.metadata_props.update(job.metadata.to_strings())
    program.save(path)
    return [path]


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
                f"{job.run}: PyTorch cannot export {job.metadata.method}: {_first_line(error)}"
            ) from error
    assert program is not None
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Silence an exporter, which prints its progress and logs each package and operation that it does without."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def open_onnx(job: ExportJob, files: Sequence[Path]) -> Run:
    """Return an ONNX file as a function, run by ONNX Runtime on the CPU."""
    del job
    import onnxruntime

    session = onnxruntime.InferenceSession(files[-1], providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def _first_line(error: Exception) -> str:
    """Return the first line of the innermost cause, which names the operation."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


ONNX = Format(
    suffix=".onnx",
    runtime="onnxruntime",
    options=frozenset({"size", "half", "noise"}),
    require=require_exporter,
    write=write_onnx,
    open=open_onnx,
)
