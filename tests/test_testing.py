"""Method contract: it finds faults, and names missing requirements."""

import runpy
import sys

import pytest
import torch

from ganvas import testing
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import Method
from ganvas.testing import MethodContract

TINY = Pix2PixConfig(width=4, depth=2, dropout=0.0, discriminator_width=4, receptive_field=16)


def test_without_pytest_it_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(ModuleNotFoundError, match=r"^ganvas\.testing needs pytest: pip install pytest$"):
        runpy.run_path(testing.__file__)


class Broken(MethodContract):
    """Contract with a method whose translation violates a rule."""

    config = TINY
    __test__ = False

    def make(self, seed: int = 0) -> Method:
        method = super().make(seed)
        before = method.translate
        method.translate = lambda images, **more: before(images, **more) + images.mean()  # type: ignore[method-assign]
        return method


def test_a_method_whose_pictures_influence_each_other_fails() -> None:
    with pytest.raises(AssertionError):
        Broken().test_translation_is_independent_of_the_batch()


class Unowned(Broken):
    """Method with a parameter that belongs to no player."""

    def make(self, seed: int = 0) -> Method:
        method = MethodContract.make(self, seed)
        method.extra = torch.nn.Linear(1, 1)
        return method


def test_a_parameter_of_no_player_fails() -> None:
    with pytest.raises(AssertionError):
        Unowned().test_players_own_all_parameters()
