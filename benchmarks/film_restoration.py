"""Restoration of films from one frame and from three frames: fidelity, perceptual distance and flicker.

    python benchmarks/film_restoration.py ../shared/data/video/carphone.mp4 --out runs/films
    python benchmarks/film_restoration.py ../shared/data/video/bikes.mp4 --out runs/bikes --minutes 8

The last 15 % of the frames are held out, and the rest is used for training; if the film has a single scene, the
held-out frames show the same scene. pix2pix (a narrower version of recipe `restore`) restores an 8-pixel mosaic, and
SRResNet enlarges frames that were downsampled by 4. Runs with one frame and with three differ only in `frames`. They
train on the same number of crops, because minutes on a shared machine are not comparable; with --minutes all runs train
at the same time with one thread each, so that each gets the same share of the machine. Flicker is the warp error of
consecutive frames along the optical flow of the original film. After an interruption, the same command resumes. Writes
film_restoration.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.degradations import degrade_each
from ganvas.data.scenes import windows
from ganvas.evaluation.evaluate import enlarged
from ganvas.filesystem.atomic import write_json
from ganvas.filesystem.paths import cache_folder
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference.adapt import picture_from_signed, unit_from_picture
from ganvas.inference.translator import Translator
from ganvas.methods import Pix2PixConfig, SRResNetConfig
from ganvas.metrics.features import LPIPS, load_lpips, lpips_or_none
from ganvas.metrics.fidelity import psnr
from ganvas.metrics.flicker import optical_flow, visible_pixels, warp_error
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train
from ganvas.video import WriteOptions, read_video, write_video

FRAMES = (1, 3)
DEGRADATIONS = {"mosaic": 8, "reduce": 4}
HELD_OUT = 0.15
"""Share of held-out frames at the end of the film."""
SPEC = PictureSpec()
QUIET = {"checkpoint_every": 10**6, "sample_every": 10**6, "validate_every": 10**6}
"""Settings without previews."""
Row = dict[str, float | str | int]
Motion = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Optical flow and its mask of visible pixels, see `ganvas.metrics.flicker`."""


def divide(film: Path, out: Path) -> tuple[Path, Path]:
    """Write the two parts of a film in FFV1; return the training folder and the held-out part."""
    parts = out / "data" / "train" / "first.mkv", out / "last.mkv"
    if not all(part.exists() for part in parts):
        parts[0].parent.mkdir(parents=True, exist_ok=True)
        pictures = [frame.picture for frame in read_video(film)]
        cut = round(len(pictures) * (1 - HELD_OUT))
        for part, own in zip(parts, (pictures[:cut], pictures[cut:]), strict=True):
            write_video(part, own, rate=25, options=WriteOptions(codec="ffv1"))
    return out / "data", parts[1]


def run_config(data: Path, degrade: str, frames: int, given: argparse.Namespace) -> RunConfig:
    """Return the run; `epochs` is set by the caller, who knows the number of frames."""
    method: Pix2PixConfig | SRResNetConfig
    if degrade == "mosaic":
        method = Pix2PixConfig(
            width=given.width,
            depth=4,
            norm="none",
            dropout=0.0,
            residual=True,
            adversarial_weight=0.0,
            frames=frames,
        )
    else:
        method = SRResNetConfig(
            width=given.width,
            num_blocks=4,
            norm="none",
            residual=True,
            residual_scale=0.2,
            loss="l1",
            frames=frames,
        )
    strength = float(DEGRADATIONS[degrade])
    return RunConfig(
        method=method,
        data=PairedData(
            folder=data,
            layout="single",
            degrade=degrade,  # type: ignore[arg-type]
            strength=(strength, strength),
            resize="none",
            crop_size=(given.crop, given.crop),
            frame_step=1,
        ),
        training=TrainingConfig(
            batch_size=given.batch,
            learning_rate=4e-4,
            constant_fraction=0.5 if given.minutes is None else 1.0,  # the number of steps in the minutes is unknown
            minutes=given.minutes,
            threads=None if given.minutes is None else 1,
            seed=given.seed,
            device="cpu",
            **QUIET,
        ),
    )


def train_all(data: Path, given: argparse.Namespace) -> None:
    """Train the unfinished runs, one after the other, or with --minutes all at the same time."""
    processes = list[BaseProcess]()
    for degrade in DEGRADATIONS:
        for frames in FRAMES:
            config, run = run_config(data, degrade, frames, given), given.out / f"{degrade}-{frames}"
            number = len(build_cache(config.data, "train", cache_folder() / "pictures", num_frames=frames))
            epochs = 10**6 if given.minutes is not None else given.images / number
            config = replace(config, training=replace(config.training, epochs=epochs))
            if given.minutes is None:
                train(config, run, resume=run.exists(), quiet=True)
            elif not run.exists():
                processes.append(get_context("spawn").Process(target=train, args=(config, run), kwargs={"quiet": True}))
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a training ended with exit code {process.exitcode}")


def degraded(picture: Picture, degrade: str) -> Picture:
    """Return the degraded frame, the input of the run."""
    signed = torch.from_numpy(picture.color.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
    return picture_from_signed(degrade_each(degrade, signed, [DEGRADATIONS[degrade]]), SPEC)  # type: ignore[arg-type]


def restored(translator: Translator, pictures: Sequence[Picture], film: Path) -> list[Picture]:
    """Return the translation of each degraded frame; scene cuts are those of the original film."""
    frames = [frame.with_picture(picture) for frame, picture in zip(read_video(film), pictures, strict=True)]
    around = windows(frames, translator.num_frames)
    return [translator.translate_picture(frame.picture, window=window).picture for frame, window in around]


def motion(truth: Sequence[Picture]) -> list[Motion]:
    """Return the optical flow of the original film from each frame to the next, and the masks of visible pixels."""
    units = [unit_from_picture(picture, SPEC)[0].permute(1, 2, 0).numpy() for picture in truth]
    flows = list[Motion]()
    for pair in pairwise(units):
        forward, backward = optical_flow(*pair), optical_flow(*pair[::-1])
        flows.append((forward, visible_pixels(forward, backward)))
    return flows


def measured(
    made: Sequence[Picture],
    truth: Sequence[Picture],
    flows: Sequence[Motion],
    lpips: LPIPS | None,
) -> Row:
    """Return PSNR (dB), LPIPS and warp error of a film with respect to the original."""
    units = [
        (enlarged(unit_from_picture(own, SPEC), (one.height, one.width)), unit_from_picture(one, SPEC))
        for own, one in zip(made, truth, strict=True)
    ]
    row: Row = {"psnr": fmean(psnr(own, one).item() for own, one in units)}
    distances = [lpips_or_none(lpips, own, one) for own, one in units]
    row["lpips"] = fmean(distance for distance in distances if distance is not None) if lpips else float("nan")
    shown = [own[0].permute(1, 2, 0).numpy() for own, _ in units]
    errors = [warp_error(*pair, *flow) for pair, flow in zip(pairwise(shown), flows, strict=True)]
    row["warp_error"] = fmean(error for error in errors if error is not None)
    return row


def read_snapshot_images(run: Path) -> int:
    """Return the number of crops a run was trained on, from the last line of its metrics."""
    return int(json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])["images"])


def main() -> None:
    """Train the missing runs, measure all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=8000, help="number of training crops per run")
    parser.add_argument("--minutes", type=float, help="training minutes per run, instead of --images")
    parser.add_argument("--width", type=int, default=16, help="width of the networks")
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    data, held_out = divide(given.film, given.out)
    train_all(data, given)
    truth = [frame.picture for frame in read_video(held_out)]
    flows, lpips, rows = motion(truth), load_lpips(progress=False), list[Row]()
    for degrade in DEGRADATIONS:
        pictures = [degraded(picture, degrade) for picture in truth]
        rows.append({"degrade": degrade, "way": "as given"} | measured(pictures, truth, flows, lpips))
        for frames in FRAMES:
            run = given.out / f"{degrade}-{frames}"
            made = restored(Translator.load(run, device="cpu"), pictures, held_out)
            seen = read_snapshot_images(run)
            rows.append(
                {"degrade": degrade, "way": f"{frames} frames", "images": seen} | measured(made, truth, flows, lpips)
            )
            print(rows[-1], flush=True)
    settings = {name: str(value) for name, value in vars(given).items()}
    write_json(
        given.out / "film_restoration.json",
        {"settings": settings, "threads": torch.get_num_threads(), "rows": rows},
    )
    for row in rows:
        print(f"| {row['degrade']}, {row['way']} | {row['psnr']:.2f} | {row['lpips']:.4f} | {row['warp_error']:.6f} |")


if __name__ == "__main__":
    main()
