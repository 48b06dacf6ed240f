"""Time and peak memory of one point of growth.py, in a separate process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.layouts import find_entries
from ganvas.data.loader import TrainLoader
from ganvas.image.picture import PictureSpec
from ganvas.inference.prepacking import make_ready
from ganvas.inference.translator import Translator
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import build
from ganvas.runs.record import RunRecord
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train
from measure.child import given_words
from measure.machine import device, finish, most_of, peak_bytes_of, resident_bytes
from measure.pictures import Pictures, pattern
from measure.training import Training, our_step

MODELS = {
    "U-Net without norm": Pix2PixConfig(width=32, depth=4, norm="none", dropout=0.0, residual=True),
    "U-Net 256": Pix2PixConfig(dropout=0.0),
}
"""A network with a finite receptive field, whose tiles are exact, and one with a norm, whose tiles are blended."""
Found = dict[str, float]


def picture_point(given: dict[str, Any]) -> Found:
    """Measure the translation of a square picture, including the content gate."""
    config, spec, size = MODELS[given["model"]], PictureSpec(channels=3), (256, 256)
    method = build(config, input_channels=3, output_channels=3, image_size=size)
    record = RunRecord(method=config, input=spec, output=spec, image_size=size)
    translator = Translator(method, record, device=str(device()))
    make_ready(method, precision="float32")
    pixels = np.array(pattern(given["size"], given["size"], seed=1))
    tile = given["tile"]
    translator(pixels[:256, :256].copy())
    calls = 0

    def translate() -> None:
        nonlocal calls
        calls += 1
        pixels[0, 0] = calls  # a new picture for the gate, which caches its scores
        if tile is None:
            translator(pixels)
        else:
            translator.tiled(pixels, tile=tile)

    return _measured(translate)


def batch_point(given: dict[str, Any]) -> Found:
    """Measure training steps of pix2pix 256 with a batch size, including networks and optimizers."""
    pair = Pictures(None, Path(given["folder"])).batch(given["batch"])
    placed = pair[0].to(device()), pair[1].to(device())
    steps: list[Callable[[], object]] = []

    def step() -> None:
        if not steps:
            training = Training(Pix2PixConfig(), (), given["batch"])
            steps.append(our_step(training, {"precision": given["precision"]}, placed))
            steps[0]()
        steps[0]()

    return _measured(step, longest=0.0)


def data_point(given: dict[str, Any]) -> Found:
    """Measure the listing of a data set, building and opening its cache, and loading batches."""
    config, home = _config(given), Path(given["folder"]) / "pictures"
    found: Found = {}
    found["list s"], _ = _timed(lambda: find_entries(config, "train"))
    found["build s"], _ = _timed(lambda: build_cache(config, "train", home))
    found["open s"], cache = _timed(lambda: build_cache(config, "train", home))
    loader = TrainLoader(cache, config, batch_size=16, seed=0, device=device())
    seen, start = 0, time.perf_counter()
    while time.perf_counter() - start < 1.5:
        loader.batch(seen)
        seen += 16
    found["pictures/s"] = seen / (time.perf_counter() - start)
    return found


def training_point(given: dict[str, Any]) -> Found:
    """Measure the memory of a short training of a tiny network on an existing cache, which is the cost of the data set.

    Memory-mapped files do not count: their resident pages belong to the page cache of the system.
    """
    method = Pix2PixConfig(width=8, depth=4, norm="none", dropout=0.0, adversarial_weight=0.0)
    training = TrainingConfig(batch_size=16, epochs=2000 / given["entries"], log_every=2000, sample_every=2000)
    config = RunConfig(method=method, data=_config(given), training=training)
    before = resident_bytes("RssAnon")
    peak = most_of("RssAnon", lambda: train(config, Path(given["folder"]) / f"run-{given['entries']}", quiet=True))
    peak, now = peak - before, resident_bytes("RssAnon") - before
    return {"training peak MB": peak / 1e6, "training at the end MB": now / 1e6}


def _config(given: dict[str, Any]) -> PairedData:
    side = (given["side"], given["side"])
    return PairedData(
        folder=Path(given["data"]), layout="single", degrade="mosaic", resize="none", load_size=side, crop_size=side
    )


def _measured(work: Callable[[], object], *, longest: float = 3.0) -> Found:
    """Return the peak memory of the first call and the median seconds of three more, or of a first above `longest`."""
    first: list[float] = []
    peak = peak_bytes_of(lambda: first.append(_timed(work)[0]))
    if longest and first[0] > longest:
        return {"seconds": first[0], "peak MB": peak / 1e6}
    return {"seconds": median(_timed(work)[0] for _ in range(3)), "peak MB": peak / 1e6}


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    finish()
    start = time.perf_counter()
    result = work()
    finish()
    return time.perf_counter() - start, result


POINTS = {"picture": picture_point, "batch": batch_point, "data": data_point, "training": training_point}


def main() -> None:
    """Measure the requested point and print it as JSON."""
    given = given_words()
    torch.set_num_threads(given["threads"])
    os.environ["GANVAS_CACHE"] = str(Path(given["folder"]) / "cache")
    print(json.dumps(POINTS[given["point"]](given)))


if __name__ == "__main__":
    main()
