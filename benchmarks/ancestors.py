"""Blur of a VAE compared with that of a VAE/GAN, on flowers and on digits: gradient energy, PSNR and a grid of each.

    python benchmarks/ancestors.py --data ../shared/data --out runs/ancestors

Trains both methods on each set, measures them on held-out pictures, and writes OUT/ancestors.json, OUT/ancestors.md and
the grids OUT/flowers.png and OUT/digits.png, each also without the real pictures (-made.png). After an interruption,
the same command resumes. The networks are a quarter as wide as the paper's and trained for few steps: the figures show
the difference, not the best quality of either. Takes half an hour to an hour of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from measure.digits import Digits, draw, read_mnist
from measure.machine import describe
from measure.table import Row, Table, markdown
from quality import write_split
from torch import Tensor
from torch.nn import functional

from ganvas.content_gate.gate import admit
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.loader import evaluation_pairs
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.filesystem.paths import cache_folder
from ganvas.image.files import write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, PictureSpec, make_grid
from ganvas.image.ranges import from_signed, unit_from_signed
from ganvas.methods import VAEConfig, VAEGANConfig
from ganvas.metrics.fidelity import psnr
from ganvas.recipes import vae
from ganvas.runs.record import load_generators
from ganvas.serialization import to_record
from ganvas.training.config import RunConfig
from ganvas.training.loop import train

WIDTH = 16
DIGITS_TRAINED, DIGITS_TESTED = 2000, 200
DIGIT_SIDE = 32
"""Side, in pixels, of a 28-pixel digit with its black border."""
SHOWN = 7
"""Number of columns of a grid."""


@dataclass(frozen=True)
class Subject:
    """Set of pictures to train on.

    Attributes:
        data: folder and crops.
        pictures: number of training pictures.
        images: number of training images seen in a run.
        batch_size: pictures per step.
        latent_size: size of a latent code.
        scale: scale of the grid.
    """

    data: PairedData
    pictures: int
    images: int
    batch_size: int
    latent_size: int
    scale: int


@dataclass(frozen=True)
class Look:
    """Outputs of a trained method for the held-out pictures, each (N, C, H, W) in [-1, 1]."""

    real: Tensor
    reconstructed: Tensor
    drawn: Tensor


def flowers(data: Path, out: Path) -> Subject:
    """Return the flowers, with the same held-out pictures as quality.py."""
    split = write_split(data / "flowers", out)
    pictures = replace(vae().data, folder=data / "flowers", split_file=split)
    return Subject(pictures, pictures=340, images=40_000, batch_size=16, latent_size=128, scale=1)


def digits(data: Path, out: Path) -> Subject:
    """Return a part of MNIST, as a folder of pictures."""
    trained, rest = draw(read_mnist(data / "digits"), DIGITS_TRAINED, seed=0)
    write_digits(out / "pictures" / "train", trained)
    write_digits(out / "pictures" / "test", rest.at(torch.arange(DIGITS_TESTED)))
    sizes = {"load_size": (DIGIT_SIDE, DIGIT_SIDE), "crop_size": (DIGIT_SIDE, DIGIT_SIDE)}
    pictures = replace(vae().data, folder=out / "pictures", mirror=False, **sizes)
    return Subject(pictures, pictures=DIGITS_TRAINED, images=25_600, batch_size=32, latent_size=32, scale=2)


SUBJECTS: dict[str, Callable[[Path, Path], Subject]] = {"flowers": flowers, "digits": digits}


def write_digits(folder: Path, chosen: Digits) -> None:
    border = (DIGIT_SIDE - chosen.images.shape[-1]) // 2
    for number, image in enumerate(functional.pad(chosen.images, [border] * 4, value=-1.0)):
        path = folder / f"{number:05d}.png"
        if not path.exists():
            write_image(path, as_picture(image, PictureSpec(channels=1)))


def configs(subject: Subject, images: int, *, gamma: float, seed: int) -> dict[str, RunConfig]:
    """Return the configs of both methods, with the same networks and the same training.

    A few thousand steps on a few hundred pictures need other settings than the paper's: a larger gamma; a decoder that
    minimizes -log Dis of its outputs, since the discriminator wins early, and that resizes, since checkerboard
    artifacts take long to disappear.
    """
    common = {"width": WIDTH, "latent_size": subject.latent_size, "upsampling": "resize"}
    training = replace(
        vae().training,
        epochs=images / subject.pictures,
        batch_size=subject.batch_size,
        precision="bfloat16",
        seed=seed,
        sample_every=images // 4,
        validate_every=images,
        checkpoint_every=images // 20,
        log_every=images // 100,
    )
    judged = VAEGANConfig(**common, gamma=gamma, adversarial="non_saturating")
    methods = {"VAE": VAEConfig(**common), "VAE/GAN": judged}
    return {name: RunConfig(method=method, data=subject.data, training=training) for name, method in methods.items()}


def look(config: RunConfig, run: Path, *, seed: int) -> Look:
    """Return reconstructions of the held-out pictures, and as many samples."""
    assert isinstance(config.data, PairedData)
    cache = build_cache(config.data, "test", cache_folder() / "pictures")
    real = torch.cat([picture for _, picture, _ in evaluation_pairs(cache, config.data)])
    method = load_generators(run, "last")
    with torch.inference_mode():
        reconstructed = method.translate(real)
        torch.manual_seed(seed)
        (drawn,) = method.sample(len(real))
    return Look(real, reconstructed, drawn)


def rows(name: str, looks: dict[str, Look]) -> Iterator[Row]:
    """Return gradient energies relative to those of the real pictures."""
    real = energy(next(iter(looks.values())).real)
    for method, seen in looks.items():
        unit, wanted = unit_from_signed(seen.reconstructed), unit_from_signed(seen.real)
        yield {
            "pictures": name,
            "method": method,
            "energy of reconstructions": energy(seen.reconstructed) / real,
            "energy of samples": energy(seen.drawn) / real,
            "PSNR of reconstructions, dB": fmean(psnr(unit, wanted).tolist()),
            "held out": len(seen.real),
        }


def energy(images: Tensor) -> float:
    return gradient_energy(unit_from_signed(images)).mean().item()


def gradient_energy(images: Tensor) -> Tensor:
    """Compute the mean squared difference of neighbors, vertical plus horizontal: blur lowers it, noise raises it.

    Relative to the energy of another set it shows how many edges and how much texture remain, not whether they are
    correct.

    Args:
        images: (N, C, H, W) in [0, 1], at least 2 pixels a side.

    Returns:
        (N,) float64, at least 0: the mean over positions and channels, computed for each direction.
    """
    exact = images.double()
    down, across = exact.diff(dim=-2), exact.diff(dim=-1)
    return down.square().mean(dim=(1, 2, 3)) + across.square().mean(dim=(1, 2, 3))


def write_grids(folder: Path, name: str, looks: dict[str, Look], *, scale: int) -> None:
    """Write real pictures, reconstructions and samples of each method; every tile passes the content gate.

    Also write the grids without the real pictures, whose license may not allow publication.
    """
    lines = {"real": next(iter(looks.values())).real}
    lines |= {method: seen.reconstructed for method, seen in looks.items()}
    lines |= {f"{method} drawn": seen.drawn for method, seen in looks.items()}
    cells = [[shown(image, method) for image in chosen(images)] for method, images in lines.items()]
    label = SyntheticLabel(
        software="ganvas", model="VAE, VAE/GAN", note="All rows but a real one were made by a model."
    )
    for suffix, first in (("", 0), ("-made", 1)):
        grid = make_grid(cells[first:], row_labels=[*lines][first:], scale=scale)
        write_image(folder / f"{name}{suffix}.png", Picture(grid), synthetic=label)


def chosen(images: Tensor) -> Tensor:
    """Return evenly spaced pictures."""
    return images[:: len(images) // SHOWN][:SHOWN]


def shown(image: Tensor, name: str) -> Picture:
    picture = as_picture(image, PictureSpec(channels=len(image)))
    admit(picture, name=name)
    return picture


def as_picture(image: Tensor, spec: PictureSpec) -> Picture:
    """Convert (C, H, W) in [-1, 1] to a picture."""
    return Picture(from_signed(image.permute(1, 2, 0).numpy(), spec))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that contains flowers and digits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SUBJECTS, default=[*SUBJECTS])
    parser.add_argument("--images", type=int, help="images seen per training run; unset: a number that suffices")
    parser.add_argument("--gamma", type=float, default=1e-2, help="gamma of the VAE/GAN")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    table = Table("Gradient energy relative to that of the real pictures")
    record: dict[str, Any] = {"machine": describe(), "seed": given.seed, "configs": {}}
    for name in given.sets:
        subject, looks = SUBJECTS[name](given.data, given.out / name), dict[str, Look]()
        images = given.images or subject.images
        for method, config in configs(subject, images, gamma=given.gamma, seed=given.seed).items():
            run = given.out / name / method.lower().replace("/", "_")
            print(train(config, run, resume=(run / "run.json").exists()))
            looks[method] = look(config, run, seed=given.seed)
            record["configs"][f"{name} {method}"] = to_record(config)
        table.rows += rows(name, looks)
        write_grids(given.out, name, looks, scale=subject.scale)
        write_json(given.out / "ancestors.json", record | {"table": table.as_record()})
    write_text(given.out / "ancestors.md", markdown([table]) + "\n")
    print(markdown([table]))


if __name__ == "__main__":
    main()
