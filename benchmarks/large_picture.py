"""Super-resolution of a large picture in tiles: time, memory, and differences from processing it whole.

    python benchmarks/large_picture.py --out large.json --size 4000 3000
    python benchmarks/large_picture.py --run runs/larger --picture photo.jpg --out large.json

Without --run the network is the paper's SRResNet x4 with untrained weights, which needs the same time and memory. The
middle of the picture, --whole pixels a side, is enlarged both whole and in tiles, for comparison.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure.machine import describe, most_of, resident_bytes
from measure.pictures import pattern

from ganvas.filesystem.atomic import write_json
from ganvas.image.cover import bicubic_resize
from ganvas.image.files import read_image
from ganvas.image.picture import Picture, PictureSpec, Pixels
from ganvas.inference.prepacking import make_ready
from ganvas.inference.translator import Translator
from ganvas.methods.base import build
from ganvas.progress import progress_bars
from ganvas.recipes import srresnet
from ganvas.runs.record import RunRecord


def translator_of(given: argparse.Namespace) -> Translator:
    """Return the translator of the run, or one with untrained weights."""
    if given.run:
        return Translator.load(given.run, device="cpu", precision=given.precision)
    config, spec, size = srresnet().method, PictureSpec(channels=3), (24, 24)
    torch.manual_seed(0)
    method = build(config, input_channels=3, output_channels=3, image_size=size).eval()
    make_ready(method, precision=given.precision)
    return Translator(method, RunRecord(method=config, input=spec, output=spec, image_size=size), device="cpu")


def pixels_of(given: argparse.Namespace) -> Pixels:
    """Return the picture resized to the given size, or a pattern."""
    width, height = given.size
    if given.picture is None:
        return np.array(pattern(width, height, seed=1))
    return bicubic_resize(read_image(given.picture).as_rgb8(), height, width)


def enlarge_large(translator: Translator, pixels: Pixels, tile: int) -> dict[str, Any]:
    """Return the seconds, and the peak memory above the loaded program and the picture."""
    before, started = resident_bytes("VmRSS"), time.perf_counter()
    with progress_bars() as tell:
        peak = most_of(
            "VmRSS",
            lambda: translator.translate_picture(
                Picture(pixels), name="large", tile=tile, tell=lambda done, total: tell("tiles", done, total)
            ),
        )
    return {
        "pixels given": pixels.shape[0] * pixels.shape[1],
        "seconds": round(time.perf_counter() - started, 1),
        "peak GiB, all": round(peak / 2**30, 2),
        "peak GiB, above program and picture": round((peak - before) / 2**30, 2),
    }


def compare_with_whole(translator: Translator, pixels: Pixels, whole: int, tile: int) -> dict[str, Any]:
    """Return the differences due to tiles in the middle of the picture, in gray levels of 255."""
    top, left = ((side - whole) // 2 for side in pixels.shape[:2])
    part = Picture(np.ascontiguousarray(pixels[max(top, 0) :, max(left, 0) :][:whole, :whole]))
    one = translator.translate_picture(part, name="whole").picture.pixels.astype(int)
    translation = translator.translate_picture(part, name="tiled", tile=tile)
    tiled = translation.picture.pixels.astype(int)
    return {"side": whole, "tile": tile, "largest difference": int(np.abs(one - tiled).max()),
            "share of samples that differ": float((one != tiled).mean()), "note": translation.tiling_note}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a super-resolution run")
    parser.add_argument("--picture", type=Path, help="a photograph, resized to --size")
    parser.add_argument("--size", type=int, nargs=2, default=(4000, 3000), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--whole", type=int, default=256, help="side of the part that is also enlarged in one piece")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    translator, pixels = translator_of(given), pixels_of(given)
    record: dict[str, Any] = {"machine": describe(), "precision": given.precision}
    record["seams"] = compare_with_whole(translator, pixels, given.whole, 3 * given.whole // 4)
    print(record["seams"], flush=True)
    record["large"] = enlarge_large(translator, pixels, given.tile)
    print(record["large"])
    write_json(given.out, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
