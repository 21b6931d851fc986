"""JSON schemas from types that a cell has written: ``schema=list[str]``, a dataclass, a TypedDict, an Enum, …"""

from __future__ import annotations

import sys
import types
import typing
from typing import Any

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    set: {"type": "array", "uniqueItems": True},
    frozenset: {"type": "array", "uniqueItems": True},
    dict: {"type": "object"},
    Any: {},
    object: {},
}
_LISTS = {"list", "Sequence", "MutableSequence", "Iterable", "Collection"}
_SETS = {"set", "frozenset", "Set", "MutableSet"}
_DICTS = {"dict", "Mapping", "MutableMapping"}
_MARKS = {"Required", "NotRequired", "ReadOnly", "Final"}
"""Around the type of a field."""


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of a type; classes stand under ``$defs``, so that they may refer to themselves.

    Raises:
        TypeError: a type that JSON has no shape for; the message names it.
    """
    classes: dict[str, tuple[Any, dict[str, Any]]] = {}
    schema = _schema(_resolved(kind), classes)
    return schema if not classes else {**schema, "$defs": {name: made for name, (_, made) in classes.items()}}


def _schema(kind: Any, classes: dict[str, tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    if isinstance(kind, dict):
        return kind
    try:
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
    except TypeError:  # not hashable, so no type
        raise _refused(kind) from None
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is None and hasattr(kind, "__supertype__"):  # a NewType
        return _schema(kind.__supertype__, classes)
    if origin is None:
        return _of_class(kind, classes)
    if origin is typing.Annotated:
        words = [word for word in inner[1:] if isinstance(word, str)]
        return {**_schema(inner[0], classes), **({"description": " ".join(words)} if words else {})}
    if getattr(origin, "_name", "") in _MARKS:
        return _schema(inner[0], classes)
    if origin is typing.Literal:
        return {"enum": [_constant(value, kind) for value in inner]}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(one, classes) for one in inner]}
    name = origin.__name__
    if not inner and (name != "tuple" or kind is typing.Tuple):  # noqa: UP006 - tuple[()] is another type
        # List, Dict, Tuple … as they stand
        inner = (str, Any) if name in _DICTS else (Any, ...) if name == "tuple" else (Any,)
    if name == "tuple":
        return _of_tuple(inner, classes)
    if name in _LISTS | _SETS:
        schema = {"type": "array", "items": _schema(inner[0], classes)}
        return schema if name in _LISTS else {**schema, "uniqueItems": True}
    if name in _DICTS:
        keys = _schema(inner[0], classes)
        if keys != _PLAIN[str] and not all(isinstance(key, str) for key in keys.get("enum", [None])):
            raise TypeError(f"schema: the keys of {kind} must be str, as in all JSON")
        names = {} if keys == _PLAIN[str] else {"propertyNames": keys}
        return {"type": "object", "additionalProperties": _schema(inner[1], classes), **names}
    raise _refused(kind)


def _of_tuple(inner: tuple[Any, ...], classes: dict[str, tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return {"type": "array", "items": _schema(inner[0], classes)}
    items = [_schema(one, classes) for one in inner]
    shape = {"prefixItems": items, "items": False} if items else {}
    return {"type": "array", "minItems": len(items), "maxItems": len(items), **shape}


def _of_class(kind: Any, classes: dict[str, tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    if not isinstance(kind, type):
        raise _refused(kind)
    if "enum" in sys.modules and issubclass(kind, sys.modules["enum"].Enum):
        return _of_enum(kind)
    hints = _hints(kind)
    if not hints:
        raise _refused(kind)
    name, number = kind.__name__, 2
    while name in classes and classes[name][0] is not kind:
        name, number = f"{kind.__name__}{number}", number + 1
    if name not in classes:
        record: dict[str, Any] = {"type": "object", "additionalProperties": False}
        classes[name] = (kind, record)  # before its fields: it may refer to itself
        described = (kind.__doc__ or "").strip()
        if described and not described.startswith(f"{kind.__name__}("):  # a dataclass without one gets its signature
            record["description"] = described
        record["properties"] = {field: _schema(hint, classes) for field, hint in hints.items()}
        if required := _required(kind, hints):
            record["required"] = required
    return {"$ref": f"#/$defs/{name}"}


def _of_enum(kind: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"enum": [_constant(member, kind) for member in kind]}
    if not all(isinstance(value, str) for value in schema["enum"]):  # a bare number says nothing
        schema["description"] = ", ".join(f"{member.value!r} is {member.name}" for member in kind)
    return schema


def _constant(value: Any, kind: Any) -> Any:
    if "enum" in sys.modules and isinstance(value, sys.modules["enum"].Enum):
        value = value.value
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"schema: {value!r:.100} in {kind} is no value that JSON has; use str, int, float, bool or None")


def _resolved(kind: Any) -> Any:
    """The type with the names in quotes that stand in it, as in ``list["Node"]``, looked up among the cell's."""
    if typing.get_origin(kind) is None:
        return kind
    holder = types.SimpleNamespace(__annotations__={"it": kind})
    try:
        return typing.get_type_hints(holder, vars(sys.modules["__main__"]), include_extras=True)["it"]
    except NameError as error:
        raise TypeError(f"schema: {kind} names an unknown type: {error}") from None
    except (SyntaxError, TypeError):
        return kind  # refused where it is met


def _hints(kind: Any) -> dict[str, Any]:
    """The types of a record's fields."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise TypeError(f"schema: {kind.__name__} has a field of an unknown type: {error}") from None
    if hasattr(kind, "_field_defaults"):  # a NamedTuple; one of collections has no types
        return {name: hints.get(name, Any) for name in kind._fields}
    fields = getattr(kind, "__dataclass_fields__", {})
    return {
        name: hint
        for name, hint in hints.items()
        if typing.ClassVar not in (hint, typing.get_origin(hint)) and (name not in fields or fields[name].init)
    }


def _required(kind: Any, hints: dict[str, Any]) -> list[str]:
    if hasattr(kind, "__required_keys__"):  # a TypedDict; as text, its marks are in the hints only
        marks = {name: typing.get_origin(hint) for name, hint in hints.items()}
        return [
            name
            for name in hints
            if marks[name] is not typing.NotRequired
            and (marks[name] is typing.Required or name in kind.__required_keys__)
        ]
    if hasattr(kind, "_field_defaults"):  # a NamedTuple, as a record
        return [name for name in hints if name not in kind._field_defaults]
    if fields := getattr(kind, "__dataclass_fields__", None):
        missing = sys.modules["dataclasses"].MISSING
        return [name for name in hints if fields[name].default is missing and fields[name].default_factory is missing]
    return [name for name in hints if not hasattr(kind, name)]


def _refused(kind: Any) -> TypeError:
    return TypeError(
        f"schema: no JSON schema can be made of {kind!r:.200}; give a JSON schema (dict) or a type like str, list[str], "
        "dict[str, float], Literal['a', 'b'], a dataclass, a TypedDict or an Enum"
    )
