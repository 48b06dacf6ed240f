"""Flags, positional arguments and help headings of the command line, derived from the configs for tyro."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, ClassVar, cast, get_origin, get_type_hints

import tyro

__all__ = ["config_registry"]

FLAGS = {"class_name": "class", "folder": "data"}
"""Field -> flag, if the names differ."""
METAVARS = {"threads": "N"}
"""Field -> metavariable in the help, if it is not the type."""


def config_registry(
    docs: Callable[[type[Any]], dict[str, str]], *, unchecked: type[Any] | None = None
) -> tyro.constructors.ConstructorRegistry:
    """Return the tyro registry that turns configs into arguments and flags.

    Args:
        docs: returns field -> help text for a config.
        unchecked: a config that is parsed to a dictionary, so that the function of `api` checks it and errors have the
            exit codes of ganvas.
    """
    registry = tyro.constructors.ConstructorRegistry()

    @registry.struct_rule
    def config_rule(info: tyro.constructors.StructTypeInfo) -> tyro.constructors.StructConstructorSpec | None:
        group = info.type if isinstance(info.type, type) and issubclass(info.type, _Group) else None
        config = info.type if group is None else group.config
        if not is_dataclass(config):
            return None
        types, texts = get_type_hints(config), docs(config)
        groups = {} if group else _groups(config)
        grouped = {name for each in groups.values() for name in each.names}
        names = group.names if group else [one.name for one in fields(config) if one.name not in grouped]
        specs = []
        for one in sorted(fields(config), key=lambda one: _generation(config, one.name)):
            if one.name not in names:
                continue
            default = _default(one, info.default)
            kind = type(default) if is_dataclass(default) else types[one.name]  # the method and data of a recipe
            specs.append(
                tyro.constructors.StructFieldSpec(
                    name=one.name, type=_annotated(one, kind), default=default, helptext=texts.get(one.name)
                )
            )
        for title, below in groups.items():
            kind = cast("Any", Annotated)[below, tyro.conf.OmitArgPrefixes]
            specs.append(tyro.constructors.StructFieldSpec(name=title, type=kind, default=tyro.MISSING))
        made = dict if config is unchecked else config

        def instantiate(**values: Any) -> Any:
            below = {name: value for title in groups for name, value in values.pop(title).items()}
            return made(**values, **below)

        return tyro.constructors.StructConstructorSpec(instantiate=dict if group else instantiate, fields=tuple(specs))

    return registry


class _Group:
    """Fields of a config under a separate heading of the help; parsed to a dictionary.

    Attributes:
        config: the config.
        names: names of the fields.
    """

    config: ClassVar[type[Any]]
    names: ClassVar[tuple[str, ...]]


def _groups(config: type[Any]) -> dict[str, Any]:
    """Return heading -> group for a config that lists its groups as `GROUPS`."""
    listed: Mapping[str, tuple[str, ...]] = getattr(config, "GROUPS", {})
    return {title: type(title, (_Group,), {"config": config, "names": names}) for title, names in listed.items()}


def _generation(config: type[Any], name: str) -> int:
    """Return the inheritance depth of a field's declaration: 0 for the class itself, whose fields come first."""
    owners = [number for number, owner in enumerate(config.__mro__) if name in vars(owner).get("__annotations__", {})]
    return owners[0]


def _default(one: Field[Any], given: Any) -> Any:
    """Return the default of a field: its value in the given config, or its own default."""
    if is_dataclass(given):
        return getattr(given, one.name)
    if one.default_factory is not MISSING:
        return one.default_factory()
    return tyro.MISSING if one.default is MISSING else one.default


def _annotated(one: Field[Any], kind: Any) -> Any:
    """Return the field's type with the annotations of tyro: the name of its flag, or a positional argument."""
    if one.kw_only:
        name, metavar = FLAGS.get(one.name), METAVARS.get(one.name)
        return Annotated[kind, tyro.conf.arg(name=name, metavar=metavar)]
    several = get_origin(kind) is tuple
    metavar = f"{one.name.removesuffix('s').upper()}..." if several else one.name.upper()
    return Annotated[kind, tyro.conf.Positional, tyro.conf.arg(metavar=metavar)]
