"""Redaction of faces in films: covered faces, needlessly covered area, and speed compared with deface.

    python benchmarks/film_redaction.py ../shared/data/video --deface FOLDER

The faces of film_faces.json were drawn by hand. A frame counts as covered if at least .95 of each of its faces is
covered. `per frame` covers the detections of each frame; `hold` applies the covers that `ganvas.redaction` plans over
time. FOLDER contains deface and the packages that it imports (`pip install --target FOLDER --no-deps deface
opencv-python-headless tqdm imageio imageio-ffmpeg scikit-image lazy-loader networkx`); its detection and covering run
in turn with ours on the same frames, at the same size.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from ganvas.image.cover import Cover
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import DetectionConfig, covered_boxes, region_of
from ganvas.localization.load import load_detectors
from ganvas.redaction.detections import FrameDetections
from ganvas.redaction.examination import examine
from ganvas.redaction.film_covers import CoverPlan, cover_frame, plan_covers
from ganvas.redaction.tracks import Tracker, TrackingConfig
from ganvas.video import read_video

FACES = Path(__file__).with_name("film_faces.json")
COVERED = 0.95
SETTINGS = ((1.0, 0.2), (1.0, 0.5), (0.5, 0.2), (0.5, 0.4), (0.5, 0.5), (0.375, 0.3))
"""Detection size relative to the film's, and lowest score."""
MOSAIC = Cover(style="mosaic", blocks=4)
Frames = list[tuple[int, float, Picture]]
Mask = NDArray[np.bool_]


def found_in(frames: Frames, config: DetectionConfig, workers: int) -> list[FrameDetections]:
    detectors = load_detectors(["faces"], threads=1, longest=config.longest)
    return list(examine(frames, detectors, config, workers=workers))


def planned(
    found: Sequence[FrameDetections], config: DetectionConfig, hold: float, shape: tuple[int, int]
) -> CoverPlan:
    tracker = Tracker(TrackingConfig(hold=hold))
    for frame in found:
        tracker.add(frame)
    return plan_covers(tracker, config, height=shape[0], width=shape[1])


def accuracy(faces: dict[str, list[list[int]]], regions: Callable[[int], Mask]) -> dict[str, Any]:
    """Return frames with a face, how many are covered, the lowest covered share of a face, and the needless share."""
    least, needless = [], []
    for number, boxes in faces.items():
        region = regions(int(number))
        masks = [Box(*box).mask(*region.shape) for box in boxes]
        least += [min(float(region[mask].mean()) for mask in masks)] if masks else []
        bare = ~np.any(masks, axis=0) if masks else np.ones_like(region)
        needless.append(float((region & bare).mean()))
    return {
        "frames": len(least),
        "covered": sum(share >= COVERED for share in least),
        "least": round(min(least), 3),
        "needless": round(float(np.mean(needless)), 4),
    }


def compare(frames: Frames, faces: dict[str, list[list[int]]], margin: float, hold: float) -> list[dict[str, Any]]:
    height, width = frames[0][2].pixels.shape[:2]
    rows = []
    for share, min_score in SETTINGS:
        longest = max(round(share * max(height, width)), 32)
        config = DetectionConfig(min_score=min_score, margin=margin, longest=longest)
        found = found_in(frames, config, 2)
        plan = planned(found, config, hold, (height, width))

        def per_frame(
            number: int, found: list[FrameDetections] = found, config: DetectionConfig = config
        ) -> NDArray[np.bool_]:
            boxes = covered_boxes(found[number].detections, config, height, width)
            return region_of(boxes, config, height, width)

        def held(number: int, plan: CoverPlan = plan) -> NDArray[np.bool_]:
            return plan.at(number, frames[number][1]).region(height, width)

        for name, regions in (("per frame", per_frame), ("hold", held)):
            rows.append({"longest": longest, "min_score": min_score, "cover": name, **accuracy(faces, regions)})
    return rows


def ours(frames: Frames, config: DetectionConfig, detectors: Any, hold: float, workers: int) -> None:
    found = examine(frames, detectors, config, workers=workers)
    plan = planned(list(found), config, hold, frames[0][2].pixels.shape[:2])
    for number, moment, picture in frames:
        cover_frame(picture, plan.at(number, moment), MOSAIC)


def theirs(frames: Frames, network: Any, module: Any) -> None:
    for _, _, picture in frames:
        frame = picture.pixels.copy()  # it writes into the frame
        found, _ = network(frame, threshold=0.2)
        module.anonymize_frame(found, frame, 1.3, "mosaic", False, False, None, 20)


def load_centerface(folder: Path, *, one_thread: bool) -> tuple[Any, Any]:
    """Return deface's detector, and its module that covers faces."""
    sys.path.append(str(folder))
    module, network = importlib.import_module("deface.deface"), importlib.import_module("deface.centerface")
    import onnxruntime

    session = onnxruntime.InferenceSession
    if one_thread:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        onnxruntime.InferenceSession = lambda graph, providers: session(graph, options, providers=providers)
    with contextlib.redirect_stdout(io.StringIO()):
        centerface = network.CenterFace(backend="onnxrt")
    onnxruntime.InferenceSession = session
    return centerface, module


def speed(
    frames: Frames, folder: Path, rounds: int, hold: float, *, workers: int, one_thread: bool
) -> dict[str, float]:
    """Return the seconds per frame of detection and covering, ours and of deface in turn: medians of the rounds.

    With `one_thread` both run on one thread, and processor time is measured, which depends little on other programs.
    """
    centerface, module = load_centerface(folder, one_thread=one_thread)
    clock, workers = (time.process_time, 1) if one_thread else (time.perf_counter, workers)
    config, detectors = DetectionConfig(), load_detectors(["faces"], threads=1)
    times: dict[str, list[float]] = {"deface": [], "ganvas": []}
    for number in range(rounds + 1):
        for name in ("deface", "ganvas"):
            start = clock()
            if name == "deface":
                theirs(frames, centerface, module)
            else:
                ours(frames, config, detectors, hold, workers)
            if number:  # the first round warms up
                times[name].append((clock() - start) / len(frames))
    ratios = [one / other for one, other in zip(times["deface"], times["ganvas"], strict=True)]
    medians = {name: round(float(np.median(each)), 4) for name, each in times.items()}
    return medians | {"ratio": round(float(np.median(ratios)), 2), "lowest": round(min(ratios), 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, help="folder with the films")
    parser.add_argument("--margin", type=float, default=DetectionConfig().margin)
    parser.add_argument("--hold", type=float, default=TrackingConfig().hold)
    parser.add_argument("--deface", type=Path, help="folder with deface and its imports; unset: no timing")
    parser.add_argument("--timed", type=int, default=40, help="frames in each round of the timing")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one-thread", action="store_true", help="processor time on one thread, not wall time")
    parser.add_argument("--only-timing", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("film_redaction.json"))
    given = parser.parse_args()
    console, record = Console(), {}
    for name, faces in json.loads(FACES.read_text(encoding="utf-8")).items():
        if name == "note":
            continue
        wanted = given.timed + 30 if given.only_timing else None
        film = islice(read_video(given.films / name), wanted)
        frames = [(frame.index, frame.time, Picture(frame.picture.as_rgb8())) for frame in film]
        rows = [] if given.only_timing else compare(frames, faces, given.margin, given.hold)
        timing = {}
        if given.deface:
            timed = frames[30 : 30 + given.timed]
            how = {"workers": given.workers, "one_thread": given.one_thread}
            timing = speed(timed, given.deface, given.rounds, given.hold, **how)
        record[name] = {"accuracy": rows, "seconds_a_frame": timing}
        for row in rows:
            console.print(name, row)
        console.print(name, timing)
    given.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
