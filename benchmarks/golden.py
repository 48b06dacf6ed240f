"""Golden record of the results of all methods and verbs, to compare before and after a change.

    python benchmarks/golden.py record before.json
    python benchmarks/golden.py compare before.json

`record` trains a small version of each recipe for 30 steps (one thread, float32, seed 0) and stores its losses and the
hash of its final weights; then it translates, redacts, prepares, locates and imports a fixed set of pictures and stores
the hash of each output file. `compare` does the same and lists every difference; the exit code is 1 if there is one.
Records are comparable only on the same machine, because different vector instructions round differently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

import ganvas
from ganvas.recipes import RECIPES
from ganvas.training.config import RunConfig

STEPS, BATCH, SIDE = 30, 2, 64
NARROW: dict[str, Any] = {
    "width": 4, "discriminator_width": 4, "num_blocks": 2, "residual_blocks": 2, "z_size": 8, "search_steps": 5,
    "search_restarts": 1, "content": "pixels", "perceptual": "none",
}  # fmt: skip
"""Small values of settings, for methods that have them."""
OWN: dict[str, dict[str, Any]] = {
    "cogan": {"width": 64},
    "cogan_port": {"width": 64},
    "pix2pix_hd": {"receptive_field": 16},
}
"""Settings of individual recipes."""
FORGETTABLE = ("seconds", "images_per_second", "time", "minutes", "memory")
"""Fragments of the names of values that differ between runs, such as times."""
Record = dict[str, Any]


def main() -> int:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["record", "compare"])
    parser.add_argument("file", type=Path, help="JSON file of the record")
    parser.add_argument("--only", nargs="+", default=list(RECIPES), help="recipes to train")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = results(Path(folder), chosen.only)
    if chosen.what == "record":
        chosen.file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return 0
    differences = list(compared(json.loads(chosen.file.read_text(encoding="utf-8")), found))
    print("\n".join(differences) or f"{len(found)} results are equal")
    return bool(differences)


def compared(before: Record, after: Record) -> list[str]:
    """Name every result that differs, is missing or is new."""
    lines = [f"missing: {name}" for name in before.keys() - after.keys()]
    lines += [f"new: {name}" for name in after.keys() - before.keys()]
    lines += [f"differs: {name}" for name in before.keys() & after.keys() if before[name] != after[name]]
    return sorted(lines)


def results(folder: Path, recipes: list[str]) -> Record:
    """Return all results by name."""
    write_pictures(folder)
    found: Record = {}
    for name in recipes:
        found |= trained(folder, name)
    for name, words in verbs(folder).items():
        if all(not isinstance(word, Path) or word.exists() for word in words[1:]):
            found |= written(folder, name, words)
    return found


def write_pictures(folder: Path) -> None:
    """Write smooth pictures with some noise, in the layouts of the recipes."""
    random = np.random.default_rng(0)
    for place in ("single/train", "unpaired/trainA", "unpaired/trainB", "pairs/train", "pairs/val", "photos", "masks"):
        for index in range(4):
            width = 2 * SIDE if place.startswith("pairs") else SIDE + (8 * index if place == "photos" else 0)
            small = random.integers(0, 256, (4, 4, 3)).repeat(SIDE // 4, 0).repeat(width // 4, 1)
            pixels = np.clip(small + random.integers(-20, 20, small.shape), 0, 255).astype(np.uint8)
            if place == "masks":
                pixels = np.where(pixels[:, :, :1] > 128, 255, 0).astype(np.uint8)
                pixels = np.pad(pixels, ((0, 0), (0, 8 * index), (0, 0)))
            ganvas.write_image(folder / place / f"{index}.png", ganvas.Picture(pixels))
    boxes = {f"{index}.png": [[8, 8, 40, 32]] for index in range(4)}
    (folder / "boxes.json").write_text(json.dumps(boxes), encoding="utf-8")


def small_config(folder: Path, name: str) -> RunConfig:
    """Return the recipe with little data, a narrow network and few steps."""
    config = RECIPES[name]()
    own = {field.name for field in fields(config.method)}
    method = replace(config.method, **{key: value for key, value in (NARROW | OWN.get(name, {})).items() if key in own})
    data = config.data
    unpaired = "Unpaired" in type(data).__name__
    place = "unpaired" if unpaired else "single" if data.layout == "single" else "pairs"
    sizes = {"load_size": (32, 32), "crop_size": (32, 32)} if data.crop_size[0] != data.load_size[0] else {}
    sizes = sizes or {"load_size": (64, 64), "crop_size": (64, 64)}
    if data.resize == "none":
        sizes = {"crop_size": (32, 32), "load_size": (32, 32)}
    data = replace(data, folder=folder / place, **sizes)
    training = replace(
        config.training, epochs=STEPS * BATCH / 4, batch_size=BATCH, log_every=BATCH, device="cpu", threads=1,
        precision="float32", minutes=None, validate_every=10**6, sample_every=10**6, checkpoint_every=10**6,
    )  # fmt: skip
    return replace(config, method=method, data=data, training=training)


def trained(folder: Path, name: str) -> Record:
    """Return the losses of each step, and hashes of the weights."""
    run = folder / "runs" / name
    ganvas.train(small_config(folder, name), run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = [
        {key: value for key, value in line.items() if not any(part in key for part in FORGETTABLE)} for line in lines
    ]
    snapshots = {
        path.name: hash_tensors(path) for path in sorted(run.rglob("*.safetensors")) if "state" not in path.name
    }
    return {f"train {name}: losses": kept, f"train {name}: weights": snapshots}


def hash_tensors(path: Path) -> str:
    """Hash names and values, independently of their order in the file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def verbs(folder: Path) -> dict[str, list[str | Path]]:
    """Return name -> words of a command without its output folder."""
    runs, photos = folder / "runs", folder / "photos"
    return {
        "translate": ["translate", runs / "restore", photos],
        "translate tiled": ["translate", runs / "restore", photos, "--tile", "32"],
        "translate masked": ["translate", runs / "restore", photos, "--mask", folder / "masks"],
        "translate batch norm": ["translate", runs / "pix2pix", photos, "--seed", "3"],
        "translate back": ["translate", runs / "cyclegan", photos, "--direction", "b_to_a"],
        "translate larger": ["translate", runs / "srresnet", photos],
        "redact mosaic": ["redact", photos, "--boxes", folder / "boxes.json"],
        "redact solid": ["redact", photos, "--mask", folder / "masks", "--style", "solid"],
        "redact blur": ["redact", photos, "--boxes", folder / "boxes.json", "--style", "blur"],
        "prepare mosaic": ["prepare", photos, "--degrade", "mosaic"],
        "prepare boxes": ["prepare", photos, "--degrade", "blur", "--where", "boxes", "--boxes", folder / "boxes.json"],
        "locate": ["locate", photos, "--classifier", "imagenet", "--out"],
    }


def written(folder: Path, name: str, words: list[str | Path]) -> Record:
    """Run a command in this process, and hash its outputs."""
    from ganvas.cli import main as command

    out = folder / "out" / name.replace(" ", "_")
    if words[-1] == "--out":
        given = [*words, out]
    else:
        places = 3 if words[0] == "translate" else 2
        given = [*words[:places], out, *words[places:]]
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        status: Any = command([str(word) for word in given])
    except SystemExit as stop:
        status = stop.code
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.__setitem__("COLUMNS", before)
    files = [path for path in sorted(out.rglob("*")) if path.suffix == ".png"]
    hashes = {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {f"{name}: exit code": status or 0, f"{name}: files": hashes}


if __name__ == "__main__":
    sys.exit(main())
