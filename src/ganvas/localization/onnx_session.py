"""ONNX Runtime sessions; importing this module loads neither onnxruntime nor onnx."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ganvas.hardware.threads import given_threads

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["make_session"]


def make_session(graph: bytes | Path, *, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Return a CPU session whose waiting threads sleep, so that several sessions and torch share the cores.

    Args:
        graph: the model, or its file.
        threads: that one run is spread over; unset: those that the user gave, else OMP_NUM_THREADS where that is set,
            as torch has, for one of many processes must not take every core; else all cores.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    environment = int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.intra_op_num_threads = threads or given_threads() or environment
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = str(graph) if isinstance(graph, Path) else graph
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
