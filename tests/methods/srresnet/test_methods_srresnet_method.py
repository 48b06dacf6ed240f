import pytest
import torch
from torch.nn import functional

from ganvas.data.degradations import reduce
from ganvas.errors import ConfigError
from ganvas.methods import SRResNetConfig
from ganvas.methods.base import Batch, Progress
from ganvas.testing import MethodContract


class SmallInput(MethodContract):
    """Inputs are smaller than outputs."""

    scale = 2

    def batch(self, count: int = 2) -> Batch:
        pair = super().batch(count)
        return Batch(reduce(pair.a, self.scale), pair.b)


class TestSRResNet(SmallInput):
    config = SRResNetConfig(width=8, num_blocks=2, scale=2)
    overfit_steps = 150


class TestWithoutNorm(SmallInput):
    config = SRResNetConfig(width=8, num_blocks=2, scale=2, norm="none", residual=True, residual_scale=0.2, loss="l1")
    overfit_steps = 150


class TestThreeFrames(SmallInput):
    config = SRResNetConfig(width=8, num_blocks=2, scale=2, norm="none", residual=True, loss="l1", frames=3)
    overfit_steps = 150


def test_of_several_frames_it_starts_as_the_middle_one_enlarged():
    case = TestThreeFrames()
    images = case.batch().a
    with torch.no_grad():
        made = case.make().eval().translate(images)
    expected = functional.interpolate(images[:, 3:6], scale_factor=2, mode="bicubic", antialias=True).clamp(-1, 1)
    torch.testing.assert_close(made, expected)


class TestAsLargeAsGiven(MethodContract):
    config = SRResNetConfig(width=8, num_blocks=2, scale=1)
    overfit_steps = 150


@pytest.mark.parametrize(("loss", "power"), [("mse", 2), ("l1", 1)])
def test_the_loss_is_of_the_pixels(loss, power):
    case = SmallInput()
    case.config = SRResNetConfig(width=4, num_blocks=1, scale=2, loss=loss)
    method, batch = case.make(), case.batch()
    (turn,) = method.training_step(batch, Progress(0, 0))
    torch.testing.assert_close(turn.losses[loss], (method.generator(batch.a) - batch.b).abs().pow(power).mean())


def test_beside_bicubic_interpolation_it_starts_as_that():
    case = SmallInput()
    case.config = SRResNetConfig(width=4, num_blocks=1, scale=2, norm="none", residual=True)
    images = case.batch().a
    with torch.no_grad():
        made = case.make().eval().translate(images)
    expected = functional.interpolate(images, scale_factor=2, mode="bicubic", antialias=True).clamp(-1, 1)
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"num_blocks": 0}, {"residual_scale": 0.0}, {"frames": 2}, {"frames": -1}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        SRResNetConfig(**wrong)


def test_an_input_of_other_channels_cannot_be_added():
    case = SmallInput()
    case.config, case.output_channels = SRResNetConfig(width=4, num_blocks=1, residual=True), 1
    with pytest.raises(ConfigError, match="turn residual off"):
        case.make()
