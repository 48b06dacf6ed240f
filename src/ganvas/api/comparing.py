"""The verb that sets methods side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganvas.api.words import Threads
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import using_threads
from ganvas.methods.config import Direction

if TYPE_CHECKING:
    from ganvas.comparison.result import Comparison


def compare(
    *,
    data: Path,
    methods: tuple[str, ...],
    out: Path,
    minutes: float | None = None,
    epochs: float | None = None,
    crop_size: tuple[int, int] = (128, 128),
    load_size: tuple[int, int] | None = None,
    direction: Direction = "a_to_b",
    width: int | None = None,
    batch_size: int | None = None,
    precision: PrecisionChoice | None = None,
    pictures: int = 200,
    seed: int = 0,
    device: str = "auto",
    threads: Threads = None,
) -> Comparison:
    """Train several recipes under the same budget on the same data, and write one page, one table and one grid.

    Writes report.html, comparison.json and grid.png; each run lies in OUT/runs. Stopped, the same command goes on.

    Args:
        data: pairs, or two sides that need not correspond, with a test or a val split.
        methods: recipes, such as cyclegan cut pix2pix; of pairs, those that need none see the two sides apart.
        out: the folder to write.
        minutes: of training, for each method.
        epochs: for each method; unset: its recipe's, which the minutes may cut short.
        crop_size: height and width of a training crop, and of the pictures measured.
        load_size: height and width before cropping; unset: 286/256 of the crop's.
        direction: of pairs, b_to_a: b is given and a is made.
        width: channels of the first layers, of the methods that have such a setting.
        batch_size: pictures a step; unset: each recipe's.
        precision: of the forward passes, where auto is bfloat16 if that is fast here; unset: each recipe's.
        pictures: measure on at most so many of each side, evenly spread.
        seed: of every run.
        device: auto, cpu, cuda, cuda:1 or mps.
        threads: of the CPU to compute with; unset: as many as are fastest.
    """
    from ganvas.comparison.compare import compare as compare_methods
    from ganvas.comparison.plan import Terms

    terms = Terms(
        data=data, minutes=minutes, epochs=epochs, crop_size=crop_size, load_size=load_size, direction=direction,
        width=width, batch_size=batch_size, precision=precision, seed=seed, device=device,
    )  # fmt: skip
    with using_threads(threads):
        return compare_methods(methods, terms, out, pictures=pictures)
