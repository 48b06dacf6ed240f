"""Safe use of the file system: atomic files, folder locks, and checks that no output replaces an input."""

from ganvas.filesystem.atomic import sweep
from ganvas.filesystem.locks import FolderInUse, claimed, contents_of, swept_beside
from ganvas.filesystem.paths import files_in, lies_in, require_apart, require_outside

__all__ = [
    "FolderInUse",
    "claimed",
    "contents_of",
    "files_in",
    "lies_in",
    "require_apart",
    "require_outside",
    "sweep",
    "swept_beside",
]
