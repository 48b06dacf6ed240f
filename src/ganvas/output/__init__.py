"""Output folders: no target is a source, one process writes at a time, killed processes leave nothing behind."""

from ganvas.output.apart import files_in, require_apart, require_outside
from ganvas.output.claim import FolderInUse, claimed, swept_beside
from ganvas.output.sweep import sweep

__all__ = ["FolderInUse", "claimed", "files_in", "require_apart", "require_outside", "sweep", "swept_beside"]
