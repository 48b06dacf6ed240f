"""The page that the demo writes: one opens it and sees what was done, and how well."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.demonstration.judge import RENDITIONS, Judgement, mean_scores
from ganvas.demonstration.regions import BLOCK, Covered
from ganvas.evaluation.chart import line_chart
from ganvas.evaluation.html import Image, figures, note, page, paragraph, picture_grid, table
from ganvas.evaluation.report import curves
from ganvas.image.atomic import write_text
from ganvas.image.cover import mosaic
from ganvas.image.picture import Picture
from ganvas.localization import overlay
from ganvas.training.result import TrainingResult

TITLES = {"mosaic": "mosaic", "bicubic": "bicubic", "l1": "restored: L1", "l1_gan": "restored: L1 + GAN"}
SPLITS = {"train": "trained on", "unseen": "never seen"}
CROPS_SHOWN = 6
CROP = 96
"""Side of the training crops shown, in pixels."""
INTRO = (
    "Ordinary photographs went in. A classifier's region was found in each and covered by a mosaic, a model was "
    "trained on this machine to undo mosaics, and photographs that it never saw were restored."
)
SYNTHETIC = "The detail inside the restored regions is synthetic: plausible, not recovered. It proves nothing."
HOW_FOUND = (
    "EfficientNet-lite0 says what each photograph shows (1,000 ImageNet classes), and its class activation map (Zhou "
    "et al. 2016) where. The box round the largest hot part is covered; a low score means that no class fits well."
)
WHICH = (
    "L1 alone is nearest to the truth on average and looks soft: choose it where being wrong costs. The adversarial "
    "term (pix2pix at the paper's weight) sharpens by inventing detail, and is further from the truth: choose it "
    "where looks count. The demo recommends L1."
)


@dataclass(frozen=True)
class DemoReport:
    """All that the page shows."""

    out: Path
    covered: Sequence[Covered]
    judgements: Sequence[Judgement]
    results: dict[str, TrainingResult]
    metrics: dict[str, Any]


def write_report(demo: DemoReport) -> Path:
    """Write OUT/report.html, self-contained."""
    sections = [
        ("", headline(demo)),
        ("Photographs it never saw, restored", restored(demo.judgements)),
        ("The figures", scores(demo.judgements)),
        ("Found, and covered", found(demo.covered)),
        ("What it learnt from", pairs(demo.covered)),
        ("Training", training(demo)),
        ("metrics.json", f"<pre>{html.escape(json.dumps(demo.metrics, indent=1))}</pre>"),
    ]
    report = demo.out / "report.html"
    write_text(report, page("ganvas: find, mosaic, restore, judge", paragraph(INTRO), sections))
    return report


def headline(demo: DemoReport) -> str:
    """The gain in one line, and what it does not mean."""
    means = {name: mean_scores(demo.judgements, name)["psnr"] for name in RENDITIONS}
    values = [
        (f"{means['l1'] - means['mosaic']:+.2f} dB", "restored (L1), over the mosaic"),
        (f"{means['l1'] - means['bicubic']:+.2f} dB", "over bicubic interpolation of its blocks"),
        (f"{demo.metrics['train_images_per_second']:.0f}", "training images a second"),
        (f"{demo.metrics['seconds']:.0f} s", "in all"),
    ]
    return figures(values) + note(SYNTHETIC)


def found(covered: Sequence[Covered]) -> str:
    """Photograph, heat map, mosaic."""
    rows: list[list[Image | None]] = [[one.original, heat_over(one), one.mosaicked] for one in covered]
    names = [f"{one.photograph.name} ({SPLITS[one.photograph.split]})" for one in covered]
    captions = [["", f"{one.finding.class_name}, score {one.finding.score:.2f}", ""] for one in covered]
    titles = ["photograph", "heat map", "covered"]
    return paragraph(HOW_FOUND) + picture_grid(rows, titles, names, captions=captions, lossy=True)


def heat_over(one: Covered) -> Image:
    """The heat map over the photograph, with the box that is covered."""
    return overlay(one.original.as_rgb8(), one.finding.heat, boxes=[one.region])


def pairs(covered: Sequence[Covered]) -> str:
    """Crops of the photographs trained on, beside the same mosaicked."""
    trained = [one.original for one in covered if one.photograph.split == "train"]
    crops = [centre_crop(picture) for picture in trained[:CROPS_SHOWN]]
    given = [Picture(mosaic(crop.pixels, BLOCK)) for crop in crops]
    text = (
        f"Crops of 64 pixels were cut from the {len(trained)} photographs trained on, mirrored at random, and covered "
        f"whole by blocks of {BLOCK} pixels, anew at each step. These are from their middles."
    )
    return paragraph(text) + picture_grid([given, crops], row_titles=["given", "wanted"])


def centre_crop(picture: Picture) -> Picture:
    """CROP x CROP pixels of the middle."""
    top, left = (picture.height - CROP) // 2, (picture.width - CROP) // 2
    return Picture(np.ascontiguousarray(picture.pixels[top : top + CROP, left : left + CROP]))


def restored(judgements: Sequence[Judgement]) -> str:
    """The covered regions side by side, then the whole photographs."""
    regions, captions, wholes = [], [], []
    for one in judgements:
        regions.append([one.covered.cut(picture) for picture in [*one.pictures.values(), one.covered.original]])
        captions.append([f"{score['psnr']:.2f} dB, SSIM {score['ssim']:.3f}" for score in one.scores.values()])
        wholes.append([one.covered.mosaicked, one.pictures["l1"], one.pictures["l1_gan"], one.covered.original])
    names = [one.covered.photograph.name for one in judgements]
    titles = [TITLES[name] for name in RENDITIONS]
    return (
        paragraph("The covered regions alone. Click one to see it large.")
        + picture_grid(regions, [*titles, "original"], names, captions=captions)
        + paragraph("The same in their photographs; outside the region nothing was changed.")
        + picture_grid(wholes, ["covered", "L1", "L1 + GAN", "original"], names, lossy=True)
    )


def scores(judgements: Sequence[Judgement]) -> str:
    """The table, and which rendition to choose for what."""
    columns = [f"{one.covered.photograph.name}, {unit}" for one in judgements for unit in ("dB", "SSIM")]
    rows: list[list[str | float | int | None]] = []
    for name in RENDITIONS:
        each = [one.scores[name][measure] for one in judgements for measure in ("psnr", "ssim")]
        rows.append([TITLES[name], *each, *mean_scores(judgements, name).values()])
    caption = "Inside the covered regions of the photographs never trained on"
    return table(["", *columns, "mean, dB", "mean SSIM"], rows, caption=caption) + paragraph(WHICH)


def training(demo: DemoReport) -> str:
    """Both runs' losses."""
    parts = []
    for name, result in demo.results.items():
        losses = curves(demo.out / "runs" / name).get("training", {})
        lines = {key: points for key, points in losses.items() if "/" in key}
        parts.append(line_chart(lines, "images seen", "loss, weighted", log_y=True, title=TITLES[name]))
        parts.append(paragraph(f"{result.images_seen:,} images, {result.images_per_second:.0f} a second."))
    return "".join(parts)
