"""Preparation of paired data from a folder of pictures: targets (b) and their degraded inputs (a).

    OUT/{train,val,test}/{a,b}/NAME.png     or .tif, .npy, .bmp as the source
    OUT/manifest.json                       settings, every pair, near-duplicates, refused, skipped, failed

The same command resumes an interrupted preparation.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ganvas.bulk.journal import hash_file
from ganvas.content_gate import gate
from ganvas.data.config import PrepareConfig
from ganvas.data.decode import remarks_on, warn_of_opacity
from ganvas.data.degradations import degrade_each, strength_at
from ganvas.data.layouts import Split, some_names
from ganvas.data.pair_folder import (
    MANIFEST,
    PairFolder,
    Record,
    check_targets,
    named_files,
    pair_folders,
    pair_name,
    target_name,
)
from ganvas.data.regions import RegionFinder, region_finder
from ganvas.data.sampler import Purpose, seed_of_name, uniforms
from ganvas.data.splits import Fingerprint, assign_splits, fingerprint, group_duplicates, warn_of_empty_splits
from ganvas.errors import FILE_ERRORS, DataError, ImageError, PartialFailure, PolicyRefusal, problem_of
from ganvas.filesystem import claimed
from ganvas.filesystem.atomic import write_json
from ganvas.image.files import PictureWarning, read_image
from ganvas.image.picture import Box, Picture, PictureSpec, Pixels
from ganvas.image.ranges import from_signed, to_signed
from ganvas.progress import SILENT, Progress
from ganvas.serialization import to_record

__all__ = ["Prepared", "prepare_pairs"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Result of a preparation.

    Attributes:
        manifest: path of the manifest.
        counts: split -> number of pairs.
        refused: pictures refused by the content gate.
        left_out: names of skipped pictures, in which no region was found.
    """

    manifest: Path
    counts: dict[Split, int]
    refused: list[PolicyRefusal]
    left_out: list[str]

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {split}" for split, count in self.counts.items())
        return f"{self.manifest}: {counts}; {len(self.refused)} refused, {len(self.left_out)} left out"


@dataclass(frozen=True, eq=False)
class _Source:
    """Properties of an admitted picture, without its pixels."""

    name: str
    path: Path
    sha256: str
    score: float
    fingerprint: Fingerprint
    file: str
    has_alpha: bool
    notes: tuple[str, ...]
    highest: int


@dataclass(frozen=True)
class _Inspection:
    """Result of the inspection of all pictures: usable, refused, and file -> problem."""

    sources: list[_Source] = field(default_factory=list)
    refused: list[PolicyRefusal] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def prepare_pairs(config: PrepareConfig, *, progress: Progress = SILENT) -> Prepared:
    """Write pairs and assign them to splits; near-duplicates, including mirrored ones, share a split.

    Every source picture passes the content gate before the first pair is written. Unusable pictures are reported at the
    end, after all others are processed.

    Args:
        config: source, output, degradation, regions and splits.
        progress: receives the number of finished pictures, and can cancel.

    Raises:
        DataError: there are no pictures, two pairs would have the same name, or `out` contains pairs of other settings.
        InputError: a pair would replace a picture that is read, or another process writes to `out`.
        PolicyRefusal: over 5 % of the pictures were refused; nothing is written.
        PartialFailure: some pictures failed; the others and the manifest are written.
    """
    out = config.out
    files = named_files(config.source, out)
    find = region_finder(config, set(files))
    check_targets(files, out, config)
    with claimed(out, beside=pair_folders(out)):
        return _prepare(config, files, find, progress)


def _prepare(config: PrepareConfig, files: dict[str, Path], find: RegionFinder, progress: Progress) -> Prepared:
    """Prepare pairs in a folder that this process has locked."""
    # 1. Open the output folder, or resume an earlier run with the same settings.
    source, out = config.source, config.out
    folder = PairFolder.open(out, _settings(config))
    # 2. Read and gate every picture before the first pair is written: too many refusals refuse the whole set.
    inspection = _inspect(files, progress)
    warn_of_opacity(sum(item.has_alpha for item in inspection.sources), str(source))
    notes = Counter(note for item in inspection.sources for note in item.notes)
    for remark in remarks_on(notes, {"the pictures": max(item.highest for item in inspection.sources)}):
        warnings.warn(f"{source}: {remark}", PictureWarning, stacklevel=2)
    # 3. Group near-duplicates, so that no copy of a training picture is in a test set; then write the pairs.
    groups = _groups(inspection.sources, config)
    pairs, left_out = _write_pairs(folder, inspection, find, config, groups, progress)
    # 4. Remove outdated pairs of earlier runs, so that the folder equals a fresh one.
    folder.remove_all_but(pairs)
    counts = Counter(pair["split"] for pair in pairs)
    prepared = Prepared(
        manifest=out / MANIFEST,
        counts={split: counts[split] for split in ("train", "val", "test")},
        refused=inspection.refused,
        left_out=left_out,
    )
    write_json(prepared.manifest, _manifest(prepared, folder.settings, inspection, pairs, groups))
    if inspection.failures:
        raise PartialFailure(inspection.failures, len(files), done=str(prepared))
    return prepared


def _inspect(files: dict[str, Path], progress: Progress) -> _Inspection:
    """Read, gate and fingerprint every picture.

    Raises:
        PolicyRefusal: too many are refused.
        DataError: no picture can be read.
    """
    inspection = _Inspection()
    for file, path in progress.track(files.items(), "inspecting pictures", total=len(files)):
        try:
            inspection.sources.append(_inspect_picture(file, path))
        except PolicyRefusal as refusal:
            inspection.refused.append(refusal)
        except FILE_ERRORS as error:
            inspection.failures[file] = problem_of(error)
    gate.check_share(inspection.refused, len(inspection.sources) + len(inspection.refused))
    if not inspection.sources:
        raise DataError(f"none of the pictures can be used: {some_names(list(inspection.failures.values()), limit=3)}")
    return inspection


def _inspect_picture(file: str, path: Path) -> _Source:
    picture = read_image(path)
    return _Source(
        name=pair_name(file),
        path=path,
        sha256=hash_file(path),
        score=gate.admit(picture, name=file).score,
        fingerprint=fingerprint(picture),
        file=file,
        has_alpha=picture.has_alpha,
        notes=picture.notes,
        highest=int(picture.color.max()) if picture.spec.dtype == "uint16" else 0,
    )


def _write_pairs(
    folder: PairFolder,
    inspection: _Inspection,
    find: RegionFinder,
    config: PrepareConfig,
    groups: list[int],
    progress: Progress,
) -> tuple[list[Record], list[str]]:
    """Write all pairs; return their entries and the files without a region. Failures are added to `inspection`."""
    pairs: list[Record] = []
    left_out: list[str] = []
    splits = _splits(inspection.sources, config, groups, str(folder.path))
    planned = zip(inspection.sources, splits, strict=True)
    for item, split in progress.track(planned, "writing pairs", total=len(splits)):
        try:
            if pair := folder.kept(item.name, item.sha256, split) or _write_pair(folder, item, split, find, config):
                pairs.append(pair)
            else:
                left_out.append(item.file)
        except FILE_ERRORS as error:
            inspection.failures[item.file] = problem_of(error)
    return pairs, left_out


def _groups(sources: list[_Source], config: PrepareConfig) -> list[int]:
    """Return the group of each picture; identical files always share one."""
    if config.grouping:
        return group_duplicates([item.fingerprint for item in sources])
    first: dict[str, int] = {}
    return [first.setdefault(item.sha256, index) for index, item in enumerate(sources)]


def _splits(sources: list[_Source], config: PrepareConfig, groups: list[int], where: str) -> list[Split]:
    shares = {"val_fraction": config.val_fraction, "test_fraction": config.test_fraction}
    splits = assign_splits([item.sha256 for item in sources], groups, seed=config.seed, **shares)
    warn_of_empty_splits(splits, groups, where=where, grouping=config.grouping, **shares)
    return splits


def _write_pair(
    folder: PairFolder, item: _Source, split: Split, find: RegionFinder, config: PrepareConfig
) -> Record | None:
    """Write both sides of a pair; return its entry, or None if there is no region to degrade.

    Raises:
        ImageError: the file changed since the gate admitted it, or cannot be read or written.
    """
    picture = read_image(item.path)
    if hash_file(item.path) != item.sha256:
        raise ImageError(item.path, "changed during the preparation; run the command again")
    boxes = find(picture, item.file)
    if not boxes:
        return None
    strength = strength_at(config.degrade, config.strength, _uniform(config.seed, item.name))
    target = Picture(picture.color)
    given = Picture(_degraded(target, boxes, config, strength))
    pair = _entry(item, split, boxes, None if config.degrade in ("gray", "edges") else strength, target)
    folder.write(pair, given, target)
    return pair


def _entry(item: _Source, split: Split, boxes: list[Box], strength: float | None, target: Picture) -> Record:
    """Return the manifest entry of one pair."""
    file = target_name(item.name, item.path)
    return {
        "name": item.name,
        "split": split,
        "source": item.file,
        "sha256": item.sha256,
        "a": f"{split}/a/{file}",
        "b": f"{split}/b/{file}",
        "region": [[box.left, box.top, box.right, box.bottom] for box in boxes],
        "strength": strength,
        "height": target.height,
        "width": target.width,
        "channels": target.spec.channels,
        "dtype": target.spec.dtype,
        "score": round(item.score, 6),
    }


def _uniform(seed: int, name: str) -> float:
    """Return a number in [0, 1) that depends only on seed and name."""
    return float(uniforms(seed + seed_of_name(name), Purpose.EVALUATION, 0, 1)[0])


def _degraded(picture: Picture, boxes: list[Box], config: PrepareConfig, strength: float) -> Pixels:
    """Return a copy of the pixels in which each box is degraded by itself, so that nothing leaks across its border."""
    pixels = picture.pixels.copy()
    spec = _widened_spec(picture)
    for box in boxes:
        window = np.s_[box.top : box.bottom, box.left : box.right]
        images = torch.from_numpy(to_signed(picture.pixels[window], spec)).permute(2, 0, 1)[None]
        given = degrade_each(config.degrade, images, [strength])[0].permute(1, 2, 0).numpy()
        pixels[window] = from_signed(given, spec)
    return pixels


def _widened_spec(picture: Picture) -> PictureSpec:
    """Return the picture's spec, its range widened to the values of a float picture."""
    low, high = picture.spec.value_range
    if picture.pixels.dtype != np.float32:
        return picture.spec
    widened = min(low, float(picture.pixels.min())), max(high, float(picture.pixels.max()))
    return replace(picture.spec, value_range=widened)


def _settings(config: PrepareConfig) -> Record:
    """Return the settings that determine the pairs as a record, with the hash of the boxes file."""
    record: Record = to_record(config)
    for name in ("source", "out", "threads"):
        del record[name]
    if config.boxes is not None:
        record["boxes_sha256"] = hash_file(config.boxes)
    return record


def _manifest(
    prepared: Prepared, settings: Record, inspection: _Inspection, pairs: list[Record], groups: list[int]
) -> Record:
    return {
        "version": 1,
        "settings": settings,
        "counts": prepared.counts,
        "near_duplicates": _duplicates(inspection.sources, groups),
        "refused": [refusal.as_record() for refusal in prepared.refused],
        "left_out": prepared.left_out,
        "failed": inspection.failures,
        "pairs": sorted(pairs, key=lambda pair: str(pair["name"])),
    }


def _duplicates(sources: list[_Source], groups: list[int]) -> list[list[str]]:
    """Return the files of each group of near-duplicates."""
    files = defaultdict(list)
    for item, group in zip(sources, groups, strict=True):
        files[group].append(item.file)
    return [names for names in files.values() if len(names) > 1]
