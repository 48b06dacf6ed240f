"""Serialization: strict JSON, frozen dataclasses as JSON records, and safetensors files.

JSON from untrusted files is bounded in size and depth, and every fault is a ValueError. A dataclass becomes an object
whose `kind` is the class name, which distinguishes the members of a union; a record written by hand may omit `kind`
wherever only one class fits. Reading is strict: an unknown key is an error that names the key. Safetensors files are
written atomically, with the same bytes for the same content.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ganvas.errors import InputError, RunError
from ganvas.filesystem.atomic import atomic_file

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "check_name",
    "field_docs",
    "from_record",
    "parse_json",
    "read_json",
    "read_json_lines",
    "read_text",
    "save_tensors",
    "to_record",
]

MAX_DEPTH = 64
"""Largest nesting depth of lists and objects; no file of ganvas has more than ten."""
MAX_BYTES = 1 << 28
"""Largest size of a file in bytes; boxes for a million pictures take a quarter of it."""
Pairs = Callable[[list[tuple[str, Any]]], Any]


def read_json(path: Path, *, encoding: str = "utf-8", pairs: Pairs | None = None) -> Any:
    """Return the content of a JSON file; see `parse_json`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not JSON, too large or nested too deep.
    """
    return parse_json(read_text(path, encoding=encoding), pairs=pairs)


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """Return the text of a file of at most `MAX_BYTES`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is larger, or not UTF-8.
    """
    with path.open("rb") as file:  # ends for endless files too
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    return data.decode(encoding)


def parse_json(text: str | bytes, *, pairs: Pairs | None = None) -> Any:
    """Parse a JSON text.

    Args:
        text: the whole text.
        pairs: function from the (key, value) pairs of an object to its value; None: a dict with the last of equal keys.

    Raises:
        ValueError: it is not JSON, or nested too deep.
    """
    try:
        value = json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if _deeper_than(value, MAX_DEPTH):
        raise ValueError(TOO_DEEP)
    return value


def read_json_lines(path: Path, *, start: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a journal, one per line; nothing if the file does not exist.

    Lines that are not JSON objects are skipped, because a crash can leave the last line unfinished.

    Args:
        path: the journal, written by `append_line`.
        start: the byte offset of the first line to read.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            try:
                record = parse_json(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


TOO_DEEP = f"it is nested more than {MAX_DEPTH} deep"


def _deeper_than(value: Any, limit: int) -> bool:
    """Return whether containers are nested more than `limit` deep, without recursion."""
    level = [value]
    for _ in range(limit + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: Any) -> Sequence[Any]:
    """Return the containers directly inside a value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [child for child in inside if isinstance(child, (dict, list, tuple))]


T = TypeVar("T")
KIND = "kind"
LARGEST = 2**1023
"""Smallest integer that is too large for a float."""
PLAIN = (bool, int, float, str, NoneType)


def to_record(value: object) -> Any:
    """Convert nested dataclasses, tuples, lists, mappings, paths and plain values to values for `json.dumps`.

    Raises:
        TypeError: any other type, which is an error in the caller.
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
    raise TypeError(f"{type(value).__name__} cannot be stored in a record")


def from_record(cls: type[T], record: object) -> T:
    """Convert a record back to a dataclass: the inverse of `to_record`.

    Args:
        cls: a dataclass.
        record: parsed JSON.

    Raises:
        RunError: unknown key, missing key without a default, or a value of the wrong type; names the key.
    """
    return cast("T", _read(cls, record, cls.__name__))


def _read(kind: Any, record: object, where: str) -> object:
    """Read one value of the annotated type `kind`; `where` is the dotted key, for messages."""
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
    """Read the matching union member: None, that of `kind`, or the first that can be read without an error."""
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
    """Read numbers, strings, booleans and paths without coercion, except from int to float."""
    if kind is Path and isinstance(record, str):
        return Path(record)
    if kind is float and type(record) is int and abs(record) < LARGEST:
        return float(record)
    if kind in PLAIN and type(record) is kind:
        return record
    raise RunError(f"{where}: expected {getattr(kind, '__name__', kind)}, got {_shown(record)}")


def _shown(record: object) -> str:
    """Return a truncated representation of a value for messages."""
    text = repr(record)
    return text if len(text) <= 60 else text[:57] + "..."


LENGTH_BYTES = 8
"""Number of bytes of the header length at the start of a safetensors file, little endian."""
SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors to a safetensors file atomically, and create its folders.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError  # both import torch, which records and JSON do not need
    from safetensors.torch import save_file

    stored = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    with atomic_file(path) as temporary:
        temporary.touch()
        permissions = temporary.stat().st_mode  # of a new file; safetensors would deny access to other users
        try:
            save_file(stored, temporary, metadata=dict(metadata))
        except SafetensorError as error:
            if found := SYSTEM_ERROR.search(str(error)):
                raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error
            raise
        temporary.chmod(permissions)
        _sort_metadata(temporary)


def check_name(path: Path) -> None:
    """Raise if safetensors could write a file of that name but not open it again.

    Raises:
        RunError: the name is not UTF-8.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise RunError(f"{path}: names of run folders must be UTF-8; rename it") from error


def _sort_metadata(path: Path) -> None:
    """Sort the metadata, which safetensors writes in a different order each time."""
    with path.open("rb+") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
        assert len(text) == length, "the header keeps its length"
        file.seek(LENGTH_BYTES)
        file.write(text)


def field_docs(config: type[Any]) -> dict[str, str]:
    """Return field -> its docstring, the string after it in the source; own fields come before inherited ones."""
    docs: dict[str, str] = {}
    for owner in filter(dataclasses.is_dataclass, config.__mro__):
        source = ast.parse(inspect.getsource(sys.modules[owner.__module__])).body
        (tree,) = (node for node in source if isinstance(node, ast.ClassDef) and node.name == owner.__name__)
        for node, after in pairwise(tree.body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr):
                docs.setdefault(node.target.id, " ".join(ast.literal_eval(after.value).split()))
    names = {field.name for field in dataclasses.fields(config)}
    return {name: text for name, text in docs.items() if name in names}
