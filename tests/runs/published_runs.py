"""Small published runs, as files of a repository."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference_runs import tiny_method, tiny_record

from ganvas.runs.published import PublishedRun
from ganvas.runs.record import RunRecord, save_snapshot
from ganvas.serialization import to_record


def published_files(folder: Path, record: RunRecord | None = None, **changes: Any) -> dict[str, bytes]:
    """Return the files of a published run with random weights; `folder` is for temporary files."""
    record = record or tiny_record()
    save_snapshot(folder / "weights.safetensors", tiny_method(record), images_seen=12)
    weights = (folder / "weights.safetensors").read_bytes()
    config = PublishedRun(
        name="tiny",
        snapshot="last",
        images_seen=12,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        run=to_record(record),
    )
    return {
        "config.json": json.dumps(to_record(replace(config, **changes))).encode(),
        "model.safetensors": weights,
    }


def write_published(folder: Path, **changes: Any) -> Path:
    """Write the same files into a folder."""
    folder.mkdir(parents=True)
    for name, content in published_files(folder.with_name("scratch"), **changes).items():
        (folder / name).write_bytes(content)
    return folder
