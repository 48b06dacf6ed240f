"""Search for pretrained weights; every returned file is verified against its record."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfileobj

from filelock import FileLock

from ganvas.errors import WeightsError
from ganvas.filesystem.paths import cache_folder, sha256_of
from ganvas.weights.known import KNOWN, Archive, Weights, WeightsFile

__all__ = ["Found", "FoundWeights", "find_weights", "list_weights", "packaged_file"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Verified file of weights and its origin."""

    path: Path
    weights: Weights
    file: WeightsFile
    where: str

    def as_record(self) -> dict[str, str]:
        """Return the entry for reports; it contains no path."""
        file = self.file
        return {"weights": self.weights.name, "file": file.name, "sha256": file.sha256, "licence": file.licence}


def find_weights(
    weights: Weights, *, path: Path | None = None, may_download: bool = True, progress: bool = True
) -> Found:
    """Return weights from the first of: `path`, `$GANVAS_WEIGHTS`, an installed package, the cache, a download.

    Each is a folder in which the files of the record have the names of the record, alone or inside their archive;
    `path` may also be the file or the archive itself, under any name. Extracted and downloaded files
    are stored in the cache. The smallest download is tried first.

    Args:
        weights: a record of `ganvas.weights.known`.
        path: the only file or folder to use, if given.
        may_download: whether downloads are allowed; `GANVAS_OFFLINE` forbids them.
        progress: whether to show a progress bar.

    Raises:
        WeightsError: they are not found, or a file differs from its record; the message names the remedies.
    """
    if path is not None:
        return _at_path(weights, path)
    if found := _on_this_machine(weights):
        return found
    if may_download and not os.environ.get("GANVAS_OFFLINE"):
        return _downloaded(weights, progress=progress)
    raise WeightsError(_remedies(weights, "downloads are disabled"))


def packaged_file(file: WeightsFile) -> Path | None:
    """Return the verified file inside its installed package, without importing it; None if it is not installed.

    Raises:
        WeightsError: the package is installed, but the file is missing or differs.
    """
    package = file.package
    spec = find_spec(package.module) if package else None
    if package is None or spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / package.path
    remedy = f"install it again: {package.install}"
    if not path.is_file():
        raise WeightsError(f"{path} is missing; {remedy}")
    _require_bytes(path, file, remedy)
    return path


def weights_folder() -> Path:
    """Return the folder of downloaded weights; created if missing."""
    folder = cache_folder() / "weights"
    folder.mkdir(exist_ok=True)
    return folder


def _at_path(weights: Weights, path: Path) -> Found:
    if path.is_dir():
        if found := _in_folder(weights, path, "the given folder"):
            return found
        raise WeightsError(f"{path}: none of {', '.join(_names(weights))} is in this folder")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; expected {weights.title}")
    digest = sha256_of(path)
    for file in weights.files:
        if digest == file.sha256:
            return Found(path=path, weights=weights, file=file, where="the given path")
        if file.archive and digest == file.archive.sha256:
            return _extracted(weights, file, path, "the given path")
    known = "; ".join(f"{file.sha256} ({file.name})" for file in weights.files)
    raise WeightsError(f"{path}: not {weights.title}: its SHA-256 is {digest}, expected one of {known}")


def _on_this_machine(weights: Weights) -> Found | None:
    if given := os.environ.get("GANVAS_WEIGHTS"):
        if not Path(given).is_dir():
            raise WeightsError(f"GANVAS_WEIGHTS names {given}, which is not a folder; set it to a folder, or unset it")
        if found := _in_folder(weights, Path(given), "GANVAS_WEIGHTS"):
            return found
    for file in weights.files:
        if path := packaged_file(file):
            where = f"the package {file.package.module}" if file.package else ""
            return Found(path=path, weights=weights, file=file, where=where)
    return _in_folder(weights, weights_folder(), "the cache")


def _in_folder(weights: Weights, folder: Path, where: str) -> Found | None:
    for file in weights.files:
        if (path := folder / file.name).is_file():
            _require_bytes(path, file, "remove it, or replace it by the right file")
            return Found(path=path, weights=weights, file=file, where=where)
    for file in weights.files:
        if file.archive and (path := folder / file.archive.name).is_file():
            return _extracted(weights, file, path, where)
    return None


def _require_bytes(path: Path, expected: WeightsFile | Archive, remedy: str) -> None:
    size = path.stat().st_size
    if size != expected.size:
        raise WeightsError(f"{path} has {size} bytes, expected {expected.size}; {remedy}")
    if (found := sha256_of(path)) != expected.sha256:
        raise WeightsError(f"{path} has SHA-256 {found}, expected {expected.sha256}; {remedy}")


def _extracted(weights: Weights, file: WeightsFile, archive_path: Path, where: str) -> Found:
    """Extract the file from its verified archive into the cache."""
    archive = file.archive
    assert archive is not None
    target = weights_folder() / file.name
    with FileLock(target.with_name(f".{target.name}.lock")):
        if not target.is_file():
            _require_bytes(archive_path, archive, "remove it, or replace it by the right file")
            _extract(archive_path, archive.member, target)
        _require_bytes(target, file, f"remove it, so that it is extracted from {archive.name} again")
    return Found(path=target, weights=weights, file=file, where=f"{where}, in {archive.name}")


def _extract(archive_path: Path, member: str, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.extracting")
    try:
        with tarfile.open(archive_path, "r:gz") as archive, temporary.open("wb") as output:
            content = archive.extractfile(member)
            assert content is not None, "the archive is verified, so its member is a file"
            copyfileobj(content, output)
        temporary.replace(target)
    except OSError as problem:
        raise WeightsError(f"{target} cannot be written: {problem}; free some space, or set GANVAS_CACHE") from problem
    finally:
        temporary.unlink(missing_ok=True)


def _downloaded(weights: Weights, *, progress: bool) -> Found:
    problems = []
    for file in sorted(weights.files, key=lambda file: file.fetched_bytes):
        try:
            if found := _fetched(weights, file, progress=progress):
                return found
        except WeightsError as problem:
            problems.append(str(problem))
    raise WeightsError(_remedies(weights, "; ".join(problems) or "it is available only in its package"))


def _fetched(weights: Weights, file: WeightsFile, *, progress: bool) -> Found | None:
    from ganvas.weights.download import Download, download  # files on this machine need no network

    where = "a download"
    if file.archive:
        archive, target = file.archive, weights_folder() / file.archive.name
        wanted = Download(address=archive.address, size=archive.size, sha256=archive.sha256)
        download(wanted, target, progress=progress)
        return _extracted(weights, file, target, where)
    if file.address is None:
        return None
    target = weights_folder() / file.name
    download(Download(address=file.address, size=file.size, sha256=file.sha256), target, progress=progress)
    return Found(path=target, weights=weights, file=file, where=where)


def _remedies(weights: Weights, problem: str) -> str:
    """Return a message with the problem and every way to get the weights."""
    names, addresses = " or ".join(_names(weights)), [file for file in weights.files if file.origin]
    folder = os.environ.get("GANVAS_WEIGHTS")
    ways = [file.package.install for file in weights.files if file.package]
    if addresses:
        origins = " or ".join(f"{file.origin} ({file.fetched_bytes / 1e6:.2f} MB)" for file in addresses)
        ways.append(f"allow the download (internet access; GANVAS_OFFLINE not set): {origins}")
        ways.append(f"download it on another machine, and copy it to {weights_folder()}")
    holds = f"the folder {folder}" if folder else "a folder, and set GANVAS_WEIGHTS to this folder"
    ways.append(f"copy {names} to {holds}")
    listed = "\n".join(f"  - {way}" for way in ways)
    return f"{weights.title} is not on this machine, and not downloaded: {problem}. Solutions:\n{listed}"


def _names(weights: Weights) -> Iterator[str]:
    """Yield the names of the files and of their archives."""
    for file in weights.files:
        yield file.name
        if file.archive:
            yield file.archive.name


@dataclass(frozen=True, kw_only=True)
class FoundWeights:
    """Pretrained weights, and whether they are on this machine."""

    name: str
    title: str
    where: str | None
    """Package, folder or cache of the verified weights; None if they are not on this machine."""
    remedy: str
    """Instructions to get the weights, or the name of a damaged file; empty if the weights are present."""


def list_weights() -> list[FoundWeights]:
    """List the pretrained weights that ganvas can use, without downloading."""
    return [_look_for(weights) for weights in KNOWN.values()]


def _look_for(weights: Weights) -> FoundWeights:
    try:
        where, remedy = find_weights(weights, may_download=False, progress=False).where, ""
    except WeightsError as error:
        is_damaged = "expected" in str(error).splitlines()[0]
        where, remedy = None, str(error).splitlines()[0] if is_damaged else _remedy(weights)
    return FoundWeights(name=weights.name, title=weights.title, where=where, remedy=remedy)


def _remedy(weights: Weights) -> str:
    installs = [file.package.install for file in weights.files if file.package]
    sizes = [file.fetched_bytes for file in weights.files if file.origin]
    fetched = [f"downloaded when first needed ({min(sizes) / 1e6:,.0f} MB)"] if sizes else []
    return " or ".join([*installs, *fetched]) or "pass their path"
