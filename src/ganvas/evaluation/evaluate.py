"""Evaluation of a trained run on pairs, per picture and overall, compared with the unchanged input."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.content_gate import admit, describe_refusals
from ganvas.data.cache import Cache, repeat_gray
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.films import held_out_split
from ganvas.data.layouts import Split, data_files, data_folders
from ganvas.data.loader import evaluation_pairs
from ganvas.errors import ConfigError, DataError, InputError, PolicyRefusal
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.report import (
    CSV_NAME,
    HTML_NAME,
    JSON_NAME,
    Evaluation,
    PictureScores,
    caption_of,
    write_reports,
)
from ganvas.filesystem import require_apart, require_outside
from ganvas.filesystem.paths import cache_folder
from ganvas.image.picture import Picture
from ganvas.image.ranges import signed_from_unit
from ganvas.inference.adapt import picture_from_signed, unit_from_picture
from ganvas.inference.models import model_files, read_files
from ganvas.inference.onnx_file import names_onnx
from ganvas.inference.onnx_model import OnnxConfig
from ganvas.inference.translator import Translator
from ganvas.methods.config import OPPOSITE
from ganvas.metrics.fidelity import measure
from ganvas.progress import progress_bars, track
from ganvas.reports.display import Display, display, num_rows
from ganvas.runs.published import UNPUBLISHED, is_published, run_name
from ganvas.runs.record import find_snapshot, snapshot_images


def evaluate_run(config: EvaluateConfig, *, num_shown: int = 24, progress: bool = True) -> Evaluation:
    """Translate every picture of a split, compare with its target, and write the reports.

    Outputs are rounded to their file's type, so the metrics describe the files that would be written. The reports are
    `evaluation.json`, `pictures.csv` and `report.html`.

    Args:
        config: the run, the data and the output folder.
        num_shown: number of rows of pictures in the HTML report: the worst first, then some about the median and the
            best.
        progress: show a progress bar.

    Raises:
        DataError: the split does not exist, or its pictures do not match the run.
        PolicyRefusal: too many pictures are refused (`ganvas.content_gate.gate.check_share`), or all outputs.
        RunError: the run cannot be read.
        ConfigError: the run's method does not translate in that direction.
    """
    # Resolve the run, the data and the output folder before anything is decoded.
    started = time.monotonic()
    run = config.run
    if config.input is not None:
        raise ConfigError("--input applies to films only; pairs contain their inputs")
    translator = Translator.load(
        run, snapshot=config.snapshot, device=config.device, seed=config.seed, direction=config.direction
    )
    data = data_settings(translator, config.data)
    chosen = held_out_split(data) if config.split == "auto" else config.split
    target = _checked_target(config.out or _own_target(run, chosen), run, data)
    cache = _read(data, chosen, translator.num_frames, progress)
    check_channels(cache, translator)
    # Translate and measure picture by picture; keep only what the report shows in memory.
    limit = max(num_shown // num_rows(cache.a.spec.channels, cache.b.spec.channels), 3)
    evaluator = _Evaluator(translator, cache, limit)
    pictures = tuple(
        evaluator.measure_all(track(evaluation_pairs(cache, data), "evaluate", total=len(cache), shown=progress))
    )
    refused = {refusal.name: refusal.reason for refusal in [*cache.refusals, *evaluator.refusals]}
    evaluator.check_not_all_refused(run)
    evaluation = Evaluation(
        run=run_name(run),
        snapshot=model_files(run, config.snapshot)[0].stem,
        images_seen=0 if names_onnx(run) else snapshot_images(find_snapshot(run, config.snapshot)),
        direction=config.direction,
        data=data.folder.resolve().name,
        split=chosen,
        pictures=pictures,
        refused=refused,
        channels=(cache.a.spec.channels, cache.b.spec.channels),
        scale=translator.model.scale,
        seconds=time.monotonic() - started,
    )
    ranking = evaluation.ranking(limit)
    missing = evaluator.not_kept(ranking.shown)
    pairs = evaluation_pairs(cache, data, indices=missing)
    evaluator.keep_all(track(pairs, "translate again to show", total=len(missing), shown=progress and bool(missing)))
    return write_reports(evaluation, run, target, evaluator.shown, ranking)


def _own_target(run: Path, split: Split) -> Path:
    """Return the default output folder; raise ConfigError for a published run, which must not be changed."""
    if is_published(run):
        raise ConfigError(f"{run_name(run)} is a published run, which is read-only: use --out DIR")
    return (run.with_name(f"{run.stem}-evaluation") if names_onnx(run) else run / "evaluation") / split


def _checked_target(target: Path, run: Path, config: PairedData) -> Path:
    """Return the output folder; raise InputError if a report would replace a file that is read."""
    require_apart(
        [target / name for name in (JSON_NAME, HTML_NAME, CSV_NAME)], chain(read_files(run), data_files(config))
    )
    require_outside(target, *data_folders(config))
    return target


def data_settings(translator: Translator, folder: Path | None) -> PairedData:
    """Return the run's data configuration, with `folder` if it is set, in the translator's direction.

    Raises:
        InputError: the run was not trained on pairs, and no folder is set.
    """
    config = _own_settings(translator, folder)
    back = translator.direction == "b_to_a"
    return replace(config, direction=OPPOSITE[config.direction]) if back else config


def _own_settings(translator: Translator, folder: Path | None) -> PairedData:
    own = translator.record.data
    if own is not None and own.folder == UNPUBLISHED and folder is None:
        raise InputError("a published run does not record its data folder; use --data DIR with pairs")
    if isinstance(own, PairedData):
        return own if folder is None else replace(own, folder=folder, split_file=None)
    if folder is None:
        why = "does not record its data (it was imported)" if own is None else "was trained on unpaired pictures"
        raise InputError(
            f"this run {why}, and PSNR and SSIM need targets; use --data DIR with pairs. To compare distributions "
            "without pairs, use ganvas compare"
        )
    if own is None:
        size = translator.record.image_size
        as_they_are = isinstance(translator.record.method, OnnxConfig)
        return PairedData(folder=folder, load_size=size, crop_size=size, resize="none" if as_they_are else "stretch")
    return PairedData(
        folder=folder,
        resize=own.resize,
        load_size=own.load_size,
        crop_size=own.crop_size,
        evaluation_size=own.evaluation_size,
        value_range=own.value_range,
    )


def check_channels(cache: Cache, translator: Translator) -> None:
    """Repeat gray pictures for a run in color; raise DataError if channels differ otherwise."""
    record = translator.record
    repeat_gray([cache.a], like=record.input.channels)
    repeat_gray([cache.b], like=record.output.channels)
    for what, needed, found in (
        ("takes inputs of", record.input.channels, cache.a.spec.channels),
        ("makes", record.output.channels, cache.b.spec.channels),
    ):
        if needed != found:
            raise DataError(
                f"the run {what} {needed} channels, the data has {found}; use pictures like the training data"
            )


@dataclass(frozen=True)
class _Translated:
    """One pair and its translation.

    Attributes:
        source: the unchanged input.
        baseline: the input in the size, channels and type of the target; None if it cannot be compared.
        output: the translation.
        target: the target.
    """

    source: Picture
    baseline: Tensor | None
    output: Picture
    target: Picture


class _Evaluator:
    """Evaluator of pairs that keeps the first pictures for the report, and translates others again to show them.

    Attributes:
        shown: name -> input, output and target, ready for the page.
        refusals: refusals of targets and outputs.
    """

    def __init__(self, translator: Translator, cache: Cache, num_kept: int) -> None:
        self._translator, self._num_kept, self._names = translator, num_kept, cache.b.names
        self._input, self._target = cache.a.spec, cache.b.spec
        self.shown: dict[str, Display] = {}
        self.refusals: list[PolicyRefusal] = []
        self._measured: dict[str, PictureScores] = {}

    def measure_all(self, pairs: Iterator[tuple[str, Tensor, Tensor]]) -> Iterator[PictureScores]:
        for name, given, target in pairs:
            try:
                pair = self._translate(name, given, target)
            except PolicyRefusal as refusal:
                self.refusals.append(refusal)
                continue
            self._measured[name] = self._scores(name, pair)
            if len(self.shown) < self._num_kept:
                self._keep(name, pair)
            yield self._measured[name]

    def not_kept(self, names: Sequence[str]) -> list[int]:
        """Return the numbers of the pictures that are not in memory."""
        wanted = set(names) - self.shown.keys()
        return [index for index, name in enumerate(self._names) if name in wanted]

    def keep_all(self, pairs: Iterator[tuple[str, Tensor, Tensor]]) -> None:
        """Translate the pairs that `measure_all` yielded again, with the same noise, and keep them."""
        for name, given, target in pairs:
            with suppress(PolicyRefusal):  # on a GPU the second translation may differ in the last bits, and be refused
                self._keep(name, self._translate(name, given, target))

    def check_not_all_refused(self, run: Path) -> None:
        """Raise PolicyRefusal if all pictures were refused."""
        if not self._measured:
            refused = describe_refusals(self.refusals, len(self.refusals))
            raise PolicyRefusal(str(run), f"the content gate refuses {refused}")

    def _translate(self, name: str, given: Tensor, target: Tensor) -> _Translated:
        frames = [picture_from_signed(frame, self._input) for frame in torch.split(given, self._input.channels, dim=1)]
        source, truth = frames[len(frames) // 2], picture_from_signed(target, self._target)
        admit(truth, name=f"{name} (target)")
        window = frames if len(frames) > 1 else ()
        output = self._translator.translate_picture(source, name=name, window=window).picture
        return _Translated(source, self._baseline(source, truth), output, truth)

    def _baseline(self, source: Picture, target: Picture) -> Tensor | None:
        """Return the input in [0, 1] with the size and channels of the target; None if the channels do not match."""
        channels = target.spec.channels
        if source.spec.channels not in (1, channels):
            return None
        images = unit_from_picture(source, self._input).expand(-1, channels, -1, -1)
        return enlarged(images, (target.height, target.width))

    def _scores(self, name: str, pair: _Translated) -> PictureScores:
        truth = unit_from_picture(pair.target, self._target)
        output, missing = measure(unit_from_picture(pair.output, self._translator.record.output), truth)
        baseline = None if pair.baseline is None else measure(pair.baseline, truth)[0]
        return PictureScores(name, output, baseline, missing)

    def _keep(self, name: str, pair: _Translated) -> None:
        """Keep a pair for the report, with the measured version of the input if there is one."""
        scores, given = self._measured[name], pair.source
        if pair.baseline is not None:
            given = picture_from_signed(signed_from_unit(pair.baseline), self._target)
        captions = [caption_of(scores.baseline), caption_of(scores.output)]
        self.shown[name] = display([given, pair.output], pair.target, captions)


def _read(config: PairedData, split: Split, num_frames: int, progress: bool) -> Cache:
    """Decode the pairs and pass them through the content gate."""
    with progress_bars(shown=progress) as bars:
        return build_cache(config, split, cache_folder() / "pictures", num_frames=num_frames, progress=bars)


def enlarged(images: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (N, C, H, W) in [0, 1] by bicubic interpolation (a = -0.5) if the size differs."""
    if images.shape[-2:] == torch.Size(size):
        return images
    return functional.interpolate(images, tuple(size), mode="bicubic", antialias=True).clamp(0, 1)
