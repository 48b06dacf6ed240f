"""Comparison of generators, augmentations and precisions for the demo, after equal training times.

    python benchmarks/demo_variants.py --out runs/demo-variants --minutes 4 --processes 2

Each variant trains on the demo's six photographs for the same processor time of one core, and its metrics are those of
the covered regions of the three photographs that the demo never trains on: PSNR and SSIM as in the demo's report, LPIPS
with AlexNet. The variants with an adversarial loss start from the weights of the variant `demo` and train for the same
time again; `one size` trains without the copies of half the size. The baselines are the mosaic and bicubic
interpolation of its block means. After an interruption, the same command resumes. Writes demo_variants.json, and the
restored photographs in OUT/VARIANT/restored.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from measure.budget import in_processes, train_for
from measure.table import Table, markdown
from quality import machine

from ganvas.demonstration.photographs import PHOTOGRAPHS, as_tensor, cover_photograph, measure_renditions
from ganvas.demonstration.run import ADVERSARIAL_WEIGHT, cover_all, demo_config, unpack
from ganvas.filesystem.atomic import write_json
from ganvas.image.picture import Picture
from ganvas.inference.folder import translate_files
from ganvas.localization import load_classifier
from ganvas.metrics.features import LPIPS, load_lpips
from ganvas.training.config import RunConfig

Changes = dict[str, dict[str, Any]]
"""Part of a `RunConfig` -> settings that differ from the demo's."""
ONE_SIZE = Path("one-size")
U_NET: dict[str, Any] = {"generator": "unet", "depth": 3, "residual": True, "unshuffle": 1, "upsampling": "resize"}
WITHOUT: dict[str, Any] = {"rotate": False, "jitter": 0.0}
L1_ALONE: dict[str, Changes] = {
    "demo": {},
    "full size": {"method": {"unshuffle": 1, "width": 16, "encoder_blocks": (1,) * 3, "decoder_blocks": (1,) * 3}},
    "U-Net": {"method": U_NET, "training": {"learning_rate": 1e-3}},
    "one size": {"data": {"folder": ONE_SIZE}},
    "without augmentation": {"data": WITHOUT},
    "float32": {"training": {"precision": "float32"}},
    "U-Net, float32, without augmentation": {
        "method": U_NET,
        "data": WITHOUT,
        "training": {"learning_rate": 1e-3, "precision": "float32", "ema_half_life": 0.0},
    },
}
"""Variants of the demo's first run; the last one has the network, precision and data of an earlier demo."""
ADVERSARIAL: dict[str, Changes] = {
    "demo, adversarial": {},
    "weight .25": {"method": {"adversarial_weight": 0.25}},
    "weight 1": {"method": {"adversarial_weight": 1.0}},
    "weight 1, without averaged weights": {
        "method": {"adversarial_weight": 1.0},
        "training": {"ema_half_life": 0.0},
    },
}
"""Variants of the demo's second run."""
Scores = dict[str, float]


@dataclass(frozen=True)
class Job:
    """One training run."""

    variant: str
    out: Path
    minutes: float

    @property
    def folder(self) -> Path:
        """The folder of the variant."""
        return self.out / self.variant.replace(",", "").replace(" ", "-")

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / "run"


def config_of(job: Job) -> RunConfig:
    """Return the demo's run with the changes of the variant."""
    sharpens = job.variant in ADVERSARIAL
    start = Job("demo", job.out, job.minutes).run if sharpens else None
    weight = ADVERSARIAL_WEIGHT if sharpens else 0.0
    config = demo_config(job.out / "photographs", adversarial_weight=weight, start_from=start)
    changes = (L1_ALONE | ADVERSARIAL)[job.variant]
    parts = {part: replace(getattr(config, part), **settings) for part, settings in changes.items()}
    data = parts.get("data", config.data)
    return replace(config, **parts | {"data": replace(data, folder=job.out / data.folder)})


def copy_one_size(out: Path) -> None:
    """Write OUT/one-size: the photographs without the copies of half their size."""
    for path in (out / "photographs").rglob("*.png"):
        if not path.stem.endswith("-half"):
            copy = out / ONE_SIZE / path.relative_to(out / "photographs")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def train_job(job: Job) -> dict[str, float]:
    return train_for(config_of(job), job.run, job.minutes)


def measure(job: Job, judge: LPIPS) -> dict[str, Scores]:
    """Restore the held-out photographs; return rendition -> mean metrics inside the covered regions."""
    restored, classifier = job.folder / "restored", load_classifier("imagenet")
    translate_files(job.run, job.out / "covered", restored, mask=job.out / "masks", progress=False)
    rows: dict[str, list[Scores]] = {}
    for photograph in PHOTOGRAPHS:
        if photograph.split == "unseen":
            covered = cover_photograph(photograph, job.out, classifier)
            made = measure_renditions(covered, restored={job.variant: restored / f"{photograph.name}.png"})
            box = covered.region

            def inside(picture: Picture, box: Any = box) -> torch.Tensor:
                return 2 * as_tensor(picture)[..., box.top : box.bottom, box.left : box.right].float() - 1

            for name, picture in made.pictures.items():
                with torch.inference_mode():
                    distance = judge(inside(picture), inside(covered.original)).item()
                rows.setdefault(name, []).append(made.scores[name] | {"lpips": distance})
    return {name: {key: fmean(row[key] for row in own) for key in own[0]} for name, own in rows.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4.0, help="minutes of processor time per variant")
    parser.add_argument("--processes", type=int, default=1, help="simultaneous training runs, one thread each")
    parser.add_argument("--variants", nargs="+", default=[*L1_ALONE, *ADVERSARIAL], choices=[*L1_ALONE, *ADVERSARIAL])
    return parser.parse_args()


def main() -> None:
    given = arguments()
    out = given.out.absolute()
    if not (out / "masks").exists():
        unpack(out)
        cover_all(out)
    copy_one_size(out)
    jobs = [Job(variant, out, given.minutes) for variant in dict.fromkeys(["demo", *given.variants])]
    trained: dict[str, dict[str, float]] = {}
    for stage in (L1_ALONE, ADVERSARIAL):  # the second starts from a run of the first
        own = [job for job in jobs if job.variant in stage]
        made = in_processes(train_job, own, given.processes)
        trained |= {job.variant: result for job, result in zip(own, made, strict=True)}
    torch.set_num_threads(1)
    judge, found = load_lpips("alexnet"), dict[str, Scores]()
    for job in jobs:
        found |= measure(job, judge)
    table = Table(f"The demo's held-out photographs after {given.minutes:g} minutes of one core")
    for name, scores in found.items():
        gain = scores["psnr"] - found["bicubic"]["psnr"]
        crops = f"{trained[name]['images']:.0f}" if name in trained else None
        table.rows.append({"variant": name, **scores, "above bicubic, dB": gain, "crops seen": crops})
    record = {"machine": machine(), "minutes": given.minutes, "training": trained, "metrics": found}
    write_json(out / "demo_variants.json", record)
    print(markdown([table]))


if __name__ == "__main__":
    main()
