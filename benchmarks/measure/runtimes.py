"""ONNX Runtime and OpenVINO as alternative runtimes of a network, only for comparison."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from measure.table import Table
from measure.timing import Work

RUNTIMES = {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}
"""Variant -> the package."""
TOLERANCE = 1e-4
"""Largest accepted difference of a value in [-1, 1] from PyTorch's."""


def installed_runtimes(table: Table) -> list[str]:
    """Return the runtimes that can be measured; the table gives the reasons for the others."""
    if importlib.util.find_spec("onnxscript") is None:
        table.notes.append("No rows for other runtimes: torch.onnx.export needs the package onnxscript.")
        return []
    missing = {name for name, package in RUNTIMES.items() if importlib.util.find_spec(package) is None}
    table.notes += [f"No rows for {name}: the package {RUNTIMES[name]} is not installed." for name in sorted(missing)]
    return [name for name in RUNTIMES if name not in missing]


def in_runtime(name: str, network: nn.Module, images: Tensor, *, threads: int) -> Work:
    """Export the network and return a pass over the images in that runtime.

    Raises:
        ValueError: its results differ from PyTorch's.
    """
    network.eval()
    with torch.inference_mode():
        wanted = network(images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(network, (images.clone(),), path, dynamo=True, verbose=False)
        apply = (_onnxruntime if name == "ONNX Runtime" else _openvino)(path, images, threads)
    difference = float((torch.from_numpy(apply()) - wanted).abs().max())
    if not difference <= TOLERANCE:
        raise ValueError(f"{name} differs from PyTorch by {difference:.2g}")
    return apply


def _onnxruntime(path: Path, images: Tensor, threads: int) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: images.numpy()}
    return lambda: session.run(None, given)[0]


def _openvino(path: Path, images: Tensor, threads: int) -> Callable[[], Any]:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    given = [images.numpy()]
    return lambda: request.infer(given)[0].copy()
