"""Privacy audit: attacks on covered pictures, and how much they recover.

After McPherson, Shokri & Shmatikov 2016, arXiv:1609.00408 (classifiers retrained on covered pictures), and Hill et al.
2016, "On the (In)effectiveness of Mosaicing and Blurring as Tools for Document Redaction".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganvas.content_gate import admit_many
from ganvas.data.config import PairedData
from ganvas.data.splits import evenly
from ganvas.errors import ConfigError, PolicyRefusal, WeightsError
from ganvas.filesystem import claimed, require_apart, require_outside
from ganvas.filesystem.atomic import write_text
from ganvas.image.picture import Picture
from ganvas.inference.adapt import unit_from_picture
from ganvas.inference.translator import Translator
from ganvas.metrics.features import LPIPS, efficientnet_features, load_lpips, lpips_or_none
from ganvas.metrics.fidelity import Summary, measure, summarize
from ganvas.privacy_audit import FILM_SETTINGS, AuditConfig
from ganvas.privacy_audit.album import (
    Album,
    PlannedCover,
    album_files,
    open_album,
    plan_covers,
    write_training_pictures,
)
from ganvas.privacy_audit.attacks import (
    AS_COVERED,
    ORIGINAL,
    Attacker,
    AuditedCover,
    Reidentified,
    Shown,
    fixed_attacks,
    linear_probe,
    small_network,
)
from ganvas.privacy_audit.audit_page import write_reports
from ganvas.privacy_audit.report import GRID_NAME, HTML_NAME, JSON_NAME, Audit
from ganvas.progress import progress_bars, track
from ganvas.recipes import restore
from ganvas.training.config import RunConfig
from ganvas.training.loop import train

Rgb = NDArray[np.uint8]
Attempt = Callable[[Rgb], Rgb]
PICTURES_NAME, RESTORERS_NAME, CLAIM_NAME = "pictures", "restorers", "pictures.sha256"
NUM_SHOWN = 4
"""Number of pictures in the report for each cover."""


@dataclass(frozen=True, eq=False)
class Attackers:
    """Attackers, and their classifiers trained on clear pictures.

    Attributes:
        given: the attackers.
        trained_classifiers: the classifier of each.
    """

    given: tuple[Attacker, ...]
    trained_classifiers: tuple[Callable[[Tensor], Tensor], ...]


def audit(config: AuditConfig, *, progress: bool = True) -> Audit:
    """Cover all pictures with each style and strength, attack the covers, and write a report.

    Writes `report.html`, `audit.json` and `grid.png`, rewritten after each cover. Restorers are in OUT/restorers; after
    an interruption, the same call resumes them and repeats the rest.

    Args:
        config: pictures, covers and attackers.
        progress: show progress.

    Raises:
        ConfigError: the covers cannot be planned, or `out` holds an audit of other pictures.
        InputError: `out` is inside `folder`.
        DataError: too few kinds or pictures.
        PolicyRefusal: more than 5 % of the pictures are refused.
        WeightsError: the classifier that is installed with ganvas is missing.
        KeyboardInterrupt: interrupted, by Ctrl-C or SIGTERM.
    """
    # Plan the covers and read the album before the output folder is touched.
    config.refuse(FILM_SETTINGS, "they apply to films, and this is a folder of pictures")
    folder, out = config.folder, config.out
    covers = plan_covers(config.style, blocks=config.blocks, sigmas=config.sigmas, size=config.size)
    require_outside(out, folder)
    album = open_album(folder, size=config.size, seed=config.seed, progress=progress)
    require_apart(
        [out / name for name in (JSON_NAME, HTML_NAME, GRID_NAME, CLAIM_NAME)], album_files(folder, config.seed)
    )
    with claimed(out, beside=[out / PICTURES_NAME / "train"]):
        return _audit(album, config, covers, progress=progress)


def _audit(album: Album, config: AuditConfig, covers: Sequence[PlannedCover], *, progress: bool) -> Audit:
    """Run the audit in a folder that this process has locked."""
    _claim(config.out, album)
    lpips = installed_lpips()
    with progress_bars(shown=progress) as bars:
        attackers = (linear_probe(efficientnet_features()), small_network(steps=config.steps))
        known = _learn_from_clear(album, attackers, config.seed)
        audited = _begin(config, album, known)
        # Attack one cover at a time; write after each, so that an interruption loses nothing.
        for number, plan in enumerate(covers):
            bars("covers", number, len(covers))
            audited.covers.append(_attack(plan, album, known, lpips, config.out, config, progress=progress))
            write_reports(audited)
        bars("covers", len(covers), len(covers))
    return audited


def _claim(out: Path, album: Album) -> None:
    """Record the hash of the pictures in OUT, so that restorers of other pictures are never reused."""
    path, digest = out / CLAIM_NAME, album.digest
    held = path.read_text(encoding="utf-8").strip() if path.exists() else None
    if held != digest and any((out / name).exists() for name in (PICTURES_NAME, RESTORERS_NAME, JSON_NAME)):
        raise ConfigError(
            f"{out} contains an audit of other pictures, another size or another split: use another --out, or the "
            "folder, --size and --seed of that audit"
        )
    write_text(path, f"{digest}\n")


def _begin(config: AuditConfig, album: Album, known: Attackers) -> Audit:
    clean = {
        attacker.name: _num_correct(classifier(attacker.see(album.test.images)), album.test.kinds)
        for attacker, classifier in zip(known.given, known.trained_classifiers, strict=True)
    }
    return Audit(
        out=config.out,
        config=_recorded(config),
        kinds=album.kinds,
        counts=(len(album.train), len(album.test)),
        chance=album.chance,
        clean=clean,
        left_out=dict(album.left_out),
    )


def _recorded(config: AuditConfig) -> dict[str, object]:
    """Return the settings for audit.json and the report."""
    named = ("blocks", "sigmas", "size", "minutes", "steps", "seed", "device")
    settings = {name: getattr(config, name) for name in named}
    return {"data": config.folder.resolve().name, "styles": config.style, **settings}


def _learn_from_clear(album: Album, attackers: tuple[Attacker, ...], seed: int) -> Attackers:
    trained_classifiers = [_learn(attacker, album.train.images, album, seed) for attacker in attackers]
    return Attackers(attackers, tuple(trained_classifiers))


def _learn(attacker: Attacker, images: Sequence[Rgb], album: Album, seed: int) -> Callable[[Tensor], Tensor]:
    kinds = torch.from_numpy(album.train.kinds)
    return attacker.learn(attacker.see(images), kinds, len(album.kinds), seed)


def _attack(
    plan: PlannedCover,
    album: Album,
    known: Attackers,
    lpips: LPIPS | None,
    out: Path,
    config: AuditConfig,
    *,
    progress: bool,
) -> AuditedCover:
    train_images = [plan.apply(image) for image in album.train.images]
    test_images = [plan.apply(image) for image in album.test.images]
    attempts: dict[str, Attempt] = {AS_COVERED: lambda image: image}
    attempts |= fixed_attacks(plan, album.train.images, train_images)
    if config.minutes > 0 and plan.degradation is not None:
        attempts["restorer"] = _restorer(plan, album, out, config, quiet=not progress)
    recovered, shown, refused = _recover(attempts, album, test_images, lpips, plan.name, progress=progress)
    named = tuple(
        _reidentify(attacker, classifier, train_images, test_images, album, config.seed)
        for attacker, classifier in zip(known.given, known.trained_classifiers, strict=True)
    )
    return AuditedCover(plan=plan, recovered=recovered, named=named, shown=shown, refused=refused)


def _reidentify(
    attacker: Attacker,
    untrained: Callable[[Tensor], Tensor],
    train_images: Sequence[Rgb],
    test_images: Sequence[Rgb],
    album: Album,
    seed: int,
) -> Reidentified:
    seen, kinds = attacker.see(test_images), album.test.kinds
    retrained = _learn(attacker, train_images, album, seed)
    return Reidentified(attacker.name, _num_correct(untrained(seen), kinds), _num_correct(retrained(seen), kinds))


def _num_correct(named: Tensor, kinds: NDArray[np.int64]) -> int:
    return int((named == torch.from_numpy(kinds)).sum())


def _restorer(plan: PlannedCover, album: Album, out: Path, config: AuditConfig, *, quiet: bool) -> Attempt:
    """Train a U-Net to restore this cover, on the training pictures only."""
    write_training_pictures(album, out / PICTURES_NAME)
    run = out / RESTORERS_NAME / plan.name.replace(", ", "-").replace(" ", "-")
    trained = train(_restorer_config(plan, out / PICTURES_NAME, config), run, resume=True, quiet=quiet)
    if trained.stopped == "interrupted":
        raise KeyboardInterrupt
    translator = Translator.load(run, device=config.device, snapshot="last")
    return lambda image: translator.translate_picture(Picture(image), name="restored").picture.as_rgb8()


def _restorer_config(plan: PlannedCover, folder: Path, config: AuditConfig) -> RunConfig:
    """Return the recipe `restore` for whole pictures, whose position in the grid an attacker knows."""
    assert plan.degradation is not None
    degrade, strength = plan.degradation
    recipe, size = restore(), (config.size, config.size)
    data = PairedData(
        folder=folder, layout="single", degrade=degrade, strength=(strength, strength), resize="none",
        load_size=size, crop_size=size,
    )  # fmt: skip
    training = replace(recipe.training, minutes=config.minutes, batch_size=8, seed=config.seed, device=config.device)
    return replace(recipe, data=data, training=training)


def _recover(
    attempts: dict[str, Attempt],
    album: Album,
    covered: Sequence[Rgb],
    lpips: LPIPS | None,
    what: str,
    *,
    progress: bool,
) -> tuple[dict[str, dict[str, Summary]], dict[str, Shown], dict[str, str]]:
    """Measure each attack on each test picture; collect pictures for the report and refusals of the content gate."""
    rows: dict[str, list[dict[str, float | None]]] = {way: [] for way in attempts}
    chosen, shown, refused = set(evenly(len(covered), NUM_SHOWN)), dict[str, Shown](), dict[str, str]()
    for index, image in enumerate(track(covered, what, total=len(covered), shown=progress)):
        truth, name = album.test.images[index], album.test.names[index]
        made = dict[str, Rgb]()
        for way, attempt in attempts.items():
            try:
                made[way] = attempt(image)
            except PolicyRefusal as refusal:
                refused[f"{name}, {way}"] = refusal.reason
                continue
            rows[way].append(measured(made[way], truth, lpips))
        if index in chosen:
            candidates = [(way, Picture(guess)) for way, guess in {ORIGINAL: truth, **made}.items()]
            outcomes = admit_many([(f"{name} ({way})", guess) for way, guess in candidates])
            shown[name] = {}
            for (way, _), outcome in zip(candidates, outcomes, strict=True):
                if isinstance(outcome, PolicyRefusal):
                    refused[f"{name}, {way}"] = outcome.reason
                else:
                    shown[name][way] = outcome
    return {way: _summaries(found) for way, found in rows.items() if found}, shown, refused


def _summaries(rows: Sequence[dict[str, float | None]]) -> dict[str, Summary]:
    return {name: summarize([row[name] for row in rows]) for name in rows[0]}


def measured(guess: Rgb, truth: Rgb, lpips: LPIPS | None) -> dict[str, float | None]:
    """Return PSNR, SSIM and LPIPS of a picture (H, W, 3) against the original; None where undefined."""
    pictures = Picture(guess), Picture(truth)
    images, targets = (unit_from_picture(picture, picture.spec) for picture in pictures)
    values, _ = measure(images, targets)
    return {"psnr": values["psnr"], "ssim": values["ssim"], "lpips": lpips_or_none(lpips, images, targets)}


def installed_lpips() -> LPIPS | None:
    """Load LPIPS if its weights are on this machine; nothing is downloaded."""
    try:
        return load_lpips("alexnet", may_download=False)
    except WeightsError:
        return None
