"""Super-resolution benchmark: downsample sets of pictures, enlarge them with each run, measure as in the papers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.content_gate import admit, check_share, describe_refusals
from ganvas.data.degradations import reduce
from ganvas.errors import (
    FILE_ERRORS,
    ConfigError,
    DataError,
    ImageError,
    PartialFailure,
    PolicyRefusal,
    WeightsError,
    problem_of,
)
from ganvas.evaluation import BenchmarkConfig
from ganvas.filesystem import claimed, require_apart, require_outside
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.image.files import list_images, read_image
from ganvas.image.picture import Picture
from ganvas.inference.adapt import unit_from_picture
from ganvas.inference.models import read_files
from ganvas.inference.translator import Translator
from ganvas.metrics.features import LPIPS, load_lpips
from ganvas.metrics.fidelity import BORDER, SSIM_WINDOW, luma_psnr, luma_ssim
from ganvas.progress import track
from ganvas.runs.published import run_name

__all__ = ["SuperResolutionTable", "benchmark_super_resolution"]
Enlarge = Callable[[Picture, str], Tensor]
"""A low-resolution picture and its name -> (1, 3 or 1, H, W) in [0, 1], in whole gray levels."""
PROTOCOL = (
    "Pictures cropped to multiples of the scale, downsampled by antialiased bicubic interpolation (a = -0.5), 8 bits; "
    f"PSNR and SSIM on Y without {BORDER} pixels at the border; LPIPS on RGB of the whole picture."
)
JSON_NAME, MARKDOWN_NAME = "sr.json", "sr.md"
TITLES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lpips": "LPIPS"}


@dataclass(frozen=True)
class Score:
    """Score of one picture enlarged by one method; the PSNR of equal pictures is infinite."""

    set: str
    picture: str
    way: str
    psnr: float
    ssim: float
    lpips: float | None
    seconds: float

    def as_record(self) -> dict[str, object]:
        """Return the fields for JSON, which has no infinity: null for identical pictures."""
        return asdict(self) | {"psnr": self.psnr if math.isfinite(self.psnr) else None}


@dataclass(frozen=True)
class SuperResolutionTable:
    """Scores of all pictures and methods.

    Attributes:
        scale: scale factor.
        scores: one for each picture and method.
        lpips: name of the network, or the reason why it is not available.
        failures: set/picture -> error.
    """

    scale: int
    scores: tuple[Score, ...]
    lpips: str
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return the exit code of a partial failure if pictures failed, else 0."""
        return PartialFailure.exit_code if self.failures else 0

    def mean(self, name: str, way: str, measure: str) -> float | None:
        """Return the mean over the pictures of a set, or None if the metric was not computed."""
        values = [getattr(score, measure) for score in self.scores if (score.set, score.way) == (name, way)]
        return fmean(values) if values and None not in values else None

    def as_markdown(self) -> str:
        """Return a table of means: one row per method, three columns per set."""
        names = dict.fromkeys(score.set for score in self.scores)
        ways = dict.fromkeys(score.way for score in self.scores)
        head = [f"{name} {title}" for name in names for title in TITLES.values()]
        lines = [f"| x{self.scale} | {' | '.join(head)} | s a picture |", "|---" * (len(head) + 2) + "|"]
        for way in ways:
            cells = [_cell(self.mean(name, way, measure), measure) for name in names for measure in TITLES]
            seconds = fmean(score.seconds for score in self.scores if score.way == way)
            lines.append(f"| {way} | {' | '.join(cells)} | {seconds:.3g} |")
        return "\n".join(lines)

    def __str__(self) -> str:
        failed = "".join(f"\n{name}: {why}" for name, why in self.failures.items())
        return f"{self.as_markdown()}\n\n{PROTOCOL} {self.lpips}.{failed}"


def benchmark_super_resolution(config: BenchmarkConfig, *, progress: bool = True) -> SuperResolutionTable:
    """Enlarge every picture of every set by nearest neighbor, bicubic interpolation and each run.

    Writes `sr.json` (every picture) and `sr.md` (means) into `out`.

    Args:
        config: run folders of one scale, whose names label the rows; the sets, and the output folder.
        progress: show a progress bar.

    Raises:
        ConfigError: the runs have different scales, the same name, or scale 1.
        DataError: `data` contains no set.
        InputError: `out` is inside `data`.
        RunError: a run cannot be read.
        PolicyRefusal: too many of the pictures are refused (`ganvas.content_gate.gate.check_share`).
    """
    # Check data, output and runs first: all runs need one scale.
    runs, data, out = config.runs, config.data, config.out
    pictures = _pictures(data)
    require_outside(out, data)
    written = [out / JSON_NAME, out / MARKDOWN_NAME]
    require_apart(written, chain((path for _, path in pictures), *map(read_files, runs)))
    translators = {run_name(run): Translator.load(run, device=config.device) for run in runs}
    scale = _common_scale(translators, len(runs))
    ways: dict[str, Enlarge] = {
        "nearest": lambda low, _: _enlarged(low, scale, "nearest"),
        "bicubic": lambda low, _: _enlarged(low, scale, "bicubic"),
    }
    ways |= {name: _by_run(translator) for name, translator in translators.items()}
    lpips, said = _load_lpips(may_download=config.download, progress=progress)
    scores, failures, refusals = list[Score](), dict[str, str](), list[PolicyRefusal]()
    given = {str(path) for _, path in pictures}
    # Measure picture by picture; a failing picture is listed, too many refusals stop the benchmark.
    for name, path in track(iter(pictures), "benchmark", total=len(pictures), shown=progress):
        try:
            scores += list(_scores(name, path, ways, scale=scale, lpips=lpips))  # all ways, or none
        except PolicyRefusal as refusal:
            refusals.append(refusal)
            failures[f"{name}/{path.name}"] = str(refusal)
        except FILE_ERRORS as error:
            failures[f"{name}/{path.name}"] = problem_of(error)
        check_share([refusal for refusal in refusals if refusal.name in given], len(pictures))
    _check_measured(scores, failures, refusals, data)
    table = SuperResolutionTable(scale, tuple(scores), said, failures)
    record = {"scale": scale, "protocol": PROTOCOL, "lpips": said, "failures": failures}
    with claimed(out):
        write_json(out / JSON_NAME, record | {"scores": [score.as_record() for score in scores]})
        write_text(out / MARKDOWN_NAME, f"{table}\n")
    return table


def _check_measured(
    scores: Sequence[Score], failures: dict[str, str], refusals: Sequence[PolicyRefusal], data: Path
) -> None:
    """Raise an error if no picture could be measured: a refusal if the gate is the only reason."""
    if not scores and len(refusals) == len(failures):
        raise PolicyRefusal(str(data), f"the content gate refuses {describe_refusals(refusals, len(failures))}")
    if not scores:
        raise DataError(f"{data}: no picture could be measured: {'; '.join(failures.values())}")


def _common_scale(translators: dict[str, Translator], runs: int) -> int:
    if len(translators) < runs:
        raise ConfigError("two runs have the same name, which labels their rows: rename a folder")
    scales = {name: translator.model.scale for name, translator in translators.items()}
    if len(set(scales.values())) > 1:
        raise ConfigError(f"one table has one scale, the runs have {scales}: benchmark them separately")
    scale = next(iter(scales.values()), 4)
    if scale == 1:
        raise ConfigError(f"{', '.join(scales)}: produces pictures of the input size; use a super-resolution run")
    return scale


def _pictures(data: Path) -> list[tuple[str, Path]]:
    """Return (set, picture file) pairs."""
    folders = sorted(folder for folder in data.iterdir() if folder.is_dir()) if data.is_dir() else []
    found = [(folder.name, path) for folder in folders for path in list_images(folder)]
    if not found:
        raise DataError(f"{data} contains no folders with pictures, one for each set, such as Set5 and Set14")
    return found


def _scores(name: str, path: Path, ways: dict[str, Enlarge], *, scale: int, lpips: LPIPS | None) -> Iterator[Score]:
    picture = read_image(path)
    _check_measurable(picture, path, scale)
    admit(picture, name=str(path))
    truth = unit_from_picture(picture, picture.spec)
    height, width = (side // scale * scale for side in truth.shape[-2:])
    truth = truth[..., :height, :width]
    low = _as_picture((reduce(2 * truth - 1, scale) + 1) / 2)
    for way, enlarge in ways.items():
        started = time.perf_counter()
        result = enlarge(low, f"{path} ({way})")
        seconds = time.perf_counter() - started
        alike = _like(result, truth)
        yield Score(
            set=name,
            picture=path.stem,
            way=way,
            psnr=luma_psnr(alike, truth).item(),
            ssim=luma_ssim(alike, truth).item(),
            lpips=None if lpips is None else lpips(_rgb(result) * 2 - 1, _rgb(truth) * 2 - 1).item(),
            seconds=seconds,
        )


def _check_measurable(picture: Picture, path: Path, scale: int) -> None:
    """Raise an error if there is no luminance, or the picture is too small after cutting the border."""
    if picture.spec.channels not in (1, 3):
        raise ImageError(path, f"{picture.spec.channels} channels; use gray or RGB pictures, which have a luminance")
    least = -(-(SSIM_WINDOW + 2 * BORDER) // scale) * scale
    if min(picture.height, picture.width) < least:
        raise ImageError(path, f"{picture.height} x {picture.width} pixels; use {least} or more per side")


def _enlarged(low: Picture, scale: int, mode: str) -> Tensor:
    images = unit_from_picture(low, low.spec)
    size = [scale * side for side in images.shape[-2:]]
    result = functional.interpolate(images, size, mode=mode, antialias=mode == "bicubic")
    return _levels(result)


def _by_run(translator: Translator) -> Enlarge:
    def enlarge(low: Picture, name: str) -> Tensor:
        result = translator.translate_picture(low, tile=512, name=name).picture
        return unit_from_picture(result, result.spec)

    return enlarge


def _load_lpips(*, may_download: bool, progress: bool) -> tuple[LPIPS | None, str]:
    """Return LPIPS if its weights are available, and its name or the reason for its absence."""
    try:
        lpips = load_lpips("alexnet", may_download=may_download, progress=progress)
    except WeightsError as error:
        asked = "" if may_download else " (--download fetches the weights)"
        return None, f"LPIPS was not measured{asked}: {error}"
    return lpips, lpips.name


def _like(result: Tensor, truth: Tensor) -> Tensor:
    """Average to gray if the target is gray, because a run with three channels returns three nearly equal ones."""
    return result if result.shape[1] == truth.shape[1] else result.mean(1, keepdim=True)


def _as_picture(images: Tensor) -> Picture:
    return Picture((images[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy())


def _levels(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round() / 255


def _rgb(images: Tensor) -> Tensor:
    return images.float().expand(-1, 3, -1, -1)


def _cell(value: float | None, measure: str) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if measure == "psnr" else f"{value:.4f}"
