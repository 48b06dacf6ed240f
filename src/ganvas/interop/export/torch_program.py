"""torch.export programs (.pt2), for PyTorch without ganvas, also from C++ through AOTInductor."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.fx.experimental._config as shape_config
from torch import Tensor
from torch.export import ExportedProgram

from ganvas.errors import ExportError
from ganvas.interop.export.job import ExportJob, Floats, Format, Run
from ganvas.interop.export.network import example_inputs, first_line, free_sizes, quiet

METADATA_NAME = "ganvas.json"
"""Entry of the archive with the metadata; `torch.export.load` reads it through `extra_files`."""


def write_torch(job: ExportJob, folder: Path) -> list[Path]:
    """Write `model.pt2` with its metadata into a folder.

    Raises:
        ExportError: torch.export cannot trace the network.
    """
    path = folder / "model.pt2"
    with quiet():
        program = traced(job)
        content = io.BytesIO()  # PyTorch's own writer aborts the process on a full disk
        torch.export.save(program, content, extra_files={METADATA_NAME: json.dumps(job.metadata.to_strings())})
    path.write_bytes(content.getbuffer())
    return [path]


def traced(job: ExportJob) -> ExportedProgram:
    """Return the network as a program, without the paths of source files.

    The tracer checks whether features are contiguous and makes the outcome, such as "the innermost features of a U-Net
    have one pixel", a condition on the input. `backed_size_oblivious` prevents that, but makes "more than one picture"
    a condition of a NAFNet, which is therefore traced without it.
    """
    inputs = example_inputs(job.network, job.channels, job.size)
    try:
        program = _traced(job, inputs, oblivious=True)
        if not _takes(program, [one[:1] for one in inputs]):
            program = _traced(job, inputs, oblivious=False)
    except Exception as error:
        raise ExportError(
            f"{job.run}: torch.export cannot trace {job.metadata.method} ({first_line(error)}); share the run itself "
            "with --format huggingface"
        ) from error
    for node in program.graph.nodes:
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack"):
            node.meta.pop(key, None)
    return program


def _traced(job: ExportJob, inputs: tuple[Tensor, ...], *, oblivious: bool) -> ExportedProgram:
    shapes = free_sizes(job.network) if job.size is None else None
    with shape_config.patch(backed_size_oblivious=oblivious):  # type: ignore[attr-defined]
        return torch.export.export(job.network, inputs, dynamic_shapes=shapes, strict=False)


def _takes(program: ExportedProgram, inputs: Sequence[Tensor]) -> bool:
    """Return whether the conditions of a program hold for inputs."""
    try:
        with torch.inference_mode():
            program.module()(*inputs)
    except AssertionError:  # "Guard failed: ..."
        return False
    return True


def open_torch(job: ExportJob, files: Sequence[Path]) -> Run:
    """Return a program as a function."""
    del job
    module = torch.export.load(files[-1]).module()

    def run(*inputs: Floats) -> Floats:
        with torch.inference_mode():
            made: Floats = module(*map(torch.from_numpy, inputs)).numpy()
        return made

    return run


TORCH = Format(
    suffix=".pt2",
    runtime="torch.export",
    options=frozenset({"size", "half", "noise"}),
    require=lambda: None,
    write=write_torch,
    open=open_torch,
)
