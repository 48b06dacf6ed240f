"""HTML report of the demonstration: results, method and next steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.demonstration.film import DemoFilm
from ganvas.demonstration.photographs import BLOCK, RENDITIONS, Conclusion, Covered, Restoration, mean_scores
from ganvas.filesystem.atomic import write_text
from ganvas.image.cover import mosaic
from ganvas.image.picture import Picture
from ganvas.localization import overlay
from ganvas.reports.curves import curves, training_charts
from ganvas.reports.display import display, gallery
from ganvas.reports.html import commands, figures, folded, note, page, paragraph, points, table
from ganvas.reports.pictures import Image, animation, hero, picture_grid, side_by_side
from ganvas.reports.ranking import worst_first
from ganvas.reports.tables import Cell
from ganvas.training.report import TrainingResult

TITLES = {"mosaic": "mosaic", "bicubic": "bicubic", "l1": "restored: L1", "l1_gan": "restored: L1 + GAN"}
MODELS = {"l1": "L1 alone", "l1_gan": "L1 + GAN"}
SPLITS = {"train": "trained on", "unseen": "held out"}
CROPS_SHOWN = 6
CROP = 96
"""Side of the training crops shown, in pixels."""
NUMBERS = ("no", "one", "two", "three")
SYNTHETIC = "The detail inside the restored regions is synthetic: plausible, not recovered. It is not evidence."
HOW_FOUND = (
    "EfficientNet-lite0 names what each photograph shows (1,000 ImageNet classes), and its class activation map (Zhou "
    "et al. 2016) shows where. The box around the largest hot area is covered. A low score means that no class fits "
    "well."
)
METHODS = (
    "Mosaic: the covered region, unchanged; each block has one color.",
    "Bicubic: the colors of the blocks, smoothly interpolated. No training.",
    "L1: a U-Net trained for the smallest mean absolute error. Where several details are possible it generates their "
    "average, which is smooth.",
    "L1 + GAN: pix2pix. The training continues with an adversarial term added: a second network learns to tell real "
    "regions from restored ones, which rewards detail that looks real, whether correct or not.",
)
MEASURES = (
    "PSNR, in decibels (dB), measures the error of the pixels: higher is nearer to the original. 6 dB more means half "
    "the error.",
    "SSIM (structural similarity) compares patterns in windows of 11 pixels: 1 is identical, 0 unrelated.",
    "So few photographs are not representative: differences of a tenth of a decibel are not significant. The metrics "
    "do not measure human perception, so compare the pictures too: detail may be sharp and wrong, and such a short "
    "training run can leave a pattern of lines.",
)
NEXT = (
    "ganvas demo --minutes 20                                                # the same, trained for longer",
    "ganvas train restore --data PHOTOS --out runs/restore                   # your own photographs, in PHOTOS/train",
    "ganvas translate runs/restore COVERED RESTORED --mask MASKS             # restore what the masks mark",
    "ganvas redact IN OUT --classifier imagenet --class zebra --style solid  # cover so that nothing can be restored",
    "ganvas audit FOLDER --out audited                                       # measure how much covers hide",
    "ganvas --help                                                           # all commands",
)


@dataclass(frozen=True)
class DemoReport:
    """Content of the report."""

    out: Path
    covered: Sequence[Covered]
    restorations: Sequence[Restoration]
    results: dict[str, TrainingResult]
    metrics: dict[str, Any]
    conclusion: Conclusion
    left_out: Mapping[str, str]
    film: DemoFilm


def write_report(demo: DemoReport) -> Path:
    """Write OUT/report.html, self-contained."""
    sections = [
        ("", headline(demo)),
        ("What the figures say", conclusions(demo)),
        ("Restored photographs, none used for training", restored(demo)),
        ("A film, restored frame by frame", moving(demo)),
        ("Figures", scores(demo.restorations)),
        ("Found and covered", found(demo.covered)),
        ("Training pairs", pairs(demo.covered)),
        ("Training", training(demo)),
        ("Next steps", commands(NEXT)),
        ("How this page was generated", made(demo.metrics)),
    ]
    report = demo.out / "report.html"
    write_text(report, page("ganvas demo: find, cover, restore, measure", paragraph(introduction(demo)), sections))
    return report


def introduction(demo: DemoReport) -> str:
    """Say what was done, and how many photographs were restored where some were refused."""
    count, total = len(demo.restorations), len(demo.restorations) + len(demo.left_out)
    which = f"the {NUMBERS[total]}" if count == total else f"{NUMBERS[count]} of the {NUMBERS[total]}"
    left_out = "" if count == total else f" The content gate refused a restored version of {', '.join(demo.left_out)}."
    return (
        "ganvas located what an image classifier responds to in nine ordinary photographs, covered it with a mosaic, "
        f"trained two models on this machine to remove mosaics, and restored {which} "
        f"photograph{'s' * (total > 1)} not used for training.{left_out}"
    )


def headline(demo: DemoReport) -> str:
    """Render the large pictures before and after, and the gain in one line."""
    best, first = demo.conclusion.recommended, demo.restorations[0]
    name = first.covered.photograph.name
    pictures: list[tuple[Image, str]] = [
        (first.covered.mosaicked, f"Before: the {name}, covered by a mosaic"),
        (first.pictures[best], f"After: restored by {MODELS[best]}"),
        (first.covered.original, "The original, which the model never saw"),
    ]
    means = {rendition: mean_scores(demo.restorations, rendition)["psnr"] for rendition in RENDITIONS}
    values = [
        (signed(means[best] - means["mosaic"]), f"{MODELS[best]}, compared with the mosaic"),
        (signed(means[best] - means["bicubic"]), "compared with bicubic interpolation"),
        (f"{demo.metrics['seconds']:.0f} s", "for everything on this page"),
    ]
    return hero(pictures) + figures(values) + note(SYNTHETIC)


def signed(decibels: float) -> str:
    """Format a difference with its sign, a true minus."""
    return f"{decibels:+.2f} dB".replace("-", "\u2212")


def conclusions(demo: DemoReport) -> str:
    """Render the conclusions from the mean scores, and the excluded photographs."""
    left_out = [f"{name} is excluded: {why}." for name, why in demo.left_out.items()]
    return points([*demo.conclusion.sentences, *left_out])


def restored(demo: DemoReport) -> str:
    """Render the covered regions side by side, the worst first, then the whole photographs."""
    best, by_name = demo.conclusion.recommended, {one.covered.photograph.name: one for one in demo.restorations}
    names = worst_first({name: one.scores[best]["psnr"] for name, one in by_name.items()})
    regions, wholes = {}, []
    for name in names:
        one = by_name[name]
        captions = [f"{score['psnr']:.2f} dB, SSIM {score['ssim']:.3f}" for score in one.scores.values()]
        cut = [one.covered.cut(picture) for picture in one.pictures.values()]
        regions[name] = display(cut, one.covered.cut(one.covered.original), captions, lossy=False)
        wholes.append([one.covered.mosaicked, one.pictures["l1"], one.pictures["l1_gan"], one.covered.original])
    order = f"The covered regions alone, the lowest PSNR of {MODELS[best]} first; the original is the target."
    return (
        points(METHODS)
        + paragraph(order)
        + gallery(regions, [*(TITLES[name] for name in RENDITIONS), "original"])
        + paragraph("The same regions in their photographs. Nothing outside the region is changed.")
        + picture_grid(wholes, ["covered", *MODELS.values(), "original"], names, lossy=True)
    )


def moving(demo: DemoReport) -> str:
    """Render the film under the mosaic and restored, side by side."""
    film = demo.film
    text = (
        f"A pan over the {film.name}. The mosaic is fixed to the screen and the picture moves below it, so each frame "
        "shows different averages. The model restores each frame independently, so its detail flickers. `ganvas "
        "translate RUN FILM OUT` does this for any film and preserves sound and timestamps."
    )
    if film.restored is None:
        return paragraph(text) + note(f"Not shown: {film.refusal}.")
    restored = f"restored by {MODELS[demo.conclusion.recommended]}"
    shown = [animation(film.covered, "covered by a mosaic"), animation(film.restored, restored)]
    return paragraph(text) + side_by_side(shown)


def scores(restorations: Sequence[Restoration]) -> str:
    """Render the measures of each photograph, their means and how to read them."""
    columns = [f"{one.covered.photograph.name}, {unit}" for one in restorations for unit in ("dB", "SSIM")]
    rows: list[list[Cell]] = []
    for name in RENDITIONS:
        each = [one.scores[name][measure] for one in restorations for measure in ("psnr", "ssim")]
        mean = mean_scores(restorations, name)
        rows.append([TITLES[name], *each, *mean.values()])
    caption = "Inside the covered regions of the held-out photographs"
    header = ["", *columns, "mean, dB", "mean, SSIM"]
    return table(header, rows, caption=caption) + points([*MEASURES, example(restorations)])


def example(restorations: Sequence[Restoration]) -> str:
    """Express the mosaic's decibels as an error in gray levels."""
    decibels = mean_scores(restorations, "mosaic")["psnr"]
    levels = 255 * 10 ** (-decibels / 20)
    return (
        f"For example, the mosaic's {decibels:.2f} dB are an error of about {levels:.0f} of 255 gray levels (root mean "
        "square)."
    )


def found(covered: Sequence[Covered]) -> str:
    """Render photograph, heatmap and mosaic."""
    rows: list[list[Image | None]] = [[one.original, heat_over(one), one.mosaicked] for one in covered]
    names = [f"{one.photograph.name} ({SPLITS[one.photograph.split]})" for one in covered]
    captions = [["", f"{one.finding.class_name}, score {one.finding.score:.2f}", ""] for one in covered]
    titles = ["photograph", "heat map", "covered"]
    return paragraph(HOW_FOUND) + picture_grid(rows, titles, names, captions=captions, lossy=True)


def heat_over(one: Covered) -> Image:
    """Draw the heatmap over the photograph, with the covered box."""
    return overlay(one.original.as_rgb8(), one.finding.heat, boxes=[one.region])


def pairs(covered: Sequence[Covered]) -> str:
    """Render crops of the training photographs beside their mosaics."""
    trained = [one.original for one in covered if one.photograph.split == "train"]
    crops = [center_crop(picture) for picture in trained[:CROPS_SHOWN]]
    given = [Picture(mosaic(crop.pixels, BLOCK)) for crop in crops]
    text = (
        f"At each step, crops of 64 pixels are taken from the {len(trained)} training photographs and from copies of "
        f"half their size, mirrored and rotated at random, and covered by blocks of {BLOCK} pixels. The model learns "
        "to turn the input into the target. These crops are from the middle of each photograph."
    )
    return paragraph(text) + picture_grid([given, crops], row_titles=["input", "target"])


def center_crop(picture: Picture) -> Picture:
    """Return the center CROP x CROP pixels."""
    top, left = (picture.height - CROP) // 2, (picture.width - CROP) // 2
    return Picture(np.ascontiguousarray(picture.pixels[top : top + CROP, left : left + CROP]))


def training(demo: DemoReport) -> str:
    """Render the losses and the validation of both runs."""
    parts = []
    for name, result in demo.results.items():
        charts = training_charts(curves(demo.out / "runs" / name), of=MODELS[name])
        parts.append(charts or note(f"The training of {MODELS[name]} was too short for a curve."))
        parts.append(paragraph(f"{result.images_seen:,} images, {result.images_per_second:.0f} per second."))
    return "".join(parts)


def made(metrics: Mapping[str, Any]) -> str:
    """Render date, machine, software and all figures."""
    machine = metrics["machine"]
    text = (
        f"On {machine['date']}, by ganvas {machine['ganvas']} with PyTorch {machine['torch']} and Python "
        f"{machine['python']}, on {machine['processor']} ({machine['cores']} cores, {machine['system']}), in "
        f"{metrics['seconds']:.0f} seconds, at {metrics['train_images_per_second']:.0f} training images per second. "
        "Another machine trains on more or fewer images in the same time, so its figures differ."
    )
    return paragraph(text) + folded("All figures (metrics.json)", json.dumps(metrics, indent=1))
