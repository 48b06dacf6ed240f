"""Run folder: record, snapshots of the generators, and checkpoint. Import from the submodules.

Imports neither torch nor numpy, because the command line reads the names of snapshots.
"""

from typing import Literal

SnapshotName = Literal["auto", "best", "last"]
"""Name of a snapshot: best by validation, last, or auto (best if it exists, else last)."""
