"""Parameter names of ESRGAN models in their three layouts, for import and export.

`old keys` are those of the first ESRGAN release, whose layers are numbered; `RRDB_trunk keys` those of its later code,
BSRGAN and RealSR; `Real-ESRGAN keys` those of the Real-ESRGAN release, which `ganvas.networks.RRDBNet` has too.
"""

from __future__ import annotations

import re

from ganvas.errors import RunError
from ganvas.interop.reference_files import State

TRUNK_NAMES = {"trunk_conv": "conv_body", "HRconv": "conv_hr"}


def find_layout(state: State) -> str | None:
    """Return the layout of an RRDBNet's names, None for another network."""
    tests = {
        "old keys": r"model\.1\.sub\.0\.RDB1\.conv1\.0\.weight",
        "RRDB_trunk keys": r"RRDB_trunk\.0\.RDB1\.conv1\.weight",
        "Real-ESRGAN keys": r"body\.0\.rdb1\.conv1\.weight",
    }
    return next((layout for layout, test in tests.items() if any(re.fullmatch(test, name) for name in state)), None)


def release_name(name: str) -> str:
    """Return the release's name of a parameter of an older layout, if it does not depend on the depth."""
    dense = r"(?:model\.1\.sub|RRDB_trunk)\.(\d+)\.RDB(\d)\.(conv\d|conv1x1)(?:\.0)?\.(weight|bias)"
    if match := re.fullmatch(dense, name):
        return f"body.{match[1]}.rdb{match[2]}.{match[3]}.{match[4]}"
    layer, _, leaf = name.rpartition(".")
    if layer == "model.0":
        return f"conv_first.{leaf}"
    if match := re.fullmatch(r"model\.1\.sub\.\d+", layer):
        return f"conv_body.{leaf}"
    if match := re.fullmatch(r"upconv(\d+)", layer):
        return f"conv_up{match[1]}.{leaf}"
    return f"{TRUNK_NAMES.get(layer, layer)}.{leaf}"


def release_names(state: State) -> State:
    """Return an RRDBNet's weights by the names of the Real-ESRGAN release.

    In the old layout the layers after the blocks are numbered: each upsampling consists of three layers (interpolation,
    convolution, activation), and the last two convolutions follow.
    """
    renamed = {release_name(name): value for name, value in state.items()}
    places = sorted(numbers(renamed, r"model\.(\d+)\.(?:weight|bias)"))
    if not places:
        return renamed
    ups = len(places) - 2
    if places != [*range(3, 3 * ups + 1, 3), 3 * ups + 2, 3 * ups + 4]:
        raise RunError(
            f"looks like an ESRGAN, but its layers after the blocks are at {', '.join(map(str, places))}: another kind "
            "of upsampling (a pixel shuffle has a convolution at 2), which is not supported"
        )
    names = [*(f"conv_up{number}" for number in range(1, ups + 1)), "conv_hr", "conv_last"]
    layers = {f"model.{place}": name for place, name in zip(places, names, strict=True)}
    return {
        f"{layers.get(layer, layer)}.{leaf}": value
        for name, value in renamed.items()
        for layer, _, leaf in [name.rpartition(".")]
    }


def old_names(weights: State) -> State:
    """Return an RRDBNet's weights by the old, numbered names, the only ones that spandrel supports for ESRGAN+."""
    blocks = {name.split(".")[1] for name in weights if name.startswith("body.")}
    ups = len({name.partition(".")[0] for name in weights if name.startswith("conv_up")})
    layers = {
        "conv_first": "model.0",
        "conv_body": f"model.1.sub.{len(blocks)}",
        "conv_hr": f"model.{3 * ups + 2}",
        "conv_last": f"model.{3 * ups + 4}",
    }
    layers |= {f"conv_up{number}": f"model.{3 * number}" for number in range(1, ups + 1)}
    renamed = {}
    for name, value in weights.items():
        layer, _, leaf = name.rpartition(".")
        if match := re.fullmatch(r"body\.(\d+)\.rdb(\d)\.(conv\d|conv1x1)", layer):
            inner = match[3] if match[3] == "conv1x1" else f"{match[3]}.0"  # in a Sequential with an activation
            layer = f"model.1.sub.{match[1]}.RDB{match[2]}.{inner}"
        renamed[f"{layers.get(layer, layer)}.{leaf}"] = value
    return renamed


def numbers(state: State, pattern: str) -> set[int]:
    """Return the numbers that the group of a pattern matches among the names."""
    return {int(match[1]) for name in state if (match := re.fullmatch(pattern, name))}
