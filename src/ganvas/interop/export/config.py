"""Config of `export`. No torch here: the command line reads it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName

ExportFormat = Literal["onnx", "torch", "openvino"]
NoiseChoice = Literal["off", "input"]


@dataclass(frozen=True)
class ExportConfig:
    """Export of a trained run to a format of other programs."""

    run: Path
    """The run folder."""
    out: Path
    """The file to write, or a folder, in which the file is named after the run."""
    _: KW_ONLY
    format: ExportFormat = "onnx"
    """onnx; a torch.export program (torch, .pt2); or OpenVINO IR (openvino, .xml and .bin)."""
    direction: Direction = "a_to_b"
    """b_to_a for the way back, of methods that learn both, such as CycleGAN."""
    snapshot: SnapshotName = "auto"
    """The best by validation, the last, or the best where there is one."""
    size: tuple[int, int] | None = None
    """Height and width of the only pictures that the network takes, one at a time; unset: any number of any size."""
    half: bool = False
    """Weights and computation in float16, norms in float32; the input and the output stay float32."""
    noise: NoiseChoice = "off"
    """Dropout that is the noise of the method: switched off, or its random numbers as further inputs."""
    license: str | None = None
    """License of the weights for the metadata, such as CC-BY-4.0; unset: not stated."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"size {self.size[0]} {self.size[1]} must be at least 1 pixel each")
        check_threads(self.threads)
