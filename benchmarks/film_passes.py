"""Time and memory of `ganvas redact` on films: seconds of each pass, and peak memory for a short and a long film.

    python benchmarks/film_passes.py DATA/video/bunny.mp4 [--memory]

Prints Markdown rows: total frames per second, the share of each pass (find, verify, render), and the speed of decoding
alone; with --memory, the peak resident size for 75 and for 2,000 frames of the film at 160 pixels, each in a separate
process.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from ganvas.image.picture import Picture
from ganvas.progress import Progress
from ganvas.redaction.config import RedactConfig
from ganvas.redaction.redact_files import redact_files
from ganvas.video import read_video, write_video

FRAMES = (75, 2000)
SIDE = 160


class Clock(Progress):
    """Recorder of the first and the last progress report of each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, float] = {}
        self.frames = 0

    def __call__(self, task: str, done: int, total: int) -> None:
        """Record the time of a progress report."""
        del total
        if ": " in task:
            self.ends[task.rpartition(": ")[2]] = time.perf_counter()
            self.frames = max(self.frames, done)


def passes(film: Path, folder: Path) -> str:
    """Redact a film with the face detector; return a Markdown row."""
    clock, start = Clock(), time.perf_counter()
    redact_files(RedactConfig(film, folder / film.name, detect=("faces",)), progress=clock)
    seconds, before = time.perf_counter() - start, start
    shares = []
    for name, end in clock.ends.items():
        shares.append(f"{name} {(end - before) / seconds:.0%}")
        before = end
    start = time.perf_counter()
    count = sum(1 for _ in read_video(film))
    decoding = time.perf_counter() - start
    return (
        f"| {film.stem} | {count} | {clock.frames / seconds:.1f} | {', '.join(shares)}, join the rest | "
        f"{count / decoding:.0f} |"
    )


def looped(film: Path, out: Path, count: int) -> Path:
    """Write a small film with this many frames, repeating the frames of another film."""
    frames = []
    for frame in read_video(film, stop=50):
        rgb = frame.picture.as_rgb8()
        step = max(1, rgb.shape[1] // SIDE)
        frames.append(Picture(np.ascontiguousarray(rgb[::step, ::step])))
    write_video(out, islice(cycle(frames), count), rate=25)
    return out


def memory_of(film: Path, folder: Path) -> None:
    """Redact a film in this process, and print its peak resident size in MB."""
    redact_files(RedactConfig(film, folder / "out.mp4", detect=("faces",)))
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--memory", action="store_true", help="measure the peak memory of a short and a long film")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        memory_of(given.films[0], given.here)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("| film | frames | redacted frames/s | shares of the time | decoded frames/s |\n|---|---|---|---|---|")
        for film in given.films:
            print(passes(film, folder))
        for count in FRAMES if given.memory else ():
            long = looped(given.films[0], folder / f"{count}.mp4", count)
            out = folder / str(count)
            command = [sys.executable, __file__, str(long), "--here", str(out)]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"{count} frames: {peak} MB")


if __name__ == "__main__":
    main()
