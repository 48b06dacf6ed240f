"""Metadata of an exported network, stored as strings in its file: method, direction, scale, license and others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from ganvas.errors import ConfigError
from ganvas.image.ranges import PictureSpec, Transfer
from ganvas.methods.config import Direction
from ganvas.serialization import parse_json

__all__ = ["NOTICE", "ExportMetadata", "ExportNoise", "ExportPrecision"]

ExportNoise = Literal["none", "kept", "off", "input"]
"""Noise of an exported network: none, drawn by the network, switched off, or additional inputs."""
ExportPrecision = Literal["float32", "float16"]
Name = TypeVar("Name", bound=str)
PREFIX = "ganvas."
FORMAT = "1"
VALUE_RANGE = "0 1"
BLENDED = "blended"
NOTICE = "Outputs are synthetic pictures: label them as such. This file contains no content gate."


@dataclass(frozen=True, kw_only=True)
class ExportMetadata:
    """Description of an exported network.

    The network has one float32 input `image`, (N, num_frames x channels, H, W) in [0, 1], and one float32 output
    `translation`, (N, channels, scale H, scale W) in [0, 1].
    """

    version: str
    """Version of ganvas that exported the network."""
    run: str
    """Name and creation time of the run."""
    method: str
    """Class name of the method."""
    direction: Direction
    """Direction of the translation."""
    input: PictureSpec
    """Specification of an input frame before scaling to [0, 1]."""
    output: PictureSpec
    """Specification of the pictures to which [0, 1] of the output corresponds."""
    scale: int = 1
    """Upscaling factor along each side."""
    size_multiple: int = 1
    """Number to multiples of which the network pads internally; an exact tile starts at a multiple."""
    smallest_side: int = 1
    """Height and width up to which the network pads smaller pictures internally."""
    context: int | None = None
    """Distance in pixels up to which inputs influence an output pixel; None: the whole picture, so tiles are
    blended."""
    noise: ExportNoise = "none"
    """Handling of the noise of dropout."""
    precision: ExportPrecision = "float32"
    """Precision of the weights and the computation; norms are in float32."""
    license: str = ""
    """SPDX identifier or sentence; empty: not stated."""
    weights_sha256: str
    """SHA-256 of the snapshot file of the weights."""
    num_frames: int = 1
    """Number of neighboring frames of a film that are concatenated along the channels of the input."""
    notice: str = NOTICE
    """Notice for everybody who uses the file."""

    def to_strings(self) -> dict[str, str]:
        """Return the metadata as strings for the key-value table of a file."""
        values = {
            "format": FORMAT,
            "version": self.version,
            "run": self.run,
            "method": self.method,
            "direction": self.direction,
            "scale": str(self.scale),
            "size_multiple": str(self.size_multiple),
            "smallest_side": str(self.smallest_side),
            "value_range": VALUE_RANGE,
            "context": BLENDED if self.context is None else str(self.context),
            "noise": self.noise,
            "precision": self.precision,
            "license": self.license,
            "weights_sha256": self.weights_sha256,
            "num_frames": str(self.num_frames),
            "input": _spec_to_json(self.input),
            "output": _spec_to_json(self.output),
            "notice": self.notice,
        }
        return {PREFIX + name: value for name, value in values.items()}

    @classmethod
    def from_strings(cls, mapping: Mapping[str, str]) -> ExportMetadata | None:
        """Return the metadata in the key-value table of a file, or None if no key begins with `ganvas.`.

        Raises:
            ConfigError: a key is missing or its value is invalid; names the key.
        """
        values = {name.removeprefix(PREFIX): value for name, value in mapping.items() if name.startswith(PREFIX)}
        if not values:
            return None
        _one_of(values, "format", (FORMAT,))
        _one_of(values, "value_range", (VALUE_RANGE,))
        context = _value(values, "context")
        return cls(
            version=_value(values, "version"),
            run=_value(values, "run"),
            method=_value(values, "method"),
            direction=_one_of(values, "direction", get_args(Direction)),
            input=_spec(values, "input"),
            output=_spec(values, "output"),
            scale=_whole(values, "scale", least=1, most=64),
            size_multiple=_whole(values, "size_multiple", least=1, most=4096),
            smallest_side=_whole(values, "smallest_side", least=1, most=8192) if "smallest_side" in values else 1,
            context=None if context == BLENDED else _whole(values, "context", least=0),
            noise=_one_of(values, "noise", get_args(ExportNoise)),
            precision=_one_of(values, "precision", get_args(ExportPrecision)),
            license=_value(values, "license"),
            weights_sha256=_value(values, "weights_sha256"),
            num_frames=_whole(values, "num_frames", least=1, most=99),
            notice=_value(values, "notice"),
        )


def _spec_to_json(spec: PictureSpec) -> str:
    transfer = {"transfer": spec.transfer} if spec.transfer else {}
    value_range = list(spec.value_range)
    return json.dumps({"channels": spec.channels, "dtype": spec.dtype, "value_range": value_range, **transfer})


def _value(values: Mapping[str, str], name: str) -> str:
    if name not in values:
        raise ConfigError(f"metadata {PREFIX}{name} is missing; export the run again")
    return values[name]


def _one_of(values: Mapping[str, str], name: str, known: tuple[Name, ...]) -> Name:
    found = _value(values, name)
    for one in known:
        if found == one:
            return one
    raise ConfigError(f"metadata {PREFIX}{name} is {found[:40]!r}; this version of ganvas supports {', '.join(known)}")


def _whole(values: Mapping[str, str], name: str, *, least: int, most: int = 10**9) -> int:
    text = _value(values, name)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise ConfigError(f"metadata {PREFIX}{name} is {text[:40]!r}, not an integer from {least} to {most}")
    return int(text)


def _spec(values: Mapping[str, str], name: str) -> PictureSpec:
    """Return the picture specification in a JSON value."""
    try:
        record = parse_json(_value(values, name))
        low, high = record["value_range"]
        if type(record["channels"]) is not int or record["dtype"] not in ("uint8", "uint16", "float32"):
            raise ValueError("channels or dtype")
        if record.get("transfer") not in (None, *get_args(Transfer)):
            raise ValueError("transfer")
        return PictureSpec(
            channels=record["channels"],
            dtype=record["dtype"],
            value_range=(float(low), float(high)),
            transfer=record.get("transfer"),
        )
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"metadata {PREFIX}{name} cannot be read as a picture specification ({error}); export the run again"
        ) from error
