"""Names of prepared pairs: the pictures there are, what their pairs are called; no pair replaces a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from ganvas.bulk import require_apart, require_outside
from ganvas.data.pair_folder import JOURNAL, pair_folders
from ganvas.data.pairs import some_names
from ganvas.data.prepare_config import PrepareConfig
from ganvas.errors import DataError
from ganvas.image.files import list_images
from ganvas.image.label import with_sidecar
from ganvas.image.names import name_key

__all__ = ["MANIFEST", "check_targets", "named_files", "pair_name", "target_name"]

MANIFEST = "manifest.json"
LOSSLESS = (".png", ".tif", ".tiff", ".npy", ".bmp")
"""Suffixes that pairs keep; others become .png, so that no second loss is learnt."""


def named_files(source: Path, out: Path) -> dict[str, Path]:
    """Return name with folders and ending -> file, of every picture below `source` but not below `out`.

    Raises:
        InputError: `out` lies in `source`.
        DataError: there are none, or two would share a pair's name.
    """
    require_outside(out, source)
    paths = list_images(source, recursive=True)
    if not source.resolve().is_relative_to(out.resolve()):
        paths = [path for path in paths if not path.resolve().is_relative_to(out.resolve())]
    if not paths:
        raise DataError(f"{source}: no pictures in it or in its folders")
    files = {path.relative_to(source).as_posix(): path for path in paths}
    by_name = defaultdict(list)
    for file in files:
        by_name[name_key(pair_name(file))].append(file)
    if twice := sorted(file for same in by_name.values() if len(same) > 1 for file in same):
        raise DataError(f"{source}: {len(twice)} files would share a pair's name; rename them: {some_names(twice)}")
    return files


def check_targets(files: Mapping[str, Path], out: Path, config: PrepareConfig) -> None:
    """Raise InputError where a pair, whichever its split, would replace a file that is read."""
    names = {target_name(pair_name(file), path) for file, path in files.items()}
    targets = [with_sidecar(folder / name) for folder in pair_folders(out) if folder.is_dir() for name in names]
    read = [path for path in (config.boxes, Path(config.classifier)) if path is not None]
    require_apart([*chain(*targets), out / MANIFEST, out / JOURNAL], [*files.values(), *read])


def target_name(name: str, path: Path) -> str:
    """Return the file name of both halves of a pair."""
    own = path.suffix.lower()
    return f"{name}{own if own in LOSSLESS else '.png'}"


def pair_name(file: str) -> str:
    """Return the name of a picture's pair; folders become part of it: roses/1.jpg -> roses__1."""
    return "__".join(Path(file).with_suffix("").parts)
