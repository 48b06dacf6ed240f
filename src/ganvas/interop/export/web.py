"""Web page with an exported network: ONNX Runtime Web, the model and the content gate, as static files.

    index.html app.js style.css ...   the page, from ganvas/interop/web
    ganvas.json                       settings of the model, the gate and the label for the page
    model.onnx  check.bin             the network, and a picture with its translation to compare the device with
    open-nsfw.onnx                    the classifier of the content gate
    ort/                              ONNX Runtime Web, verified by its hashes

The page works over any static server, without a network. It follows `Translator` in padding, tiles, gate and label.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.errors import ConfigError, ExportError
from ganvas.filesystem.atomic import write_json
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import NATURAL_RANGE, PictureSpec
from ganvas.inference.tiling import padded_size
from ganvas.interop.export.job import ExportJob, Floats, Format, Run
from ganvas.interop.export.onnx_file import IMAGE, TRANSLATION, open_onnx, require_exporter, write_onnx
from ganvas.interop.export.verification import natural_picture, reference
from ganvas.localization.open_nsfw import SHA256, weights_file
from ganvas.runs.published import run_name
from ganvas.serialization import parse_json

LARGEST_TILE = 1024
"""Side in pixels of the largest result of one run of the network; browsers give a page 4 GB of memory."""
MOST_PIXELS = 50_000_000
"""Largest number of pixels of a result."""
CHECK_SIDE = 64
"""Side of the check picture in pixels, unless the network needs more."""
ASSETS = files("ganvas.interop") / "web"
RUNTIME = ASSETS / "ort"


def require_web() -> None:
    """Raise MissingDependency or WeightsError unless the exporter and the gate's classifier are installed."""
    require_exporter()
    weights_file()


def write_web(job: ExportJob, folder: Path) -> list[Path]:
    """Write the page into a folder; return its files, index.html last.

    Raises:
        ConfigError: a browser cannot show the pictures of the run.
        ExportError: the network cannot be exported, or the files of ganvas itself are damaged.
        WeightsError: the gate's classifier is missing or not the published one.
    """
    check_pictures(job)
    written = write_onnx(job, folder)
    gate, sha256 = gate_model()
    written.append(Path(shutil.copyfile(gate, folder / "open-nsfw.onnx")))
    runtime, version = write_runtime(folder / "ort")
    check, check_file = check_picture(job), folder / "check.bin"
    check_file.write_bytes(b"".join(np.rint(255 * planes).astype(np.uint8).tobytes() for planes in check))
    for asset in sorted(ASSETS.iterdir(), key=lambda one: (one.name == "index.html", one.name)):
        if asset.is_file():
            written.append(folder / asset.name)
            written[-1].write_bytes(asset.read_bytes())
    settings = page_settings(job, folder, sha256, check[0].shape[1:], version)
    write_json(folder / "ganvas.json", settings)
    return [folder / "ganvas.json", check_file, *runtime, *written]


def check_pictures(job: ExportJob) -> None:
    """Raise ConfigError unless browsers can read the run's input and show its output."""
    for side, spec in (("takes", job.metadata.input), ("makes", job.metadata.output)):
        if spec.channels not in (1, 3) or spec.value_range != NATURAL_RANGE[spec.dtype]:
            raise ConfigError(
                f"{job.run}: browsers support gray and RGB pictures of the full range, and the run {side} "
                f"{_describe(spec)}; export it as onnx"
            )


def gate_model() -> tuple[Path, str]:
    """Return the file of the gate's classifier, and the SHA-256 that the page requires of it."""
    return weights_file(), SHA256


def write_runtime(folder: Path) -> tuple[list[Path], str]:
    """Unpack ONNX Runtime Web into a new folder; return its files and its version.

    Modules get the suffix .js: many servers send no JavaScript type for .mjs, which browsers then refuse.

    Raises:
        ExportError: a file is not the published one.
    """
    manifest = parse_json((RUNTIME / "manifest.json").read_text(encoding="utf-8"))
    folder.mkdir()
    written = []
    for name, sha256 in manifest["files"].items():
        data = _unpacked(RUNTIME, name)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ExportError(f"{RUNTIME / name} is damaged: its SHA-256 is not {sha256}; install ganvas again")
        written.append(folder / (name.removesuffix(".mjs") + ".js" if name.endswith(".mjs") else name))
        written[-1].write_bytes(data)
    return written, f"{manifest['package']} {manifest['version']}"


def _unpacked(folder: Traversable, name: str) -> bytes:
    packed = folder / f"{name}.xz"
    return lzma.decompress(packed.read_bytes()) if packed.is_file() else (folder / name).read_bytes()


def check_picture(job: ExportJob) -> tuple[Floats, Floats]:
    """Return a picture (C, H, W) in [0, 1] of integer gray levels and its translation, to check a device."""
    side = padded_size(CHECK_SIDE, job.metadata.size_multiple, smallest=job.metadata.smallest_side)
    picture = natural_picture(job.channels, side, side, np.random.default_rng(0))
    image = (np.rint(255 * picture) / 255).astype(np.float32)
    made: Floats = reference(job, image[None])[0]
    return image, made


def page_settings(job: ExportJob, folder: Path, gate: str, check: Sequence[int], runtime: str) -> dict[str, Any]:
    """Return ganvas.json.

    Args:
        job: the export job.
        folder: folder with the files whose sizes the page needs.
        gate: SHA-256 of the gate's classifier.
        check: height and width of the check picture.
        runtime: name and version of the runtime.
    """
    metadata, name = job.metadata, run_name(job.run)
    label = page_label(job)
    wasm = next((folder / "ort").glob("*.wasm"))

    def of(path: Path) -> dict[str, Any]:
        return {"file": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size}

    return {
        "title": f"{metadata.method} “{name}”",
        "about": _about(job),
        "software": f"{label.software}, {runtime}",
        "model": {**of(folder / "model.onnx"), "input": IMAGE, "output": TRANSLATION},
        "gate": {**of(folder / "open-nsfw.onnx"), "sha256": gate},
        "runtime": {**of(wasm), "loader": f"ort/{wasm.stem}.js"},
        "check": {"file": "check.bin", "height": check[0], "width": check[1]},
        "channels": {"input": metadata.input.channels, "output": metadata.output.channels},
        "frames": metadata.num_frames,
        "scale": metadata.scale,
        "size_multiple": metadata.size_multiple,
        "smallest_side": metadata.smallest_side,
        "context": metadata.context,
        "tile": max(LARGEST_TILE // metadata.scale // metadata.size_multiple, 1) * metadata.size_multiple,
        "most_pixels": MOST_PIXELS,
        "trained_side": _trained_side(job),
        "label": {**label.as_text(), "XML:com.adobe.xmp": label.as_xmp().decode()},
    }


def page_label(job: ExportJob) -> SyntheticLabel:
    """Return the label for the results of the page."""
    return SyntheticLabel(
        software=f"ganvas {job.metadata.version}",
        model=f"{job.metadata.method} ({run_name(job.run)})",
        note="This picture was generated by a trained image-to-image model.",
    )


def _about(job: ExportJob) -> str:
    """Return the description of the model on the page."""
    metadata = job.metadata
    facts = [
        f"{metadata.method}, run {metadata.run}",
        *(["direction b to a"] if metadata.direction == "b_to_a" else []),
        *([f"{metadata.scale} times as large"] if metadata.scale > 1 else []),
        *(["its noise (dropout) is switched off"] if metadata.noise == "off" else []),
        f"license of the weights: {metadata.license or 'not stated'}",
        f"SHA-256 of the weights: {metadata.weights_sha256}",
    ]
    return "; ".join(facts)


def _trained_side(job: ExportJob) -> int | None:
    """Return the shorter side of the training's pictures, or None if their scale does not matter."""
    data, method = job.record.data, job.translator.method
    if data is None or data.resize == "none" or method.resizes or method.scale > 1:
        return None
    return min(data.load_size)


def _describe(spec: PictureSpec) -> str:
    low, high = spec.value_range
    return f"{spec.channels} channels of {spec.dtype} from {low:g} to {high:g}"


def open_web(job: ExportJob, written: Sequence[Path]) -> Run:
    """Return the model of a written page as a function, run by ONNX Runtime on the CPU."""
    return open_onnx(job, [path for path in written if path.name == "model.onnx"])


WEB = Format(
    suffix="",
    runtime="onnxruntime",
    options=frozenset(),
    require=require_web,
    write=write_web,
    open=open_web,
    closing="it includes the content gate and labels its results; serve its folder with any static server: "
    "python -m http.server --directory FOLDER",
)
