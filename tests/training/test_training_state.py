"""Training state: the moving average with its half-life in images, and checkpoints that cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from training_runs import SETTINGS, MakeConfig, assert_same_run, tensors_of, tiny_cyclegan

from ganvas.data.config import UnpairedData
from ganvas.errors import RunError
from ganvas.methods import DomainGANConfig
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.runs import folder
from ganvas.runs.folder import FIRST_FORMAT, STATE_NAME, Counters, read_checkpoint
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train
from ganvas.training.state import Average, evaluating


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ({"generator": "resnet", "residual_blocks": 1}, "first has generator unet, not resnet"),
        ({"depth": None}, "first has depth 2, not None"),
        ({"norm": "none", "variant": "pytorch"}, "first has norm batch, not none; variant paper, not pytorch"),
    ],
)
def test_a_start_from_another_generator_is_explained(
    tiny_config: MakeConfig, tmp_path: Path, method: dict[str, object], told: str
) -> None:
    train(tiny_config(), tmp_path / "first", quiet=True)
    other = tiny_config(method=method, start_from=tmp_path / "first")
    with pytest.raises(RunError, match=rf"\n{re.escape(told)}$"):
        train(other, tmp_path / "second", quiet=True)


class OneWeight(Method):
    """Module with a single number."""

    players: ClassVar = {"generator": ("generator",)}
    generators = ("generator",)

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.generator = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        raise NotImplementedError

    def translate(self, images: Tensor) -> Tensor:
        return images

    @property
    def size_multiple(self) -> int:
        return 1

    @property
    def context(self) -> int | None:
        return 0

    def put(self, value: float) -> None:
        with torch.no_grad():
            self.generator[0].weight.fill_(value)


def followed(values: list[tuple[float, int]], half_life: float) -> float:
    """Return the average after the weight had each value for some images, with one update each."""
    method = OneWeight()
    average, seen = Average(method, half_life), 0
    for value, images in values:
        method.put(value)
        seen += images
        average.update(images=images, images_seen=seen)
    return average.weights["generator.0.weight"].item()


def test_the_first_batch_sets_it() -> None:
    assert followed([(3.0, 4)], 10.0) == 3.0


def test_a_value_weighs_half_after_a_half_life() -> None:
    # weights 1/2 (ten images ago) and 1 (now), each for ten images
    assert followed([(0.0, 10), (3.0, 10)], 10.0) == pytest.approx(2.0)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_batch_size_does_not_matter(parts: int) -> None:
    whole = [(1.0, 8), (5.0, 8), (-2.0, 8)]
    split = [(value, 8 // parts) for value, _ in whole for _ in range(parts)]
    assert followed(split, 7.0) == pytest.approx(followed(whole, 7.0), rel=1e-6)


def test_off_it_holds_nothing() -> None:
    average = Average(OneWeight(), 0.0)
    average.update(images=1, images_seen=1)
    assert average.weights == {}


def test_evaluating_puts_everything_back() -> None:
    method = OneWeight().train()
    average = Average(method, 4.0)
    method.put(1.0)
    average.update(images=1, images_seen=1)
    method.put(2.0)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    with evaluating(method, average) as shown:
        assert shown.generator[0].weight.item() == 1.0
        assert not shown.training
        shown.train()
        shown.generator(torch.randn(4, 1))  # updates the running statistics
    assert method.training
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_a_damaged_state_is_an_error(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    path = tmp_path / "run" / STATE_NAME
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match="cannot be read as a training state"):
        train(tiny_config(epochs=2), tmp_path / "run", resume=True, quiet=True)


def test_another_file_in_its_place_is_an_error(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    save_file({"x": torch.zeros(1)}, tmp_path / "run" / STATE_NAME)
    with pytest.raises(RunError, match="is not a training state of this version of ganvas"):
        train(tiny_config(epochs=2), tmp_path / "run", resume=True, quiet=True)


def test_a_state_without_a_record_is_an_error(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(RunError, match=r"has a training state but no run\.json"):
        train(tiny_config(epochs=2), tmp_path / "run", resume=True, quiet=True)


def tiny_domain_gan(data: Path, **training: object) -> RunConfig:
    """Return a run with a player that was once named `judge`."""
    return RunConfig(
        method=DomainGANConfig(width=2, z_size=4, encoder_after=10),
        data=UnpairedData(folder=data, load_size=(16, 16), crop_size=(16, 16)),
        training=TrainingConfig(**SETTINGS | training),
    )


def write_in_first_format(path: Path) -> set[str]:
    """Rewrite a checkpoint with the names of the first format; return the parts of its names."""
    former = {name: old for old, name in folder.RENAMED.items()}

    def rename(name: str) -> str:
        return re.sub(r"[^/.]+", lambda part: former.get(part[0], part[0]), name)

    tensors = {rename(name): value for name, value in tensors_of(path).items()}
    with safe_open(path, framework="pt") as file:
        counters = json.loads(file.metadata()["counters"])
    counters["loss_counts"] = {rename(name): count for name, count in counters["loss_counts"].items()}
    names = folder._hash_names(tensors)
    save_file(tensors, path, {"format": FIRST_FORMAT, "counters": json.dumps(counters), "names": names})
    return {part for name in [*tensors, *counters["loss_counts"]] for part in re.findall(r"[^/.]+", name)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "former"),
    [(tiny_cyclegan, {"judge_a", "judge_b"}), (tiny_domain_gan, {"judge"})],
    ids=["cyclegan", "domain"],
)
@pytest.mark.filterwarnings("ignore:this run ends after 7 images, before the encoder")  # resumed immediately
def test_a_checkpoint_with_earlier_names_resumes_bitwise(
    tiny_sides: Path, tmp_path: Path, config: MakeConfig, former: set[str]
) -> None:
    quick = {"constant_fraction": 1.0, "checkpoint_every": 1000, "validate_every": 1000, "sample_every": 1000}
    for name in ("run", "other"):
        train(config(tiny_sides, epochs=1, **quick), tmp_path / name, quiet=True)
    parts = write_in_first_format(tmp_path / "run" / STATE_NAME)
    assert former == parts & folder.RENAMED.keys()
    for name in ("run", "other"):
        train(config(tiny_sides, epochs=2, **quick), tmp_path / name, resume=True, quiet=True)
    assert_same_run(tmp_path / "run", tmp_path / "other")


def test_names_of_the_present_format_are_left_alone(tmp_path: Path) -> None:
    """A method of a plugin may use a former name for its own network."""
    path = tmp_path / STATE_NAME
    tensors = {"method/judge.weight": torch.zeros(1), "losses/judge/real": torch.tensor(0.0)}
    folder.save_checkpoint(path, tensors, Counters(pictures=1, loss_counts={"judge/real": 1}))
    found = read_checkpoint(path)
    assert found.tensors.keys() == tensors.keys()
    assert found.counters.loss_counts == {"judge/real": 1}
