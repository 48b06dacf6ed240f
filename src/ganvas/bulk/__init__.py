"""Bulk processing: atomic files, folder locks, path rules, progress and the Ray backend."""

from ganvas.bulk.atomic import sweep
from ganvas.bulk.folder_lock import FolderInUse, claimed, swept_beside
from ganvas.bulk.paths import files_in, lies_in, require_apart, require_outside

__all__ = ["FolderInUse", "claimed", "files_in", "lies_in", "require_apart", "require_outside", "sweep", "swept_beside"]
