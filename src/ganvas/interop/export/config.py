"""Configs of `export` and `push`; imports no torch, because the command line reads them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName
from ganvas.runs.hub import upload_address
from ganvas.runs.published import check_license

ExportFormat = Literal["onnx", "torch", "openvino", "huggingface", "spandrel", "web"]
NoiseChoice = Literal["off", "input"]


@dataclass(frozen=True)
class ExportConfig:
    """Export of a trained run to a format of other programs."""

    run: Path
    """Run folder."""
    out: Path
    """Output file, or a folder, in which the file is named after the run."""
    _: KW_ONLY
    format: ExportFormat = "onnx"
    """onnx; a torch.export program (torch, .pt2); OpenVINO IR (openvino, .xml and .bin); a model folder for the
    Hugging Face Hub with a card, which ganvas loads again (huggingface); the weights of an rrdb, compact or nafnet
    generator as spandrel and chaiNNer read them (spandrel, .safetensors); or a page that runs in browsers (web)."""
    direction: Direction = "a_to_b"
    """b_to_a translates in the reverse direction, for methods that learn both, such as CycleGAN."""
    snapshot: SnapshotName = "auto"
    """Snapshot: the best by validation, the last, or auto, the best if it exists, else the last."""
    size: tuple[int, int] | None = None
    """Fixed height and width, with batch size 1; unset: dynamic batch size, height and width."""
    half: bool = False
    """Weights and computation in float16, norms in float32; the input and the output stay float32."""
    noise: NoiseChoice = "off"
    """Dropout that is the noise of the method: switched off, or with its random numbers as additional inputs."""
    license: str | None = None
    """License of the weights for the metadata, such as CC-BY-4.0; unset: not stated."""
    examples: tuple[Path, ...] = ()
    """For huggingface: pictures that the card shows with their translations, visible to everybody who sees the card."""
    repository: str | None = None
    """For huggingface: user/name on the Hub, for the card."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"size {self.size[0]} {self.size[1]} must be at least 1 pixel each")
        check_license(self.license)
        if self.repository is not None:
            upload_address(self.repository)
        check_threads(self.threads)


@dataclass(frozen=True)
class PushConfig:
    """Upload of a run to the Hugging Face Hub."""

    run: Path
    """The run folder, or a folder that `export --format huggingface` wrote."""
    repository: str
    """Repository user/name; created if missing."""
    _: KW_ONLY
    public: bool = False
    """Make the repository public; otherwise it is private."""
    dry_run: bool = False
    """Only export, verify and list what would be uploaded."""
    snapshot: SnapshotName = "auto"
    """Snapshot: the best by validation, the last, or auto, the best if it exists, else the last."""
    half: bool = False
    """Upload the weights in float16."""
    license: str | None = None
    """License of the weights, such as CC-BY-4.0; unset: not stated."""
    examples: tuple[Path, ...] = ()
    """Pictures that the card shows with their translations."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        check_license(self.license)
        check_threads(self.threads)

    def of_export(self, out: Path, repository: str) -> ExportConfig:
        """Return the config of the export that is uploaded."""
        return ExportConfig(
            self.run, out, format="huggingface", snapshot=self.snapshot, half=self.half, license=self.license,
            examples=self.examples, repository=repository, threads=self.threads,
        )  # fmt: skip

    def check_exported(self) -> None:
        """Raise ConfigError for settings that do not apply to an exported folder."""
        given = {"snapshot": self.snapshot != "auto", "half": self.half, "license": self.license is not None}
        given["examples"] = bool(self.examples)
        if odd := [name for name, is_set in given.items() if is_set]:
            raise ConfigError(f"{self.run} is already exported: pass --{odd[0]} to ganvas export, or push the run")
