"""Localization of zebras by class activation maps, compared with centered Gaussians; writes JSON and prints a table.

    python benchmarks/localization.py --data ../shared/data --out localization.json      # about 35 s on two cores

The truth is benchmarks/zebra_boxes.json: hand-drawn boxes around every zebra of every third picture of
horse2zebra/testB. Baselines: a Gaussian whose standard deviation is a quarter of each side, and for each picture the
Gaussian that is as concentrated as its map, since a narrower map has more energy inside boxes regardless of its
content.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ganvas.image.files import read_image
from ganvas.image.picture import Box
from ganvas.localization import Evidence, class_index, heat, load_classifier
from ganvas.localization.classifier import Bytes, Floats
from ganvas.metrics.localization import (
    Spread,
    best_overlaps,
    bootstrap,
    box_hits,
    boxes_mask,
    centered_gaussian,
    energy_inside,
    matched_gaussian,
    pixel_average_precision,
)

BOXES = Path(__file__).with_name("zebra_boxes.json")
STRATA = {
    "all": (0.0, 1.01),
    "boxes under 25 % of the picture": (0.0, 0.25),
    "25 to 75 %": (0.25, 0.75),
    "over 75 %": (0.75, 1.01),
}


@dataclass(frozen=True)
class Photo:
    """Picture with its ground truth."""

    rgb: Bytes
    boxes: list[Box]

    @property
    def share(self) -> float:
        """Return the share of the picture's area inside the boxes."""
        return float(boxes_mask(self.boxes, *self.rgb.shape[:2]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that contains horse2zebra")
    parser.add_argument("--classifier", default="imagenet")
    parser.add_argument("--class-name", default="zebra")
    parser.add_argument("--out", type=Path, default=Path("localization.json"))
    options = parser.parse_args()
    photos = read_photos(options.data / "horse2zebra" / "testB")
    maps = all_maps(photos, options.classifier, options.class_name)
    figures = {
        "pictures": len(photos),
        "area": asdict(bootstrap([photo.share for photo in photos])),
        "maps": {name: measure(photos, heats) for name, heats in maps.items()},
        "energy_gain": {name: gains(photos, maps[name]) for name in ("dense look", "look of record")},
    }
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    show(figures)


def read_photos(folder: Path) -> list[Photo]:
    truth = json.loads(BOXES.read_text(encoding="utf-8"))["boxes"]
    return [Photo(read_image(folder / name).as_rgb8(), [Box(*box) for box in boxes]) for name, boxes in truth.items()]


def all_maps(photos: list[Photo], classifier_name: str, class_name: str) -> dict[str, list[Floats]]:
    classifier = load_classifier(classifier_name)
    index = class_index(classifier, class_name)

    def heats(look: Callable[[Bytes], Evidence]) -> list[Floats]:
        return [heat(look(photo.rgb), index, height=photo.rgb.shape[0], width=photo.rgb.shape[1]) for photo in photos]

    dense = heats(classifier.dense_evidence)
    return {
        "dense look": dense,
        "look of record": heats(classifier.evidence),
        "Gaussian, spread 1/4": [quarter_gaussian(photo) for photo in photos],
        "Gaussian as concentrated": [matched_gaussian(one) for one in dense],
        "everywhere the same": [np.ones(photo.rgb.shape[:2], np.float32) for photo in photos],
    }


def quarter_gaussian(photo: Photo) -> Floats:
    return centered_gaussian(*photo.rgb.shape[:2], spread=0.25)


def energies(photos: list[Photo], heats: list[Floats]) -> Floats:
    shares = [energy_inside(one, boxes_mask(photo.boxes, *one.shape)) for photo, one in zip(photos, heats, strict=True)]
    return np.array(shares, np.float32)


def measure(photos: list[Photo], heats: list[Floats]) -> dict[str, object]:
    masks = [boxes_mask(photo.boxes, *photo.rgb.shape[:2]) for photo in photos]
    overlaps = np.stack([best_overlaps(one, photo.boxes) for photo, one in zip(photos, heats, strict=True)])
    half, other = overlaps[::2], overlaps[1::2]  # each half is evaluated at the best threshold of the other
    hits = np.concatenate([box_hits(half, other), box_hits(other, half)])
    peaks = [bool(mask.ravel()[one.argmax()]) for mask, one in zip(masks, heats, strict=True)]
    return {
        "energy_inside": asdict(bootstrap(energies(photos, heats))),
        "max_box_acc_v2": asdict(bootstrap(hits.mean(axis=1))),
        "found_at_iou_0.3_0.5_0.7": [round(float(share), 4) for share in hits.mean(axis=0)],
        "pixel_average_precision": round(pixel_average_precision(heats, masks), 4),
        "peak_inside": asdict(bootstrap(np.array(peaks, np.float32))),
    }


def gains(photos: list[Photo], heats: list[Floats]) -> dict[str, object]:
    """Return the energy inside the boxes, and its gain over each baseline, picture by picture."""
    shares = np.array([photo.share for photo in photos])
    ours = energies(photos, heats)
    matched = energies(photos, [matched_gaussian(one) for one in heats])
    quarter = energies(photos, [quarter_gaussian(photo) for photo in photos])
    rows: dict[str, object] = {}
    for name, (low, high) in STRATA.items():
        chosen = (shares >= low) & (shares < high)
        rows[name] = {
            "pictures": int(chosen.sum()),
            "area": round(float(shares[chosen].mean()), 4),
            "energy": asdict(bootstrap(ours[chosen])),
            "over_area": asdict(bootstrap(ours[chosen] - shares[chosen])),
            "over_quarter_gaussian": asdict(bootstrap(ours[chosen] - quarter[chosen])),
            "over_matched_gaussian": asdict(bootstrap(ours[chosen] - matched[chosen])),
        }
    return rows


def show(figures: Mapping[str, object]) -> None:
    maps, gained = figures["maps"], figures["energy_gain"]
    assert isinstance(maps, dict)
    assert isinstance(gained, dict)
    table = Table("map", "energy inside", "MaxBoxAccV2", "PxAP", "peak inside", title=f"{figures['pictures']} pictures")
    for name, row in maps.items():
        precision = f"{row['pixel_average_precision']:.3f}"
        table.add_row(
            name, text(row["energy_inside"]), text(row["max_box_acc_v2"]), precision, text(row["peak_inside"])
        )
    console = Console(width=140)
    console.print(table)
    for look, rows in gained.items():
        table = Table(
            "pictures", "n", "area", "energy", "over Gaussian 1/4", "over Gaussian as concentrated", title=look
        )
        for name, row in rows.items():
            ahead = (text(row["over_quarter_gaussian"]), text(row["over_matched_gaussian"]))
            table.add_row(name, str(row["pictures"]), f"{row['area']:.3f}", text(row["energy"]), *ahead)
        console.print(table)


def text(record: dict[str, float]) -> str:
    spread = Spread(**record)
    return f"{spread.mean:.3f} ({spread.low:.3f} to {spread.high:.3f})"


if __name__ == "__main__":
    main()
