"""Readers of PyTorch and safetensors checkpoints as state dicts, without wrapper dictionaries and name prefixes.

A checkpoint can contain more than a state dict: several networks by name (`netG`), the weights beside an epoch
(`state_dict`), averaged weights beside the weights (`params_ema`), or names with an attribute as prefix
(`netG.model...`). Only tensors and plain values are unpickled.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ganvas.errors import RunError
from ganvas.filesystem.downloads import failed_download
from ganvas.runs.published import RECORD_NAME, is_published, read_published

__all__ = ["State", "as_dense", "read_states", "without_prefix"]

State = dict[str, Tensor]
"""Parameter name -> tensor."""
DEEPEST = 3
"""Largest depth of nested wrappers that is searched."""
OPTIMIZER_ENTRIES = ("optimizer", "optimizers", "optimizer_state_dict", "schedulers")
"""Entries of a training state."""
MAX_HEADER = 100_000_000
"""Largest length of the header in a safetensors file, in bytes."""
AVERAGES = ("ema", "average", "swa")
"""Parts of an entry's name that mark averaged weights."""


def read_states(path: Path) -> dict[str, State]:
    """Return the state dicts of a checkpoint by the name of their entry, "" for the file itself.

    If one entry contains averaged weights and another the same weights without averaging, only the averages are
    returned.

    Raises:
        RunError: the file does not exist, cannot be read safely, or contains no weights; names the cause.
    """
    # 1. Load tensors and plain values only; search nested dictionaries for mappings from names to tensors.
    content = _load(path)
    found: dict[str, State] = {}
    for entry, state in _find_states(content, "", DEEPEST):
        # 2. One state dict may hold several networks under different prefixes, such as `netG.` and `netD.`.
        for prefix, part in _split_by_network(state).items():
            found[".".join(name for name in (entry, prefix) if name)] = part
    if not found:
        if isinstance(content, Mapping) and any(entry in content for entry in OPTIMIZER_ENTRIES):
            raise RunError(
                f"{path}: the state of a training (optimizer, schedules) without the weights of a network; pass the "
                "file of the network, such as net_g_latest.pth"
            )
        keys = list(content)[:5] if isinstance(content, Mapping) else []
        named = f"; it holds {', '.join(map(repr, keys))}" if keys else ""
        raise RunError(
            f"{path}: not a plain state dict (name -> tensor), as the reference's *_net_*.pth are, nor a dictionary "
            f"with one in an entry such as 'state_dict', 'params_ema' or 'netG'{named}"
        )
    # 3. Prefer averaged weights, which give better pictures than the raw ones.
    return _averages_alone(found)


def without_prefix(state: State) -> Iterator[State]:
    """Yield the state dict unchanged, then with its common prefixes removed one by one.

    Common prefixes are `module.` (DataParallel), `_orig_mod.` (a compiled network) and attributes such as `netG.`.
    """
    yield dict(state)
    while state and len({key.partition(".")[0] for key in state}) == 1 and all("." in key for key in state):
        state = {key.partition(".")[2]: value for key, value in state.items()}
        yield dict(state)


def as_dense(name: str, value: Tensor) -> Tensor:
    """Return a weight, converted from 8-bit floating-point types to float32.

    Raises:
        RunError: it is sparse or without values, or contains NaN or infinite values.
    """
    if value.layout is not torch.strided or value.is_meta:
        raise RunError(
            f"{name} is {'without values' if value.is_meta else 'sparse'}; save the weights as dense tensors"
        )
    if value.is_floating_point() and value.element_size() == 1:
        value = value.float()  # few functions take these types
    if not torch.isfinite(value).all():
        raise RunError(f"{name} holds NaN or infinite weights; its training diverged")
    return value


def _load(path: Path) -> Any:
    """Return the content of a checkpoint; no code in it is executed."""
    if path.suffix.lower() == ".onnx":
        raise RunError(f"{path}: an ONNX network, which runs as it is: ganvas translate {path.name} IN OUT")
    try:
        if _is_safetensors(path):
            return load_file(path)
        with warnings.catch_warnings(
            action="ignore"
        ):  # their messages advise loading code; the errors below give a safe remedy
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        if str(path).startswith("hf:"):
            raise RunError("a run on the Hugging Face Hub needs no import: pass hf://user/name as the run") from error
        raise RunError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        if _is_run(path):
            raise RunError(f"{path}: a run already, which needs no import: ganvas translate {path} IN OUT") from error
        raise RunError(f"{path}: a folder; pass the checkpoint file in it") from error
    except SafetensorError as error:
        why = failed_download(path) or f"{error}; it is damaged or incomplete: download the file again"
        raise RunError(f"{path}: not a checkpoint in safetensors format ({why})") from error
    except Exception as error:  # a damaged file can raise any exception
        raise RunError(f"{path}: not a checkpoint that can be read safely ({_why_unsafe(path, error)})") from error


def _is_run(folder: Path) -> bool:
    """Return whether a folder is a run of ganvas; models of other libraries on the Hub have a `config.json` too."""
    if not is_published(folder):
        return (folder / RECORD_NAME).is_file()
    try:
        read_published(folder)
    except RunError:
        return False
    return True


def _is_safetensors(path: Path) -> bool:
    """Return whether a file is in safetensors format: judging by its header, else by its name."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") < MAX_HEADER:
        return True
    return path.suffix.lower() == ".safetensors" and not start.startswith((b"PK", b"\x80"))


def _why_unsafe(path: Path, error: Exception) -> str:
    """Return the reason why a file cannot be read safely."""
    if why := failed_download(path):
        return why
    if _is_exported_program(path):
        return "it is a program of torch.export, which runs in PyTorch as it is; pass the weights (a state dict)"
    if "TorchScript" in str(error):
        return "it is a TorchScript program, which contains code; pass the weights (a state dict) of the network"
    if "Unsupported" in str(error) or "GLOBAL" in str(error):
        return (
            "it holds Python objects besides tensors, such as a whole module or its options, which could run code; "
            "on the machine where it was saved, save only the weights: torch.save(network.state_dict(), FILE)"
        )
    return f"it is damaged, incomplete or of another type: download the file again ({type(error).__name__})"


def _is_exported_program(path: Path) -> bool:
    """Return whether a file is an archive of torch.export, which holds a description of its graph."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/models/" in name and name.endswith(".json") for name in archive.namelist())


def _find_states(content: object, name: str, depth: int) -> Iterator[tuple[str, State]]:
    """Yield each mapping from names to tensors, with the dotted name of its entry."""
    if not isinstance(content, Mapping):
        return
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    others = [value for key, value in content.items() if key not in tensors]
    # Plain values, such as a scale or a model's name, may be among the parameters, whose names have dots
    if tensors and (not others or (all("." in key for key in tensors) and all(map(_is_plain, others)))):
        yield name, {key: value for key, value in tensors.items() if not _is_counter(key, value)} or tensors
        return
    for key, value in content.items() if depth else ():
        if isinstance(key, str):
            yield from _find_states(value, f"{name}.{key}" if name else key, depth - 1)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _is_counter(name: str, value: Tensor) -> bool:
    """Return whether an entry beside the parameters counts steps, such as `step_counter` or `n_averaged`."""
    return "." not in name and value.numel() == 1


def _split_by_network(state: State) -> dict[str, State]:
    """Split a state dict of several networks, such as `netG.` and `netD.`, by name; a single network has the key ""."""
    parts: dict[str, State] = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        parts.setdefault(first, {})[rest] = value
    several = len(parts) > 1 and all(_is_network(part) for part in parts.values())
    return parts if several else {"": state}


def _is_network(part: State) -> bool:
    """Return whether the names after a common first part are those of a separate network, counters apart."""
    names = [key for key, value in part.items() if not _is_counter(key, value)]
    return len(names) > 1 and all("." in key for key in names)


def _averages_alone(states: dict[str, State]) -> dict[str, State]:
    averaged = {name: state for name, state in states.items() if any(word in name.lower() for word in AVERAGES)}
    alike = {frozenset(state) for state in averaged.values()}
    return {name: state for name, state in states.items() if name in averaged or frozenset(state) not in alike}
