"""Manifest of an output folder: one JSON line per picture, from which an interrupted translation resumes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ganvas.errors import ImageError, InputError
from ganvas.filesystem.atomic import append_line
from ganvas.image.files import IMAGE_SUFFIXES, open_regular, read_label
from ganvas.image.label import SOURCE_TYPE
from ganvas.serialization import read_json_lines, to_record

__all__ = ["names_file"]


def names_file(out: Path) -> bool:
    """Return whether `out` names a picture; otherwise it is a folder, existing or to be created.

    Raises:
        InputError: it has the ending of a file, and of none that can be written.
    """
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() in IMAGE_SUFFIXES:
        return True
    known = ", ".join(sorted(IMAGE_SUFFIXES))
    raise InputError(f"{out}: {out.suffix} cannot be written; give one of {known}, or make a folder of that name first")


MANIFEST_NAME = "translate.jsonl"


def hash_files(*paths: Path) -> str:
    """Return the SHA-256 of the contents of regular files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        with open_regular(path) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def hash_settings(settings: object) -> str:
    """Return the SHA-256 of a record in canonical JSON."""
    return hashlib.sha256(json.dumps(to_record(settings), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One picture, as a line of the manifest.

    Attributes:
        name: of the picture, relative to the source folder.
        input: SHA-256 of the file, and of its mask where there is one.
        settings: SHA-256 of the run's snapshot and everything else that decides the result.
        output: SHA-256 of the written file; None where nothing was written.
        problem: why nothing was written.
        notes: for the user, on the result.
    """

    name: str
    input: str
    settings: str
    output: str | None
    problem: str | None = None
    notes: tuple[str, ...] = ()


class Manifest:
    """Manifest of an output folder; a line that a crash left unfinished is skipped.

    It holds 64 bytes and the name of each picture that is done, not the lines; of other settings the names alone.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self.path, self.settings = folder / MANIFEST_NAME, settings
        self._done, self._otherwise = dict[str, bytes](), set[str]()
        for row in _finished(self.path):
            if row["settings"] != settings:
                self._otherwise.add(row["name"])
                continue
            with contextlib.suppress(ValueError):  # no hash
                self._done[row["name"]] = bytes.fromhex(row["input"] + row["output"])

    def proof(self, name: str) -> str | None:
        """Return the concatenated SHA-256 of the picture and of its result, as last written; None if absent."""
        return proof.hex() if (proof := self._done.get(name)) else None

    def is_done(self, name: str, content: str, written: Path) -> bool:
        """Return whether `written` is the unchanged result of that picture with these settings."""
        proof = self.proof(name) or ""
        return proof.startswith(content) and written.is_file() and proof == content + hash_files(written)

    def knows(self, name: str) -> bool:
        """Return whether the picture was translated before, with any settings."""
        return name in self._done or name in self._otherwise

    def check_free(self, name: str, target: Path) -> None:
        """Raise unless `target` is free or a translation of the same picture.

        Raises:
            ImageError: `target` is no translation, neither by this manifest nor by its label.
        """
        if target.exists() and not self.knows(name) and not _is_labeled(target):
            raise ImageError(target, "is there already and is no translation; move it away, or give another folder")

    def add(self, *rows: ManifestRow) -> None:
        """Append rows and put them on the disk together."""
        append_line(self.path, "\n".join(json.dumps(to_record(row)) for row in rows))


class BlockManifest(Manifest):
    """In-memory manifest of a worker that translates some of the pictures.

    Args:
        settings: see `ManifestRow`.
        proofs: name -> the value of `Manifest.proof`.
        known: the names that `Manifest.knows`.
    """

    def __init__(self, settings: str, proofs: Mapping[str, str | None], known: set[str]) -> None:
        self.settings, self.rows, self._otherwise = settings, dict[str, ManifestRow](), known
        self._done = {name: bytes.fromhex(proof) for name, proof in proofs.items() if proof}

    def add(self, *rows: ManifestRow) -> None:
        """Keep rows."""
        self.rows.update({row.name: row for row in rows})


def _finished(path: Path) -> Iterator[dict[str, str]]:
    """Yield the row of each picture that was written."""
    for row in read_json_lines(path):
        if {"name", "input", "output", "settings"} <= row.keys() and row["output"]:
            yield row


def _is_labeled(path: Path) -> bool:
    """Return whether a file is labeled as synthetic: an interrupted translation without its row is."""
    try:
        return read_label(path) == SOURCE_TYPE
    except ImageError:
        return False
