"""Dialect: a filter written in the language of one store; the recursion is here, a store says how it compares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from langgraph_rlm.corpus.filters import CONTAINS, MEMBER, ORDER, Where, comparisons
from langgraph_rlm.errors import InvalidFilter

F = TypeVar("F")
"""What a store calls a filter: a dict, an object of its client, a piece of SQL."""


class Dialect(ABC, Generic[F]):
    """How a store writes filters. It sees what :func:`langgraph_rlm.corpus.filters.validate` has let through.

    Args:
        store: its name, for messages.

    Example:
        >>> class Words(Dialect[str]):
        ...     nothing = "never"
        ...     def compared(self, key, operator, bound): return f"{key} {operator[1:]} {bound}"
        ...     def joined(self, operator, parts): return f" {operator[1:]} ".join(parts)
        >>> Words("words").translated({"year": {"$gte": 2020}, "team": "hr"})
        'year gte 2020 and team eq hr'
    """

    nothing: F
    """The filter that no record passes."""

    def __init__(self, store: str) -> None:
        self.store = store

    @abstractmethod
    def compared(self, key: str, operator: str, bound: Any) -> F:
        """One comparison of one field.

        Args:
            key: the name of the field, any text.
            operator: ``$eq``, ``$ne``, ``$in``, ``$nin``, ``$gt``, ``$gte``, ``$lt`` or ``$lte``. Records without the field
                pass ``$ne`` and ``$nin``, and nothing else.
            bound: a str, a bool or a number; a number for an order; for ``$in`` and ``$nin`` a list that is not empty, either
                of str, of bools or of numbers.

        Raises:
            InvalidFilter: the store cannot express it.
        """

    @abstractmethod
    def joined(self, operator: str, parts: Sequence[F]) -> F:
        """Two or more filters of which all (``$and``) or any (``$or``) must hold."""

    def translated(self, where: Where) -> F | None:
        """The whole filter; None when every record passes it.

        Raises:
            InvalidFilter: the store cannot express it; an order of texts is known to none.
        """
        parts: list[F | None] = []
        for key, condition in where.items():
            if key == "$and":
                parts += [self.translated(part) for part in condition]
            elif key == "$or":
                parts.append(self._any([self.translated(part) for part in condition]))
            else:
                parts += [self._compared(key, operator, bound) for operator, bound in comparisons(condition)]
        narrow = [part for part in parts if part is not None]
        return None if not narrow else narrow[0] if len(narrow) == 1 else self.joined("$and", narrow)

    def _compared(self, key: str, operator: str, bound: Any) -> F | None:
        if operator in ORDER and isinstance(bound, str):
            raise InvalidFilter(f"where[{key!r}]: {self.store} cannot order texts by {operator}")
        if operator == CONTAINS:
            raise InvalidFilter(f"where[{key!r}]: {self.store} cannot look into lists by {operator}")
        if operator not in MEMBER:
            return self.compared(key, operator, bound)
        if not bound:
            return self.nothing if operator == "$in" else None
        by_type: dict[type, list[Any]] = {}  # no store takes several types in one list
        for value in bound:
            by_type.setdefault(
                str if isinstance(value, str) else bool if isinstance(value, bool) else float, []
            ).append(value)
        parts = [self.compared(key, operator, values) for values in by_type.values()]
        return parts[0] if len(parts) == 1 else self.joined("$or" if operator == "$in" else "$and", parts)

    def _any(self, parts: Sequence[F | None]) -> F | None:
        narrow = [part for part in parts if part is not None]
        if len(narrow) < len(parts):
            return None  # one of them lets every record pass
        return narrow[0] if len(narrow) == 1 else self.joined("$or", narrow)
