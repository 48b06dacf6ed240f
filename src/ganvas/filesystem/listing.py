"""Listing of folders: visible files, each real folder once, without the files of operating systems.

A link to a listed folder, such as a parent, would cause content to be read twice or endlessly. Each real folder is
therefore listed once: under its own path if it is below the root, else under the first link to it; a link to a folder
above itself or above the root is not followed. Links that are not followed for this reason are reported, so that
nothing is skipped silently.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["FolderListing", "is_folder", "is_system_file", "is_system_folder", "list_folder"]

Identity = tuple[int, int]
"""Device and inode of a folder, which are the same for links to it."""
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


def is_system_file(name: str) -> bool:
    """Return whether a file of that name belongs to the operating system."""
    return name.casefold() in FILES


def is_system_folder(name: str) -> bool:
    """Return whether a folder of that name contains thumbnails, forks or deleted files instead of user files."""
    return name.casefold() in FOLDERS


@dataclass(frozen=True)
class FolderListing:
    """Entries below a folder, without hidden files and folders.

    Attributes:
        files: all entries that are not folders, sorted by path. Broken links, devices and pipes are included, so that
            reading them fails by name and none is skipped silently.
        repeated: linked folders that are not followed, because their targets are already listed.
        system: files and folders of the operating system, which are neither listed nor followed.
    """

    files: list[Path] = field(default_factory=list)
    repeated: list[Path] = field(default_factory=list)
    system: list[Path] = field(default_factory=list)


def list_folder(folder: Path) -> FolderListing:
    """List the visible files below a folder; linked folders are followed, each real folder once.

    Raises:
        OSError: a folder cannot be read.
    """
    listing, seen, links = FolderListing(), {_folder_identity(folder)}, deque[Path]()
    _walk(folder, listing, seen, links)
    # Real folders come first, so that a folder with its own path is never listed under a link.
    while links:
        link = links.popleft()
        if (identity := _folder_identity(link)) in seen or _is_loop(link, folder):
            listing.repeated.append(link)
        else:
            seen.add(identity)
            _walk(link, listing, seen, links)
    listing.files.sort()
    listing.system.sort()
    return listing


def _walk(folder: Path, listing: FolderListing, seen: set[Identity], links: deque[Path]) -> None:
    """Add the files below `folder`; links to folders go to `links`, real folders to `seen`."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = Path(entry.path)
                if entry.name.startswith("."):
                    continue
                if not is_folder(entry):
                    (listing.system if is_system_file(entry.name) else listing.files).append(path)
                elif is_system_folder(entry.name):
                    listing.system.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    if (identity := _folder_identity(path)) not in seen:  # otherwise an earlier link led here
                        seen.add(identity)
                        waiting.append(path)
                else:
                    links.append(path)


def _is_loop(link: Path, root: Path) -> bool:
    """Return whether a link leads to a folder above it, by its path or by its real location."""
    target = link.resolve()
    return any(below.resolve().is_relative_to(target) for below in (link.parent, root))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; a broken link, such as one to itself, is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _folder_identity(folder: Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino
