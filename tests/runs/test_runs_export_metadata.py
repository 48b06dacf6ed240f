"""Metadata of exported networks: conversion to strings and back."""

from dataclasses import replace

import pytest

from ganvas.errors import ConfigError
from ganvas.image.ranges import PictureSpec
from ganvas.runs.export_metadata import NOTICE, ExportMetadata

PLAIN = ExportMetadata(
    version="0.1", run="flowers 2026-11-29", method="Pix2Pix", direction="a_to_b", input=PictureSpec(),
    output=PictureSpec(dtype="uint16", channels=5, value_range=(0, 4095)), weights_sha256="0" * 64,
)  # fmt: skip
OTHER = ExportMetadata(
    version="0.1", run="grün 2026", method="SRResNet", direction="b_to_a", input=PictureSpec(channels=1),
    output=PictureSpec(dtype="float32", value_range=(-1.5, 2)), scale=4, size_multiple=8, context=52, noise="input",
    precision="float16", license="CC-BY-4.0", weights_sha256="f" * 64, num_frames=3,
)  # fmt: skip
HDR = replace(PLAIN, input=PictureSpec(dtype="uint16", transfer="pq"), output=PictureSpec(transfer="hlg"))


@pytest.mark.parametrize("metadata", [PLAIN, OTHER, HDR])
def test_metadata_survive_as_strings(metadata: ExportMetadata) -> None:
    strings = metadata.to_strings()
    assert all(isinstance(value, str) and key.startswith("ganvas.") for key, value in strings.items())
    assert ExportMetadata.from_strings({"producer": "another program", **strings}) == metadata


def test_the_strings_are_those_that_other_programs_read() -> None:
    strings = OTHER.to_strings()
    assert strings["ganvas.format"] == "1"
    assert strings["ganvas.value_range"] == "0 1"
    assert strings["ganvas.context"] == "52"
    assert PLAIN.to_strings()["ganvas.context"] == "blended"
    assert strings["ganvas.input"] == '{"channels": 1, "dtype": "uint8", "value_range": [0.0, 255.0]}'
    assert HDR.to_strings()["ganvas.output"].endswith(', "transfer": "hlg"}')
    assert strings["ganvas.notice"] == NOTICE


def test_the_file_of_another_program_has_none() -> None:
    assert ExportMetadata.from_strings({}) is None
    assert ExportMetadata.from_strings({"author": "ganvas.user"}) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "2"),
        ("scale", "0"),
        ("scale", "2.5"),
        ("size_multiple", "-1"),
        ("context", "wide"),
        ("context", "9" * 30),
        ("noise", "loud"),
        ("precision", "int8"),
        ("direction", "up"),
        ("num_frames", "٣"),
        ("num_frames", "999999999"),
        ("size_multiple", "20000"),
        ("value_range", "0 255"),
        ("input", "{"),
        ("input", "[1]"),
        ("input", '{"channels": 3, "dtype": "uint8", "value_range": [0, 1], "transfer": "gamma"}'),
        ("input", '{"channels": 3, "dtype": "uint8", "value_range": [0, 1], "transfer": []}'),
        ("input", '{"channels": true, "dtype": "uint8", "value_range": [0, 1]}'),
        ("output", '{"channels": 99, "dtype": "uint8", "value_range": [0, 1]}'),
        ("output", '{"channels": 3, "dtype": "int8", "value_range": [0, 1]}'),
        ("output", '{"channels": 3, "dtype": "uint8", "value_range": [1, 0]}'),
        ("output", '{"channels": 3, "dtype": "uint8", "value_range": ["a", 0]}'),
    ],
)
def test_broken_values_are_errors_that_name_the_key(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=key if key != "output" else "output|channels|value_range"):
        ExportMetadata.from_strings({**OTHER.to_strings(), f"ganvas.{key}": value})


def test_missing_keys_are_errors() -> None:
    for key in OTHER.to_strings().keys() - {"ganvas.smallest_side"}:  # which earlier files do not have
        with pytest.raises(ConfigError, match=f"{key} is missing"):
            ExportMetadata.from_strings({name: text for name, text in OTHER.to_strings().items() if name != key})
    earlier = {name: text for name, text in OTHER.to_strings().items() if name != "ganvas.smallest_side"}
    assert ExportMetadata.from_strings(earlier) == replace(OTHER, smallest_side=1)
