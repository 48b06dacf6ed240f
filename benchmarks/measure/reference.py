"""The reference PyTorch CycleGAN / pix2pix, driven from a checkout through its own options; none of its code is here.

It needs torchvision (for the transforms of its data sets) and dominate (for the page that its test script writes).
wandb is optional for its users: where it is missing an empty module stands in, which spares the reference its import.
torchvision built for another PyTorch registers no operators, and its import fails on the first that it describes:
then their schemas are defined here before. No operator of it is ever called.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
import types
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[Any] = []
"""Definitions last as long as the object that made them."""


@dataclass(frozen=True)
class Reference:
    """A checkout.

    Attributes:
        checkout: its folder.
        packages: a folder with what it imports and this environment lacks, or "".
        schemas: whether torchvision's operators must be described for it.
    """

    checkout: str
    packages: str = ""
    schemas: bool = False

    def prepare(self) -> None:
        """Make it importable in this process; what is installed here goes before `packages`."""
        if str(self.checkout) in sys.path:
            return
        sys.path += [str(self.checkout), *filter(None, [self.packages])]
        if importlib.util.find_spec("wandb") is None:
            sys.modules["wandb"] = types.ModuleType("wandb")
        if self.schemas:
            describe_operators()

    def options(self, words: Sequence[str | Path], *, training: bool, device: Any) -> Namespace:
        """Its own defaults, changed by `words`; it writes what it chose into `--checkpoints_dir`."""
        self.prepare()
        name = "train" if training else "test"
        kind = getattr(importlib.import_module(f"options.{name}_options"), f"{name.title()}Options")
        with quiet(), arguments(words):
            options: Namespace = kind().parse()
        options.device = device
        return options

    def model(self, options: Namespace) -> Any:
        """One of its models, its weights drawn by itself."""
        with quiet():
            model = importlib.import_module("models").create_model(options)
            model.setup(options)
        return model

    def loader(self, options: Namespace) -> Any:
        """Its data set behind its data loader."""
        with quiet():
            return importlib.import_module("data").create_dataset(options)

    def generator(self, name: str, *, norm: str) -> Any:
        """A generator without dropout, its weights drawn by itself."""
        self.prepare()
        networks = importlib.import_module("models.networks")
        network = networks.define_G(3, 3, 64, name, norm, False)
        with quiet():
            return networks.init_net(network, "normal", 0.02)


def find(checkout: Path, packages: Path | None) -> Reference:
    """The checkout, tried.

    Raises:
        ChildFailure: it cannot be imported; the message says what is missing.
    """
    from measure.child import ChildFailure, run

    given = (str(checkout.resolve()), str(packages.resolve()) if packages else "")
    if not (checkout / "models").is_dir():
        raise ChildFailure(f"{checkout} is no checkout of the reference: it has no folder models")
    for schemas in (False, True):
        program = "from measure.reference import Reference; Reference({!r}, {!r}, {!r}).prepare(); import data"
        try:
            run([sys.executable, "-c", program.format(*given, schemas)])
            return Reference(*given, schemas)
        except ChildFailure as failure:
            if schemas or "torchvision::" not in str(failure):
                raise
    raise AssertionError


def describe_operators() -> None:
    """Define the operators that torchvision gives shapes for while it is imported."""
    from torch import library as operators

    kind: Any = operators.Library
    library = kind("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    _libraries.append(library)


@contextlib.contextmanager
def arguments(words: Sequence[str | Path]) -> Iterator[None]:
    """Its options are read from the command line alone."""
    before, sys.argv = sys.argv, ["reference", *map(str, words)]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
