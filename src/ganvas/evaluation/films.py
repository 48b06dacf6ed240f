"""Evaluation of a film against its ground truth, frame by frame: fidelity, perceptual distance and flicker."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganvas.content_gate import AdmittedPicture, admit
from ganvas.errors import ConfigError, MissingDependency, VideoError, WeightsError
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.evaluate import enlarged
from ganvas.evaluation.film_report import HTML_NAME, JSON_NAME, FilmEvaluation, FrameScores, Shown, write_film_reports
from ganvas.filesystem import require_apart
from ganvas.image.picture import PictureSpec
from ganvas.image.ranges import signed_from_unit
from ganvas.inference.adapt import picture_from_signed, unit_from_picture
from ganvas.metrics.features import LPIPS, load_lpips, lpips_or_none
from ganvas.metrics.fidelity import SSIM_WINDOW, Measures, psnr, ssim
from ganvas.metrics.flicker import optical_flow, visible_pixels, warp_error
from ganvas.progress import Progress, progress_bars
from ganvas.video import FilmInfo, Frame, is_film, plan_segments, probe, read_video

__all__ = ["evaluate_films"]

Unit = NDArray[np.floating]
"""(H, W, C) in [0, 1]."""
WORST, BEST = 6, 2
"""Numbers of frames in the report."""
MAX_PAIRS = 50
"""Largest number of pairs of consecutive frames for optical flow, which takes seconds each."""


def evaluate_films(config: EvaluateConfig, *, progress: bool = True) -> FilmEvaluation:
    """Compare a film with its ground truth, and write `evaluation.json` and `report.html`.

    Only two frames of each film are in memory at a time, plus those of the report.

    Args:
        config: `run` is the film, `data` the ground truth, `input` the film that was translated.
        progress: show a progress bar.

    Raises:
        VideoError: a film cannot be read, or its frames do not match the ground truth.
        PolicyRefusal: the gate refused a frame; names frame and second.
        ConfigError: the ground truth is not set.
        MissingDependency: PyAV is not installed.
    """
    started = time.monotonic()
    films = _films(config)
    out = config.out or config.run.with_name(f"{config.run.stem}-evaluation")
    require_apart([out / JSON_NAME, out / HTML_NAME], [film.path for film in films.values()])
    with progress_bars(shown=progress) as bars:
        evaluator = _Evaluator(films, bars)
        evaluator.require_equal_counts()
        frames = tuple(evaluator.measure_all())
    evaluation = FilmEvaluation(
        film=config.run.name,
        truth=films["truth"].path.name,
        input=config.input.name if config.input else None,
        frames=frames,
        flow_stride=evaluator.stride,
        missing=evaluator.missing,
        seconds=time.monotonic() - started,
    )
    return write_film_reports(evaluation, out, evaluator.worst(), evaluator.best())


def _films(config: EvaluateConfig) -> dict[str, FilmInfo]:
    """Return the films by part: film, truth and, if set, input."""
    if config.data is None:
        raise ConfigError(f"{config.run} is a film: use --data FILM to set the ground truth")
    paths = {"film": config.run, "truth": config.data} | ({"input": config.input} if config.input else {})
    for path in paths.values():
        if not path.is_file() or not is_film(path):
            raise VideoError(path, "not a film; the ground truth of a film must be a film")
    return {part: probe(path) for part, path in paths.items()}


@dataclass(frozen=True)
class _Moment:
    """One frame of each film.

    Attributes:
        frame: frame of the evaluated film.
        units: part -> (H, W, C) in [0, 1].
        shown: part -> (H, W, 3) for the report.
    """

    frame: Frame
    units: Mapping[str, Unit]
    shown: Mapping[str, NDArray[np.uint8]]

    def as_shown(self) -> tuple[int, float, Mapping[str, NDArray[np.uint8]]]:
        """Return number, second and pictures."""
        return self.frame.index, self.frame.time, self.shown


_Ranked = tuple[float, int, _Moment]
"""Sort key, number of the frame, and the frames."""


class _Evaluator:
    """Evaluator of films that keeps the worst frames.

    Attributes:
        missing: metric -> reason why it was not measured.
        stride: interval at which pairs of frames are measured for flicker; None if flicker is not measured.
    """

    def __init__(self, films: Mapping[str, FilmInfo], progress: Progress) -> None:
        self._films, self._progress = films, progress
        self.missing: dict[str, str] = {}
        self._total = films["film"].expected_frames()
        self.stride: int | None = max(1, math.ceil((self._total - 1) / MAX_PAIRS))
        self._lpips = self._load_lpips()
        self._worst: list[_Ranked] = []
        self._best: list[_Ranked] = []

    def require_equal_counts(self) -> None:
        """Compare the numbers of frames, as far as the containers record them.

        Raises:
            VideoError: the films have different numbers of frames.
        """
        counts = {part: _num_frames(info) for part, info in self._films.items()}
        if len({count for count in counts.values() if count is not None}) > 1:
            raise self._unequal(counts)

    def _unequal(self, counts: Mapping[str, int | None]) -> VideoError:
        named = [f"{self._films[part].path.name} has {count:,}" for part, count in counts.items() if count is not None]
        return VideoError(
            self._films["film"].path,
            f"the films have different numbers of frames: {', '.join(named)}; use films of the same frames (for a "
            "preview, shorten the ground truth)",
        )

    def measure_all(self) -> Iterator[FrameScores]:
        """Yield the scores of each frame."""
        before: tuple[_Moment, FrameScores] | None = None
        done = 0
        for index, moment in enumerate(self._moments()):
            self._progress.check()
            if before is not None:
                yield replace(before[1], warp=self._flicker(before[0], moment))
            before = moment, self._scores(moment)
            self._progress("evaluate", done := index + 1, max(self._total, done))
        self._progress("evaluate", done, done)
        if before is not None:
            yield before[1]

    def worst(self) -> Shown:
        """Return number, second and pictures of the frames with the lowest PSNR, the worst first."""
        return [moment.as_shown() for _, _, moment in self._worst]

    def best(self) -> Shown:
        """Return the frames with the highest PSNR, the best first, without those of `worst`."""
        worst = {moment.frame.index for _, _, moment in self._worst}
        return [moment.as_shown() for _, _, moment in self._best if moment.frame.index not in worst]

    def _moments(self) -> Iterator[_Moment]:
        """Yield the corresponding frames of all films together.

        Raises:
            VideoError: their frames differ in timestamps or size.
            PolicyRefusal: the gate refused one.
        """
        starts: dict[str, float] = {}
        streams = {part: read_video(info) for part, info in self._films.items()}
        for index, frames in enumerate(zip_longest(*streams.values())):
            shown = {part: frame for part, frame in zip(streams, frames, strict=True) if frame is not None}
            if len(shown) < len(streams):
                rest = {part: 1 + sum(1 for _ in streams[part]) for part in shown}
                raise self._unequal({part: index + rest.get(part, 0) for part in streams})
            film = shown["film"]
            for part, frame in shown.items():
                starts.setdefault(part, frame.time)
                self._check_time(film, film.time - starts["film"], frame.time - starts[part], part)
            yield self._moment(shown)

    def _check_time(self, film: Frame, own: float, other: float, part: str) -> None:
        allowed = 0.5 / float(self._films["film"].rate or 25)
        if abs(own - other) > allowed:
            problem = (
                f"shown {own:.3f} s after the first, and in {self._films[part].path.name} {other:.3f} s; use films of "
                "the same frames"
            )
            raise VideoError(self._films["film"].path, problem, frame=film.index, seconds=film.time)

    def _moment(self, frames: Mapping[str, Frame]) -> _Moment:
        film, admitted = frames["film"], dict[str, AdmittedPicture]()
        for part, frame in frames.items():
            name = f"{self._films[part].path.name}, frame {frame.index} ({frame.time:.3f} s)"
            admitted[part] = admit(frame.picture, name=name)
        tensors = {part: unit_from_picture(one.picture, one.picture.spec) for part, one in admitted.items()}
        size = tensors["truth"].shape[-2:]
        if tensors["film"].shape[-2:] != size:
            height, width = tensors["film"].shape[-2:]
            problem = (
                f"{width} x {height} pixels, and the ground truth has {size[1]} x {size[0]}; use films of the same size"
            )
            raise VideoError(self._films["film"].path, problem)
        shown = {part: one.picture.as_rgb8() for part, one in admitted.items()}
        if "input" in tensors and tensors["input"].shape[-2:] != size:
            tensors["input"] = enlarged(tensors["input"], size)
            shown["input"] = picture_from_signed(signed_from_unit(tensors["input"]), PictureSpec()).as_rgb8()
        units = {part: tensor[0].permute(1, 2, 0).numpy() for part, tensor in tensors.items()}
        return _Moment(film, units, shown)

    def _scores(self, moment: _Moment) -> FrameScores:
        truth = _tensor(moment.units["truth"])
        found = {part: self._measure(_tensor(unit), truth) for part, unit in moment.units.items() if part != "truth"}
        fidelity = found["film"]["psnr"]
        rank = math.inf if fidelity is None else fidelity
        self._worst = sorted([*self._worst, (rank, moment.frame.index, moment)], key=lambda one: one[:2])[:WORST]
        self._best = sorted([*self._best, (-rank, moment.frame.index, moment)], key=lambda one: one[:2])[:BEST]
        return FrameScores(
            index=moment.frame.index, time=moment.frame.time, film=found["film"], input=found.get("input")
        )

    def _measure(self, images: Tensor, truth: Tensor) -> Measures:
        value = psnr(images, truth).item()
        return {
            "psnr": None if value == math.inf else value,
            "ssim": ssim(images, truth).item() if min(images.shape[-2:]) >= SSIM_WINDOW else None,
            "lpips": lpips_or_none(self._lpips, images.float(), truth.float()),
        }

    def _flicker(self, before: _Moment, after: _Moment) -> dict[str, float | None] | None:
        """Return the warp error of each film along the optical flow of the ground truth; None if it is not measured."""
        if self.stride is None or before.frame.index % self.stride:
            return None
        first, second = before.units["truth"], after.units["truth"]
        try:
            flow, back = optical_flow(first, second), optical_flow(second, first)
        except MissingDependency as error:
            self.missing["warp"], self.stride = str(error), None
            return None
        visible = visible_pixels(flow, back)
        return {part: warp_error(before.units[part], after.units[part], flow, visible) for part in before.units}

    def _load_lpips(self) -> LPIPS | None:
        try:
            return load_lpips("alexnet", may_download=False, progress=False)
        except WeightsError as error:
            self.missing["lpips"] = str(error)
            return None


def _num_frames(info: FilmInfo) -> int | None:
    counts = [segment.num_frames for segment in plan_segments(info)]
    return None if None in counts else sum(count for count in counts if count is not None)


def _tensor(unit: Unit) -> Tensor:
    """Convert (H, W, C) to (1, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(unit)).permute(2, 0, 1)[None]
