"""Recursive listing of visible files that follows linked folders once, and matching of Unicode file names.

The same content would be read twice, or endlessly, if a link leads to a listed folder, such as a parent. So each real
folder is listed once: under its own path if it lies below the root, else under the first link to it; a link to a folder
above itself or above the root is not followed. Links that are not followed for this reason are reported, so that
nothing is skipped silently.

macOS returns names decomposed (NFD: e + combining acute), most programs write them composed (NFC: one letter), and the
two look the same. So names that belong together, of pairs, masks, boxes and split files, are compared in one form.
Files keep their names.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["FolderListing", "is_folder", "is_system_file", "is_system_folder", "list_folder", "match_names", "name_key"]


def name_key(name: str) -> str:
    """Return a name in the normal form by which names are compared, NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def match_names(given: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return for each given name the one of `names` that it refers to.

    That is the only one with the same normal form; if there are none or several, the given name itself.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[name_key(name)].append(name)
    return {name: _meant(name, alike[name_key(name)]) for name in given}


def _meant(name: str, alike: list[str]) -> str:
    return alike[0] if len(alike) == 1 else name


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
    """Return whether a folder of that name holds thumbnails, forks or deleted files instead of user files."""
    return name.casefold() in FOLDERS


Identity = tuple[int, int]
"""Device and inode of a folder."""


@dataclass(frozen=True)
class FolderListing:
    """Entries below a folder, without hidden files and folders.

    Attributes:
        files: all entries that are not folders, sorted by path. Broken links, devices and pipes are included, so that
            reading them fails by name and none is skipped silently.
        repeated: linked folders that are not followed, because what they lead to is listed already.
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
    listing, seen, links = FolderListing(), {_identity(folder)}, deque[Path]()
    _walk(folder, listing, seen, links)
    # Real folders come first: a folder that has a path of its own is never listed under a link instead.
    while links:
        link = links.popleft()
        if (identity := _identity(link)) in seen or _is_loop(link, folder):
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
                    if (identity := _identity(path)) not in seen:  # else a link led here before
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


def _identity(folder: Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino
