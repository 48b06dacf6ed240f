"""ONNX file of a network from a picture to a picture: its session, declared input, and external weights.

ONNX Runtime is a core dependency, so every file can be opened; `onnx_trial` determines what a graph does to pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import RunError
from ganvas.filesystem.downloads import failed_download
from ganvas.localization.classifier import make_session
from ganvas.terminal import one_line

__all__ = [
    "INTERNALS",
    "GraphFile",
    "GraphInput",
    "beginning",
    "first_line",
    "names_onnx",
    "not_a_picture",
    "onnx_files",
]

SUFFIX = ".onnx"
OUTPUT_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
}
"""Element types of outputs: floats in [0, 1], or integers over their range."""
INPUT_TYPES: dict[str, type[np.generic]] = {**OUTPUT_TYPES, "tensor(int32)": np.int32, "tensor(int64)": np.int64}
"""Element types of inputs; larger integer types contain 8-bit levels."""
NUMPY_NAMES = {"float": "float32", "double": "float64"}
NOISE_KEY = "ganvas.noise"
LARGEST_BATCH = 64
LARGEST_SIDE = 2**14
MOST_SHOWN = 300
"""Largest number of characters shown of a runtime's message."""
INTERNALS = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : "  # codes of ONNX Runtime, then its source file, line and function
    r"|\S*/onnxruntime/\S+:\d+ [^()]*\([^()]*\)(?: const)? "
    r"|Exception from \S+:\d+: "  # source files of OpenVINO
    r"|Check '[^']*' failed at \S+:\d+: "
)
"""Internal parts of runtimes' messages, which are removed."""


def names_onnx(path: Path) -> bool:
    """Return whether a path names an ONNX file rather than a run folder; it need not exist."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def onnx_files(path: Path) -> list[Path]:
    """Return an ONNX file and its external files of weights, if it has any.

    Raises:
        RunError: it cannot be read as ONNX, or a file of weights is missing or in another folder.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such file; pass an .onnx file or a run folder")
    if not path.stat().st_size:
        raise RunError(f"{path} is empty; export or copy it again")
    import onnx  # slow to import

    try:
        model = onnx.load(str(path), load_external_data=False)
        names = sorted({entry.value for tensor in _tensors(model.graph) for entry in tensor.external_data
                        if tensor.data_location == onnx.TensorProto.EXTERNAL and entry.key == "location"})  # fmt: skip
    except Exception as error:  # protobuf's exceptions have no common base class
        why = failed_download(path) or f"{first_line(error)}; export or copy it again"
        raise RunError(f"{path} cannot be read as ONNX ({why})") from error
    files = [path.parent / name for name in names]
    for name, file in zip(names, files, strict=True):
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise RunError(f"{path}: its weights are outside its folder, in {one_line(name)}; save it as one file")
        if not file.is_file():
            raise RunError(
                f"{path}: its weights are in {one_line(name)}, which is missing; copy both files into one folder"
            )
    return [path, *files]


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield all constant tensors of a graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from _tensors(inner)


@dataclass(frozen=True, kw_only=True)
class GraphInput:
    """Declared input of a graph.

    Attributes:
        name: name of the tensor.
        dtype: element type.
        shape: four sizes; None for dynamic ones.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    @property
    def batch(self) -> int:
        """Return the batch size: 1 if it is dynamic."""
        return self.shape[0] or 1


class GraphFile:
    """ONNX file with one picture as input and one output, opened by ONNX Runtime.

    Args:
        path: the .onnx file.
        threads: number of threads of one run.

    Attributes:
        input: its input.
        output: name of its output.
        metadata: metadata of the file.

    Raises:
        RunError: it cannot be opened, or has other inputs or outputs; names the remedy.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self.path, self.files = path, onnx_files(path)
        try:
            self._session = make_session(path, threads=threads)
        except Exception as error:  # ONNX Runtime's exceptions have no other base class
            raise RunError(
                f"{path} cannot be opened by ONNX Runtime ({first_line(error)}); check it with onnx.checker, or export "
                "it again in float32 with standard operators"
            ) from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        if self.metadata.get(NOISE_KEY) == "input":
            raise RunError(
                f"{path} expects noise as additional inputs; export it without --noise input for translation"
            )
        self.input = _checked_input(path, self._session.get_inputs())
        self.output = _checked_output(path, self._session.get_outputs())

    def run(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return the output for images in the graph's layout and type; exceptions of ONNX Runtime propagate."""
        made: NDArray[Any] = self._session.run([self.output], {self.input.name: images})[0]
        return made


def _checked_input(path: Path, inputs: Iterable[Any]) -> GraphInput:
    """Return the only input if its type and shape suit pictures; raise RunError otherwise."""
    found = list(inputs)
    if len(found) != 1:
        raise RunError(
            f"{path} takes {_listed(found, 'input')}; expected one of four dimensions: export it with the picture as "
            "the only input, and the others as constants"
        )
    (one,) = found
    if one.type not in INPUT_TYPES:
        raise RunError(f"{path}: its input {_named(one)}; export it with float32, float16, uint8 or uint16 pictures")
    shape = list(one.shape) or [None] * 4  # no shape is declared
    if len(shape) != 4:
        raise RunError(
            f"{path}: its input {one_line(one.name)!r} has {len(shape)} dimensions, {_shape(one)}; export it for "
            "pictures (N, C, H, W)"
        )
    sizes = tuple(side if isinstance(side, int) and side > 0 else None for side in shape)
    if (sizes[0] or 1) > LARGEST_BATCH:
        raise RunError(f"{path} has a batch size of {sizes[0]}; export it with a batch size of 1 or a dynamic one")
    if max((side for side in sizes if side), default=0) > LARGEST_SIDE:
        raise RunError(f"{path}: its input has the shape {_shape(one)}; export it with dynamic height and width")
    return GraphInput(name=one.name, dtype=np.dtype(INPUT_TYPES[one.type]), shape=sizes)


def _checked_output(path: Path, outputs: Iterable[Any]) -> str:
    """Return the name of the only output if its type and shape suit pictures; raise RunError otherwise."""
    found = list(outputs)
    if len(found) != 1:
        raise RunError(
            f"{path} makes {_listed(found, 'output')}; expected one picture: export it with that output only"
        )
    (one,) = found
    if one.type not in OUTPUT_TYPES:
        raise RunError(f"{path}: its output {_named(one)}, not a picture; export it with a float32 or uint8 picture")
    if len(one.shape) not in (0, 4):
        raise RunError(not_a_picture(path, one.shape))
    name: str = one.name
    return name


def not_a_picture(path: Path, shape: Iterable[object]) -> str:
    """Return the message for a graph whose output does not have four dimensions."""
    sizes = ", ".join("free" if size is None else str(size) for size in shape)
    return (
        f"{path} makes an output of shape ({sizes}), not a picture (N, C, H, W); use classifiers with ganvas locate "
        "--classifier"
    )


def first_line(error: BaseException) -> str:
    """Return the beginning of a runtime's message, as one line and without positions in its source code."""
    return beginning(INTERNALS.sub("", " ".join(str(error).split())) or type(error).__name__)


def beginning(text: str) -> str:
    """Return the beginning of a message as printable text."""
    text = one_line(text)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _listed(values: list[Any], what: str) -> str:
    names = ", ".join(f"{one_line(value.name)} {_shape(value)}" for value in values[:5])
    return f"{len(values)} {what}s: {names}" if values else f"no {what}"


def _named(value: Any) -> str:
    """Return name and element type: of tensor(float) float32, of sequences and others as ONNX Runtime has it."""
    element = re.sub(r"^tensor\((.*)\)$", r"\1", one_line(value.type))
    return f"{one_line(value.name)!r} holds {NUMPY_NAMES.get(element, element)}"


def _shape(value: Any) -> str:
    return f"({', '.join(one_line(str(side)) for side in value.shape)})"
