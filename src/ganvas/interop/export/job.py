"""Export job and format description: the interface between `ganvas export` and the modules of the formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ganvas.inference.translator import Translator
from ganvas.interop.export.config import ExportConfig
from ganvas.interop.export.network import ExportedNetwork
from ganvas.methods.config import Direction
from ganvas.runs.export_metadata import ExportMetadata
from ganvas.runs.record import RunRecord

Floats = NDArray[np.float32]
Run = Callable[..., Floats]
"""Function of an exported network: image (N, C, H, W) in [0, 1], then its noise inputs -> translation in [0, 1]."""
Option = Literal["size", "half", "noise", "examples", "repository"]


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """Content of an export, which a format writes.

    Attributes:
        run: the run folder.
        record: record of the run.
        direction: direction of the translation.
        translator: translator of the run and the direction, in float32, on the CPU: the reference of the verification.
        network: the same as a plain network of PyTorch's own layers, with scaling, padding and clamping inside.
        size: fixed height and width; None: dynamic.
        half: whether weights and computation are float16.
        metadata: metadata of the file.
        options: all settings.
    """

    run: Path
    record: RunRecord
    direction: Direction
    translator: Translator
    network: ExportedNetwork
    size: tuple[int, int] | None
    half: bool
    metadata: ExportMetadata
    options: ExportConfig

    @property
    def channels(self) -> int:
        """Channels of the input, all frames together."""
        return self.metadata.num_frames * self.metadata.input.channels


@dataclass(frozen=True, kw_only=True)
class Format:
    """Export format.

    Attributes:
        suffix: suffix of its main file; empty: it is a folder of several files.
        beside: suffixes of the files beside the main file.
        whole_run: whether it contains the run itself, of any method, instead of a network for one direction.
        runtime: name of the program that runs it, for the report.
        options: settings that it supports; setting any other is an error.
        require: raises MissingDependency if a package is missing.
        write: writes the files into an empty folder, and returns their paths, the main one last.
        open: returns the written files as a function, with which they are verified.
        closing: the last line of the report to the user.
    """

    suffix: str
    beside: tuple[str, ...] = ()
    whole_run: bool = False
    runtime: str
    options: frozenset[Option]
    require: Callable[[], None]
    write: Callable[[ExportJob, Path], Sequence[Path]]
    open: Callable[[ExportJob, Sequence[Path]], Run]
    closing: str = "the file has no content gate and does not label outputs: programs that use it must do both"
