"""Privacy audit of covers on flowers of 17 kinds and on handwritten digits.

    python benchmarks/hiding.py flowers --data ../shared/data --out runs/hiding --minutes 5 --threads 1
    python benchmarks/hiding.py digits --data ../shared/data --out runs/hiding --threads 1

Copies the pictures into a folder for each kind, audits mosaics, blurs and a solid cover, and prints tables. With
--figures DIR it draws DIR/hiding-flowers.svg or hiding-digits.svg.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measure.digits import read_mnist
from measure.plot import Panel, write_panels

from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.privacy_audit import AuditConfig
from ganvas.privacy_audit.audit import audit
from ganvas.privacy_audit.audit_page import AXES
from ganvas.privacy_audit.report import JSON_NAME

PLACES_OF_A_KIND = 80
"""Consecutive numbers of the Oxford flowers of one kind, counted from 1; some pictures may be missing."""


def lay_out_flowers(data: Path, folder: Path, count: int) -> None:
    """Copy at most `count` flowers of each kind into a folder named after the number of the kind."""
    for path in sorted((data / "flowers").glob("*.jpg")):
        kind = folder / f"kind-{(int(path.stem.rpartition('_')[2]) - 1) // PLACES_OF_A_KIND + 1:02d}"
        kind.mkdir(parents=True, exist_ok=True)
        if len(list(kind.iterdir())) < count:
            shutil.copy(path, kind)


def lay_out_digits(data: Path, folder: Path, count: int) -> None:
    """Write the first `count` MNIST test pictures of each digit as PNG."""
    digits = read_mnist(data / "digits")
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
        for index in (digits.labels == digit).nonzero()[:count, 0].tolist():
            levels = ((digits.images[index] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            write_image(folder / str(digit) / f"{index:05d}.png", Picture(levels.permute(1, 2, 0).numpy()))


LAY_OUT: dict[str, Callable[[Path, Path, int], None]] = {"flowers": lay_out_flowers, "digits": lay_out_digits}
SETTINGS: dict[str, dict[str, Any]] = {
    "flowers": {"blocks": (32, 16, 8, 4), "sigmas": (2.0, 4.0, 8.0, 16.0)},
    "digits": {"blocks": (16, 8, 4, 2), "sigmas": (1.0, 2.0, 4.0, 8.0), "size": 32},
}


def draw(record: Path, figure: Path) -> None:
    """Plot accuracy over strength for each style, for classifiers trained on uncovered and on covered pictures."""
    found = json.loads(record.read_text(encoding="utf-8"))
    panels = []
    for style, axis in AXES.items():
        covers = [cover for cover in found["covers"] if cover["style"] == style]
        lines = {"clear pictures": [(cover["strength"], 100 * max(found["clear"].values())) for cover in covers]}
        for state in ("retrained", "untrained"):
            best = [100 * max(one[state] for one in cover["named"].values()) for cover in covers]
            named = f"covered pictures, {state}"
            lines[named] = [(cover["strength"], share) for cover, share in zip(covers, best, strict=True)]
        lines["guessing"] = [(cover["strength"], 100 * found["chance"]) for cover in covers]
        panels.append(Panel(f"{style}", axis, "accuracy (%)", lines))
    write_panels(figure, panels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", choices=LAY_OUT)
    parser.add_argument("--data", type=Path, required=True, help="folder that contains flowers and digits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100, help="maximum number of pictures per kind")
    parser.add_argument("--minutes", type=float, default=0.0, help="training minutes per restorer; 0: no restorers")
    parser.add_argument("--steps", type=int, default=800, help="training steps of the small classifier")
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    parser.add_argument("--figures", type=Path, help="a folder for the plot")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    folder = given.out / f"{given.pictures}-kinds"
    if not folder.exists():
        LAY_OUT[given.pictures](given.data, folder, given.count)
    config = AuditConfig(
        folder,
        out=given.out / given.pictures,
        style=("mosaic", "blur", "solid"),
        minutes=given.minutes,
        steps=given.steps,
        **SETTINGS[given.pictures],
    )
    print(audit(config))
    if given.figures:
        draw(given.out / given.pictures / JSON_NAME, given.figures / f"hiding-{given.pictures}.svg")


if __name__ == "__main__":
    main()
