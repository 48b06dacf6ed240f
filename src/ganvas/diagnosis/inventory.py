"""Inventory of an installation: optional packages, pretrained weights and the cache folder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ganvas.errors import WeightsError, install_command
from ganvas.weights.cache import cache_folder
from ganvas.weights.find import find_weights
from ganvas.weights.known import KNOWN, Weights

__all__ = ["Extra", "FoundWeights", "list_cache", "list_extras", "list_weights"]

FOR_USERS = ("demo", "tensorboard", "ray", "figures")
"""Extras that a verb needs; `dev` is for work on ganvas itself."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """An optional part of ganvas."""

    name: str
    """As in the metadata of the package."""
    installed: dict[str, str]
    """Package -> version."""
    missing: tuple[str, ...]
    """Packages that are not installed."""

    @property
    def command(self) -> str:
        """The command that installs it."""
        return install_command(self.name)


@dataclass(frozen=True, kw_only=True)
class FoundWeights:
    """Pretrained weights, and whether they are on this machine."""

    name: str
    title: str
    where: str | None
    """The package, folder or cache in which they were found and verified; None where they are not on this machine."""
    remedy: str
    """How to get them; empty where they are there. A damaged file is named."""


def list_extras() -> list[Extra]:
    """Return the optional parts in the order of the documentation."""
    needed: dict[str, list[str]] = {name: [] for name in FOR_USERS}
    for requirement in requires("ganvas") or ():
        package, _, marker = requirement.partition(";")
        for name in FOR_USERS:
            if marker.replace('"', "'").strip() == f"extra == '{name}'":
                needed[name].append(_project(package))
    return [_extra(name, packages) for name, packages in needed.items()]


def _project(requirement: str) -> str:
    """The project's name at the beginning of a requirement such as `ray[data]<2.64,>=2.60`."""
    end = next((index for index, sign in enumerate(requirement) if sign in "[<>=!~ "), len(requirement))
    return requirement[:end]


def _extra(name: str, packages: list[str]) -> Extra:
    installed, missing = {}, []
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    return Extra(name=name, installed=installed, missing=tuple(missing))


def list_weights() -> list[FoundWeights]:
    """Return the pretrained weights that ganvas can use; nothing is fetched."""
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
    return " or ".join([*installs, *fetched]) or "give their path"


def list_cache() -> tuple[Path, dict[str, int]]:
    """Return the cache folder, and the bytes of each entry in it."""
    folder = cache_folder()
    return folder, {entry.name: _size(entry) for entry in sorted(folder.iterdir())}


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
