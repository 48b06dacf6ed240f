"""The method contract finds faults, and says what it needs."""

import subprocess
import sys

import pytest
import torch

from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import Method
from ganvas.testing import MethodContract

TINY = Pix2PixConfig(width=4, depth=2, dropout=0.0, discriminator_width=4, receptive_field=16)


def test_without_pytest_it_names_the_command() -> None:
    code = "import sys; sys.modules['pytest'] = None; import ganvas.testing"
    told = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert told.stderr.splitlines()[-1] == "ModuleNotFoundError: ganvas.testing needs pytest: pip install pytest"


class Broken(MethodContract):
    """A contract over a method whose translation is made to break a rule."""

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
    """A parameter that belongs to no player."""

    def make(self, seed: int = 0) -> Method:
        method = MethodContract.make(self, seed)
        method.extra = torch.nn.Linear(1, 1)
        return method


def test_a_parameter_of_no_player_fails() -> None:
    with pytest.raises(AssertionError):
        Unowned().test_players_own_all_parameters()
