"""Config of `redact`. No torch here: the command line reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ganvas.bulk.ray_backend import Backend, check_workers
from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads


@dataclass(frozen=True)
class RedactConfig:
    """Redaction of a picture, a film or a folder of both."""

    source: Path
    """A picture, a film, or a folder with its subfolders."""
    out: Path
    """Output folder; for one file also an output file."""
    _: KW_ONLY
    classifier: str | None = None
    """Classifier that locates regions and verifies the result: nsfw, imagenet or the path of an .onnx file."""
    class_name: str | None = None
    """Class to cover; not needed with nsfw."""
    detect: tuple[str, ...] = ()
    """Detectors: faces, text, or an .onnx file; MODEL.onnx:person,car selects only these of its classes."""
    min_score: float | None = None
    """Lowest score of a detection; unset: the detector's own (faces 0.2, text 0.5, .onnx 0.25)."""
    margin: float = 0.2
    """Margin on each side of a detected box, as a share of its width or height."""
    longest: int = 4096
    """Longest side in pixels at which faces and text are detected; smaller sizes are faster and miss small objects."""
    keep: tuple[tuple[int, int, int, int], ...] = ()
    """Boxes (left top right bottom) in pixels in which detections are not covered."""
    boxes: Path | None = None
    """Boxes in pixels: JSON {"name.jpg": [[left, top, right, bottom], ...]}, [] for none, or CSV lines
    name,left,top,right,bottom, the name alone for none."""
    mask: Path | None = None
    """Mask, or a folder with one mask per picture, at the same relative path in any format: what is not black is
    covered."""
    style: Literal["solid", "mosaic", "blur"] = "solid"
    """Style of covers. Only solid hides; mosaic and blur are cosmetic, because classifiers trained on covered pictures
    still recognize what they cover."""
    blocks: int | None = None
    """Number of mosaic blocks across the region's longer side."""
    block_size: int | None = None
    """Block side of a mosaic in pixels, instead of blocks."""
    sigma: float | None = None
    """Standard deviation of a blur in pixels."""
    pass_score: float | None = None
    """Largest score at which the class counts as no longer recognized; unset: 0.2."""
    coverage: float | None = None
    """Coverage of the initial region, up to 1: it includes everything above 1 - coverage of the class map's maximum;
    unset: 0.9. Larger values cover more of the object and more of its surroundings."""
    hold: float = 0.5
    """Films: seconds that a cover begins before the first detection and ends after the last."""
    detections: Path | None = None
    """Films: detections written by `ganvas locate FILM`, optionally edited, in place of running detectors."""
    verify: Literal["every"] | int = "every"
    """Films: examine every covered frame again, or each N-th; 0 for none."""
    sound: bool = True
    """Films: copy the sound, which is not examined."""
    keep_subtitles: bool = False
    """Films: copy subtitles too."""
    crf: int | None = None
    """Films: quality, smaller is better; unset: 18, visually lossless, and lossless codecs stay lossless."""
    codec: str | None = None
    """Films: h264, hevc, vp9, av1, mpeg2, ffv1, prores or an encoder of FFmpeg; unset: that of the film."""
    skip_damaged: bool = False
    """Films: replace damaged frames by the previous covered frame instead of failing."""
    preview: float | None = None
    """Films: redact only the first N seconds."""
    log: Path | None = None
    """Folder of the redaction log; unset: OUT, where it contains no plain hashes of the originals."""
    backend: Backend = "local"
    """This process (local), or the workers of a Ray cluster (ray), for very large folders; needs Ray Data."""
    workers: int | None = None
    """Number of Ray workers; unset: one per core."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "region": (
            "classifier", "class_name", "detect", "min_score", "margin", "longest", "keep", "boxes", "mask",
            "pass_score", "coverage",
        ),
        "cover": ("style", "blocks", "block_size", "sigma"),
        "film": (
            "hold", "detections", "verify", "sound", "keep_subtitles", "crf", "codec", "skip_damaged", "preview",
        ),
    }  # fmt: skip
    """Headings of the help -> the fields below them."""

    def __post_init__(self) -> None:
        check_workers(self.backend, self.workers)
        check_threads(self.threads)
        if isinstance(self.verify, int) and self.verify < 0:
            raise ConfigError(f"verify {self.verify} must be 'every', a number of frames, or 0 for none")
        if self.preview is not None and not self.preview > 0:
            raise ConfigError(f"preview {self.preview} must be more than 0 seconds")
