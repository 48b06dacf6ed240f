"""HTML report and picture grid of a privacy audit."""

from __future__ import annotations

from importlib.metadata import version

from ganvas.content_gate import as_sheet, write_synthetic
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.privacy_audit.result import (
    AS_COVERED,
    GRID_NAME,
    HTML_NAME,
    JSON_NAME,
    Audit,
    AuditedCover,
    left_out,
    percent,
    tables,
)
from ganvas.reports import html
from ganvas.reports.chart import Point, line_chart
from ganvas.reports.html import Cell

SHOWN_SIDE = 96
"""Pixels: smaller pictures are enlarged in the grid, by a whole number."""
CHART = "Test pictures whose kind an attacker names correctly"
AXES = {"mosaic": "blocks across the picture", "blur": "sigma (pixels)"}
HOW = (
    "Retrained attackers learned from pictures covered alike, untrained ones from clear pictures alone; both were "
    "tested on pictures that neither had seen. Linear: logistic regression on the features of EfficientNet-lite0, "
    "which knows ImageNet. Network: a small convolutional one trained from scratch. The better of the two counts; it "
    "was chosen on the test pictures, which flatters it a little. Intervals are Wilson's, 95 %. Bicubic interpolates "
    "between the means of the blocks; Wiener's filter knows the kernel, and its noise was chosen on training pictures. "
    "PSNR and SSIM: more is nearer to the truth; LPIPS: less is."
)
SYNTHETIC = "What a restorer adds is invented: it looks like the truth where pictures are alike, and proves nothing."


def write_reports(audit: Audit) -> None:
    """Write the JSON, the grid and the page; what an earlier call wrote is replaced."""
    audit.out.mkdir(parents=True, exist_ok=True)
    write_json(audit.out / JSON_NAME, audit.as_record())
    labels, rows, captions = grid_of(audit)
    if rows:
        label = SyntheticLabel(
            software=f"ganvas {version('ganvas')}",
            model="attacks on covered pictures",
            note="Columns right of the covered pictures are guesses; their detail is not recovered evidence.",
        )
        scale = max(SHOWN_SIDE // audit.config["size"], 1)
        grid = make_grid(rows, captions=captions, row_labels=labels, scale=scale)
        shown = [one for cover in audit.covers for made in cover.shown.values() for one in made.values()]
        write_synthetic(audit.out / GRID_NAME, as_sheet(Picture(grid), shown, name=GRID_NAME), label)
    write_text(audit.out / HTML_NAME, as_html(audit))


def as_html(audit: Audit) -> str:
    """Return the whole report as one HTML page."""
    verdicts = "".join(html.paragraph(audit.verdict(cover)) for cover in audit.covers)
    sections = [("What it hides", verdicts + html.paragraph(audit.conclusion()))]
    sections += [(f"Recognition by {AXES[style]}", line_chart(lines, AXES[style], "named correctly (%)", title=CHART))
                 for style, lines in lines_of(audit).items()]  # fmt: skip
    sections += [(title, html.table(header, rows)) for title, (header, rows) in tables(audit).items()]
    labels, rows, captions = grid_of(audit)
    pictures = html.paragraph("Select a picture to see it large.") + html.note(SYNTHETIC)
    sections.append(("Pictures", pictures + html.picture_grid(rows, captions, labels, lossy=True)))
    sections.append(("How it was measured", html.note(HOW)))
    if left_out(audit):
        rows_left_out: list[list[Cell]] = [[name, why] for name, why in left_out(audit).items()]
        sections.append(("Left out", html.table(["", "why"], rows_left_out)))
    return html.page("How much a cover hides", html.paragraph(introduction(audit)), sections)


def introduction(audit: Audit) -> str:
    """Describe what was audited."""
    train, test = audit.counts
    return (
        f"Pictures of {audit.config['data']}, {len(audit.kinds)} kinds, {audit.config['size']} pixels a side: the "
        f"attackers learned from {train:,} and were tested on {test:,}. Guessing names {percent(audit.chance)} rightly."
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
    """Return labels, rows and captions; the first columns are those that every cover has."""
    ways = list(dict.fromkeys(way for cover in audit.covers for made in cover.shown.values() for way in made))
    captions = sorted(ways, key=lambda way: (way != "original", way != AS_COVERED))
    labels, rows = list[str](), list[list[Picture | None]]()
    for cover in audit.covers:
        for name, made in cover.shown.items():
            labels.append(f"{cover.plan.name}: {name}")
            rows.append([made[way].picture if way in made else None for way in captions])
    return labels, rows, captions
