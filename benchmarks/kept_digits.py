"""Preservation of content in unpaired translation: share of digits that keep their class between MNIST and USPS.

    python benchmarks/kept_digits.py --data ../shared/data/digits --out runs/kept --minutes 10 --threads 1

Trains each method by its recipe on 2,000 digits of MNIST and 1,800 of USPS without their labels, at 64x64 pixels, with
half the width of the recipe and without mirroring, for the same number of minutes. A network trained on labeled digits
of the other set then classifies the translations of 300 held-out digits of each set. The references are the other set's
own digits, and the untranslated digits, as a translation that changes nothing would return them; chance is 10 %. After
an interruption, the same command resumes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure.digits import Digits, draw, read_mnist, read_usps
from measure.machine import describe
from measure.table import Table, markdown
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ganvas.data.config import UnpairedData
from ganvas.filesystem.atomic import write_json
from ganvas.image.files import write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.inference.translator import Translator
from ganvas.methods import DomainGANConfig
from ganvas.methods.config import Direction
from ganvas.privacy_audit.attacks import interval, small_network
from ganvas.progress import track
from ganvas.recipes import RECIPES
from ganvas.training.config import RunConfig
from ganvas.training.loop import train

Rgb = NDArray[np.uint8]
Namer = Callable[[Sequence[Rgb]], Tensor]
SIDE, TESTED, SHOWN = 64, 300, 12
SIDES: dict[Direction, tuple[str, str]] = {"a_to_b": ("a", "b"), "b_to_a": ("b", "a")}
"""Direction -> (source, target); a is MNIST, b is USPS."""
EVERY = 20_000


def enlarged(digits: Digits) -> list[Rgb]:
    """Return each digit as (64, 64, 3): 28 pixels with a border of 2, upsampled by 2."""
    bordered = functional.pad(digits.images, [2] * 4, value=-1.0)
    large = functional.interpolate(bordered, (SIDE, SIDE), mode="bilinear", align_corners=False)
    levels = ((large + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return [np.ascontiguousarray(one.permute(1, 2, 0).expand(-1, -1, 3).numpy()) for one in levels]


def lay_out(folder: Path, sets: dict[str, tuple[list[Rgb], Any]]) -> None:
    """Write trainA and trainB in gray."""
    for side, (pictures, _) in sets.items():
        for number, picture in enumerate(pictures):
            path = folder / f"train{side.upper()}" / f"{number:05d}.png"
            if not path.exists():
                write_image(path, Picture(picture[:, :, :1]))


def config_of(name: str, folder: Path, given: argparse.Namespace) -> RunConfig:
    """Return the recipe at 64 pixels and half the width; the domain GAN trains its encoder in the last third."""
    recipe = RECIPES[name]()
    data = UnpairedData(folder=folder, load_size=(SIDE, SIDE), crop_size=(SIDE, SIDE), mirror=False)
    training = replace(
        recipe.training, minutes=given.minutes, epochs=10_000.0, constant_fraction=1.0, precision="bfloat16",
        sample_every=EVERY, validate_every=EVERY, checkpoint_every=EVERY, seed=0,
    )  # fmt: skip
    method = replace(recipe.method, width=given.width)
    if isinstance(method, DomainGANConfig):
        method = replace(method, encoder_after=given.encoder_after)
    return replace(recipe, data=data, training=training, method=method)


def learn_names(sets: dict[str, tuple[list[Rgb], Tensor]]) -> dict[str, Namer]:
    """Return side -> classifier of its digits, trained with labels."""
    attacker = small_network(steps=800)

    def learn(side: str) -> Namer:
        pictures, labels = sets[side]
        namer = attacker.learn(attacker.see(pictures), labels, 10, 0)
        return lambda seen: namer(attacker.see(seen))

    return {side: learn(side) for side in sets}


def share(namer: Namer, pictures: Sequence[Rgb], labels: Tensor) -> dict[str, Any]:
    """Return the share of correct classes, with Wilson's 95 % interval."""
    right, total = int((namer(pictures) == labels).sum()), len(labels)
    low, high = interval(right, total)
    return {"share": right / total, "low": low, "high": high}


def translated(run: Path, way: Direction, pictures: Sequence[Rgb]) -> list[Rgb]:
    """Translate each picture with the run, through the content gate."""
    translator = Translator.load(run, snapshot="last", device="cpu", direction=way)
    tracked = track(pictures, f"{run.name}, {way}", total=len(pictures))
    made = [translator.translate_picture(Picture(one[:, :, :1]), name="digit").picture.as_rgb8() for one in tracked]
    return [np.ascontiguousarray(one) for one in made]


def table_of(record: dict[str, Any]) -> Table:
    """Return a row for each method and reference."""
    table = Table("Digits that keep their class after a translation")
    for name, ways in record["rows"].items():
        row: dict[str, Any] = {"": name, "images seen": record["images"].get(name)}
        for way, title in zip(SIDES, ("MNIST to USPS", "USPS to MNIST"), strict=True):
            one = ways[way]
            row[title] = f"{100 * one['share']:.1f} % ({100 * one['low']:.0f} to {100 * one['high']:.0f})"
        table.rows.append(row)
    return table


def run_all(given: argparse.Namespace) -> Table:
    """Train the missing runs, and measure."""
    parts = {"a": draw(read_mnist(given.data), 2000, seed=0), "b": draw(read_usps(given.data), 1800, seed=0)}
    trained = {side: (enlarged(part[0]), part[0].labels) for side, part in parts.items()}
    tested = {side: part[1].at(torch.arange(TESTED)) for side, part in parts.items()}
    lay_out(given.out / "pictures", trained)
    namers, pictures = learn_names(trained), {side: enlarged(digits) for side, digits in tested.items()}

    def kept(made: dict[Direction, list[Rgb]], *, own: bool = False) -> dict[str, Any]:
        return {way: share(namers[to], made[way], tested[to if own else of].labels) for way, (of, to) in SIDES.items()}

    given_ways = {way: pictures[of] for way, (of, _) in SIDES.items()}
    other_side = {way: pictures[to] for way, (_, to) in SIDES.items()}
    rows = {"the other set's own digits": kept(other_side, own=True), "digits as they are": kept(given_ways)}
    record: dict[str, Any] = {"machine": describe(), "minutes": given.minutes, "images": {}, "rows": rows}
    shown = {"given": given_ways}
    for name in given.methods:
        run = given.out / name
        record["images"][name] = train(config_of(name, given.out / "pictures", given), run, resume=True).images_seen
        shown[name] = {way: translated(run, way, given_ways[way]) for way in SIDES}
        rows[name] = kept(shown[name])
        write_json(given.out / "kept.json", record)
        write_grid(given.out / "kept.png", shown)
    return table_of(record)


def write_grid(path: Path, shown: dict[str, dict[Direction, list[Rgb]]]) -> None:
    """Write a row for each direction and method; the first row of each direction is the input."""
    labels = [f"{way}: {name}" for way in SIDES for name in shown]
    rows = [made[way][:SHOWN] for way in SIDES for made in shown.values()]
    label = SyntheticLabel(software="ganvas benchmarks/kept_digits.py", model="several", note="All but the inputs.")
    write_image(path, Picture(make_grid(rows, row_labels=labels)), synthetic=label)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with MNIST's t10k files and usps_all.mat")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["domain_gan", "discogan", "cyclegan"])
    parser.add_argument("--minutes", type=float, default=10.0, help="training minutes per method")
    parser.add_argument("--encoder-after", type=int, default=40_000, help="images seen before the encoder trains")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    print(markdown([run_all(given)]))


if __name__ == "__main__":
    main()
