"""Privacy audit of a film: mosaics with fixed and with anchored grids, attacked by fusing frames.

A mosaic whose grid is fixed to the screen averages different pixels of a moving subject in each frame. Registered and
fused, the frames therefore reveal more than any single frame; a grid anchored to the subject repeats the same averages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ganvas.content_gate import admit_many
from ganvas.errors import ConfigError, InputError, PolicyRefusal
from ganvas.filesystem import claimed, require_apart
from ganvas.image.cover import Cover, bicubic_resize
from ganvas.image.picture import Box, Picture
from ganvas.inference.translator import Translator
from ganvas.metrics.features import LPIPS
from ganvas.metrics.fidelity import summarize
from ganvas.privacy_audit import FOLDER_SETTINGS, AuditConfig
from ganvas.privacy_audit.attacks import AS_COVERED, ORIGINAL, Shown
from ganvas.privacy_audit.audit import Rgb, installed_lpips, measured
from ganvas.privacy_audit.film_clips import Clip, RegionOf, clip_starts, cover_clip, read_clips, region_of
from ganvas.privacy_audit.film_result import FilmAudit, FilmClip, FilmCover, FilmPlan, write_film_reports
from ganvas.privacy_audit.fusion import (
    BlockGrid,
    Floats,
    Observation,
    Shift,
    displacement,
    fuse,
    observe,
    register,
)
from ganvas.privacy_audit.report import HTML_NAME, JSON_NAME
from ganvas.progress import Progress, progress_bars
from ganvas.video import FilmInfo, probe

BICUBIC, ALONE = "one frame, bicubic", "one frame, least squares"
SURROUNDINGS, ITSELF, KNOWN = "fused, by the surroundings", "fused, by the covered region", "fused, motion known"
RESTORER = "restorer"
FUSED = (SURROUNDINGS, ITSELF, KNOWN)
NUM_SHOWN = 2
"""Number of clips shown in the report for each cover."""
LEAST_POINTS = 500
"""Smallest number of pixels of the surroundings from which a motion is estimated."""


@dataclass
class _Findings:
    """Accumulated measurements of a cover over the clips."""

    rows: dict[str, list[dict[str, float | None]]] = field(default_factory=dict)
    gains: list[float] = field(default_factory=list)
    shown: dict[str, Shown] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def audit_film(config: AuditConfig, *, progress: bool = True) -> FilmAudit:
    """Cover a film in three ways, fuse its frames, and write report.html and audit.json.

    Memory holds one clip of `config.frames` frames, cropped to the region and a margin.

    Args:
        config: the film, its region, and the mosaics' blocks across it.
        progress: show progress.

    Raises:
        ConfigError: a setting applies to folders only, or the region is outside the frame.
        InputError: the detections belong to another film, or the film has too few frames with the region.
        PolicyRefusal: the content gate refuses a frame.
        VideoError: the film cannot be read.
    """
    _check(config)
    info = probe(config.folder)
    region = region_of(config, info)
    translator = None if config.run is None else Translator.load(config.run, device=config.device)
    given = [path for path in (config.folder, config.detections) if path is not None]
    require_apart([config.out / name for name in (JSON_NAME, HTML_NAME)], given)
    with claimed(config.out), progress_bars(shown=progress) as report:
        return _audit(config, info, region, translator, report)


def _audit(
    config: AuditConfig, info: FilmInfo, region: RegionOf, translator: Translator | None, report: Progress
) -> FilmAudit:
    plans = plan_films(config.blocks)
    lpips, found = installed_lpips(), {plan: _Findings() for plan in plans}
    clips, left_out = list[FilmClip](), dict[str, str]()
    starts = clip_starts(config, info)
    for number, clip in enumerate(read_clips(config, info, region, starts, left_out)):
        for index, plan in enumerate(plans):
            report("attack", number * len(plans) + index, len(starts) * len(plans))
            attempts = attack_clip(clip, plan, translator, found[plan].refused)
            _take(found[plan], clip, attempts, lpips, shown=number < NUM_SHOWN)
        clips.append(_described(clip))
    report("attack", len(starts) * len(plans), len(starts) * len(plans))
    if not clips:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InputError(f"{config.folder}: no clip could be audited ({reasons}); use another --box or --detections")
    result = FilmAudit(
        out=config.out,
        config=_recorded(config),
        size=(info.width, info.height),
        clips=tuple(clips),
        covers=tuple(_summarized(plan, findings) for plan, findings in found.items()),
        left_out=left_out,
    )
    write_film_reports(result)
    return result


def plan_films(blocks: Sequence[int]) -> tuple[FilmPlan, ...]:
    """Return every mosaic with its grid fixed to the screen and anchored, the weakest first, and solid."""
    if not blocks or min(blocks) < 1:
        raise ConfigError("pass the number of mosaic blocks across the region: --blocks 16 8")
    counts = sorted(set(blocks), reverse=True)
    mosaics = [FilmPlan(grid, count) for count in counts for grid in ("fixed", "anchored")]
    return (*mosaics, FilmPlan("solid", min(blocks)))


def _check(config: AuditConfig) -> None:
    config.refuse(FOLDER_SETTINGS, "they apply to folders of pictures, and this is a film")
    if config.box is not None and config.detections is not None:
        raise ConfigError("pass box or detections, not both")


def _recorded(config: AuditConfig) -> dict[str, object]:
    named = ("blocks", "box", "frames", "clips", "device")
    paths = {name: path.name for name in ("detections", "run") if (path := getattr(config, name)) is not None}
    return {"data": config.folder.resolve().name, **{name: getattr(config, name) for name in named}, **paths}


def attack_clip(clip: Clip, plan: FilmPlan, translator: Translator | None, refused: dict[str, str]) -> dict[str, Rgb]:
    """Return attack -> its reconstruction of the region in the reference frame."""
    box = clip.region
    longer = max(box.right - box.left, box.bottom - box.top)
    side = Cover(style="mosaic", blocks=plan.blocks).block_side(longer)
    grids, covered = cover_clip(clip, plan, side)
    observed = [observe(frame, BlockGrid(grid, side)) for frame, grid in zip(covered, grids, strict=True)]
    pad = 2 * side
    support = Box(box.left - pad, box.top - pad, box.right + pad, box.bottom + pad)

    def cut(picture: Floats) -> Rgb:
        inner = picture[pad : pad + box.bottom - box.top, pad : pad + box.right - box.left]
        return np.clip(np.rint(inner), 0, 255).astype(np.uint8)

    alone = observed[clip.reference]
    made = {
        AS_COVERED: clip.crop(covered[clip.reference]),
        BICUBIC: _bicubic(alone, side, box),
        ALONE: cut(fuse([alone], [(0.0, 0.0)], support, 0)),
    }
    for way, shifts in _registrations(clip, covered, observed, grids, support).items():
        made[way] = cut(fuse(observed, shifts, support, clip.reference))
    if translator is not None:
        try:
            middle, window = Picture(covered[clip.reference]), _window(covered, clip.reference, translator.num_frames)
            restored = translator.translate_picture(middle, name=f"{plan.name}, restored", window=window)
            made[RESTORER] = clip.crop(restored.picture.as_rgb8())
        except PolicyRefusal as refusal:
            refused[f"frame {clip.first + clip.reference}, {RESTORER}"] = refusal.reason
    return made


def _window(covered: Sequence[Rgb], reference: int, count: int) -> list[Picture]:
    """Return the `count` frames around the reference; at the ends of the clip the nearest one is repeated."""
    places = range(reference - count // 2, reference + count // 2 + 1)
    return [Picture(covered[min(max(place, 0), len(covered) - 1)]) for place in places]


def _bicubic(alone: Observation, side: int, box: Box) -> Rgb:
    """Interpolate between the block means of one frame, treating blocks at the edge of the frame as complete."""
    height, width = side * len(alone.rows), side * len(alone.columns)
    enlarged = bicubic_resize(alone.means.astype(np.uint8), height, width)
    top, left = int(alone.rows[0, 1]) - side, int(alone.columns[0, 1]) - side
    cut: Rgb = enlarged[box.top - top : box.bottom - top, box.left - left : box.right - left]
    return cut


def _registrations(
    clip: Clip, covered: Sequence[Rgb], observed: Sequence[Observation], grids: Sequence[Box], support: Box
) -> dict[str, list[Shift]]:
    """Return attack -> shifts: estimated from covered frames, or the known motion, the best case for an attacker."""
    reference, first = clip.reference, grids[clip.reference]
    guesses: list[list[Shift]] = [[(float(grid.top - first.top), float(grid.left - first.left))] for grid in grids]
    found = dict[str, list[Shift]]()
    grays = [frame.mean(2) for frame in covered]
    points = ~first.mask(*grays[reference].shape)
    if points.sum() >= LEAST_POINTS:
        shifts: list[Shift] = [(0.0, 0.0)] * len(grays)
        for onward, back in ((range(reference + 1, len(grays)), -1), (range(reference - 1, -1, -1), 1)):
            for index in onward:
                starts = [shifts[index + back], *guesses[index]]
                shifts[index] = displacement(grays[reference], grays[index], points, starts, grids[index])
        found[SURROUNDINGS] = shifts
        guesses = [[*guess, shift] for guess, shift in zip(guesses, shifts, strict=True)]
    found[ITSELF] = register(observed, reference, guesses, support)
    return found | {KNOWN: clip.shifts}


def _take(findings: _Findings, clip: Clip, made: dict[str, Rgb], lpips: LPIPS | None, *, shown: bool) -> None:
    """Measure the attacks on one clip, and collect the results to show that the content gate admits."""
    truth, name = clip.crop(clip.frames[clip.reference]), f"frame {clip.first + clip.reference}"
    values = {way: measured(guess, truth, lpips) for way, guess in made.items()}
    for way, row in values.items():
        findings.rows.setdefault(way, []).append(row)
    single = [values[way]["psnr"] for way in (AS_COVERED, BICUBIC, ALONE)]
    fused = [values[way]["psnr"] for way in FUSED if way in values]
    known = [value for value in single if value is not None], [value for value in fused if value is not None]
    if known[0] and known[1]:
        findings.gains.append(max(known[1]) - max(known[0]))
    if not shown:
        return
    candidates = [(way, Picture(guess)) for way, guess in {ORIGINAL: truth, **made}.items()]
    outcomes = admit_many([(f"{name} ({way})", guess) for way, guess in candidates])
    kept = findings.shown.setdefault(name, {})
    for (way, _), outcome in zip(candidates, outcomes, strict=True):
        if isinstance(outcome, PolicyRefusal):
            findings.refused[f"{name}, {way}"] = outcome.reason
        else:
            kept[way] = outcome


def _described(clip: Clip) -> FilmClip:
    box = clip.region
    farthest = max(math.hypot(*shift) for shift in clip.shifts)
    left, top = clip.corner
    on_screen = (box.left + left, box.top + top, box.right + left, box.bottom + top)
    return FilmClip(clip.first, len(clip.frames), clip.first + clip.reference, on_screen, farthest)


def _summarized(plan: FilmPlan, findings: _Findings) -> FilmCover:
    recovered = {
        way: {name: summarize([row[name] for row in rows]) for name in rows[0]} for way, rows in findings.rows.items()
    }
    return FilmCover(plan, recovered, tuple(findings.gains), findings.shown, findings.refused)
