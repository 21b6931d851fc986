"""A dict of strings that are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, ValuesView
from functools import wraps
from typing import Any, SupportsIndex

from .texts import Texts

_CHANGING = ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update")


class _Owned(dict[str, str]):
    """What a view becomes when it is changed: a dict like any other (with the slots of a view, so that it can)."""

    __slots__ = ("_parts",)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return dict, (dict(self),)


class _Values(ValuesView[str]):
    """The parts, in order, without looking their names up."""

    def __iter__(self) -> Iterator[str]:
        fields: Any = self._mapping  # type: ignore[attr-defined]
        return fields.parts()

    def __repr__(self) -> str:
        return f"dict_values({list(self)!r})"

    def __reversed__(self) -> Iterator[str]:
        fields: Any = self._mapping  # type: ignore[attr-defined]
        return (fields[name] for name in reversed(fields))


class _Items(ItemsView[str, str]):
    """Names with their parts, in order."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        fields: Any = self._mapping  # type: ignore[attr-defined]
        return zip(fields, fields.parts(), strict=True)

    def __repr__(self) -> str:
        return f"dict_items({list(self)!r})"

    def __reversed__(self) -> Iterator[tuple[str, str]]:
        fields: Any = self._mapping  # type: ignore[attr-defined]
        return ((name, fields[name]) for name in reversed(fields))


class Fields(dict[str, str]):
    """Behaves as the dict of its parts; the parts are made when they are asked for.

    The dict's own storage has the names, with the position of each part instead of the part. What C code of the
    interpreter reads of a dict that is not exactly a dict, it reads by these methods.

    Args:
        parts: where they come from.
        names: of the parts.
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: Texts, names: list[str]) -> None:
        positions: Any = zip(names, range(len(names)), strict=True)
        super().__init__(positions)
        self._parts = parts

    def __iter__(self) -> Iterator[str]:  # that it is not dict's own is what makes C code ask for the values
        return super().__iter__()

    def __getitem__(self, name: str) -> str:
        at: Any = super().__getitem__(name)
        return self._parts[at]

    def get(self, name: Any, default: Any = None, /) -> Any:
        """The part of this name, or the default."""
        return self[name] if name in self else default  # noqa: SIM401 - it is get itself

    def parts(self) -> Iterator[str]:
        """The parts in order."""
        return iter(self._parts)

    def values(self) -> Any:
        """A view of the parts."""
        return _Values(self)

    def items(self) -> Any:
        """A view of names and parts."""
        return _Items(self)

    def copy(self) -> dict[str, str]:
        """A plain dict of the parts."""
        return dict(self.items())

    def __repr__(self) -> str:
        return repr(self.copy())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, dict):
            return NotImplemented
        return len(self) == len(other) and all(name in other and other[name] == part for name, part in self.items())

    def __ne__(self, other: object) -> bool:
        return NotImplemented if not isinstance(other, dict) else not self == other

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return dict, (self.copy(),)

    def _own(self) -> None:
        parts = self.copy()
        self.__class__ = _Owned  # type: ignore[assignment]
        dict.update(self, parts)


def _changing(name: str) -> Callable[..., Any]:
    plain = getattr(dict, name)

    @wraps(plain)
    def change(self: Fields, *args: Any, **kwargs: Any) -> Any:
        self._own()
        return plain(self, *args, **kwargs)

    return change


for _kind in (Fields, _Owned):  # what shows a value by the name of its type shows a dict
    _kind.__name__ = _kind.__qualname__ = "dict"
    _kind.__module__ = "builtins"
for _name in _CHANGING:
    setattr(Fields, _name, _changing(_name))
