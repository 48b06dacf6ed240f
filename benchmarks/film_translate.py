"""Speed of film translation, share of the time per stage, and peak memory for short and long films.

    python benchmarks/film_translate.py ../shared/data/video/bunny.mp4 [--frames 50] [--memory 75 2000]

The networks have random weights (seed 0); the time does not depend on the weights. `translate` is the whole command
with an empty score cache; it includes loading the run and reading the result back. Then the processor time of each
stage is measured separately over all cores; it depends little on other programs. For memory, the film is downsampled to
96 x 64, repeated to each length and translated in a separate process, whose peak memory is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from measure.machine import describe

from ganvas.content_gate import admit_many
from ganvas.hardware.device import cores_for_networks
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference.config import FilmOptions
from ganvas.inference.folder import translate_files
from ganvas.inference.forward import translate_admitted
from ganvas.inference.translator import Translator
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import build
from ganvas.recipes import RECIPES
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record
from ganvas.video import probe, read_video, write_segment, write_video

SMALL = (64, 96)
TINY = Pix2PixConfig(width=8, depth=2, norm="none", dropout=0.0, adversarial_weight=0.0)
NETWORKS = {"U-Net 256": Pix2PixConfig(), "the demo's": RECIPES["restore"]().method}


def write_run(folder: Path, method: Any) -> Path:
    """Write a run with random weights."""
    torch.manual_seed(0)
    spec, size = PictureSpec(), (256, 256)
    write_run_record(folder, RunRecord(method=method, input=spec, output=spec, image_size=size))
    networks = build(method, input_channels=3, output_channels=3, image_size=size)
    save_snapshot(snapshot_path(folder, "last"), networks.eval(), images_seen=0)
    return folder


@contextmanager
def no_scores() -> Any:
    """Provide an empty score cache for the content gate."""
    before = os.environ.get("GANVAS_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANVAS_CACHE"] = folder
        yield
    if before is None:
        del os.environ["GANVAS_CACHE"]
    else:
        os.environ["GANVAS_CACHE"] = before


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of a function on all cores, and its result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def measure(name: str, film: Path, count: int, folder: Path) -> dict[str, Any]:
    """Measure the command on the first frames of a film, and each stage separately."""
    run, info = write_run(folder / "run", NETWORKS[name]), probe(film)
    cut = folder / "cut.mp4"
    write_video(cut, islice(read_video(info), count), like=info)
    with no_scores():  # the run is loaded and packed, and the gate's model loaded, in the warm-up
        translate_files(run, cut, folder / "warm.mp4", device="cpu", progress=False, film=FilmOptions(preview=0.2))
    with no_scores():
        started = time.perf_counter()
        spent, _ = cpu_seconds(lambda: translate_files(run, cut, folder / "made.mp4", device="cpu", progress=False))
        whole = time.perf_counter() - started
    info = probe(cut)
    decoding, frames = cpu_seconds(lambda: list(read_video(info)))
    pictures = [("frame", frame.picture) for frame in frames]
    with no_scores():
        gate_in, admitted = cpu_seconds(lambda: admit_many(pictures))
    translator, threads = Translator.load(run, device="cpu"), torch.get_num_threads()
    torch.set_num_threads(cores_for_networks())
    translate_admitted(translator, admitted[0])  # type: ignore[arg-type]
    network, made = cpu_seconds(lambda: [translate_admitted(translator, one)[0] for one in admitted])  # type: ignore[arg-type]
    torch.set_num_threads(threads)
    with no_scores():
        gate_out, _ = cpu_seconds(lambda: admit_many([("made", picture) for picture in made]))
    parts = [frame.with_picture(picture) for frame, picture in zip(frames, made, strict=True)]
    encoding, _ = cpu_seconds(lambda: write_segment(folder / "0.part", parts, like=info, out=folder / "x.mp4"))
    stages = {"decoding": decoding, "gate": gate_in + gate_out, "network": network, "encoding": encoding}
    total = sum(stages.values())
    return {
        "network": name,
        "size": f"{info.width} x {info.height}",
        "frames": len(frames),
        "frames_per_second": round(len(frames) / whole, 2),
        "cpu_milliseconds": {"translate": round(1000 * spent / len(frames), 1)}
        | {stage: round(1000 * taken / len(frames), 1) for stage, taken in stages.items()},
        "share": {stage: round(taken / total, 3) for stage, taken in stages.items()},
    }


def looped(film: Path, count: int, out: Path) -> Path:
    """Repeat a film to this many frames at a small size."""
    info = replace(probe(film), streams=())
    frames = [Picture(frame.picture.pixels[:: -(-info.height // SMALL[0]), :: -(-info.width // SMALL[1])].copy())
              for frame in read_video(film)]  # fmt: skip
    write_video(out, (frames[number % len(frames)] for number in range(count)), rate=25)
    return out


def peak_of(run: Path, film: Path, out: Path) -> float:
    """Translate in a separate process, and return its peak memory in MB."""
    words = [sys.executable, __file__, "--child", str(run), str(film), str(out)]
    with no_scores():
        output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(output.splitlines()[-1])


def child(run: Path, film: Path, out: Path) -> None:
    """Translate, and print the peak memory of this process in MB."""
    translate_files(run, film, out, device="cpu", progress=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--memory", type=int, nargs="*", default=[75, 2000], help="lengths of the films, in frames")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--child", type=Path, nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(*chosen.child)
        return
    with tempfile.TemporaryDirectory() as name, redirect_stderr(StringIO()):
        folder = Path(name)
        print(json.dumps(describe() | {"seed": 0}), flush=True)
        for network in chosen.networks:
            print(json.dumps(measure(network, chosen.film, chosen.frames, folder / network[:3])), flush=True)
        run = write_run(folder / "tiny", TINY)
        films = {count: looped(chosen.film, count, folder / f"{count}.mp4") for count in chosen.memory}
        peaks = {count: round(peak_of(run, film, folder / f"{count}m.mp4"), 1) for count, film in films.items()}
        print(json.dumps({"peak_mb": peaks}), flush=True)


if __name__ == "__main__":
    main()
