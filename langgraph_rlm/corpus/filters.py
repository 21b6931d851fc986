"""Metadata filters: flat comparisons joined by ``$and`` and ``$or``, with one meaning for every store.

A value alone means equality: ``{"path": "a.py", "year": {"$gte": 2020}}``. Numbers compare by value, texts by code
point, and True is not 1. A missing key equals nothing: only ``$ne`` and ``$nin`` hold for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_rlm.errors import InvalidFilter

Where = Mapping[str, Any]

_ORDER = {
    "$gt": lambda value, bound: value > bound,
    "$gte": lambda value, bound: value >= bound,
    "$lt": lambda value, bound: value < bound,
    "$lte": lambda value, bound: value <= bound,
}
_MEMBER = ("$in", "$nin")
OPERATORS = ("$eq", "$ne", *_MEMBER, *_ORDER)
"""Of one field; beside them stand ``$and`` and ``$or``."""
MOST_DEPTH = 50
_MISSING = object()


def validate(where: Any, depth: int = 0) -> None:
    """Refuse a filter that is not well formed.

    Args:
        where: the filter.
        depth: how many filters it stands in.

    Raises:
        InvalidFilter: naming the operator or field, and what is known.
    """
    if not isinstance(where, Mapping):
        raise InvalidFilter(f"where: expected a dict, got {type(where).__name__}")
    if depth > MOST_DEPTH:
        raise InvalidFilter(f"where: filters stand in each other more than {MOST_DEPTH} deep; join them side by side")
    for key, condition in where.items():
        if not isinstance(key, str):
            raise InvalidFilter(f"where: field names must be str, not {key!r}")
        if key in ("$and", "$or"):
            if not isinstance(condition, list | tuple) or not condition:
                raise InvalidFilter(f"where: {key} takes a list of filters that is not empty, not {condition!r}")
            for part in condition:
                validate(part, depth + 1)
        elif key.startswith("$"):
            raise InvalidFilter(f"where: unknown operator {key!r} in the place of a field; known there are $and, $or")
        else:
            _validate_field(key, condition)


def matches(where: Where | None, metadata: Mapping[str, Any]) -> bool:
    """Whether metadata passes a filter that :func:`validate` has let through.

    Example:
        >>> matches({"year": {"$gte": 2020}}, {"year": 2021})
        True
    """
    for key, condition in (where or {}).items():
        if key == "$and":
            passed = all(matches(part, metadata) for part in condition)
        elif key == "$or":
            passed = any(matches(part, metadata) for part in condition)
        else:
            value = metadata.get(key, _MISSING)
            passed = all(_holds(operator, value, bound) for operator, bound in comparisons(condition))
        if not passed:
            return False
    return True


def comparisons(condition: Any) -> list[tuple[str, Any]]:
    """The operators and values asked of one field."""
    return list(condition.items()) if isinstance(condition, Mapping) else [("$eq", condition)]


def equal_texts(where: Where | None) -> set[tuple[str, str]]:
    """Fields and texts that whatever passes the filter has; there may be more to it.

    Example:
        >>> equal_texts({"team": "hr", "year": {"$gte": 2020}})
        {('team', 'hr')}
    """
    found: set[tuple[str, str]] = set()
    for key, condition in (where or {}).items():
        if key == "$and":
            found.update(*map(equal_texts, condition))
        elif key != "$or":
            found.update(
                (key, value) for sign, value in comparisons(condition) if sign == "$eq" and isinstance(value, str)
            )
    return found


def orders_texts(where: Where) -> bool:
    """Whether the filter asks for an order of texts (``{"date": {"$gte": "2020-01-01"}}``), which no store knows."""
    for key, condition in where.items():
        if key in ("$and", "$or"):
            if any(orders_texts(part) for part in condition):
                return True
        elif any(operator in _ORDER and isinstance(bound, str) for operator, bound in comparisons(condition)):
            return True
    return False


def is_scalar(value: Any) -> bool:
    """Whether a value may stand in metadata and filters: str, bool, int of 64 bits or a finite float."""
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, str) or (isinstance(value, float) and value - value == 0)


def _validate_field(key: str, condition: Any) -> None:
    if isinstance(condition, Mapping) and not condition:
        raise InvalidFilter(f"where[{key!r}]: an empty dict; give a value or one of {', '.join(OPERATORS)}")
    for operator, bound in comparisons(condition):
        where = f"where[{key!r}]"
        if operator not in OPERATORS:
            raise InvalidFilter(f"{where}: unknown operator {operator!r}; known are {', '.join(OPERATORS)}, $and, $or")
        if operator in _MEMBER:
            if not isinstance(bound, list | tuple) or not all(map(is_scalar, bound)):
                raise InvalidFilter(f"{where}: {operator} takes a list of str, numbers or bools, not {bound!r}")
        elif operator in _ORDER and (isinstance(bound, bool) or not is_scalar(bound)):
            raise InvalidFilter(f"{where}: {operator} takes a number or a str, not {bound!r}")
        elif not is_scalar(bound):
            raise InvalidFilter(f"{where}: {operator} takes a str, a number or a bool, not {bound!r}")


def _holds(operator: str, value: Any, bound: Any) -> bool:
    if operator in _ORDER:
        comparable = isinstance(value, str) == isinstance(bound, str) and not isinstance(value, bool)
        return value is not _MISSING and comparable and _ORDER[operator](value, bound)
    if operator in _MEMBER:
        return any(_same(value, member) for member in bound) == (operator == "$in")
    return _same(value, bound) == (operator == "$eq")


def _same(value: Any, bound: Any) -> bool:
    return isinstance(value, bool) == isinstance(bound, bool) and value is not _MISSING and bool(value == bound)
