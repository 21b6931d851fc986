"""Metadata filters: flat comparisons joined by ``$and`` and ``$or``, with one meaning for every store.

A value alone means equality: ``{"path": "a.py", "year": {"$gte": 2020}}``. Numbers compare by value, texts by code
point, and True is not 1. A missing key equals nothing: only ``$ne`` and ``$nin`` hold for it. ``{"tags": {"$contains": "x"}}``
asks whether a list holds a value; a list equals nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from langgraph_rlm.errors import InvalidFilter, nearest

Where = Mapping[str, Any]

ORDER = {
    "$gt": lambda value, bound: value > bound,
    "$gte": lambda value, bound: value >= bound,
    "$lt": lambda value, bound: value < bound,
    "$lte": lambda value, bound: value <= bound,
}
MEMBER = ("$in", "$nin")
CONTAINS = "$contains"
"""Of a field that is a list: whether it holds a value."""
OPERATORS = ("$eq", "$ne", *MEMBER, *ORDER, CONTAINS)
"""Of one field; beside them stand ``$and`` and ``$or``."""
FIRST_INEXACT = 1 << 53
"""The whole numbers below it are those that a float64 holds each for itself; beyond it two of them may look alike."""
_LAST_WHOLE = 1 << 63
"""Up to 2 ** 53 every whole number is a float of its own."""
MOST_DEPTH = 50
"""Of ``$and`` and ``$or`` in each other: people write two or three levels."""
DOC_ID = "doc_id"
"""The field of a filter that every document has."""
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
        if not isinstance(key, str) or not is_text(key):
            raise InvalidFilter(f"where: field names must be str without lone surrogates, not {key!a}")
        if key in ("$and", "$or"):
            if not isinstance(condition, list | tuple) or not condition:
                raise InvalidFilter(f"where: {key} takes a list of filters that is not empty, not {condition!a}"[:500])
            for part in condition:
                validate(part, depth + 1)
        elif key.startswith("$"):
            raise InvalidFilter(
                f"where: unknown operator {key!r} in the place of a field{nearest(key, ('$and', '$or'))}. Known there are $and, $or"
            )
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


def passes(where: Where | None, doc_id: str, metadata: Mapping[str, Any]) -> bool:
    """As :func:`matches`, for a document: a filter may name its ``doc_id`` too, unless its metadata has a key of that name.

    Example:
        >>> passes({"doc_id": {"$in": ["a.md", "b.md"]}}, "a.md", {"year": 2021})
        True
    """
    return matches(where, {DOC_ID: doc_id, **metadata})


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
                (key, value)
                for sign, value in comparisons(condition)
                if sign == "$eq" and isinstance(value, str) and key != DOC_ID
            )
    return found


def beyond_stores(where: Where) -> bool:
    """Whether the filter asks for what not every store can compare: an order of texts, a list, a number of :func:`inexact`, or ids.

    Example:
        >>> beyond_stores({"date": {"$gte": "2020-01-01"}}), beyond_stores({"year": {"$gte": 2020}})
        (True, False)
    """
    asked = list(_all_comparisons(where))
    hard = any(
        key == DOC_ID or operator == CONTAINS or (operator in ORDER and isinstance(bound, str))
        for key, operator, bound in asked
    )
    return hard or inexact(where) is not None


def inexact(where: Where) -> Any:
    """A number of the filter that a float64 cannot tell from its neighbours; None where there is none.

    Example:
        >>> inexact({"user": {"$in": [7, 1146520190123450001]}})
        1146520190123450001
    """
    for _, operator, bound in _all_comparisons(where):
        for value in bound if operator in MEMBER else (bound,):
            if _is_inexact(value):
                return value
    return None


def widened(where: Where) -> dict[str, Any]:
    """The filter for a store that may compare numbers as float64: all that it lets pass, and perhaps more.

    What comes back is to be looked at once more by :func:`matches`.

    Example:
        >>> widened({"user": 2**60})
        {'$and': [{'user': {'$gte': 1.1529215046068468e+18, '$lte': 1.1529215046068472e+18}}]}
    """
    parts: list[dict[str, Any]] = []
    for key, condition in where.items():
        if key in ("$and", "$or"):
            parts.append({key: [widened(part) for part in condition]})
        else:
            parts += [_widened(key, operator, bound) for operator, bound in comparisons(condition)]
    return {"$and": parts or [{}]}


def loosened(where: Where, can: Callable[[str, str, Any], bool]) -> dict[str, Any]:
    """The filter without the comparisons that a store cannot make: all that it lets pass, and perhaps more; {} for everything.

    What comes back is to be looked at once more by :func:`matches`.

    Args:
        where: the filter.
        can: whether the store makes a comparison, from field, operator and value.

    Example:
        >>> loosened({"team": "hr", "day": {"$gte": "2020"}}, lambda field, operator, bound: operator == "$eq")
        {'$and': [{'team': {'$eq': 'hr'}}]}
    """
    parts: list[dict[str, Any]] = []
    for key, condition in where.items():
        if key == "$and":
            parts += [part for part in (loosened(one, can) for one in condition) if part]
        elif key == "$or":
            some = [loosened(one, can) for one in condition]
            parts += [{"$or": some}] if all(some) else []
        else:
            parts += [
                {key: {operator: bound}} for operator, bound in comparisons(condition) if can(key, operator, bound)
            ]
    return {"$and": parts} if parts else {}


def is_scalar(value: Any) -> bool:
    """Whether a value may stand in metadata and filters: str, bool, int of 64 bits or a finite float."""
    if isinstance(value, int):
        return -_LAST_WHOLE <= value < _LAST_WHOLE
    return isinstance(value, str) or (isinstance(value, float) and value - value == 0)


def is_text(value: str) -> bool:
    """Whether a str has an encoding: a lone surrogate (half of a pair) has none, and no store or file can hold it."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole(value: Any) -> Any:
    """A float without a fraction as int, whose value is exact on every store; anything else as it is.

    Example:
        >>> whole(2.0), whole(2.5), whole("2.0")
        (2, 2.5, '2.0')
    """
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _all_comparisons(where: Where) -> Any:
    for key, condition in where.items():
        if key in ("$and", "$or"):
            for part in condition:
                yield from _all_comparisons(part)
        else:
            yield from ((key, operator, bound) for operator, bound in comparisons(condition))


def _validate_field(key: str, condition: Any) -> None:
    if isinstance(condition, Mapping) and not condition:
        raise InvalidFilter(f"where[{key!r}]: an empty dict; give a value or one of {', '.join(OPERATORS)}")
    for operator, bound in comparisons(condition):
        if operator not in OPERATORS:
            raise InvalidFilter(
                f"where[{key!r}]: unknown operator {operator!r}{nearest(operator, OPERATORS)}. Known are "
                f"{', '.join(OPERATORS)}, and beside fields $and, $or"
            )
        if operator in MEMBER:
            good = isinstance(bound, list | tuple) and all(map(_is_bound, bound))
            takes = "a list of str, numbers or bools"
        elif operator in ORDER:
            good, takes = _is_bound(bound) and not isinstance(bound, bool), "a number or a str"
        else:
            good, takes = _is_bound(bound), "a str, a number or a bool"
        if not good:
            raise InvalidFilter(f"where[{key!r}]: {operator} takes {takes}, not {bound!a}"[:400] + _why(bound))


def _is_bound(value: Any) -> bool:
    return is_text(value) if isinstance(value, str) else is_scalar(value)


def _why(bound: Any) -> str:
    """What is wrong with a value of a right type."""
    wrong = [one for one in (bound if isinstance(bound, list | tuple) else [bound]) if not _is_bound(one)]
    if any(isinstance(one, str) for one in wrong):
        return ": a lone surrogate is no character, so that no text holds it"
    return ": a whole number has at most 64 bits" if any(isinstance(one, int) for one in wrong) else ""


def _is_inexact(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and FIRST_INEXACT <= abs(value) <= _LAST_WHOLE


def _widened(key: str, operator: str, bound: Any) -> dict[str, Any]:
    if operator in MEMBER:
        exact = [value for value in bound if not _is_inexact(value)]
        parts: list[dict[str, Any]] = [{key: {operator: exact}}]
        if operator == "$in":
            parts += [_widened(key, "$eq", value) for value in bound if _is_inexact(value)]
        return parts[0] if len(parts) == 1 else {"$or": parts}
    if not _is_inexact(bound):
        return {key: {operator: bound}}
    # the next floats on both sides, since some stores compare a whole number with them exactly
    below, above = math.nextafter(float(bound), -math.inf), math.nextafter(float(bound), math.inf)
    ranges: dict[str, dict[str, Any]] = {
        "$eq": {"$gte": below, "$lte": above},
        "$gt": {"$gte": below},
        "$gte": {"$gte": below},
        "$lt": {"$lte": above},
        "$lte": {"$lte": above},
    }
    return {key: ranges[operator]} if operator in ranges else {}


def _holds(operator: str, value: Any, bound: Any) -> bool:
    if operator in ORDER:
        comparable = isinstance(value, str) == isinstance(bound, str) and not isinstance(value, bool)
        return comparable and isinstance(value, str | int | float) and ORDER[operator](value, bound)
    if operator == CONTAINS:
        return isinstance(value, list) and any(_same(one, bound) for one in value)
    if operator in MEMBER:
        return any(_same(value, member) for member in bound) == (operator == "$in")
    return _same(value, bound) == (operator == "$eq")


def _same(value: Any, bound: Any) -> bool:
    return isinstance(value, bool) == isinstance(bound, bool) and value is not _MISSING and bool(value == bound)
