"""Files of a privacy audit: the JSON record, the picture grid and the HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from ganvas.content_gate import as_sheet, write_synthetic
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.privacy_audit.attacks import AS_COVERED, ORIGINAL, AuditedCover, Shown
from ganvas.privacy_audit.report import GRID_NAME, HTML_NAME, JSON_NAME, Audit, left_out, percent, tables
from ganvas.reports import html
from ganvas.reports.chart import Point, line_chart
from ganvas.reports.display import display, gallery

__all__ = ["as_html", "gallery_of", "grid_of", "lines_of", "write_reports"]

SHOWN_SIDE = 96
"""Side in pixels to which the grid enlarges smaller pictures, by an integer factor."""
CHART = "Test pictures whose kind an attacker recognizes"
AXES = {"mosaic": "blocks across the picture", "blur": "sigma (pixels)"}
HOW = (
    "Retrained attackers were trained on pictures under the same cover, untrained ones on clear pictures only; both "
    "were tested on held-out pictures. Linear: logistic regression on the features of EfficientNet-lite0, trained on "
    "ImageNet. Network: a small convolutional network trained from scratch. The better of the two counts; it was "
    "selected on the test pictures, so its accuracy is slightly optimistic. Intervals are Wilson's, 95 %. Bicubic "
    "interpolates between the means of the blocks; Wiener's filter knows the kernel, and its noise was selected on "
    "training pictures. Higher PSNR and SSIM, and lower LPIPS, are closer to the truth."
)
SYNTHETIC = "A restorer invents detail: it resembles the original where pictures are similar, and is not evidence."


def write_reports(audit: Audit) -> None:
    """Write the JSON, the grid and the report, replacing earlier ones."""
    audit.out.mkdir(parents=True, exist_ok=True)
    write_json(audit.out / JSON_NAME, audit.as_record())
    labels, rows, captions = grid_of(audit)
    if rows:
        label = SyntheticLabel(
            software=f"ganvas {version('ganvas')}",
            model="attacks on covered pictures",
            note="Columns right of the covered pictures are reconstructions; their detail is not evidence.",
        )
        scale = max(SHOWN_SIDE // audit.config["size"], 1)
        grid = make_grid(rows, captions=captions, row_labels=labels, scale=scale)
        shown = [one for cover in audit.covers for made in cover.shown.values() for one in made.values()]
        write_synthetic(audit.out / GRID_NAME, as_sheet(Picture(grid), shown, name=GRID_NAME), label)
    write_text(audit.out / HTML_NAME, as_html(audit))


def as_html(audit: Audit) -> str:
    """Return the whole report as one HTML page."""
    verdicts = "".join(html.paragraph(audit.verdict(cover)) for cover in audit.covers)
    sections = [("Verdicts", verdicts + html.paragraph(audit.conclusion()))]
    for style, lines in lines_of(audit).items():
        chart = line_chart(lines, AXES[style], "named correctly (%)", title=CHART)
        sections.append((f"Recognition by {AXES[style]}", chart))
    sections += [(title, html.table(header, rows)) for title, (header, rows) in tables(audit).items()]
    attempts = {f"{cover.plan.name}: {name}": made for cover in audit.covers for name, made in cover.shown.items()}
    sections.append(("Pictures", html.note(SYNTHETIC) + gallery_of(attempts)))
    sections.append(("Method", html.note(HOW)))
    if left_out(audit):
        sections.append(("Left out", html.points([f"{name}: {why}" for name, why in left_out(audit).items()])))
    return html.page("How much a cover hides", html.paragraph(introduction(audit)), sections)


def introduction(audit: Audit) -> str:
    """Describe the audited pictures."""
    train, test = audit.counts
    return (
        f"Pictures of {audit.config['data']}, {len(audit.kinds)} kinds, {audit.config['size']} pixels per side: "
        f"{train:,} for training the attackers, {test:,} for testing. Guessing recognizes {percent(audit.chance)}."
    )


def lines_of(audit: Audit) -> dict[str, dict[str, list[Point]]]:
    """Return style -> line -> points, for styles with more than one strength."""
    found: dict[str, dict[str, list[Point]]] = {}
    for style in AXES:
        covers = sorted((one for one in audit.covers if one.plan.style == style), key=lambda one: one.plan.strength)
        if len(covers) > 1:
            found[style] = _lines(audit, covers)
    return found


def _lines(audit: Audit, covers: list[AuditedCover]) -> dict[str, list[Point]]:
    clear = audit.share(max(audit.clean.values()))
    levels = {
        "clear": [clear] * len(covers),
        "retrained": [audit.share(cover.retrained) for cover in covers],
        "untrained": [audit.share(cover.untrained) for cover in covers],
        "guessing": [audit.chance] * len(covers),
    }
    strengths = [cover.plan.strength for cover in covers]
    return {
        name: [(x, 100 * share) for x, share in zip(strengths, shares, strict=True)] for name, shares in levels.items()
    }


def grid_of(audit: Audit) -> tuple[list[str], list[list[Picture | None]], list[str]]:
    """Return labels, rows and captions; the columns common to all covers come first."""
    ways = list(dict.fromkeys(way for cover in audit.covers for made in cover.shown.values() for way in made))
    captions = sorted(ways, key=lambda way: (way != ORIGINAL, way != AS_COVERED))
    labels, rows = list[str](), list[list[Picture | None]]()
    for cover in audit.covers:
        for name, made in cover.shown.items():
            labels.append(f"{cover.plan.name}: {name}")
            rows.append([made[way].picture if way in made else None for way in captions])
    return labels, rows, captions


def gallery_of(attempts: Mapping[str, Shown]) -> str:
    """Return the results of each attack beside the original, with the difference images below.

    Args:
        attempts: cover and picture -> result of each attack, without those that the content gate refuses.
    """
    ways = dict.fromkeys(way for made in attempts.values() for way in made)
    columns = sorted((way for way in ways if way != ORIGINAL), key=lambda way: way != AS_COVERED)
    shown = {
        label: display(
            [made[way].picture if way in made else None for way in columns],
            made[ORIGINAL].picture if ORIGINAL in made else None,
        )
        for label, made in attempts.items()
    }
    return gallery(shown, [*columns, ORIGINAL])
