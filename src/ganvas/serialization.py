"""Frozen dataclasses as JSON, read back strictly: a record either means what it says or is an error naming the key.

A dataclass becomes an object whose `kind` is the class name; that tells the members of a union apart. A record written
by hand may leave `kind` out wherever only one class fits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ganvas.errors import InputError, RunError

T = TypeVar("T")
KIND = "kind"
LARGEST = 2**1023
"""Whole numbers from here on have no place in a float."""
PLAIN = (bool, int, float, str, NoneType)


def to_record(value: object) -> Any:
    """What `json.dumps` can write: dataclasses, tuples, lists, mappings, paths and plain values, nested at will.

    Raises:
        TypeError: for anything else (a mistake of ours, not of the user).
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: to_record(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {KIND: type(value).__name__, **fields}
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, (tuple, list)):
        return [to_record(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_record(item) for key, item in value.items()}
    if isinstance(value, PLAIN):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a record")


def from_record(cls: type[T], record: object) -> T:
    """The inverse of `to_record`.

    Args:
        cls: a dataclass.
        record: parsed JSON.

    Raises:
        RunError: unknown key, missing key without a default, or a value of the wrong type; names the key.
    """
    return cast("T", _read(cls, record, cls.__name__))


def _read(kind: Any, record: object, where: str) -> object:
    """One value of the annotated type `kind`; `where` is the dotted key, for messages."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return record
    if origin in (Union, UnionType):
        return _read_union(arguments, record, where)
    if origin is Literal:
        return _read_literal(arguments, record, where)
    if (origin or kind) in (tuple, list, Sequence):
        return _read_sequence(origin or kind, arguments, record, where)
    if (origin or kind) in (dict, Mapping):
        return _read_mapping(arguments, record, where)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(cast("type[object]", kind), record, where)
    return _read_plain(kind, record, where)


def _read_dataclass(cls: type[object], record: object, where: str) -> object:
    if not isinstance(record, Mapping):
        raise RunError(f"{where}: expected an object ({cls.__name__}), got {_shown(record)}")
    if record.get(KIND, cls.__name__) != cls.__name__:
        raise RunError(f"{where}: expected a {cls.__name__}, got {_shown(record[KIND])}")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cast("Any", cls)) if field.init}
    if unknown := [str(key) for key in record if key not in fields and key != KIND]:
        raise RunError(f"{where}: unknown key {', '.join(unknown)}; {cls.__name__} has {', '.join(fields)}")
    if missing := [name for name, field in fields.items() if name not in record and _required(field)]:
        raise RunError(f"{where}: missing key {', '.join(missing)}")
    values = {name: _read(hints[name], record[name], f"{where}.{name}") for name in fields if name in record}
    try:
        return cls(**values)
    except InputError as error:
        raise RunError(f"{where}: {error}") from error


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read_union(members: tuple[Any, ...], record: object, where: str) -> object:
    """The one member that fits: by None, by `kind`, else the only one that reads without an error."""
    if record is None and NoneType in members:
        return None
    rest = [member for member in members if member is not NoneType]
    if len(rest) == 1:
        return _read(rest[0], record, where)
    classes: dict[str, Any] = {member.__name__: member for member in rest if isinstance(member, type)}
    classes = {name: member for name, member in classes.items() if dataclasses.is_dataclass(member)}
    if isinstance(record, Mapping) and classes:
        if not isinstance(record.get(KIND), str) or record[KIND] not in classes:
            raise RunError(f"{where}.{KIND}: expected one of {', '.join(classes)}, got {_shown(record.get(KIND))}")
        return _read(classes[record[KIND]], record, where)
    for member in rest:
        try:
            return _read(member, record, where)
        except RunError:
            continue
    raise RunError(f"{where}: {_shown(record)} fits none of {', '.join(map(str, rest))}")


def _read_literal(choices: tuple[Any, ...], record: object, where: str) -> object:
    for choice in choices:
        if type(choice) is type(record) and choice == record:
            return record
    raise RunError(f"{where}: {_shown(record)} is not one of {', '.join(map(str, choices))}")


def _read_sequence(origin: Any, arguments: tuple[Any, ...], record: object, where: str) -> object:
    if not isinstance(record, (list, tuple)):
        raise RunError(f"{where}: expected a list, got {_shown(record)}")
    if not arguments:
        kinds = [Any] * len(record)
    elif origin is not tuple or arguments[-1] is Ellipsis:
        kinds = [arguments[0]] * len(record)
    else:
        kinds = list(arguments)
    if len(kinds) != len(record):
        raise RunError(f"{where}: expected {len(kinds)} values, got {len(record)}")
    items = [_read(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, record, strict=True))]
    return items if origin is list else tuple(items)


def _read_mapping(arguments: tuple[Any, ...], record: object, where: str) -> object:
    if not isinstance(record, Mapping):
        raise RunError(f"{where}: expected an object, got {_shown(record)}")
    kind = arguments[1] if arguments else Any
    return {str(key): _read(kind, item, f"{where}.{key}") for key, item in record.items()}


def _read_plain(kind: Any, record: object, where: str) -> object:
    """Numbers, text, truth values and paths: no coercion but int -> float."""
    if kind is Path and isinstance(record, str):
        return Path(record)
    if kind is float and type(record) is int and abs(record) < LARGEST:
        return float(record)
    if kind in PLAIN and type(record) is kind:
        return record
    raise RunError(f"{where}: expected {getattr(kind, '__name__', kind)}, got {_shown(record)}")


def _shown(record: object) -> str:
    """A value as a message shows it, cut short."""
    text = repr(record)
    return text if len(text) <= 60 else text[:57] + "..."
