"""A list of strings that are made when they are asked for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, SupportsIndex

from .texts import Texts

_CHANGING = (
    *("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "clear", "extend", "insert", "pop", "remove"),
    *("reverse", "sort"),
)


class _Owned(list[str]):
    """What a view becomes when it is changed: a list like any other (with the slots of a view, so that it can)."""

    __slots__ = ("_parts",)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return list, (list(self),)


class Lines(list[str]):
    """Behaves as the list of its parts; the parts are made when they are asked for.

    The list's own storage is empty until it is changed. What C code of the interpreter reads of a list that is not
    exactly a list, it reads by these methods.

    Args:
        parts: where they come from.
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: Texts) -> None:
        super().__init__()
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __reversed__(self) -> Iterator[str]:
        return map(self._parts.__getitem__, range(len(self._parts) - 1, -1, -1))

    def __getitem__(self, key: Any) -> Any:
        parts = self._parts
        if isinstance(key, slice):
            return [parts[at] for at in range(*key.indices(len(parts)))]
        if not hasattr(type(key), "__index__"):
            raise TypeError(f"list indices must be integers or slices, not {type(key).__name__}")
        at = operator.index(key)
        if at < 0:
            at += len(parts)
        if not 0 <= at < len(parts):
            raise IndexError("list index out of range")
        return parts[at]

    def __contains__(self, value: object) -> bool:
        return any(part == value for part in self)

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex | None = None, /) -> int:
        """The position of the first part that equals ``value``."""
        for at in range(*slice(start, stop).indices(len(self))):
            if self[at] == value:
                return at
        raise ValueError(f"{value!r} is not in list")

    def count(self, value: Any, /) -> int:
        """How many parts equal ``value``."""
        return sum(part == value for part in self)

    def copy(self) -> list[str]:
        """A plain list of the parts."""
        return list(self)

    def __repr__(self) -> str:
        return repr(list(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    def __ne__(self, other: object) -> bool:
        return NotImplemented if not isinstance(other, list) else not self == other

    def __lt__(self, other: Any) -> bool:
        return list(self) < (list(other) if isinstance(other, Lines) else other)

    def __le__(self, other: Any) -> bool:
        return list(self) <= (list(other) if isinstance(other, Lines) else other)

    def __gt__(self, other: Any) -> bool:
        return list(self) > (list(other) if isinstance(other, Lines) else other)

    def __ge__(self, other: Any) -> bool:
        return list(self) >= (list(other) if isinstance(other, Lines) else other)

    def __add__(self, other: Any) -> Any:
        return list(self) + (list(other) if isinstance(other, Lines) else other)

    def __radd__(self, other: Any) -> Any:
        return other + list(self) if isinstance(other, list) else NotImplemented

    def __mul__(self, times: SupportsIndex) -> list[str]:
        return list(self) * times

    __rmul__ = __mul__

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return list, (list(self),)

    def __sizeof__(self) -> int:
        return self._parts.size

    def _own(self) -> None:
        parts = list(self)
        self.__class__ = _Owned  # type: ignore[assignment]
        list.extend(self, parts)


def _changing(name: str) -> Callable[..., Any]:
    plain = getattr(list, name)

    @wraps(plain)
    def change(self: Lines, *args: Any, **kwargs: Any) -> Any:
        self._own()
        return plain(self, *args, **kwargs)

    return change


for _kind in (Lines, _Owned):  # what shows a value by the name of its type shows a list
    _kind.__name__ = _kind.__qualname__ = "list"
    _kind.__module__ = "builtins"
for _name in _CHANGING:
    setattr(Lines, _name, _changing(_name))
