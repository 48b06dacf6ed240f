"""Coverage of objects by redaction with a classifier, and needlessly covered area, before and after verification.

    python benchmarks/coverage.py --data ../shared/data --out coverage.json

Truth: the hand-drawn boxes of `benchmarks/zebra_boxes.json` (47 pictures, 94 zebras). The first region is that of
the class map, before verification; the released region is the one that is covered when the classifier no longer
recognizes the class. The needless share is the part of the picture that is covered but lies outside every box.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ganvas.image.files import read_image
from ganvas.image.picture import Box, Picture
from ganvas.localization import boxes_from_map, class_index, heat, load_classifier
from ganvas.metrics.localization import covered_shares, needless_share
from ganvas.redaction.redact import redact_picture
from ganvas.redaction.verifier import COVERAGE, Verifier

BOXES = Path(__file__).with_name("zebra_boxes.json")
COVERAGES = (0.7, 0.8, 0.9, 0.95, 0.98)
Mask = NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that contains horse2zebra")
    parser.add_argument("--classifier", default="imagenet")
    parser.add_argument("--class-name", default="zebra")
    parser.add_argument("--released", type=float, nargs="*", default=[COVERAGE], help="values of --coverage to measure")
    parser.add_argument("--out", type=Path, default=Path("coverage.json"))
    given = parser.parse_args()
    truth = json.loads(BOXES.read_text(encoding="utf-8"))["boxes"]
    boxes = [[Box(*box) for box in rows] for rows in truth.values()]
    pictures = [read_image(given.data / "horse2zebra" / "testB" / name) for name in truth]
    regions = first_regions(pictures, given.classifier, given.class_name)
    for coverage in given.released:
        verifier = Verifier.of(load_classifier(given.classifier), given.class_name, coverage=coverage)
        covered = track(pictures, f"redacting, coverage {coverage}", console=Console(stderr=True))
        regions[f"released, coverage {coverage}"] = [redact_picture(one, verifier=verifier).region for one in covered]
    rows = {name: measure(masks, boxes) for name, masks in regions.items()}
    given.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    show(rows)


def first_regions(pictures: Sequence[Picture], classifier_name: str, class_name: str) -> dict[str, list[Mask]]:
    classifier = load_classifier(classifier_name)
    index = class_index(classifier, class_name)
    heats = [
        heat(classifier.dense_evidence(one.as_rgb8()), index, height=one.height, width=one.width) for one in pictures
    ]
    return {
        f"first region, coverage {coverage}": [
            boxed(boxes_from_map(one, threshold=1 - coverage, largest_only=False), one.shape) for one in heats
        ]
        for coverage in COVERAGES
    }


def boxed(boxes: Sequence[Box], shape: tuple[int, ...]) -> Mask:
    region = np.zeros(shape, dtype=bool)
    for box in boxes:
        region |= box.mask(*shape)
    return region


def measure(regions: Sequence[Mask], boxes: Sequence[Sequence[Box]]) -> dict[str, float | int]:
    """Return shares over objects, and means over pictures."""
    objects = np.array(
        [share for mask, rows in zip(regions, boxes, strict=True) for share in covered_shares(mask, rows)]
    )
    needless = [needless_share(mask, rows) for mask, rows in zip(regions, boxes, strict=True)]
    return {
        "objects": len(objects),
        "median": round(float(np.median(objects)), 3),
        "mean": round(float(objects.mean()), 3),
        "tenth": round(float(np.quantile(objects, 0.1)), 3),
        "covered_by_nine_tenths": round(float((objects >= 0.9).mean()), 3),
        "needless": round(float(np.mean(needless)), 3),
        "of_the_picture": round(float(np.mean([mask.mean() for mask in regions])), 3),
        "whole": sum(bool(mask.all()) for mask in regions),
    }


def show(rows: dict[str, dict[str, float | int]]) -> None:
    table = Table(
        "", "median of the object", "mean", "lowest tenth", "objects at .9", "needless", "of picture", "whole"
    )
    for name, row in rows.items():
        table.add_row(name, *(str(row[key]) for key in list(row)[1:]))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
