"""A method that was read from other people's checkpoints, as a run folder."""

from __future__ import annotations

from pathlib import Path

from ganvas.errors import RunError
from ganvas.image.picture import PictureSpec
from ganvas.inference.record import RECORD_NAME, RunRecord, save_snapshot, snapshot_path, write_run_record
from ganvas.methods.reference import ImportedMethod


def write_imported(imported: ImportedMethod, run: Path) -> None:
    """Make a run folder of it, for 8-bit pictures, which is all that the reference reads.

    The record is written last: without it the folder is not a run.

    Raises:
        RunError: the folder holds a run already.
    """
    if (run / RECORD_NAME).exists():
        raise RunError(f"{run} holds a run already; give another folder")
    save_snapshot(snapshot_path(run, "last"), imported.method, images_seen=0)
    record = RunRecord(
        method=imported.config,
        input=PictureSpec(channels=imported.input_channels),
        output=PictureSpec(channels=imported.output_channels),
        image_size=imported.image_size,
    )
    write_run_record(run, record)
