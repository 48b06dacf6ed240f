"""Evaluation of a trained run on pairs, per picture and overall, beside the unchanged input."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from ganvas.data.splits import evenly
from ganvas.errors import ConfigError, DataError, InputError, PolicyRefusal
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.report import HTML_NAME, JSON_NAME, Evaluation, PictureScores, Trio, write_reports
from ganvas.filesystem import require_apart, require_outside
from ganvas.filesystem.paths import cache_folder
from ganvas.image.picture import Picture, all_channels
from ganvas.inference.adapt import picture_from_signed, unit_from_picture
from ganvas.inference.models import model_files, read_files
from ganvas.inference.onnx_file import names_onnx
from ganvas.inference.onnx_model import OnnxConfig
from ganvas.inference.translator import Translator
from ganvas.methods.config import OPPOSITE
from ganvas.metrics.fidelity import measure
from ganvas.progress import progress_bars, track
from ganvas.runs.published import UNPUBLISHED, is_published, run_name
from ganvas.runs.record import find_snapshot, snapshot_images


def evaluate_run(config: EvaluateConfig, *, num_shown: int = 24, progress: bool = True) -> Evaluation:
    """Translate every picture of a split, compare with its target, and write `evaluation.json` and `report.html`.

    Outputs are rounded to their file's type, so the measures describe the files that would be written.

    Args:
        config: the run, the data and where to write.
        num_shown: number of pictures in the HTML report, evenly spread over the split.
        progress: show a bar with the time left.

    Raises:
        DataError: there is no such split, or its pictures do not fit the run.
        PolicyRefusal: too many given pictures are refused (`ganvas.content_gate.gate.check_share`), or all outputs.
        RunError: the run cannot be read.
        ConfigError: the run's method does not translate in that direction.
    """
    # Resolve the run, the data and the output folder before anything is decoded.
    started = time.monotonic()
    run = config.run
    if config.input is not None:
        raise ConfigError("--input belongs to a film; the pairs of a run have their own inputs")
    translator = Translator.load(
        run, snapshot=config.snapshot, device=config.device, seed=config.seed, direction=config.direction
    )
    data = data_settings(translator, config.data)
    chosen = held_out_split(data) if config.split == "auto" else config.split
    target = _checked_target(config.out or _own_target(run, chosen), run, data)
    cache = _read(data, chosen, translator.num_frames, progress)
    check_channels(cache, translator)
    # Translate and measure picture by picture; keep only what the report shows in memory.
    evaluator = _Evaluator(translator, cache, frozenset(evenly(len(cache), num_shown)))
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
        seconds=time.monotonic() - started,
    )
    return write_reports(evaluation, run, target, evaluator.shown)


def _own_target(run: Path, split: Split) -> Path:
    """Return where the evaluation of a run stands by itself; raise ConfigError for one that is not to be changed."""
    if is_published(run):
        raise ConfigError(f"{run_name(run)} is a published run, in which nothing is written: give --out DIR")
    return (run.with_name(f"{run.stem}-evaluation") if names_onnx(run) else run / "evaluation") / split


def _checked_target(target: Path, run: Path, config: PairedData) -> Path:
    """Return the folder to write; raise InputError where a report would replace a file that is read."""
    require_apart([target / JSON_NAME, target / HTML_NAME], chain(read_files(run), data_files(config)))
    require_outside(target, *data_folders(config))
    return target


def data_settings(translator: Translator, folder: Path | None) -> PairedData:
    """Return the run's data configuration for `folder`, where given, in the translator's direction.

    Raises:
        InputError: the run has no pairs of its own and no folder is given.
    """
    config = _own_settings(translator, folder)
    back = translator.direction == "b_to_a"
    return replace(config, direction=OPPOSITE[config.direction]) if back else config


def _own_settings(translator: Translator, folder: Path | None) -> PairedData:
    own = translator.record.data
    if own is not None and own.folder == UNPUBLISHED and folder is None:
        raise InputError("a published run does not know where its training data are; give --data DIR with pairs")
    if isinstance(own, PairedData):
        return own if folder is None else replace(own, folder=folder, split_file=None)
    if folder is None:
        why = "does not know its data (it was imported)" if own is None else "was trained on unpaired pictures"
        raise InputError(
            f"this run {why}, and without targets there is no PSNR and no SSIM; give --data DIR with pairs. What needs "
            "no pairs, such as comparing distributions, is not for this verb"
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
    """Repeat gray pictures for a run in color; raise DataError where channels differ otherwise."""
    record = translator.record
    repeat_gray([cache.a], like=record.input.channels)
    repeat_gray([cache.b], like=record.output.channels)
    for what, needed, found in (
        ("takes inputs of", record.input.channels, cache.a.spec.channels),
        ("makes", record.output.channels, cache.b.spec.channels),
    ):
        if needed != found:
            raise DataError(
                f"the run {what} {needed} channels, the data has {found}; give pictures like the training data"
            )


class _Evaluator:
    """Evaluator of pairs that keeps the pictures of the report."""

    def __init__(self, translator: Translator, cache: Cache, to_show: frozenset[int]) -> None:
        self._translator, self._to_show = translator, to_show
        self._input, self._target = cache.a.spec, cache.b.spec
        self.shown: dict[str, Trio] = {}
        self.refusals: list[PolicyRefusal] = []
        self._measured = 0

    def measure_all(self, pairs: Iterator[tuple[str, Tensor, Tensor]]) -> Iterator[PictureScores]:
        for index, (name, given, target) in enumerate(pairs):
            frames = [
                picture_from_signed(frame, self._input) for frame in torch.split(given, self._input.channels, dim=1)
            ]
            pictures = frames[len(frames) // 2], picture_from_signed(target, self._target)
            window = frames if len(frames) > 1 else ()
            try:
                admit(pictures[1], name=f"{name} (target)")
                translation = self._translator.translate_picture(pictures[0], name=name, window=window).picture
            except PolicyRefusal as refusal:
                self.refusals.append(refusal)
                continue
            self._measured += 1
            yield self._scores(name, *pictures, translation)
            if index in self._to_show:
                self.shown[name] = (all_channels(pictures[0]), all_channels(translation), all_channels(pictures[1]))

    def check_not_all_refused(self, run: Path) -> None:
        """Raise PolicyRefusal where nothing could be measured."""
        if not self._measured:
            refused = describe_refusals(self.refusals, len(self.refusals))
            raise PolicyRefusal(str(run), f"the content gate refuses {refused}")

    def _scores(self, name: str, source: Picture, target: Picture, translation: Picture) -> PictureScores:
        truth = unit_from_picture(target, self._target)
        output, missing = measure(unit_from_picture(translation, self._translator.record.output), truth)
        same = source.spec.channels == target.spec.channels
        baseline = (
            measure(enlarged(unit_from_picture(source, self._input), truth.shape[-2:]), truth)[0] if same else None
        )
        return PictureScores(name, output, baseline, missing)


def _read(config: PairedData, split: Split, num_frames: int, progress: bool) -> Cache:
    """Decode the pairs and pass them through the content gate; training caches its own in the same folder."""
    with progress_bars(shown=progress) as bars:
        return build_cache(config, split, cache_folder() / "pictures", num_frames=num_frames, progress=bars)


def enlarged(images: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (N, C, H, W) in [0, 1] by bicubic interpolation, a = -0.5, where the size differs."""
    if images.shape[-2:] == torch.Size(size):
        return images
    return functional.interpolate(images, tuple(size), mode="bicubic", antialias=True).clamp(0, 1)
