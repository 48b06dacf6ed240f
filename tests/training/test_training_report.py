"""Progress report: durations, announced speed and end of a training, and suggestions of smaller settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import torch
from training_runs import MakeConfig

from ganvas.hardware import device
from ganvas.hardware.threads import StepThreads
from ganvas.recipes import RECIPES
from ganvas.training import loop, report
from ganvas.training.config import RunConfig
from ganvas.training.loop import train
from ganvas.training.report import describe_speed, duration, smaller_settings

CPU = torch.device("cpu")
NOON = datetime(2026, 11, 29, 12, 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45, "45 s"), (720, "12 min"), (11_100, "3 h 05 min"), (1_400_000, "16 days"), (float("inf"), "?")],
)
def test_durations_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def told(config: RunConfig, *, rate: float, images: int, seconds_left: float = float("inf")) -> list[str]:
    return describe_speed(
        config, CPU, threads=2, rate=rate, images_left=images, seconds_left=seconds_left, now=NOON
    )  # fmt: skip


@pytest.fixture(autouse=True)
def known_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganvas.training.report.processor_name", lambda: "Some Processor")
    monkeypatch.setattr(device, "bfloat16_obstacle", lambda device: "no such instructions")


def test_a_short_training_is_told_in_two_lines() -> None:
    assert told(RECIPES["pix2pix"](), rate=5.0, images=36_000) == [
        "Some Processor, 2 threads, float32: 5 images/s",
        "36,000 images end in about 2 h 00 min (Sun 29 Nov 14:00)",
    ]


def test_weeks_are_said_with_smaller_settings_of_the_method() -> None:
    lines = told(RECIPES["cyclegan"](), rate=0.07, images=267_400)
    assert lines[1] == "267,400 images end in about 44 days (Tue 12 Jan 17:06)"
    assert lines[2].startswith(
        "This is long. Smaller settings train in hours: --crop-size 128 128 --load-size 143 143 (about 4 times as fast)"
    )
    assert "--width 32 --discriminator-width 32" in lines[2]
    assert "bfloat16" not in lines[2]


def test_minutes_that_end_first_are_told_with_what_they_reach() -> None:
    lines = told(RECIPES["cyclegan"](), rate=2.0, images=267_400, seconds_left=3600.0)
    assert lines[1:] == [
        "The time limit ends the run in 60 min (Sun 29 Nov 13:00), after about 7,200 more of 267,400 images"
    ]


def test_fast_bfloat16_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bfloat16_obstacle", lambda device: None)
    config = RECIPES["pix2pix"]()
    assert "--precision bfloat16 (about twice)" in smaller_settings(config, CPU)
    taken = replace(config, training=replace(config.training, precision="bfloat16"))
    assert "bfloat16" not in smaller_settings(taken, CPU)


def test_small_settings_are_not_named_again() -> None:
    config = RECIPES["restore"]()
    small = replace(
        config,
        data=replace(config.data, crop_size=(64, 64)),
        method=replace(config.method, width=16),  # type: ignore[type-var]
    )
    assert smaller_settings(small, CPU) == "Smaller settings train in hours: fewer --epochs, or --minutes M"


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_flag_named_is_one_of_the_recipe(recipe: str) -> None:
    from ganvas.cli import parse_train

    words = smaller_settings(RECIPES[recipe](), CPU).partition("hours: ")[2]
    flags = [word.strip(",;()") for way in words.split("; ")[:-1] for word in way.partition(" (")[0].split()]
    assert parse_train(recipe, ["--out", "run", *flags, "--minutes", "1", "--epochs", "1"]).config.training.minutes == 1


@pytest.mark.slow
def test_another_number_of_threads_is_told(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two threads are faster for 30 steps of a fake clock; then another program occupies a core."""
    time = [0.0]
    number = [2]
    losses: dict[str, torch.Tensor] = {}

    def slow(*given: object, **named: object) -> object:
        time[0] += {2: 0.1 if time[0] < 30 else 2.0, 1: 0.2}[number[0]]
        if not losses:
            losses.update(play(*given, **named))  # type: ignore[arg-type]
        return dict(losses)

    def choosing(counts: tuple[int, ...], set_threads: Callable[[int], None], **_: object) -> StepThreads:
        return StepThreads((2, 1), lambda count: number.__setitem__(0, count), now=lambda: time[0])

    play = loop.take_turns
    monkeypatch.setattr(loop, "take_turns", slow)
    monkeypatch.setattr(loop, "StepThreads", choosing)
    monkeypatch.setattr(report, "describe_speed", lambda *_, **figures: [f"{figures['threads']} at the start"])
    train(tiny_config(epochs=100, checkpoint_every=1000, validate_every=1000, sample_every=1000), tmp_path / "run")
    said = capsys.readouterr().err
    assert said.count("2 at the start") == 1
    assert said.count("1 thread is now faster: 10 images/s") == 1


@pytest.mark.slow
def test_a_training_says_it_once(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[dict[str, object]] = []

    def noting(config: RunConfig, device: torch.device, **figures: object) -> list[str]:
        seen.append(figures)
        return ["the machine and its end"]

    monkeypatch.setattr(report, "describe_speed", noting)
    train(tiny_config(epochs=12), tmp_path / "run")
    assert capsys.readouterr().err.count("the machine and its end") == 1
    assert len(seen) == 1
    assert seen[0]["threads"] == 1
    assert isinstance(seen[0]["rate"], float)
    assert seen[0]["rate"] > 0
