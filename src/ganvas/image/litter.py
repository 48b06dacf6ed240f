"""Names of files and folders that operating systems leave among pictures, such as Thumbs.db and desktop.ini."""

from __future__ import annotations

__all__ = ["is_litter", "is_litter_folder"]

FILES = {"thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "folder.desktop"}
FILES |= {
    "picasa.ini",
    "zbthumbnail.info",
    "icon\r",
    "ntuser.ini",
    "autorun.inf",
    "wpsettings.dat",
    "indexervolumeguid",
}
FOLDERS = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}


def is_litter(name: str) -> bool:
    """Whether a file of that name is none of the user's own."""
    return name.casefold() in FILES


def is_litter_folder(name: str) -> bool:
    """Whether a folder of that name holds no pictures of the user's own, but thumbnails, forks or deleted files."""
    return name.casefold() in FOLDERS
