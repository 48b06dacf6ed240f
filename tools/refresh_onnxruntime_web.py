"""Update of the vendored ONNX Runtime Web: `npm pack`, comparison with the manifest, compression.

    python tools/refresh_onnxruntime_web.py                   restore the files of the manifest's version
    python tools/refresh_onnxruntime_web.py --version 1.31.0  switch to another version, and record its hashes

Needs npm. The third-party notices are those of the Python package onnxruntime.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "src" / "ganvas" / "interop" / "web" / "ort"
NOTICES = "ThirdPartyNotices.txt"


def pack(package: str, version: str, folder: Path) -> tarfile.TarFile:
    """Fetch a package from npm's configured registry."""
    npm = shutil.which("npm") or sys.exit("npm is not installed")
    command = [npm, "pack", f"{package}@{version}", "--pack-destination", str(folder), "--silent"]
    subprocess.run(command, check=True, cwd=folder)
    (archive,) = folder.glob("*.tgz")
    return tarfile.open(archive)


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """Read one file of the package."""
    if name == NOTICES:
        import onnxruntime

        return (Path(onnxruntime.__file__).parent / NOTICES).read_bytes()
    content = archive.extractfile(f"package/dist/{name}")
    assert content is not None, name
    return content.read()


def refresh(version: str | None) -> None:
    """Write the vendored files; unless a version is given, exit if their hashes differ from the manifest's."""
    manifest: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        archive = pack(manifest["package"], version or manifest["version"], Path(folder))
        contents = {name: read(archive, name) for name in manifest["files"] if version or name != NOTICES}
    found = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    if version is None and (other := [name for name, sha256 in found.items() if manifest["files"][name] != sha256]):
        sys.exit(f"{', '.join(other)}: the bytes differ from those of the manifest; nothing was written")
    for name, data in contents.items():
        if name.endswith((".wasm", ".txt")):
            packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
            (FOLDER / f"{name}.xz").write_bytes(packed)
        else:
            (FOLDER / name).write_bytes(data)
    manifest |= {"version": version or manifest["version"], "files": manifest["files"] | found}
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--version", help="version of onnxruntime-web; unset: the vendored one")
    refresh(parser.parse_args().version)
