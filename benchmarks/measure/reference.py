"""Reference PyTorch CycleGAN / pix2pix, run from a checkout through its own options; contains none of its code.

It needs torchvision (for the transforms of its data sets) and dominate (for the page that its test script writes).
wandb is optional: if it is missing, an empty module replaces it. A torchvision that was built for another PyTorch
version registers no operators, and its import fails where it describes the first one; in this case, their schemas are
defined here beforehand. None of its operators is called.
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
    """Checkout of the reference.

    Attributes:
        checkout: folder of the checkout.
        packages: folder with packages that it imports and this environment lacks, or "".
        schemas: whether schemas of torchvision's operators must be defined for it.
    """

    checkout: str
    packages: str = ""
    schemas: bool = False

    def prepare(self) -> None:
        """Make it importable in this process; installed packages take precedence over `packages`."""
        if str(self.checkout) in sys.path:
            return
        sys.path += [str(self.checkout), *filter(None, [self.packages])]
        if importlib.util.find_spec("wandb") is None:
            sys.modules["wandb"] = types.ModuleType("wandb")
        if self.schemas:
            describe_operators()

    def options(self, words: Sequence[str | Path], *, training: bool, device: Any) -> Namespace:
        """Return its default options, changed by `words`; it writes its options into `--checkpoints_dir`."""
        self.prepare()
        name = "train" if training else "test"
        kind = getattr(importlib.import_module(f"options.{name}_options"), f"{name.title()}Options")
        with quiet(), arguments(words):
            options: Namespace = kind().parse()
        options.device = device
        return options

    def model(self, options: Namespace) -> Any:
        """Return one of its models with its own initialization."""
        with quiet():
            model = importlib.import_module("models").create_model(options)
            model.setup(options)
        return model

    def loader(self, options: Namespace) -> Any:
        """Return its data loader."""
        with quiet():
            return importlib.import_module("data").create_dataset(options)

    def generator(self, name: str, *, norm: str) -> Any:
        """Return a generator without dropout, with its own initialization."""
        self.prepare()
        networks = importlib.import_module("models.networks")
        network = networks.define_G(3, 3, 64, name, norm, False)
        with quiet():
            return networks.init_net(network, "normal", 0.02)


def find(checkout: Path, packages: Path | None) -> Reference:
    """Return the checkout after importing it.

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
    """Define the operators for which torchvision registers shape functions when it is imported."""
    from torch import library as operators

    kind: Any = operators.Library
    library = kind("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    _libraries.append(library)


@contextlib.contextmanager
def arguments(words: Sequence[str | Path]) -> Iterator[None]:
    """Set its options, which it reads only from the command line."""
    before, sys.argv = sys.argv, ["reference", *map(str, words)]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress its output."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
