"""Records: exact round trips, and errors that name the key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from ganvas.data.config import PairedData
from ganvas.errors import ConfigError, RunError
from ganvas.serialization import from_record, to_record
from ganvas.training.config import RunConfig, TrainingConfig


@dataclass(frozen=True)
class Circle:
    radius: float


@dataclass(frozen=True)
class Square:
    side: float
    colour: Literal["red", "blue"] = "red"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    shape: Circle | Square
    corner: tuple[int, int] = (0, 0)
    names: tuple[str, ...] = ()
    folder: Path | None = None
    extra: dict[str, Any] | None = None
    limit: int | str = 3
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.corner[0] < 0:
            raise ConfigError("corner must not be negative")


DRAWING = Drawing(
    shape=Square(2.0, "blue"), corner=(1, 2), names=("a", "b"), folder=Path("x/y"), extra={"k": [1, None]}, limit="no"
)


@pytest.mark.parametrize(
    "value",
    [
        DRAWING,
        Drawing(shape=Circle(1.5)),
        RunConfig(),
        RunConfig(
            training=TrainingConfig(minutes=2.5), data=PairedData(split_file=Path("s.json"), value_range=(0, 4095))
        ),
    ],
)
def test_round_trip_through_json(value: object) -> None:
    assert from_record(type(value), json.loads(json.dumps(to_record(value)))) == value


def test_kind_may_be_left_out_where_only_one_class_fits() -> None:
    assert from_record(Circle, {"radius": 1}) == Circle(1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, r"Drawing: unknown key colour"),
        ({"shape": {"kind": "Circle"}}, r"Drawing\.shape: missing key radius"),
        ({"shape": {"radius": 1.0}}, r"Drawing\.shape\.kind: expected one of Circle, Square, got None"),
        ({"shape": {"kind": "Oval", "radius": 1.0}}, r"Drawing\.shape\.kind"),
        ({"shape": {"kind": "Square", "side": 1.0, "colour": "green"}}, r"Drawing\.shape\.colour: 'green'"),
        ({"corner": [1]}, r"Drawing\.corner: expected 2 values, got 1"),
        ({"corner": [1, True]}, r"Drawing\.corner\[1\]: expected int, got True"),
        ({"corner": [1, 2.0]}, r"Drawing\.corner\[1\]: expected int"),
        ({"names": "ab"}, r"Drawing\.names: expected a list"),
        ({"folder": 3}, r"Drawing\.folder: expected Path, got 3"),
        ({"weights": {"a": "b"}}, r"Drawing\.weights\.a: expected float"),
        ({"limit": None}, r"Drawing\.limit: None fits none of"),
        ({"corner": [-1, 0]}, r"Drawing: corner must not be negative"),
        ({"kind": "Circle"}, r"Drawing: expected a Drawing, got 'Circle'"),
    ],
)
def test_errors_name_the_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        from_record(Drawing, to_record(DRAWING) | change)


def test_missing_key_without_a_default() -> None:
    with pytest.raises(RunError, match="missing key shape"):
        from_record(Drawing, {})
    with pytest.raises(RunError, match="expected an object"):
        from_record(Drawing, [])


def test_only_what_json_can_hold() -> None:
    with pytest.raises(TypeError, match="object has no place"):
        to_record({"x": object()})
