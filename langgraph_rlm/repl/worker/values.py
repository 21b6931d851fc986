"""Which values of a cell may leave it: JSON-like ones, checked for calls and converted for submissions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .names import CallError

_DEPTH = 100
"""Levels of a value: deeper ones are loops or mistakes, and the host refuses more than 128."""
_SMALLEST, _LARGEST = -(1 << 63), (1 << 64) - 1
"""What msgpack can hold."""
_FUNCTIONS = (type(len), type(lambda: None), type(CallError("", "").__repr__), type)
_LISTED: tuple[type[Iterable[Any]], ...] = (
    list,
    tuple,
    range,
    map,
    filter,
    zip,
    enumerate,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
    type(_ for _ in ()),
)


def argument(value: Any, where: str, depth: int = 0) -> Any:
    """A call's argument as the host will see it.

    Args:
        value: None, bool, int, float, str, or lists, tuples, iterators and dicts of them.
        where: how error messages name it.
        depth: how deep in the argument it stands.

    Raises:
        TypeError: anything else; the message names the place.
    """
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, int):
        if _SMALLEST <= value <= _LARGEST:
            return int(value)
        raise TypeError(f"{where} is an int of more than 64 bits; pass it as a str")
    if depth >= _DEPTH:
        raise TypeError(f"{where} is nested more than {_DEPTH} deep")
    if isinstance(value, _LISTED):
        return [argument(item, f"{where}[{at}]", depth + 1) for at, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r:.100}, which is {_kind(key)}; keys must be str")
        return {key: argument(item, f"{where}[{key!r:.60}]", depth + 1) for key, item in value.items()}
    if _is_of_numpy(value):
        return argument(value.tolist(), where, depth + 1)
    if isinstance(value, CallError):
        raise TypeError(f"{where} is a call that failed ({value!r:.300}); look at it before it is used")
    raise TypeError(f"{where} is {_kind(value)}; it must be None, bool, int, float, str, or a list or dict of these")


def submission(value: Any, depth: int = 0) -> Any:
    """A submitted answer as JSON-like data: tuples and sets become lists, whatever else there is its ``str``.

    Raises:
        ValueError: None, an empty text, a function, a failed call, or structures that contain themselves.
    """
    if depth == 0 and value is None:
        raise ValueError("None cannot be submitted as the answer")
    if depth == 0 and isinstance(value, _FUNCTIONS):
        raise ValueError("a function cannot be submitted as the answer; call it, or put the word in quotes")
    if depth == 0 and isinstance(value, CallError):
        raise ValueError(f"a call that failed cannot be submitted as the answer: {value!r:.300}")
    if depth == 0 and isinstance(value, str) and not value.strip():
        raise ValueError("an empty text cannot be submitted as the answer; say what was found, or that nothing was")
    if isinstance(value, float) and value - value != 0:
        return str(value)  # "nan", "inf": JSON has no number for it
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, int):
        return int(value) if _SMALLEST <= value <= _LARGEST else str(value)
    if depth >= _DEPTH:
        raise ValueError(f"the answer is nested more than {_DEPTH} deep, or contains itself")
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): submission(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [submission(item, depth + 1) for item in _ordered(value)]
    if isinstance(value, _LISTED):
        return [submission(item, depth + 1) for item in value]
    if _is_of_numpy(value):
        return submission(value.tolist(), depth + 1)
    return str(value)


def _is_of_numpy(value: Any) -> bool:
    """Whether it is an array or a number of numpy, which is no number of Python's."""
    return type(value).__module__ == "numpy" and hasattr(value, "tolist")


def _ordered(values: set[Any] | frozenset[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
